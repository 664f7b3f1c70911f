#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Real clients of model providers, unmodified, each directly at a scripted provider and in a
sandbox through the gateway: the provider receives the same bodies and headers, the client sees the
same, and the sandbox holds no key. WebSockets too, by npm's ws at both ends."""
import base64
import json
import os
import subprocess
import time
import unittest

import stage
from house import main
from stage import worlds

KEY = "sk-real-0123456789abcdefghij"
FIXTURES = "/opt/fixtures"
PACKAGES = "/opt/fixtures/node_modules"
PYTHON = "/usr/bin/python3"

SERVICES = {"openai": "https://api.openai.com", "anthropic": "https://api.anthropic.com",
            "gemini": "https://generativelanguage.googleapis.com"}
SERVICE = """  - name: {name}
    kind: {name}
    url: {url}
    upstream: {provider}
    allow_private: true
    credential: {{kind: static}}
    scope: user
"""
CONFIG = """version: 1
data: {data}
users: [{{name: alice}}]
services:
{services}  - name: sockets
    kind: http
    url: https://sockets.example
    upstream: {sockets_at}
    allow_private: true
    credential: {{kind: static}}
    scope: user
agents:
  - name: shell
    toolbox: [{toolbox}]
    environment:
      OPENAI_API_KEY: "{{{{placeholder:openai}}}}"
      ANTHROPIC_API_KEY: "{{{{placeholder:anthropic}}}}"
      GEMINI_API_KEY: "{{{{placeholder:gemini}}}}"
      SOCKETS_KEY: "{{{{placeholder:sockets}}}}"
      SOCKETS_URL: wss://sockets.example
    rules:
      - {{id: openai, service: openai}}
      - {{id: anthropic, service: anthropic}}
      - {{id: gemini, service: gemini}}
      - {{id: sockets, service: sockets, methods: [WEBSOCKET]}}
"""


def setUpModule():
    global STAGE, HOUSE, WORLD, PROVIDER, SOCKETS
    STAGE = stage.Stage()
    HOUSE, WORLD = STAGE.house, STAGE.world
    PROVIDER = STAGE.provider("provider", "clients.json", KEY)
    SOCKETS = WORLD.start("sockets", [
        str(worlds.NODE), str(worlds.FIXTURES / "socket_server.mjs"), "--key-file",
        str(WORLD.secret("sockets", KEY)), "--record", str(WORLD.log("sockets"))])["url"]
    toolbox = HOUSE.folder / "fixtures"
    toolbox.mkdir()
    for name in ("clients.mjs", "clients.py", "sockets.mjs", "package.json"):
        (toolbox / name).write_bytes((worlds.FIXTURES / name).read_bytes())
    (toolbox / "node_modules").mkdir()
    # As Debian builds it: its standard library is compiled already.
    subprocess.run(["go", "build", "-o", str(toolbox / "clients_go"),
                    str(worlds.FIXTURES / "clients.go")], check=True, env={
                        "PATH": "/usr/bin:/bin", "GOCACHE": str(HOUSE.folder / "go"),
                        "GOPATH": str(HOUSE.folder / "gopath")})
    HOUSE.config.write_text(CONFIG.format(
        data=HOUSE.data, sockets_at=SOCKETS,
        services="".join(SERVICE.format(name=name, url=url, provider=PROVIDER)
                         for name, url in SERVICES.items()),
        toolbox=f'"{toolbox}:{FIXTURES}", "{worlds.NPM.resolve()}:{PACKAGES}"'))
    HOUSE.up()
    STAGE.connect([*SERVICES, "sockets"], KEY)


def tearDownModule():
    STAGE.end()


def listed(whose):
    """The fields that may differ."""
    lines = (worlds.FIXTURES / "clients-headers.txt").read_text().splitlines()
    words = [line.split("#")[0].split() for line in lines]
    return {pair[1] for pair in words if len(pair) == 2 and pair[0] == whose}


def received():
    """What the provider has on record, whole exchanges alone."""
    return [line for line in worlds.lines_of(WORLD.log("provider")) if "body" in line]


def fields(raw, whose="request"):
    # Go's own name says which HTTP it speaks on its hop: to the gateway, HTTP/2.
    pairs = zip(raw[::2], (value.replace("Go-http-client/2.0", "Go-http-client/1.1")
                           for value in raw[1::2]))
    return sorted((name.lower(), value) for name, value in pairs
                  if name.lower() not in listed(whose))


def directly(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env={
        "PATH": os.environ["PATH"], "LANG": "C.UTF-8",
        "OPENAI_BASE_URL": PROVIDER + "/v1", "ANTHROPIC_BASE_URL": PROVIDER,
        "GOOGLE_GEMINI_BASE_URL": PROVIDER, "OPENAI_API_KEY": KEY, "ANTHROPIC_API_KEY": KEY,
        "GEMINI_API_KEY": KEY, "SOCKETS_KEY": KEY,
        "SOCKETS_URL": SOCKETS.replace("http", "ws")})
    return done


class Clients(unittest.TestCase):
    maxDiff = 4000

    def both(self, direct, inside):
        """Runs it both ways; what each saw, and what the provider received of each."""
        ways = []
        for run in (lambda: directly(*direct), lambda: HOUSE.run(*inside)):
            before = len(received())
            done = run()
            self.assertEqual(done.returncode, 0, done.stderr[-2000:] + done.stdout[-2000:])
            saw = {(line["client"], line["case"]): line["saw"]
                   for line in map(json.loads, lines_in(done.stdout))}
            self.settle()
            asked = sorted(received()[before:], key=lambda line: line["request"])
            ways.append((saw, asked))
        return ways

    def settle(self):
        """Until each request that began has ended: those that were left end a moment later."""
        for _ in range(200):
            lines = worlds.lines_of(WORLD.log("provider"))
            if sum("began" in line for line in lines) == sum("body" in line for line in lines):
                return
            time.sleep(0.02)
        raise AssertionError("a request that nobody waits for goes on upstream")

    def compare(self, ways):
        (saw, asked), (saw_through, asked_through) = ways
        self.assertEqual(list(saw), list(saw_through))
        for case, one in saw.items():
            with self.subTest(case=case):
                self.assertEqual(comparable(case, one), comparable(case, saw_through[case]))
        self.assertEqual(len(asked), len(asked_through))
        for one, through in zip(asked, asked_through):
            with self.subTest(asked=one["url"], body=base64.b64decode(one["body"])):
                self.assertEqual((one["method"], one["url"], one["ended"]),
                                 (through["method"], through["url"], through["ended"]))
                self.assertEqual(sent(one), sent(through))
                self.assertEqual(fields(one["headers"]), fields(through["headers"]))
        return asked

    def test_sdks_of_npm_work_as_they_do_without_a_gateway(self):
        ways = self.both([str(worlds.NODE), str(worlds.FIXTURES / "clients.mjs")],
                         [PACKAGES + "/.bin/node", FIXTURES + "/clients.mjs"])
        asked = self.compare(ways)
        self.assertGreater(len(asked), 80)
        left = [line for line in asked if line["ended"] == "cut"]
        self.assertEqual(len(left), 7, "one for each client that left")

    def test_curl_requests_and_httpx_work_as_they_do_without_a_gateway(self):
        ways = self.both([PYTHON, str(worlds.FIXTURES / "clients.py")],
                         [PYTHON, FIXTURES + "/clients.py"])
        asked = self.compare(ways)
        self.assertEqual(len([line for line in asked if line["ended"] == "cut"]), 3)

    def test_go_works_as_it_does_without_a_gateway(self):
        program = HOUSE.folder / "fixtures/clients_go"
        asked = self.compare(self.both([str(program)], [FIXTURES + "/clients_go"]))
        self.assertEqual(len([line for line in asked if line["ended"] == "cut"]), 1)

    def test_a_kill_ends_every_stream_of_every_client(self):
        before = len(received())
        run = HOUSE.start("sh", "-c", f"{PACKAGES}/.bin/node {FIXTURES}/clients.mjs hang & "
                          f"{PYTHON} {FIXTURES}/clients.py hang & {FIXTURES}/clients_go hang; wait",
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        name = run.stderr.readline().split()[2]
        for _ in range(500):
            lines = worlds.lines_of(WORLD.log("provider"))
            begun = sum("began" in line for line in lines) - sum("body" in line for line in lines)
            if begun == 11:
                break
            time.sleep(0.02)
        self.assertEqual(begun, 11)
        self.assertEqual(HOUSE.ask("kill", name).returncode, 0)
        self.settle()
        self.assertEqual([line["ended"] for line in received()[before:]], ["cut"] * 11)
        # The frozen clients cannot tell what they saw of it until they may go on.
        self.assertEqual(HOUSE.ask("revive", name).returncode, 0)
        told, _ = run.communicate(timeout=30)
        ends = {line["client"]: line["saw"][-1] for line in map(json.loads, lines_in(told))}
        self.assertEqual(len(ends), 11)
        for client, end in ends.items():
            self.assertTrue("error" in end or "killed" in end, (client, end))
            self.assertNotIn("[DONE]", end)


class Sockets(unittest.TestCase):
    """npm's ws, and Node's own client, at a server of npm's ws."""
    maxDiff = 4000

    def ended(self, since=0):
        """What the server has on record, of sockets that have ended; once all have."""
        for _ in range(200):
            lines = worlds.lines_of(WORLD.log("sockets"))[since:]
            ended = [line for line in lines if "code" in line]
            if 2 * len(ended) == len(lines):
                return sorted(ended, key=lambda line: json.dumps(
                    [line["path"], line["sha256"], line["code"], line["reason"]]))
            time.sleep(0.02)
        raise AssertionError("a socket that nobody holds goes on upstream")

    def both(self):
        """What the clients saw, and the server's record: directly, and through the gateway."""
        for run in (lambda: directly(str(worlds.NODE), str(worlds.FIXTURES / "sockets.mjs")),
                    lambda: HOUSE.run(PACKAGES + "/.bin/node", FIXTURES + "/sockets.mjs")):
            before = len(worlds.lines_of(WORLD.log("sockets")))
            done = run()
            self.assertEqual(done.returncode, 0, done.stderr[-2000:] + done.stdout[-2000:])
            yield {(line["client"], line["case"]): line["saw"]
                   for line in map(json.loads, lines_in(done.stdout))}
            yield self.ended(before)

    def test_they_work_as_they_do_without_a_gateway(self):
        saw, record, saw_through, record_through = self.both()
        # What has to differ, and how. No extension is spoken on the way.
        self.assertEqual(saw.pop(("ws", "extensions")), "permessage-deflate")
        self.assertEqual(saw_through.pop(("ws", "extensions")), "")
        # An end without a Close is told by one, to the client (RFC 6455 section 7.4.1: 1006 is
        # never sent) and to the server; the gateway puts in the key that the client left out.
        ended = [1011, "the upstream ended the connection without a Close"]
        self.assertEqual(saw.pop(("ws", "dropped")), ["close", 1006, ""])
        self.assertEqual(saw_through.pop(("ws", "dropped")), ["close", *ended])
        self.assertEqual(saw.pop(("node", "dropped")), [[1006, "", False]])
        self.assertEqual(saw_through.pop(("node", "dropped")), [[*ended, True]])
        self.assertEqual(list(saw), list(saw_through))
        for case, one in saw.items():
            with self.subTest(case=case):
                self.assertEqual(one, saw_through[case])
        self.assertEqual([line["path"] for line in record],
                         [line["path"] for line in record_through])
        for one, through in zip(record, record_through):
            with self.subTest(path=one["path"]):
                self.assertEqual(through["extensions"], "")
                for line in (one, through):
                    line["headers"] = fields(line["headers"])
                    del line["extensions"], line["time"]
                    if line["code"] in (1001, 1006) and line["reason"] == "":
                        line["code"] = "left"  # in words, where the gateway says so
                self.assertEqual(one, through)

    def test_a_kill_ends_them_in_the_middle_of_a_message(self):
        before = len(worlds.lines_of(WORLD.log("sockets")))
        run = HOUSE.start("sh", "-c", f"{PACKAGES}/.bin/node {FIXTURES}/sockets.mjs hang",
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        name = run.stderr.readline().split()[2]
        for _ in range(500):
            if len(worlds.lines_of(WORLD.log("sockets"))[before:]) == 3:
                break
            time.sleep(0.02)
        self.assertEqual(HOUSE.ask("kill", name).returncode, 0)
        self.assertEqual([line["code"] for line in self.ended(before)], [1001] * 3)
        self.assertEqual(HOUSE.ask("revive", name).returncode, 0)
        told, _ = run.communicate(timeout=30)
        killed = [1008, "the run was killed"]
        self.assertEqual({line["client"]: line["saw"] for line in map(json.loads, lines_in(told))},
                         {"ws": ["close", *killed], "ws idle": ["close", *killed],
                          "node": [*killed, True]})


def lines_in(text):
    """Not splitlines(): a line separator of Unicode is text like any other."""
    return text.strip().split("\n")


def sent(line):
    """The body, but for what the gateway asks for beside: usage in chat streams."""
    body = base64.b64decode(line["body"])
    return body.replace(b'"stream_options":{"include_usage":true},', b"")


def comparable(case, saw):
    """Without what differs between two direct connections too."""
    if case[1] == "reset":  # how much of it arrives before its end is the network's affair
        return "Error" in str(saw[-1]) or "error" in saw[-1]
    if isinstance(saw, str):
        return saw.replace(',"usage":null', "")
    if isinstance(saw, list):
        return [comparable(case, one) for one in saw]
    if isinstance(saw, dict) and ("content-type" in saw or "Content-Type" in saw):
        return {name.lower(): value for name, value in saw.items()
                if name.lower() not in listed("response")}
    if isinstance(saw, dict):  # a chunk of a stream that was asked for usage; or an error
        return {name: one for name, one in saw.items()
                if one is not None or name not in ("usage", "cause")}
    return saw


if __name__ == "__main__":
    stage.need_npm("@anthropic-ai/sdk")
    main()
