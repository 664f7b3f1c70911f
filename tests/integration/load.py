# SPDX-License-Identifier: Apache-2.0
"""Agents at work in their sandboxes: each asks a model, calls a tool, changes a thing and reads
one, in turn, and tells what became of it. What they were answered can then be held against what
the upstream was sent and what the log has."""
import json
import subprocess
import threading
import time

from corridor_house import Upstream

# In the sandbox. A line for each request: kind, id, status (0: none came), when it began and ended.
AGENT = r"""
import http.client, json, os, select, sys, time
name, pause = sys.argv[1], float(sys.argv[2])
key = "Bearer " + os.environ["OPENAI_API_KEY"]
KINDS = {
    "model": ("POST", "http://openai.gatehouse/v1/chat/completions",
              lambda i: {"model": "m", "messages": [{"role": "user", "content": i}]}),
    "tool": ("POST", "http://tools.gatehouse/mcp",
             lambda i: {"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                        "params": {"name": "echo", "arguments": {"id": i}}}),
    "change": ("POST", "http://api.gatehouse/things", lambda i: {"id": i}),
    "read": ("GET", "http://api.gatehouse/things", None)}
line = None
def ask(kind, identity):
    global line
    method, url, body = KINDS[kind]
    headers = {"content-type": "application/json",
               "accept": "application/json, text/event-stream"}
    if kind == "model":
        headers["authorization"] = key
    try:
        if line is None:
            line = http.client.HTTPConnection("127.0.0.1", 3128, timeout=30)
        line.request(method, url, json.dumps(body(identity)) if body else None, headers)
        answer = line.getresponse()
        said = answer.read().decode(errors="replace")
        if kind == "tool" and '"error"' in said:
            return 500 if answer.status == 200 else answer.status, said
        return answer.status, said
    except (OSError, http.client.HTTPException) as error:
        line.close()
        line = None
        return 0, repr(error)
turn = 0
while not select.select([sys.stdin], [], [], pause)[0]:
    for kind in KINDS:
        turn += 1
        identity = "<%s-%d>" % (name, turn)
        began = time.monotonic()
        status, said = ask(kind, identity)
        why = "" if status == 200 else " ".join(said.split())[:300]
        print(kind, identity, status, began, time.monotonic(), why, flush=True)
"""


class Answer:
    def __init__(self, line):
        self.kind, self.id, status, began, ended, *why = line.rstrip("\n").split(" ", 5)
        self.status, self.began, self.ended = int(status), float(began), float(ended)
        self.why = why[0] if why else ""


class Agent:
    def __init__(self, house, name, pause=0.03):
        self.house = house
        self.answers = []
        self.process = house.start("/usr/bin/python3", "-c", AGENT, name, str(pause),
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        told = self.process.stderr.readline()
        assert told.startswith("gatehouse: run "), told + self.process.stderr.read()
        self.run = told.split()[2]
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.answers.append(Answer(line))

    def wait_for(self, since, accepted, seconds=30):
        """The first answer to what was asked after that moment and is accepted."""
        deadline = time.monotonic() + seconds
        at = 0
        while True:
            while at < len(self.answers):
                answer = self.answers[at]
                at += 1
                if answer.began >= since and accepted(answer):
                    return answer
            assert time.monotonic() < deadline, (
                "nothing of the kind came: "
                + str([vars(answer) for answer in self.answers[-8:]]))
            assert self.process.poll() is None, self.process.stderr.read()
            time.sleep(0.005)

    def works(self, since, kinds=("model", "tool", "change", "read"), seconds=30):
        """When it has been answered well for each of them again."""
        return max(self.wait_for(since, lambda answer, kind=kind: answer.kind == kind
                                 and answer.status == 200, seconds).ended for kind in kinds)

    def refused(self, since, kind):
        """What it is told that it may not have now."""
        return self.wait_for(since, lambda answer: answer.kind == kind and answer.status != 200)

    def finish(self):
        """Ends it in order; its exit status."""
        self.process.stdin.close()
        status = self.process.wait(30)
        self.reader.join(10)
        self.process.stdout.close()
        self.process.stderr.close()
        return status

    def answered(self):
        return [answer for answer in self.answers
                if answer.status == 200 and answer.kind != "read"]


def intents(house, run):
    """The ids of what the log says that the run set out to do."""
    told = house.ask("transcript", run, "--json", timeout=120)
    assert told.returncode == 0, told.stderr
    return {identity for step in json.loads(told.stdout)["steps"]
            if step["entry"]["kind"] == "intent"
            for identity in ids_in(step["entry"]["bodies"].get("request", ""))}


def unended(house, run):
    """Exchanges of which the log does not say how they ended."""
    told = house.ask("transcript", run, "--json", timeout=120)
    assert told.returncode == 0, told.stderr
    return [step for step in json.loads(told.stdout)["steps"]
            if step["entry"]["kind"] == "intent" and not step.get("settled")]


def ids_in(text):
    return {"<" + part.split(">")[0] + ">" for part in text.split("<")[1:]}


def effects():
    """The ids of what the upstream was sent that may change something: a question to a model is
    none (its Intent is durable before the answer is released)."""
    return {identity for _, path, _, body in list(Upstream.seen) if "completions" not in path
            for identity in ids_in(body.decode(errors="replace"))}
