#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`gatehouse adopt`: the keys that lie in an OpenClaw home and in a .env go into the vault of a
real house, the real OpenClaw works afterwards in a sandbox with that home, its provider sees the
real key, and undo restores every byte."""
import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
import unittest
from pathlib import Path

from house import GATEHOUSE, House, files_with, main

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "demo"))
from story import house as demo  # noqa: E402
from story import world as worlds  # noqa: E402

OPENAI = "sk-proj-" + "a1B2c3D4e5F6" * 4 + "wxyz"
ANTHROPIC = "sk-ant-api03-" + "Zz9Yy8Xx7" * 5
BRAVE = "BSA" + "q1w2e3r4t5" * 3
TOOLS = "tools-key-0123456789-abcdefghij"
TELEGRAM = "123456789:" + "A" * 35
MOVED = (OPENAI, ANTHROPIC, BRAVE, TOOLS)

CONFIG = """version: 1
data: {data}
users: [{{name: alice}}, {{name: bob}}]
services:
  - name: openai
    kind: openai
    url: https://api.openai.com
    upstream: {model}
    allow_private: true
    credential: {{kind: static, header: authorization, prefix: "Bearer "}}
    scope: user
agents:
"""
AGENT = """  - name: {name}
    skeleton: {skeleton}
    toolbox: ["{npm}:{npm_inside}"]
    environment:
      {environment}
      OPENAI_API_KEY: "{{{{placeholder:openai}}}}"
    rules:
      - {{id: models, service: openai, methods: [POST], paths: ["/v1/chat/completions"]}}
"""

# As people write it: comments, single quotes, bare keys, commas at the end.
SETTINGS = """// my agent
{
  models: {
    mode: 'replace',
    providers: {
      openai: {
        baseUrl: 'https://api.openai.com/v1',
        apiKey: '%(openai)s', // from the console
        api: 'openai-completions',
        models: [{ id: 'gatehouse-demo', name: 'Demo', reasoning: true, input: ['text'],
                   cost: { input: 0, output: 0, cacheRead: 0, cacheWrite: 0 },
                   contextWindow: 128000, maxTokens: 8192, }],
      },
    },
  },
  agents: { defaults: { model: { primary: 'openai/gatehouse-demo' }, skipBootstrap: true } },
  plugins: { enabled: false },
  "env": { "vars": { "BRAVE_API_KEY": "%(brave)s" } },
  session: { maintenance: { mode: 'warn', maxDiskBytes: false } },
  /* the tools' own */
  mcp: { servers: { tools: { url: 'https://tools.example.com/mcp', enabled: false,
         headers: { Authorization: 'Bearer %(tools)s' } } } },
  tools: { toolSearch: false, allow: ['read'], exec: { mode: 'full' } },
}
""" % {"openai": OPENAI, "brave": BRAVE, "tools": TOOLS}

DOTENV = f"""# keys
export OPENAI_API_KEY={OPENAI}
ANTHROPIC_API_KEY='{ANTHROPIC}'   # the old one
TELEGRAM_BOT_TOKEN={TELEGRAM}
LOG_LEVEL=info
"""

SCENARIO = {"about": "One answer.", "model": "gatehouse-demo",
            "not_a_task": "^<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>>",
            "scenes": [{"name": "hello", "when": {"task_contains": "hello"},
                        "turns": [{"text": "The gate is open to you."}]}]}


def setUpModule():
    global HOUSE, WORLD, PASTE
    HOUSE = House()
    PASTE = paste_key(HOUSE.folder / "pasted")
    work = HOUSE.folder / "world"
    work.mkdir()
    WORLD = worlds.World(work)
    scenario = work / "hello.json"
    scenario.write_text(json.dumps(SCENARIO))
    model = WORLD.start("model", [
        str(worlds.NODE), str(worlds.FIXTURES / "model_server.mjs"), "--scenario", str(scenario),
        "--key-file", str(WORLD.secret("openai", OPENAI)), "--log", str(WORLD.log("model"))])
    environment = "\n      ".join(f'{name}: "{value}"' for name, value in
                                  demo.agent_environment(demo.NPM_INSIDE).items())
    config = CONFIG.format(data=HOUSE.data, model=f"http://127.0.0.1:{model['port']}")
    for name, home in (("openclaw", "home"), ("pasted", "pasted")):
        config += AGENT.format(name=name, skeleton=HOUSE.folder / home, environment=environment,
                               npm=worlds.NPM.resolve(), npm_inside=demo.NPM_INSIDE)
    HOUSE.config.write_text(config)
    HOUSE.up()


def paste_key(home):
    """As a person does at OpenClaw's prompt; it takes some seconds, beside the other tests."""
    state = home / ".openclaw"
    state.mkdir(parents=True)
    (state / "openclaw.json").write_text("".join(
        line for line in SETTINGS.splitlines(keepends=True)
        if not re.search('apiKey:|"env":|mcp:|headers:', line)))
    paste = subprocess.Popen(
        [str(worlds.NODE), str(worlds.NPM / "openclaw/openclaw.mjs"), "models", "auth",
         "paste-api-key", "--provider", "openai"], text=True, stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        env={**demo.agent_environment(str(worlds.NPM)), "HOME": str(home)})
    paste.stdin.write(OPENAI + "\n")
    paste.stdin.close()
    paste.stdin = None
    return paste


def tearDownModule():
    PASTE.kill()
    PASTE.wait()
    HOUSE.down()
    WORLD.stop()
    HOUSE.remove()


def write_home(home):
    state = home / ".openclaw"
    (state / "workspace").mkdir(parents=True)
    (state / "openclaw.json").write_text(SETTINGS)
    (state / "openclaw.json").chmod(0o600)
    (state / "openclaw.json.bak").write_text(SETTINGS.replace("'full'", "'deny'"))
    (state / ".env").write_text(DOTENV)
    (state / ".env").chmod(0o640)
    return state


def tree_of(folder):
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mode,
                                            path.stat().st_uid)
            for path in Path(folder).rglob("*") if path.is_file()}


class Adopting(unittest.TestCase):
    def setUp(self):
        self.home = HOUSE.folder / "home"
        self.state = write_home(self.home)
        self.kept = HOUSE.folder / "state"
        self.before = tree_of(self.state)

    def tearDown(self):
        shutil.rmtree(self.home)
        shutil.rmtree(self.kept, ignore_errors=True)
        for link in json.loads(HOUSE.ask("connections", "--json").stdout):
            HOUSE.ask("connect", link["service"], "--user", link["user"], "--remove")
        for one in json.loads(HOUSE.ask("service", "list", "--json").stdout):
            if one["from"] == "api":
                HOUSE.ask("service", "rm", one["name"])

    def adopt(self, *words, path=None, status=0):
        done = HOUSE.ask("adopt", str(path or self.state), *words,
                         env={**os.environ, "XDG_STATE_HOME": str(self.kept)})
        self.assertEqual(done.returncode, status, done.stderr + done.stdout)
        for key in (*MOVED, TELEGRAM):
            self.assertNotIn(key, done.stdout + done.stderr)
        return done

    def answer(self, *words):
        return json.loads(self.adopt("--json", *words).stdout)

    def records(self):
        return sorted(self.kept.rglob("*.json"))

    def test_openclaw_works_with_what_is_left_and_its_provider_sees_the_real_key(self):
        told = self.answer("--user", "alice", "--agent", "openclaw", "--create")
        moved = [one for one in told["findings"] if one["outcome"] == "moved"]
        self.assertEqual({one["what"] for one in moved},
                         {"models.providers.openai.apiKey", "env.vars.BRAVE_API_KEY",
                          "mcp.servers.tools.headers.Authorization", "OPENAI_API_KEY",
                          "ANTHROPIC_API_KEY"}, told)
        self.assertEqual(len(moved), 8)  # three of them in the backup too
        for key in MOVED:
            self.assertEqual(files_with(self.state, key), [])
        settings = (self.state / "openclaw.json").read_text()
        expected = SETTINGS
        for key, name in ((OPENAI, "OPENAI_API_KEY"), (BRAVE, "BRAVE_API_KEY"),
                          (TOOLS, "TOOLS_EXAMPLE_COM_API_KEY")):
            expected = expected.replace(key, f"${{{name}}}")
        self.assertEqual(settings, expected)
        self.assertIn("ANTHROPIC_API_KEY=${ANTHROPIC_API_KEY}   # the old one\n",
                      (self.state / ".env").read_text())
        for name, (_, mode, uid) in self.before.items():
            about = (self.state / name).stat()
            self.assertEqual((about.st_mode, about.st_uid), (mode, uid), name)
        self.assertIn("https://platform.openai.com/api-keys",
                      [one["at"] for one in told["rotate"]])
        self.assertEqual(told["copies"], [])


        # Beside it one whose key was pasted at its prompt: two cores, two agents.
        runs = [self.start_openclaw("openclaw", "alice")]
        pasted = HOUSE.folder / "pasted/.openclaw"
        profiles = self.adopt_what_was_pasted(pasted)
        runs.append(self.start_openclaw("pasted", "bob"))
        self.they_are_answered(*runs)
        self.adopt("--undo", path=pasted)
        self.assertEqual(self.profiles(pasted), profiles)

        self.assertEqual([one for one in self.answer("--user", "alice")["findings"]
                          if one["outcome"] != "stays"], [], "a second time finds no more")
        self.answer("--undo")
        self.assertEqual(tree_of(self.state), self.before)
        self.assertEqual(self.records(), [])

    def start_openclaw(self, agent, user):
        return subprocess.Popen(
            [GATEHOUSE, "run", "-a", agent, "-u", user, "--config", str(HOUSE.config), "--",
             *demo.agent_command(demo.NPM_INSIDE, "one", "hello")], text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def they_are_answered(self, *runs):
        """By their provider, which sees the real key."""
        for run in runs:
            told, errors = run.communicate(timeout=120)
            self.assertEqual(run.returncode, 0, errors + told)
            self.assertIn("The gate is open to you.", told)
        asked = [line for line in worlds.lines_of(WORLD.log("model")) if "headers" in line]
        self.assertGreaterEqual(len(asked), len(runs))
        digest = hashlib.sha256(OPENAI.encode()).hexdigest()
        for request in asked:
            self.assertIn(digest, json.dumps(request["headers"]))
        for key in MOVED:
            self.assertEqual(files_with(HOUSE.data / "volumes", key), [])

    def profiles(self, state):
        """What OpenClaw keeps of keys that were pasted, and nothing else of its database."""
        database = sqlite3.connect(state / "state/openclaw.sqlite")
        try:
            return database.execute("SELECT value_json FROM config_machine_state "
                                    "WHERE state_key = 'authProfiles.store'").fetchone()[0]
        finally:
            database.close()

    def adopt_what_was_pasted(self, state):
        _, errors = PASTE.communicate(timeout=120)
        self.assertEqual(PASTE.returncode, 0, errors)
        before = self.profiles(state)
        self.assertIn(OPENAI, before)
        told = json.loads(self.adopt("--json", "--user", "bob", path=state).stdout)
        self.assertEqual([(one["what"], one["outcome"]) for one in told["findings"]],
                         [("profiles.openai:manual.key", "moved")], told)
        self.assertEqual(told["copies"], [])
        self.assertEqual(files_with(state, OPENAI), [])
        return before

    def test_what_the_house_has_no_service_for_stays_and_is_told(self):
        done = self.adopt("--user", "alice", "--agent", "openclaw").stdout
        self.assertIn("stays: the house has no service at https://api.anthropic.com", done)
        self.assertIn("    url: https://api.anthropic.com\n", done)
        self.assertIn("in the path of a URL", done)
        self.assertEqual(files_with(self.state, OPENAI), [])
        self.assertEqual({path.name for path in files_with(self.state, ANTHROPIC)}, {".env"})
        self.assertEqual(HOUSE.ask("service", "show", "anthropic").returncode, 66)

    def test_a_dry_run_changes_nothing_and_needs_no_house(self):
        for words in ((), ("--data", "/nonexistent")):
            done = self.adopt("--dry-run", "--user", "alice", *words)
            self.assertIn("openclaw.json:8:17", done.stdout)
        self.assertEqual(tree_of(self.state), self.before)
        self.assertFalse(self.kept.exists())
        self.assertEqual(json.loads(HOUSE.ask("connections", "--json").stdout), [])

    def test_copies_and_other_keys_elsewhere_are_named(self):
        note = self.state / "workspace" / "notes.md"
        note.write_text(f"my key is {OPENAI}\n")
        database = self.state / "agents/main/agent/openclaw-agent.sqlite"
        database.parent.mkdir(parents=True)
        database.write_bytes(b"SQLite format 3\0" + b"\0ghp_0123456789abcdefGHIJ\0")
        told = self.answer("--user", "alice")
        self.assertEqual(told["copies"], ["workspace/notes.md"])
        self.assertIn("openclaw-agent.sqlite cannot be read as SQLite", "".join(told["notes"]))
        self.assertEqual(told["others"], [
            {"file": str(database.relative_to(self.state)), "whose": "github"}])

    def test_what_is_connected_already_is_not_replaced_unasked(self):
        HOUSE.connect("sk-another-key-that-was-there")
        told = self.answer("--user", "alice")
        self.assertEqual({one["outcome"] for one in told["findings"]
                          if one["what"] == "OPENAI_API_KEY"}, {"stays"})
        self.assertEqual(tree_of(self.state), self.before)
        told = self.answer("--user", "alice", "--replace")
        self.assertEqual({one["outcome"] for one in told["findings"]
                          if one["what"] == "OPENAI_API_KEY"}, {"moved"})

    def test_undo_after_an_edit_puts_keys_back_and_keeps_the_edit(self):
        self.answer("--user", "alice")
        path = self.state / "openclaw.json"
        path.write_text("// mine\n" + path.read_text())
        self.answer("--undo")
        self.assertEqual(path.read_text(), "// mine\n" + SETTINGS)

    def test_undo_refuses_what_it_cannot_put_back_and_changes_nothing(self):
        self.answer("--user", "alice")
        path = self.state / "openclaw.json"
        path.write_text(path.read_text().replace("${OPENAI_API_KEY}", "mine"))
        now = tree_of(self.state)
        done = self.adopt("--undo", status=73)
        self.assertIn("Nothing is put back", done.stderr)
        self.assertEqual(tree_of(self.state), now)
        self.assertEqual(len(self.records()), 1)
        self.assertEqual(self.records()[0].stat().st_mode & 0o777, 0o600)
        self.adopt("--forget")
        self.assertEqual(self.records(), [])

    def test_without_the_vault_no_file_is_changed_and_it_goes_on_later(self):
        """A put that is refused: the user is not known to the house."""
        done = self.adopt("--user", "mallory", status=66)
        self.assertIn("mallory", done.stderr)
        self.assertEqual(tree_of(self.state), self.before)
        self.assertEqual(self.records(), [], "nothing happened, so nothing is kept")
        self.answer("--user", "alice")
        self.assertEqual(files_with(self.state, OPENAI), [])
        self.answer("--undo")
        self.assertEqual(tree_of(self.state), self.before)

    def test_killed_anywhere_it_goes_on_and_undoes_all(self):
        """Wherever that happens to be; cli's tests stop at each step."""
        words = ["adopt", str(self.state), "--user", "alice", "--config", str(HOUSE.config)]
        environment = {**os.environ, "XDG_STATE_HOME": str(self.kept)}
        for delay_ms in (5, 10, 20, 40):
            with subprocess.Popen([GATEHOUSE, *words], env=environment, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL) as process:
                time.sleep(delay_ms / 1000)
                process.kill()
            self.adopt("--user", "alice")
            self.assertEqual(files_with(self.state, OPENAI), [], delay_ms)
            self.adopt("--undo")
            after = tree_of(self.state)
            self.assertEqual({name: after[name] for name in self.before}, self.before, delay_ms)
            HOUSE.ask("connect", "openai", "--user", "alice", "--remove")

    def test_bad_input_is_told_and_nothing_is_changed(self):
        def refused(status, *words, path=None):
            done = self.adopt("--user", "alice", path=path, status=status)
            for word in words:
                self.assertIn(word, done.stderr)

        refused(66, "no/such", path=self.home / "no/such")
        refused(66, "neither openclaw.json nor .env", path=self.home)
        settings = self.state / "openclaw.json"
        settings.write_text(SETTINGS.replace("mode: 'replace',", "mode: 'replace'"))
        refused(65, "openclaw.json", "line 5, column 5")
        settings.write_text(SETTINGS + " " * (2 * 1024 * 1024))
        refused(65, "more than 2097152 bytes")
        settings.unlink()
        settings.symlink_to("/etc/passwd")
        refused(65, "symbolic link")
        settings.unlink()
        os.link(self.state / "openclaw.json.bak", settings)
        refused(65, "another name")
        settings.unlink()
        settings.write_text(SETTINGS)
        with open(self.state / ".env", "rb"):
            refused(73, f"process {os.getpid()}", "stop it first")
        self.assertEqual((self.state / ".env").read_text(), DOTENV)
        self.assertFalse(HOUSE.files_with(OPENAI))

    def test_one_dotenv_is_adopted_alone(self):
        path = self.home / "project.env"
        path.write_text(f'OPENAI_API_KEY="{OPENAI}"\nMINE=1\n')
        self.adopt("--user", "alice", path=path)
        self.assertEqual(path.read_text(), "OPENAI_API_KEY=${OPENAI_API_KEY}\nMINE=1\n")
        shown = subprocess.run(["sh", "-c", f". {path}; echo $OPENAI_API_KEY"], text=True,
                               capture_output=True, check=True,
                               env={"OPENAI_API_KEY": "placeholder"}).stdout
        self.assertEqual(shown, "placeholder\n")
        self.adopt("--undo", path=path)
        self.assertIn(OPENAI, path.read_text())


if __name__ == "__main__":
    if not worlds.NODE.exists():
        print("skipped: npm's packages are not there; demo/setup-npm.sh brings them")
        sys.exit(77)
    main()
