# SPDX-License-Identifier: Apache-2.0
"""Check 2: a live agent that has just used a real token is stopped, and all that it holds is
searched for all that it must not hold."""
import hashlib

from . import search

MEMORY_LEAST = 0.99
REMOVED = "[credential removed by gatehouse]"
# Where the errand left its copies of the control, each in another form.
CONTROLS = {"/home/agent/control": "plain", "/tmp/control": "base64_0",
            "/dev/shm/control": "plain_utf16"}


def secrets_of(world):
    secrets = {"model_key": world.model_key, "client_secret": world.client_secret}
    for number, token in enumerate(world.issued()):
        secrets[f"{token['kind']}_{number}"] = token["value"]
    return secrets


def use_faults(world, house, run, secrets):
    """The search means something only if the Run has used a token that is searched for, and if the
    upstream sent it back."""
    hashes = {hashlib.sha256(value.encode()).hexdigest() for value in secrets.values()}
    used = [line for line in world.requests("calendar")
            if run.trace in line["headers"].get("traceparent", "") and line["kind"] == "api"]
    echoes = [line for line in used if line["path"] == "/calendar/echo" and line["status"] == 200]
    faults = [f"a token that was used is not searched for: {line['token_sha256']}"
              for line in used if line.get("token_sha256") not in hashes]
    if not echoes:
        faults.append("the calendar was not made to send the token back")
    steps = [step for step in house.story(run.id)["steps"]
             if step["entry"]["tags"].get("path") == "/calendar/echo"]
    for step in steps:
        if REMOVED not in step.get("settled", {}).get("bodies", {}).get("response", ""):
            faults.append("the token that was sent back was not taken out of the answer")
        if int(step.get("settled", {}).get("tags", {}).get("credential_echoes", "0")) < 2:
            faults.append("the echoes in head and body are not on record")
    if len(steps) != len(echoes):
        faults.append(f"{len(echoes)} echoes, {len(steps)} on record")
    return faults


def memory_faults(memory, canaries):
    faults = [f"in memory: {name}: {places[:2]}" for name, places in memory.hits.items()
              if name not in canaries]
    missed = [name for name in canaries if name not in memory.hits]
    if missed:
        faults.append(f"the search of memory does not find what is there: {missed}")
    if memory.resident == 0 or memory.read < MEMORY_LEAST * memory.resident:
        faults.append(f"only {memory.read} of {memory.resident} bytes were read")
    return faults + memory.faults


def file_faults(files, secrets, environment_count):
    faults = [f"in a file: {name}: {places[:2]}" for name, places in files.hits.items()
              if name in secrets]
    for place, form in CONTROLS.items():
        found = files.hits.get(f"control/{form}", [])
        if not any(path.endswith(f"/root{place}") for path in found):
            faults.append(f"the search of files does not find the {form} control in {place}")
    for place in ("/home/agent", "/tmp", "/dev/shm", "/etc"):
        if files.counts.get(place, 0) == 0:
            faults.append(f"no file was read in {place}")
    if files.counts["environment"] != environment_count:
        faults.append(f"{files.counts['environment']} of {environment_count} environments and "
                      "command lines were read")
    return faults + files.faults[:5]


def check(checks, world, house, run):
    with search.frozen(run.id) as processes:
        secrets = secrets_of(world)
        patterns = search.patterns_of(secrets)
        canaries = search.patterns_of({"canary": world.canary})
        controls = search.patterns_of({"control": world.control})
        memory = search.Memory(patterns | canaries, processes, house.work)
        files = search.Files(patterns | controls, processes)
        strays = search.outside_cgroup(processes)
    failures = use_faults(world, house, run, secrets) + memory_faults(memory, canaries)
    failures += file_faults(files, patterns, 2 * len(processes))
    failures += [f"process {pid} of the sandbox was not stopped" for pid in strays]
    checks.add(2, "no secret within the agent's reach", failures,
               f"{len(secrets)} secrets in 8 forms, {len(processes)} processes, "
               f"{memory.read:,} of {memory.resident:,} bytes of memory read, "
               f"{sum(files.counts.values())} files and environments; {len(canaries)} canaries "
               f"found in memory, {len(CONTROLS)} controls in files")
