#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Claude Code, Codex and OpenClaw, the real programs, through their cases: an answer, a stream, an
error, Ctrl-C in the middle of a stream; directly at a scripted provider and in a sandbox. They show
the same, and the provider receives the same bodies and headers. A kill ends their streams: upstream
too, and each program says that it failed. No way leads out of the network namespace."""
import base64
import json
import re
import subprocess
import sys
import time
import unittest

import stage
from house import GATEHOUSE, main
from stage import worlds

sys.path.insert(0, str(worlds.FIXTURES))
import coders  # noqa: E402
from story import house as demo  # noqa: E402

KEY = "sk-real-0123456789abcdefghij"
PACKAGES = "/opt/agents/node_modules"
DRIVER = "/opt/fixtures/coders.py"
PYTHON = "/usr/bin/python3"
PROGRAMS = tuple(coders.PROGRAMS)

CONFIG = """version: 1
data: {data}
users: [{{name: alice}}, {{name: bob}}]
services:
  - {{name: anthropic, kind: anthropic, url: "http://anthropic.gatehouse", upstream: "{provider}",
     allow_private: true, credential: {{kind: static}}, scope: user}}
  - {{name: openai, kind: openai, url: "http://openai.gatehouse", upstream: "{provider}",
     allow_private: true, credential: {{kind: static}}, scope: user}}
agents:
  - name: shell
    skeleton: {home}
    toolbox: ["{npm}:{packages}", "{fixtures}:/opt/fixtures"]
    environment: {environment}
    rules:
      - {{id: anthropic, service: anthropic}}
      - {{id: openai, service: openai, provider_tools: [web_search]}}
"""
# Said again is what is said once: what is to be seen is the first time.
ONCE = {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "CLAUDE_CODE_MAX_RETRIES": "0",
        "CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK": "1"}
CODEX_CONFIG = """model = "gpt-scripted"
model_provider = "plain"
check_for_update_on_startup = false
[model_providers.plain]
name = "plain"
base_url = "by the command line"
wire_api = "responses"
env_key = "OPENAI_API_KEY"
request_max_retries = 0
stream_max_retries = 0
[analytics]
enabled = false
"""


def make_home(home):
    demo.write_home(home, demo.MODEL)
    settings = home / ".openclaw/openclaw.json"
    changed = json.loads(settings.read_text())
    del changed["mcp"]
    settings.write_text(json.dumps(changed))
    (home / ".codex").mkdir()
    (home / ".codex/config.toml").write_text(CODEX_CONFIG)


def setUpModule():
    global STAGE, HOUSE, WORLD, PROVIDER, HOME
    STAGE = stage.Stage()
    HOUSE, WORLD = STAGE.house, STAGE.world
    PROVIDER = STAGE.provider("provider", "coders.json", KEY)
    HOME = HOUSE.folder / "home"
    HOME.mkdir()
    make_home(HOME)
    fixtures = HOUSE.folder / "fixtures"
    fixtures.mkdir()
    (fixtures / "coders.py").write_bytes((worlds.FIXTURES / "coders.py").read_bytes())
    environment = {
        **ONCE, **demo.agent_environment(PACKAGES),
        "ANTHROPIC_BASE_URL": "http://anthropic.gatehouse",
        "OPENAI_BASE_URL": "http://openai.gatehouse/v1",
        "ANTHROPIC_API_KEY": "{{placeholder:anthropic}}",
        "OPENAI_API_KEY": "{{placeholder:openai}}"}
    HOUSE.config.write_text(CONFIG.format(
        data=HOUSE.data, home=HOME, npm=worlds.NPM.resolve(), packages=PACKAGES, fixtures=fixtures,
        provider=PROVIDER, environment=json.dumps(environment)))
    HOUSE.up()
    STAGE.connect(("anthropic", "openai"), KEY, users=("alice", "bob"))


def tearDownModule():
    STAGE.end()


def lines():
    return worlds.lines_of(WORLD.log("provider"))


def under_way():
    return sum("began" in line for line in lines()) - sum("body" in line for line in lines())


def wait_until(count):
    """Until so many requests are under way at the provider."""
    for _ in range(3000):
        if under_way() == count:
            return
        time.sleep(0.02)
    raise AssertionError(f"{under_way()} requests are under way upstream, not {count}")


class Driver:
    """coders.py, one way or the other."""

    def __init__(self, process):
        self.process = process

    def told(self):
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        return json.loads(line)

    def say(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def end(self):
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()
        self.process.stderr.close()


PIPES = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
         "text": True}


def directly():
    return Driver(subprocess.Popen(
        [PYTHON, str(worlds.FIXTURES / "coders.py"), str(worlds.NPM.resolve())], cwd=HOME, env={
            **ONCE, **demo.agent_environment(worlds.NPM.resolve()), "HOME": str(HOME),
            "LANG": "C.UTF-8", "SHELL": "/bin/bash",
            "ANTHROPIC_BASE_URL": PROVIDER, "OPENAI_BASE_URL": PROVIDER + "/v1",
            "ANTHROPIC_API_KEY": KEY, "OPENAI_API_KEY": KEY}, **PIPES))


def inside(user):
    """In a run; its name."""
    words = HOUSE.words_to_run(PYTHON, DRIVER, PACKAGES, user=user)
    driver = Driver(subprocess.Popen([GATEHOUSE, *words], **PIPES))
    driver.run = driver.process.stderr.readline().split()[2]
    return driver


def plain(text):
    """Without what is of a place, a clock or of chance."""
    for place, name in ((str(HOME), "~"), ("/home/agent", "~"), (str(worlds.NPM.resolve()), "NPM"),
                        (PACKAGES, "NPM"), (re.sub(r"\W|_", "-", str(HOME)), "-home-agent")):
        text = text.replace(place, name)
    for pattern in (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", r"\b[0-9a-f]{64}\b",
                    r"\b\d{13}\b", r"\.(codex|openclaw)-\d+\b",
                    r"\[\w{3} \d{4}-\d\d-\d\d \d\d:\d\d UTC\]", r"\bhost=\S+"):
        text = re.sub(pattern, "*", text)
    return text


def sent(line):
    """The body, but for what the gateway asks for beside: usage in chat streams. The order of
    members is chance in what Codex says of itself."""
    body = json.loads(base64.b64decode(line["body"]))
    if body.get("stream_options") == {"include_usage": True}:
        del body["stream_options"]
    return plain_value(body)


def plain_value(value):
    if isinstance(value, dict):
        return {plain(name): plain_value(one) for name, one in value.items()}
    if isinstance(value, list):
        return [plain_value(one) for one in value]
    return plain(value) if isinstance(value, str) else value


def fields(line):
    return {name.lower(): value for name, value in zip(line["headers"][::2], line["headers"][1::2])}


def told_fields(line):
    """But for those that may differ; OpenClaw's fetch leaves one out where there is a proxy."""
    words = [one.split("#")[0].split() for one in
             (worlds.FIXTURES / "clients-headers.txt").read_text().splitlines()]
    left_out = {pair[1] for pair in words if len(pair) == 2 and pair[0] == "request"}
    if line["url"].endswith("/chat/completions"):
        left_out.add("sec-fetch-mode")
    return {name: plain(value) for name, value in fields(line).items() if name not in left_out}


def seen(key, shown):
    """What a person sees of it."""
    program = key.split("/")[0]
    events = [json.loads(line) for line in shown["out"].splitlines() if line.startswith("{")]
    if program == "claude":
        deltas = [one["event"]["delta"].get("text", "") for one in events
                  if one.get("event", {}).get("type") == "content_block_delta"]
        last = events[-1]
        return [shown["status"], deltas, *(last.get(name) for name in (
            "subtype", "is_error", "result", "api_error_status", "num_turns"))]
    if program == "codex":
        return [shown["status"], *({name: value for name, value in one.items() if name not in (
            "thread_id", "usage")} for one in events)]
    return [line for line in shown["out"].splitlines() if line and not line.startswith("[")]


def told(drivers, command):
    """What each says to it, all at once."""
    for driver in drivers:
        driver.say(command)
    return [driver.told() for driver in drivers]


class Cases(unittest.TestCase):
    maxDiff = 6000

    def setUp(self):
        self.drivers = self.direct, self.through, self.doomed = (
            directly(), inside("alice"), inside("bob"))
        for driver in self.drivers:
            self.addCleanup(driver.end)

    def test_they_do_as_they_do_without_a_gateway_and_a_kill_ends_their_streams(self):
        shown, shown_through = told(self.drivers[:2], "cases")
        told(self.drivers, "hang")
        wait_until(3 * len(PROGRAMS))
        for all_shown, more in zip((shown, shown_through), told(self.drivers[:2], "interrupt")):
            all_shown |= {f"{name}/interrupted": one for name, one in more.items()}
        wait_until(len(PROGRAMS))
        self.assertEqual(list(shown), list(shown_through))
        for key in shown:
            with self.subTest(shown=key):
                self.assertEqual(seen(key, shown[key]), seen(key, shown_through[key]))
        self.is_what_was_scripted(shown)
        self.kill()
        self.compare(*self.received())

    def received(self):
        """Directly, through the gateway, and of the run that was killed, which are of their runs'
        traces."""
        traces = {run["run"]: run["trace"] for run in HOUSE.runs()}
        ways = {"": [], traces[self.through.run]: [], traces[self.doomed.run]: []}
        for line in lines():
            if "body" in line:
                trace = fields(line).get("traceparent", "")[3:35]
                ways[trace if trace in ways else ""].append(line)
        return [sorted(way, key=lambda line: (line["url"], json.dumps(sent(line), sort_keys=True)))
                for way in ways.values()]

    def is_what_was_scripted(self, shown):
        for program in PROGRAMS:
            self.assertIn("Hello, whole: naïve 日本語 🚪", shown[f"{program}/case-unary"]["out"])
            bad = shown[f"{program}/case-bad"]
            self.assertIn("Not like that, please.", bad["out"] + bad["err"])
        deltas = seen("claude", shown["claude/interrupted"])[1]
        self.assertTrue(deltas, "it was in the middle of its stream")
        self.assertIn("".join(deltas),
                      "Hello, and then nothing more comes, for as long as you wait.")

    def compare(self, asked, asked_through, killed):
        self.assertEqual(*([(line["method"], line["url"], line["status"], line["ended"])
                            for line in way] for way in (asked, asked_through)))
        self.assertEqual(sum(line["ended"] == "cut" for line in asked), len(PROGRAMS))
        self.assertEqual([line["ended"] for line in killed], ["cut"] * len(PROGRAMS))
        for one, through in zip(asked, asked_through):
            with self.subTest(asked=one["url"]):
                self.assertEqual(told_fields(one), told_fields(through))
                self.assertEqual(sent(one), sent(through))

    def kill(self):
        self.assertEqual(HOUSE.ask("kill", self.doomed.run).returncode, 0)
        wait_until(0)
        # The frozen programs cannot tell what they saw of it until they may go on.
        self.assertEqual(HOUSE.ask("revive", self.doomed.run).returncode, 0)
        (shown,) = told([self.doomed], "tell")
        # Each was told why in its dialect. OpenClaw says so; the others say that the line is dead,
        # which they learn in the same moment.
        transcript = HOUSE.ask("transcript", self.doomed.run, "--json").stdout
        self.assertEqual(transcript.count("the run was killed"), len(PROGRAMS))
        self.assertIn("API Error", seen("claude", shown["claude"])[4])
        self.assertIn("turn.failed", shown["codex"]["out"])
        self.assertIn("the run was killed", shown["openclaw"]["err"])
        for program in PROGRAMS:
            self.assertNotEqual(shown[program]["status"], 0, program)


if __name__ == "__main__":
    stage.need_npm(coders.CLAUDE, coders.CODEX, "openclaw")
    stage.shut_in()
    main()
