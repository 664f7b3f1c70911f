#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Agents and clients of npm's @a2a-js/sdk, unmodified, of A2A 0.3 and 1.0 and by both bindings: a
client in a sandbox sees through the gateway what it sees directly, but for what the gateway is
there for, and holds no key."""
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
VERSIONS = {"0.3": "v03", "1.0": "v10"}
BINDINGS = ("JSONRPC", "HTTP+JSON")

SERVICE = """  - name: {name}
    kind: a2a
    url: http://{name}.gatehouse
    upstream: {upstream}
    allow_private: true
    credential: {{kind: static}}
"""
LISTED = "[GetAgentCard, SendMessage, SendStreamingMessage, GetTask]"
CONFIG = """version: 1
data: {data}
users: [{{name: alice}}]
services:
{services}agents:
  - name: shell
    toolbox: [{toolbox}]
    environment:
      A2A_03: http://v03.gatehouse
      A2A_10: http://v10.gatehouse
      A2A_TOKEN_03: "{{{{placeholder:v03}}}}"
      A2A_TOKEN_10: "{{{{placeholder:v10}}}}"
    rules:
      - {{id: v03, service: v03, operations: {listed}}}
      - {{id: v10, service: v10, operations: {listed}}}
"""


def setUpModule():
    global STAGE, HOUSE, WORLD, AGENTS
    STAGE = stage.Stage()
    HOUSE, WORLD = STAGE.house, STAGE.world
    AGENTS = WORLD.start("agents", [
        str(worlds.NODE), str(worlds.FIXTURES / "agents.mjs"),
        "--key-file", str(WORLD.secret("agents", KEY)), "--log", str(WORLD.log("agents"))])
    toolbox = HOUSE.folder / "fixtures"
    (toolbox / "node_modules").mkdir(parents=True)
    for name in ("agent_clients.mjs", "package.json"):
        (toolbox / name).write_bytes((worlds.FIXTURES / name).read_bytes())
    HOUSE.config.write_text(CONFIG.format(
        data=HOUSE.data, listed=LISTED,
        services="".join(SERVICE.format(name=name, upstream=AGENTS[name])
                         for name in VERSIONS.values()),
        toolbox=f'"{toolbox}:{FIXTURES}", "{worlds.NPM.resolve()}:{PACKAGES}"'))
    HOUSE.up()
    STAGE.connect(VERSIONS.values(), KEY)


def tearDownModule():
    STAGE.end()


def seen(text):
    """What a client saw, by version, binding and case."""
    return {(line["version"], line["binding"], line["case"]): line["saw"]
            for line in map(json.loads, text.strip().split("\n"))}


def exchanges(how="ended"):
    """What the agents were asked, and how that ended."""
    return [line for line in worlds.lines_of(WORLD.log("agents")) if how in line]


def cut_since(before, wanted):
    """Those that broke off, once there are as many as are waited for."""
    for _ in range(1000):
        cut = [line for line in exchanges()[before:] if line["ended"] == "cut"]
        if len(cut) >= wanted:
            break
        time.sleep(0.02)
    return cut


class Sdk(unittest.TestCase):
    maxDiff = 4000

    @classmethod
    def setUpClass(cls):
        directly = subprocess.run(
            [str(worlds.NODE), str(worlds.FIXTURES / "agent_clients.mjs")], capture_output=True,
            text=True, timeout=60, check=False, env={
                "PATH": os.environ["PATH"], "A2A_03": AGENTS["v03"], "A2A_10": AGENTS["v10"],
                "A2A_TOKEN_03": KEY, "A2A_TOKEN_10": KEY})
        assert directly.returncode == 0, directly.stderr
        cls.direct = seen(directly.stdout)
        cls.before = len(exchanges())
        cls.done = HOUSE.run(PACKAGES + "/.bin/node", FIXTURES + "/agent_clients.mjs")
        assert cls.done.returncode == 0, cls.done.stderr[-2000:]
        cls.through = seen(cls.done.stdout)

    def cases(self, name):
        for version in VERSIONS:
            for binding in BINDINGS:
                with self.subTest(version=version, binding=binding, case=name):
                    case = (version, binding, name)
                    yield version, self.direct[case], self.through[case]

    def test_what_is_said_streamed_failed_or_not_there_is_the_same_as_without_a_gateway(self):
        for name in ("unary", "stream", "fail", "error"):
            for _, direct, through in self.cases(name):
                self.assertEqual(through, direct)
        for _, _, through in self.cases("unary"):
            self.assertEqual(through["text"], "you said |hello \u00e9")
        for _, _, through in self.cases("error"):
            self.assertEqual(through["error"], "TaskNotFoundError")

    def test_a_card_leads_every_client_through_the_house(self):
        for version, direct, through in self.cases("card"):
            self.assertIn("GRPC", [each["binding"] for each in direct["interfaces"]])
            self.assertEqual((direct["signatures"], through["signatures"]), (1, 0))
            there = "http://%s.gatehouse" % VERSIONS[version]
            here = AGENTS[VERSIONS[version]]
            self.assertEqual(through["interfaces"], [
                {"url": each["url"].replace(here, there), "binding": each["binding"]}
                for each in direct["interfaces"] if each["binding"] != "GRPC"])

    def test_what_no_rule_lists_is_refused_in_words_that_the_client_shows(self):
        for _, direct, through in self.cases("unlisted"):
            self.assertEqual(direct["error"], "TaskNotFoundError")
            self.assertIn("CancelTask", through["says"])
            self.assertIn("no rule of agent shell allows it", through["says"])
        for _, direct, through in self.cases("webhook"):
            self.assertNotIn("error", direct)
            self.assertIn("an address to send to, past the gateway", through["says"])
        asked = [line["path"] for line in exchanges()[self.before:]]
        self.assertFalse([path for path in asked if path.endswith(":cancel")])

    def test_a_client_that_leaves_ends_the_stream_at_the_agent(self):
        for _, direct, through in self.cases("leave"):
            self.assertEqual(through, direct)
            self.assertEqual(through[-1]["error"], "AbortError")
        self.assertEqual(len(cut_since(self.before, 4)), 4)

    def test_the_story_tells_what_was_said_and_holds_no_key(self):
        run = HOUSE.runs()[-1]["run"]  # the first
        told = HOUSE.ask("transcript", run).stdout
        for words in ("SendMessage at v03", "SendStreamingMessage at v10", "hello \u00e9",
                      "you said ", "completed"):
            self.assertIn(words, told)
        self.assertNotIn(KEY, told + self.done.stdout + self.done.stderr)

    def test_a_kill_ends_every_stream_with_an_error(self):
        before, begun = len(exchanges()), len(exchanges("began"))
        run = HOUSE.start(PACKAGES + "/.bin/node", FIXTURES + "/agent_clients.mjs", "hang",
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        name = run.stderr.readline().split()[2]
        for _ in range(1000):
            if len(exchanges("began")) == begun + 8:  # a card and a stream of each
                break
            time.sleep(0.02)
        self.assertEqual(HOUSE.ask("kill", name).returncode, 0)
        self.assertEqual(len(cut_since(before, 4)), 4)
        # The frozen client cannot tell what it saw of it until it may go on.
        self.assertEqual(HOUSE.ask("revive", name).returncode, 0)
        out, _ = run.communicate(timeout=30)
        ends = seen(out)
        self.assertEqual(len(ends), 4)
        for case, saw in ends.items():
            self.assertIn("killed", saw[-1]["says"], case)


if __name__ == "__main__":
    stage.need_npm("@a2a-js/sdk")
    main()
