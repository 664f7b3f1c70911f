#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Claude Code and Codex, the real programs: each uses a tool directly at a scripted
provider with its key in its files; `gatehouse adopt` takes the keys; each does the same in a
sandbox, with placeholders; undo restores the files. No way leads out of the network namespace."""
import base64
import hashlib
import json
import os
import subprocess
import unittest
from pathlib import Path

import stage
from house import files_with, main
from stage import worlds

ANTHROPIC = "sk-ant-api03-" + "Zz9Yy8Xx7" * 5
OPENAI = "sk-proj-" + "a1B2c3D4e5F6" * 4 + "wxyz"
PACKAGES = "/opt/agents/node_modules"
CLAUDE = "@anthropic-ai/claude-code-linux-x64/claude"
CODEX = "@openai/codex-linux-x64/vendor/x86_64-unknown-linux-musl/bin/codex"
ASKED = "the gate is open"

CONFIG = """version: 1
data: {data}
users: [{{name: alice}}]
services:
  - {{name: anthropic, kind: anthropic, url: "https://api.anthropic.com", upstream: "{anthropic}",
     allow_private: true, credential: {{kind: static}}, scope: user}}
  - {{name: openai, kind: openai, url: "https://api.openai.com", upstream: "{openai}",
     allow_private: true, credential: {{kind: static}}, scope: user}}
agents:
  - name: shell
    skeleton: {home}
    toolbox: ["{npm}:{packages}"]
    environment:
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1"
      ANTHROPIC_API_KEY: "{{{{placeholder:anthropic}}}}"
      CODEX_API_KEY: "{{{{placeholder:openai}}}}"
    rules:
      - {{id: claude, service: anthropic, methods: [POST], paths: ["/v1/messages"]}}
      - {{id: codex, service: openai, methods: [POST], paths: ["/v1/responses"],
         provider_tools: [web_search]}}
"""
SETTINGS = """{
  "env": {
    "ANTHROPIC_API_KEY": "%s"
  },
  "permissions": { "allow": ["Read"] }
}
""" % ANTHROPIC
AUTH = '{\n  "OPENAI_API_KEY": "%s",\n  "tokens": null\n}\n' % OPENAI
CODEX_CONFIG = """model = "gpt-scripted"
model_provider = "plain"
check_for_update_on_startup = false
[model_providers.plain]
name = "plain"
base_url = "https://api.openai.com/v1"
wire_api = "responses"
requires_openai_auth = true
[analytics]
enabled = false
"""


def setUpModule():
    global STAGE, HOUSE, WORLD, HOME
    STAGE = stage.Stage()
    HOUSE, WORLD = STAGE.house, STAGE.world
    for name, key in (("anthropic", ANTHROPIC), ("openai", OPENAI)):
        STAGE.provider(name, "coders.json", key)
    HOME = HOUSE.folder / "home"
    (HOME / ".claude").mkdir(parents=True)
    (HOME / ".codex").mkdir()
    (HOME / ".claude/settings.json").write_text(SETTINGS)
    (HOME / ".codex/auth.json").write_text(AUTH)
    (HOME / ".codex/auth.json").chmod(0o600)
    (HOME / ".codex/config.toml").write_text(CODEX_CONFIG)
    HOUSE.config.write_text(CONFIG.format(
        data=HOUSE.data, home=HOME, npm=worlds.NPM.resolve(), packages=PACKAGES,
        **{name: WORLD.facts[name]["url"] for name in ("anthropic", "openai")}))
    HOUSE.up()


def tearDownModule():
    STAGE.end()


def received(name):
    return [line for line in worlds.lines_of(WORLD.log(name)) if "body" in line]


def claude(packages):
    return [f"{packages}/{CLAUDE}", "-p", "case-agent", "--output-format", "json",
            "--allowedTools", "Read"]


def codex(packages, *more):
    return [f"{packages}/{CODEX}", "exec", "--skip-git-repo-check",
            "--dangerously-bypass-approvals-and-sandbox", *more, "case-agent"]


class Coders(unittest.TestCase):
    def test_they_work_before_and_after_their_keys_are_taken_and_undo_gives_them_back(self):
        before = {name: len(self.direct(name)) for name in ("anthropic", "openai")}
        for folder in (".claude", ".codex"):
            told = json.loads(self.adopt(folder, "--json", "--user", "alice", "--agent", "shell"))
            self.assertEqual([one["outcome"] for one in told["findings"]], ["moved"], told)
        for key in (ANTHROPIC, OPENAI):
            self.assertEqual(files_with(HOME, key), [])
        self.assertEqual((HOME / ".claude/settings.json").read_text(), SETTINGS.replace(
            '"ANTHROPIC_API_KEY": "%s"' % ANTHROPIC,
            '"GATEHOUSE_KEEPS_ANTHROPIC_API_KEY": "in its vault"'))
        self.inside(before)
        for folder in (".claude", ".codex"):
            self.adopt(folder, "--undo")
        self.assertEqual((HOME / ".claude/settings.json").read_text(), SETTINGS)
        self.assertEqual((HOME / ".codex/auth.json").read_text(), AUTH)

    def direct(self, name):
        """Without a gateway, with the key in the program's file."""
        Path("/tmp/asked").write_text(ASKED)
        self.addCleanup(Path("/tmp/asked").unlink, missing_ok=True)
        url = WORLD.facts[name]["url"]
        more = ["-c", f'model_providers.plain.base_url="{url}/v1"']
        command = claude(worlds.NPM) if name == "anthropic" else codex(worlds.NPM, *more)
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=90, cwd=HOME, check=False, env={
                                  "PATH": os.environ["PATH"], "HOME": str(HOME),
                                  "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
                                  "ANTHROPIC_BASE_URL": url})
        self.assertIn(ASKED, done.stdout, done.stderr[-2000:])
        return received(name)

    def inside(self, before):
        """The same in the sandbox; both at a time."""
        command = (f"echo '{ASKED}' >/tmp/asked; {' '.join(claude(PACKAGES))} & "
                   f"{' '.join(codex(PACKAGES))}; wait")
        done = HOUSE.run("sh", "-c", command, timeout=120)
        self.assertGreaterEqual(done.stdout.count(ASKED), 2, done.stdout + done.stderr)
        for name, key, header in (("anthropic", ANTHROPIC, "x-api-key"),
                                  ("openai", OPENAI, "authorization")):
            asked = received(name)
            ways = asked[:before[name]], asked[before[name]:]
            self.assertEqual(*([(line["method"], line["url"], line["status"], line["ended"])
                                for line in way] for way in ways))
            # To its maker's own host Claude Code says more by itself; nothing is lost on the way.
            self.assertLessEqual(*(names(way[0]) for way in ways))
            for line in asked:
                digest = f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"
                self.assertEqual(fields(line)[header], digest)
            self.assertLessEqual(*(members(way[0]) for way in ways))
            self.assertEqual(files_with(HOUSE.data / "volumes", key), [])

    def adopt(self, folder, *words):
        done = HOUSE.ask("adopt", str(HOME / folder), *words,
                         env={**os.environ, "XDG_STATE_HOME": str(HOUSE.folder / "state")})
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        for key in (ANTHROPIC, OPENAI):
            self.assertNotIn(key, done.stdout + done.stderr)
        return done.stdout


def fields(line):
    raw = line["headers"]
    return {name.lower(): value for name, value in zip(raw[::2], raw[1::2])}


def names(line):
    """Of header fields, but for those that the gateway may change."""
    listed = (worlds.FIXTURES / "clients-headers.txt").read_text().splitlines()
    return set(fields(line)) - {words.split()[1] for words in listed if words.startswith("request")}


def members(line):
    """Of the request; their values hold clocks, ids and places."""
    return set(json.loads(base64.b64decode(line["body"])))


if __name__ == "__main__":
    stage.need_npm(CLAUDE, CODEX)
    stage.shut_in()
    main()
