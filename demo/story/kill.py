# SPDX-License-Identifier: Apache-2.0
"""Check 4: a Run is killed while a model speaks to it: to the agent and, beside it, to a plain
client whose output we see; and what the operator reads afterwards."""
import json
import time

from . import house as houses
from . import world as worlds

WORDS = "Put story time into my calendar, then tell me a story."
ALOUD = "Tell a story of 3000 words aloud."
NOTE = ("POST calendar.gatehouse/calendar/events", "done")
SANE_MOST_S = 5  # not a measure of speed: beyond it something waits for a timeout
STALE_MOST_S = 2


def command(session, model):
    """OpenClaw, and a curl that prints the model's stream as it comes."""
    body = json.dumps({"model": model, "stream": True,
                       "messages": [{"role": "user", "content": ALOUD}]})
    return ["/bin/sh", "-c",
            'curl -sSN -H "authorization: Bearer $OPENAI_API_KEY" '
            '-H "content-type: application/json" -d "$0" "$OPENAI_BASE_URL/chat/completions" & '
            'exec "$@"', body, *houses.agent_command(houses.NPM_INSIDE, session, WORDS)]


def open_answers(house, run):
    """How many answers of the model are under way."""
    return sum(step["entry"]["tags"].get("call") == "llm" and step["state"] == "in doubt"
               for step in house.story(run.id)["steps"])


def printed(run):
    """What the client made visible of the model's answer."""
    said = ""
    for line in run.out.read_text(encoding="utf-8").split("\n"):
        try:
            chunk = json.loads(line.removeprefix("data: "))
        except json.JSONDecodeError:
            continue  # the last may be cut anywhere; others are not the stream's
        for choice in chunk.get("choices", []):
            said += choice["delta"].get("content") or ""
    return said


class Killed:
    """A Run that was told to stop in mid-sentence."""

    def __init__(self, world, house, run):
        self.world, self.house, self.run = world, house, run
        # It was frozen for the search: the kill is to meet it alive.
        thawed = time.time()
        run.wait_until(lambda: run.last_byte > thawed, "the story to go on")
        self.began = time.time()
        house.ask("kill", run.id, "--reason", "the demo stops it in mid-sentence")
        self.answered = time.time()
        self.status = json.loads(house.ask("status").stdout)["killed"]

    def cuts(self):
        """The model server's lines on its two answers that were cut, by scene."""
        found = {line["scene"]: line for line in self.world.scenes(self.run.trace)
                 if line["ended"] == "cut"}
        return found if {"aloud", "errand"} <= set(found) else None

    def wait(self):
        if self.world.is_scripted:
            self.run.wait_until(self.cuts, "the model's streams to be cut")

    @staticmethod
    def partial(steps, aloud):
        """The texts on record of what came to no end: to the plain client, or to the agent."""
        return [step["settled"]["bodies"].get("llm.text", "") for step in steps
                if "settled" in step and step["state"] != "done"
                and (ALOUD in step["entry"]["bodies"].get("llm.input", "")) == aloud]

    def text_faults(self, steps):
        """What was printed is the beginning of what is on record, and that of what was sent."""
        shown, kept = printed(self.run), self.partial(steps, aloud=True)
        faults = []
        if len(kept) != 1 or not shown or not kept[0].startswith(shown):
            faults.append(f"printed was {shown[-60:]!r}, on record is {kept}")
        for scene, line in (self.cuts() or {}).items():
            kept = self.partial(steps, aloud=scene == "aloud")
            if len(kept) != 1 or not kept[0] or not line["said"].startswith(kept[0]):
                faults.append(f"{scene}: said was {line['said'][-60:]!r}, on record is {kept}")
        return faults

    def check(self, checks):
        """To be called after a restart of the house: then nothing more can be printed."""
        self.run.pump.join(houses.READ_MOST_S)
        last = self.run.last_byte - self.began
        closed = max((worlds.World.moment(line) - self.began
                      for line in (self.cuts() or {}).values()), default=None)
        story = self.house.story(self.run.id)
        steps = [s for s in story["steps"] if s["entry"]["tags"].get("call") == "llm"]
        failures = self.text_faults(steps)
        failures += [f"an answer that was cut is {step['state']} on record: Entry "
                     f"{step['entry']['sequence']}" for step in steps
                     if step["state"] not in ("done", "cut")]
        if self.run.pump.is_alive():
            failures.append("its output is still open")
        if not -STALE_MOST_S < last < SANE_MOST_S:
            failures.append(f"the last byte was printed after {last:.3f} s")
        if self.world.is_scripted and not (closed and closed < SANE_MOST_S):
            failures.append(f"the upstream was closed after {closed} s")
        effects = [(effect["act"], effect["state"]) for effect in story["effects"]]
        if self.world.is_scripted and effects != [NOTE]:
            failures.append(f"the effects are {effects}")
        if not any(s["entry"]["kind"] == "killed" for s in story["steps"]):
            failures.append("the kill is not on record")
        if self.run.id not in self.status:
            failures.append("status does not show it")
        if self.run.id not in json.loads(self.house.ask("status").stdout)["killed"]:
            failures.append("after a restart it is not killed any more")
        partial = sum(map(len, self.partial(steps, True) + self.partial(steps, False)))
        upstream = f", upstream closed after {1000 * closed:.0f} ms" if closed else ""
        checks.add(4, "killed while the model speaks; what it had done is told", failures,
                   f"from the command: acknowledged after "
                   f"{1000 * (self.answered - self.began):.0f} ms, last byte printed after "
                   f"{1000 * max(0, last):.0f} ms{upstream}; {partial:,} bytes of what was being "
                   f"said on record, and what had been done: {effects or 'nothing'}")
