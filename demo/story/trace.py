# SPDX-License-Identifier: Apache-2.0
"""Check 5: one trace id for a Run, in all that it leaves behind."""
import json
import re
from collections import Counter

from .world import trace_of

FIXTURE_OF = {"openai": "model", "calendar": "calendar", "tools": "mcp"}  # by service
# What the house says of itself and not of a Run; whatever else stands in its log has a trace.
OF_THE_HOUSE = (
    "the house starts", "a role is ready", "the book is open", "from the file, new",
    "rules are in force", "a credential was stored", "a connection was made", "told to stop",
    "the supervisor is gone; this role ends",
    "the audit role no longer reads, so nothing new passes until one does",
)
# What people did, and no Run.
OF_PEOPLE = {"config_changed": {""}, "administered": {""}, "transcript_read": {""},
             "note": {""}, "vault_use": {"stored", "connected"}}  # kind, `use`; of the house too
# What the job's transcript holds; a real model need not show its reasoning, nor use the MCP tool.
TOLD = {
    True: ("llm.input", "llm.reasoning", "llm.tool_calls", "tool.arguments", "tool.result"),
    False: ("llm.input", "llm.tool_calls"),
}
# What curl asks for, and the heads that answer it, by their status.
HEADS = {
    "unary": ('-H "authorization: Bearer $CALENDAR_TOKEN" '
              "https://calendar.gatehouse/calendar/events", [200, 200]),
    "stream": ('-H "authorization: Bearer $OPENAI_API_KEY" -H "content-type: application/json" '
               "-d '{\"model\":\"MODEL\",\"stream\":true,"
               "\"stream_options\":{\"include_usage\":true},"
               "\"messages\":[{\"role\":\"user\",\"content\":\"Say yes.\"}]}' "
               '"$OPENAI_BASE_URL/chat/completions"', [200]),
    "mcp": ('-H "content-type: application/json" '
            '-H "accept: application/json, text/event-stream" '
            "-d '{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":"
            "{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{},"
            "\"clientInfo\":{\"name\":\"curl\",\"version\":\"8\"}}}' \"$MCP_URL\"", [200]),
    "refused": ("http://nowhere.test/", [403]),
    "refused connect": ("https://nowhere.test/", [403]),
}


def heads_of(house, model):
    """A small Run of its own that prints each kind of response head; ends when it has ended."""
    lines = [f"echo '# {name}'; curl -sS -o /dev/null -D - {words.replace('MODEL', model)}"
             for name, (words, _) in HEADS.items()]
    return house.start("openclaw", "alice", ["/bin/sh", "-c", "\n".join([*lines, "true"])],
                       "heads").end()


def head_faults(run):
    faults = []
    parts = re.split(r"^# (.*)\n", run.out.read_text(encoding="utf-8"), flags=re.M)[1:]
    told = dict(zip(parts[::2], parts[1::2]))
    for name, (_, wanted) in HEADS.items():
        heads = re.findall(r"^HTTP/(?:1\.1|2) (\d+)[^\n]*\n(.*?)^\r?$", told.get(name, ""),
                           flags=re.M | re.S)
        if [int(status) for status, _ in heads] != wanted:
            faults.append(f"the heads of {name} are {told.get(name)!r}")
        for number, (status, head) in enumerate(heads):
            found = re.search(r"^x-gatehouse-trace: (\w+)\r?$", head, flags=re.M | re.I)
            if not found or found[1] != run.trace:
                what = "CONNECT" if number + 1 < len(heads) else name
                faults.append(f"a response head without the trace: {what}, status {status}")
    if "text/event-stream" not in told.get("stream", ""):
        faults.append("the model's answer was no stream")
    return faults


def entry_faults(entries, traces):
    faults = []
    for entry in entries:
        if entry["run"]:
            if traces.get(entry["run"]) != entry["trace"]:
                faults.append(f"Entry {entry['sequence']} ({entry['kind']}) of {entry['run']} has "
                              f"the trace {entry['trace'] or 'none'}")
        elif entry["trace"] not in traces.values():
            use = dict(entry["tags"]).get("use", "")
            if use not in OF_PEOPLE.get(entry["kind"], ()):
                faults.append(f"Entry {entry['sequence']} ({entry['kind']} {use}) has the trace of "
                              "no Run")
    for run, trace in traces.items():
        kinds = {entry["kind"] for entry in entries if entry["run"] == run}
        if not {"run_started", "intent", "settled"} <= kinds:
            faults.append(f"the log holds only {sorted(kinds)} of {run} ({trace})")
    return faults


def log_faults(lines, traces):
    faults = []
    for line in lines:
        message = line.split(maxsplit=3)[3]
        found = re.search(r"\btrace=(\w+)", line)
        if found and found[1] in traces:
            continue
        if found or " run=" in line or not message.startswith(OF_THE_HOUSE):
            faults.append(f"a log line without the trace of a Run: {line[:160]}")
    if not lines:
        faults.append("the house's log is empty")
    return faults


def is_a_persons(line):
    """Of the OAuth server: a browser's visit, or a code that a person brought; no Run is behind."""
    if line.get("kind") != "auth":
        return False
    return line.get("grant_type") == "authorization_code" or line["path"].startswith("/auth")


def request_faults(world, fixtures, traces):
    faults = []
    for name in fixtures:
        requests = world.requests(name)
        if not requests:
            faults.append(f"nothing came to {name}")
        for line in requests:
            if trace_of(line) not in traces and not is_a_persons(line):
                faults.append(f"a request at {name} has the trace {trace_of(line) or 'none'}: "
                              f"{line['method']} {line['path']} {line.get('grant_type', '')}")
    return faults


def count_faults(world, fixtures, entries):
    """As many requests as Exchanges, upstream by upstream and trace by trace."""
    came = Counter((name, trace_of(line)) for name in fixtures for line in world.requests(name)
                   if line.get("kind") != "auth")
    settled = {entry["exchange"]: dict(entry["tags"]) for entry in entries
               if entry["kind"] == "settled"}
    recorded = Counter()
    for entry in entries:
        fixture = FIXTURE_OF.get(dict(entry["tags"]).get("service"))
        if entry["kind"] != "intent" or fixture not in fixtures:
            continue
        end = settled.get(entry["exchange"], {})
        sent = 0 if end.get("state") == "failed" and "status" not in end else 1
        recorded[fixture, entry["trace"]] += sent + ("renewed" in end)
    return [f"{fixture}: {came[fixture, trace]} requests of the trace {trace}, "
            f"{recorded[fixture, trace]} on record"
            for fixture, trace in sorted(came.keys() | recorded.keys())
            if came[fixture, trace] != recorded[fixture, trace]]


def story_faults(house, world, runs):
    """What the transcripts hold, and that the agent's own traces find their Run; and how many."""
    faults, links = [], 0
    for run in runs:
        story = house.story(run.id)
        parts = [part for step in story["steps"]
                 for part in (step["entry"], step.get("settled"), *step["uses"]) if part]
        wrong = [part["sequence"] for part in parts if part["trace_id"] != run.trace]
        if wrong:
            faults.append(f"{run.name}: the transcript has entries without its trace: {wrong}")
        linked = {part["linked_traceparent"].split("-")[1] for part in parts
                  if "linked_traceparent" in part}
        links += len(linked)
        faults += [f"{run.name}: its own trace {trace} does not find it" for trace in linked
                   if json.loads(house.ask("transcript", trace).stdout).get("run") != run.id]
        if run.name == "job":
            kinds = {name for part in parts for name in part["bodies"]}
            faults += [f"the transcript has no {wanted}" for wanted in TOLD[world.is_scripted]
                       if wanted not in kinds]
            if not linked:
                faults.append("the agent's own traceparent is not linked")
        faults += token_faults(run, story, world)
    return faults, links


def token_faults(run, story, world):
    """Of every answer that came to its end, the tokens are those that the model counted."""
    whole = [step["settled"]["tags"] for step in story["steps"]
             if step["entry"]["tags"].get("call") == "llm" and step["state"] == "done"]
    whole = [tags for tags in whole if tags.get("llm.model") and "tokens.input" in tags]
    faults = [f"{run.name}: a whole answer's tokens are estimated" for tags in whole
              if tags.get("tokens.estimated") == "true"]
    counted = Counter((int(tags["tokens.input"]), int(tags["tokens.output"])) for tags in whole)
    told = Counter((line["input_tokens"], line["output_tokens"]) for line in world.scenes(run.trace)
                   if line["ended"] == "complete")
    if world.is_scripted and counted != told and not faults:
        faults.append(f"{run.name}: the model counted {told}, the log has {counted}")
    return faults


def check(checks, house, world, runs, heads):
    """`heads` is the Run of heads_of, one of `runs`."""
    traces = {run.id: run.trace for run in runs}
    fixtures = [name for name in FIXTURE_OF.values() if name in world.facts]
    entries = house.entries()
    lines = house.log.read_text(encoding="utf-8").splitlines()
    failures, links = story_faults(house, world, runs)
    failures += entry_faults(entries, traces) + log_faults(lines, set(traces.values()))
    failures += request_faults(world, fixtures, set(traces.values()))
    failures += count_faults(world, fixtures, entries) + head_faults(heads)
    count = sum(len(world.requests(name)) for name in fixtures)
    checks.add(5, "one trace id in every entry, log line, request and response", failures,
               f"{len(runs)} runs, {len(entries)} entries, {len(lines)} log lines, {count} "
               f"upstream requests, {sum(len(wanted) for _, wanted in HEADS.values())} heads of "
               f"{len(HEADS)} kinds, {links} traces of the agent's own that find their run")
