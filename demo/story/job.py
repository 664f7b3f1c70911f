# SPDX-License-Identifier: Apache-2.0
"""Checks 1 and 6: the job that alice wanted done, and what the next run makes of it."""
from .world import trace_of

WORDS = "Please move my dentist appointment."
AGAIN = "Please move my dentist appointment again."


def event(events, name):
    return next((e for e in events if e["id"] == name), {})


def identity_faults(world, user_of):
    """Who acted at the calendar, by the token, is whom the Run is for. `user_of`: by trace."""
    faults = []
    for line in world.requests("calendar"):
        wanted = user_of.get(trace_of(line))
        if line["kind"] == "api" and line.get("user") != wanted:
            faults.append(f"{line['method']} {line['path']} as {line.get('user')} in a run for "
                          f"{wanted}")
    return faults


def done(checks, world, run, user_of, before, after):
    """`after` is what the calendar held when the job's run had ended."""
    dentist = event(after["alice"], "evt_alice_1")
    failures = identity_faults(world, user_of)
    if dentist.get("start") != "2026-12-01T11:00":
        failures.append(f"alice's dentist appointment is at {dentist.get('start')}")
    if not any(e["title"] == "Reminder: dentist" for e in after["alice"]):
        failures.append("there is no reminder")
    changes = [line for line in world.requests("calendar") if trace_of(line) == run.trace
               and line.get("user") == "alice" and line["method"] in ("PATCH", "POST")
               and line["status"] in (200, 201)]
    if len(changes) < 2:
        failures.append(f"the calendar saw {len(changes)} changes of this run")
    # What bob's own run notes there is new and stands behind these.
    if after["bob"][:len(before["bob"])] != before["bob"]:
        failures.append("bob's calendar changed")
    checks.add(1, "the job is done, as alice; bob's calendar is untouched", failures,
               f"dentist moved from {event(before['alice'], 'evt_alice_1')['start']} to "
               f"{dentist.get('start')}; every request was made as the user of its run")


def remembered(checks, house, world, first, again, without):
    """`without` is `again` once more, word for word, on a volume that is new."""
    paths = {run.name: [line["scene"].split(":")[0] for line in world.scenes(run.trace)]
             for run in (first, again, without)}
    tokens = {run.name: house.story(run.id)["tokens"] for run in (first, again, without)}
    failures = [f"{name}: its tokens are estimated" for name, sum_ in tokens.items()
                if sum_["estimated"]]
    if set(paths["job"]) != {"long path"} or set(paths["without"]) != {"long path"}:
        failures.append(f"without a memory the paths were {paths}")
    # The first call comes before the agent has looked into its memory.
    if set(paths["again"][1:]) != {"short path"}:
        failures.append(f"with its memory it took {paths['again']}")
    if tokens["again"]["input"] * 2 >= tokens["job"]["input"]:
        failures.append("the second run should need under half")
    if tokens["without"]["input"] * 2 < tokens["job"]["input"]:
        failures.append("without the volume the run should need as much as the first")
    first_sum, second_sum = tokens["job"]["input"], tokens["again"]["input"]
    checks.add(6, "a second run uses what the first remembered", failures,
               f"{first_sum:,} input tokens, then {second_sum:,} "
               f"({100 * second_sum // max(1, first_sum)} %) on the short path; the same words "
               f"without the volume: {tokens['without']['input']:,} on the long one")
