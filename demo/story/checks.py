# SPDX-License-Identifier: Apache-2.0
"""What the demo claims, checked: a line each, with the figures that show it."""
import re
import shutil
import sys
import time

COLOUR = sys.stdout.isatty()


def painted(code, text):
    return f"\033[{code}m{text}\033[0m" if COLOUR else text


class Checks:
    def __init__(self):
        self.lines = []

    def add(self, number, claim, failures, shown=""):
        """`failures` is a list of what does not hold; empty is good."""
        self.lines.append((number, claim, failures, shown))

    def print(self):
        print(painted("1", "\nWhat was shown"))
        for number, claim, failures, shown in sorted(self.lines, key=lambda line: line[0]):
            mark = painted("31", "FAILED") if failures else painted("32", "ok    ")
            print(f"  {number}  {mark}  {claim}" + (f"\n               {shown}" if shown else ""))
            for failure in failures:
                print(f"               - {failure}")
        return all(not failures for _, _, failures, _ in self.lines)


class Progress:
    """One line for each step, with how long it took."""

    def __init__(self):
        self.began = time.monotonic()

    def step(self, text):
        return Step(self, text)


class Step:
    def __init__(self, progress, text):
        self.progress, self.text = progress, text

    def __enter__(self):
        self.began = time.monotonic()
        at = self.began - self.progress.began
        print(f"{at:5.0f} s  {self.text} ...", end="" if COLOUR else "\n", flush=True)
        return self

    def __exit__(self, kind, *_):
        took = time.monotonic() - self.began
        if COLOUR:
            print(f" {'failed' if kind else 'done'} ({took:.1f} s)", flush=True)


def event(events, name):
    return next((e for e in events if e["id"] == name), {})


def llm_inputs(story):
    """What the model was newly told, call by call, as one text each."""
    return [step["entry"]["bodies"].get("llm.input", "") for step in story["steps"]
            if step["entry"]["tags"].get("call") == "llm"]


def job_is_done(checks, before, world):
    after = world.events()
    dentist = event(after["alice"], "evt_alice_1")
    failures = []
    if dentist.get("start") != "2026-12-01T11:00":
        failures.append(f"alice's dentist appointment is at {dentist.get('start')}")
    if not any(e["title"] == "Reminder: dentist" for e in after["alice"]):
        failures.append("there is no reminder")
    if after["bob"] != before["bob"]:
        failures.append("bob's calendar changed")
    checks.add(1, "the job is done, as alice; bob's calendar is untouched", failures,
               f"dentist moved from {event(before['alice'], 'evt_alice_1')['start']} to "
               f"{dentist.get('start')}")


def refused(checks, story, acts, seen, unconfined):
    """Every attack of the scenario: run unconfined it succeeded, from the sandbox it did not."""
    failures = [f"unconfined, it should succeed: {command}: {said}"
                for command, status, said in unconfined if status != 0]
    told = llm_inputs(story)[1:]
    for act, result in zip(acts, told):
        if not re.search(r"exited with code [1-9]|\"error\"|\\\"error\\\"", result):
            failures.append(f"not refused: {act}: {result[:200]}")
    if len(told) < len(acts):
        failures.append(f"only {len(told)} of {len(acts)} acts were tried")
    entries = [step["entry"] for step in story["steps"]]
    hosts = [e["tags"].get("host", "") for e in entries if e["kind"] in ("refused", "alarm")]
    for wanted in ("169.254.169.254", "[::ffff:a9fe:a9fe]", "c2vjcmv0lwrhdge.evil.test",
                   "10.99.0.1:5432", "10.99.0.1"):
        if wanted not in hosts:
            failures.append(f"no Entry says that {wanted} was refused")
    if not any(e["tags"].get("alarm") == "placeholder-misused" for e in entries):
        failures.append("no alarm for the placeholder")
    if any(not e["tags"].get("reason") for e in entries if e["kind"] in ("refused", "alarm")):
        failures.append("a refusal has no reason")
    failures += [f"arrived outside: {line}" for line in seen]
    checks.add(3, "told to misbehave: everything is refused and on record", failures,
               f"{len(acts)} acts, each of which succeeds unconfined; "
               f"{len(hosts)} refusals on record, 0 packets outside" if not failures else "")


def trace_is_everywhere(checks, house, world, runs, headers):
    failures = []
    links = 0
    for run in runs:
        story = house.story(run.id)
        steps = [step["entry"] for step in story["steps"]]
        steps += [step["settled"] for step in story["steps"] if "settled" in step]
        steps += [use for step in story["steps"] for use in step["uses"]]
        wrong = [e["sequence"] for e in steps if e["trace_id"] != run.trace]
        if wrong:
            failures.append(f"{run.name}: entries without its trace: {wrong}")
        linked = {e["linked_traceparent"].split("-")[1] for e in steps
                  if "linked_traceparent" in e}
        for trace in linked:
            links += 1
            if house.story(trace).get("run") != run.id:
                failures.append(f"{run.name}: its own trace {trace} does not find it")
        if run.name == "job":
            kinds = {name for e in steps for name in e["bodies"]}
            for wanted in ("llm.input", "llm.reasoning", "llm.tool_calls", "tool.result"):
                if wanted not in kinds:
                    failures.append(f"the transcript has no {wanted}")
            if not linked:
                failures.append("the agent's own traceparent is not linked")
            if story["tokens"]["input"] == 0 or story["tokens"]["output"] == 0:
                failures.append("the transcript counts no tokens")
    traces = {run.trace for run in runs}
    count = 0
    for name in ("model", "calendar", "mcp"):
        for line in world.requests(name):
            count += 1
            trace = line["headers"].get("traceparent", "--").split("-")[1]
            if trace not in traces:
                failures.append(f"a request at {name} has the trace {trace or 'none'}")
    for run in runs:
        for line in house.log.read_text(encoding="utf-8").splitlines():
            if run.id in line and run.trace not in line:
                failures.append(f"a log line without its trace: {line}")
    if headers.get("x-gatehouse-trace") != runs[-1].trace:
        failures.append(f"the response headers say {headers}")
    checks.add(5, "one trace id in every entry, log line, request and response", failures[:5],
               f"{len(runs)} runs, {count} upstream requests, {links} traces of the agent's own "
               "that find their run")


def memory_helps(checks, stories):
    first, second, without = (s["tokens"]["input"] for s in stories)
    failures = []
    if second * 2 >= first:
        failures.append("the second run should need under half")
    if without * 2 < first:
        failures.append("without the volume the run should take the long path")
    checks.add(6, "a second run uses what the first remembered", failures,
               f"{first:,} input tokens, then {second:,} ({100 * second // max(1, first)} %); "
               f"without the volume {without:,}")


def log_verifies(checks, house):
    failures = []
    whole = house.ask("audit", "verify", check=False)
    if whole.returncode != 0:
        failures.append(whole.stderr.strip())
    copy = house.work / "flipped"
    shutil.copytree(house.data / "audit", copy)
    segment = sorted(copy.iterdir())[0]
    content = bytearray(segment.read_bytes())
    at = len(content.rstrip(b"\0")) // 2
    content[at] ^= 1
    segment.write_bytes(content)
    flipped = house.ask("audit", "verify", str(copy), check=False, json_form=False)
    if flipped.returncode == 0 or "entry" not in flipped.stderr:
        failures.append(f"byte {at} of {segment.name} was flipped, and: {flipped.stderr.strip()}")
    checks.add(7, "the log verifies; with one byte flipped it does not", failures,
               flipped.stderr.strip().rpartition(" is damaged: ")[2])
