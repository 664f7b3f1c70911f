#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A house whose gateway was captured: the real vault, audit, control and sandboxd with a gateway
that asks for everything, feeds the log nonsense and breaks every rule (fixtures/fixture_captured).

It gets what the live run may have, each of it on record, and nothing else; what breaks the rules
is closed and on record; the others live on.

  GATEHOUSE_ATTACK_SECONDS   how long it asks and feeds (3)
  GATEHOUSE_ATTACK_LIVES     how many times it breaks a rule at every role (6)
  GATEHOUSE_ATTACK_SEED      to have the same attack again; printed
"""
import collections
import json
import os
import secrets
import shutil
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.parse
from pathlib import Path

import house
from oauth_test import Listener, Server

BIN = Path(os.environ["GATEHOUSE_BIN"])
SECONDS = int(os.environ.get("GATEHOUSE_ATTACK_SECONDS", "3"))
LIVES = int(os.environ.get("GATEHOUSE_ATTACK_LIVES", "6"))
SEED = int(os.environ.get("GATEHOUSE_ATTACK_SEED", str(secrets.randbits(32))))

# Each is in every value of its kind, so that it is known before there is one.
ACCESS, REFRESH = "at-" + secrets.token_hex(16), "rt-" + secrets.token_hex(16)
CLIENT_SECRET = "cs-" + secrets.token_hex(16)
KEYS = {name: "sk-" + name + "-" + secrets.token_hex(16)
        for name in ("alice", "bob", "eve", "undeclared")}

CONFIG = """version: 1
data: {data}
tenants: [{{name: acme}}, {{name: rival}}]
users: [{{name: alice, tenant: acme}}, {{name: bob, tenant: acme}}, {{name: eve, tenant: rival}}]
services:
  - {{name: model, tenant: acme, kind: http, url: "http://model.gatehouse",
     upstream: "http://127.0.0.1:{port}", allow_private: true,
     credential: {{kind: static, header: authorization, prefix: "Bearer "}}}}
  - {{name: undeclared, tenant: acme, kind: http, url: "http://undeclared.gatehouse",
     upstream: "http://127.0.0.1:{port}", allow_private: true,
     credential: {{kind: static, header: authorization, prefix: "Bearer "}}}}
  - {{name: theirs, tenant: rival, kind: http, url: "http://theirs.gatehouse",
     upstream: "http://127.0.0.1:{port}", allow_private: true,
     credential: {{kind: static, header: authorization, prefix: "Bearer "}}}}
  - name: calendar
    tenant: acme
    kind: http
    url: https://calendar.gatehouse
    upstream: http://127.0.0.1:{port}
    allow_private: true
    credential:
      kind: oauth
      authorization_endpoint: http://127.0.0.1:{port}/auth
      token_endpoint: http://127.0.0.1:{port}/token
      client_id: gatehouse
      scopes: [calendar]
agents:
  - name: shell
    tenant: acme
    command: ["/bin/sleep", "1000"]
    rules: [{{id: model, service: model}}, {{id: calendar, service: calendar}}]
  - name: shell
    tenant: rival
    command: ["/bin/sleep", "1000"]
    rules: [{{id: theirs, service: theirs}}]
"""


class Authorization(Server):
    def token(self, form):
        Server.refreshes += 1
        return self.answer(200, {"access_token": f"{ACCESS}-{Server.refreshes}",
                                 "refresh_token": f"{REFRESH}-{Server.refreshes}",
                                 "token_type": "Bearer", "expires_in": 3600})


class House(house.House):
    """With a gateway of ours among its executables."""

    def __init__(self, port):
        self.folder = Path(tempfile.mkdtemp(prefix="gatehouse-captured-"))
        self.executables = self.folder / "bin"
        self.executables.mkdir()
        for name in ("gatehouse", "gatehouse-audit", "gatehouse-vault", "gatehouse-control",
                     "gatehouse-courier", "gatehouse-sandboxd", "gatehouse-warden",
                     "gatehouse-init"):
            shutil.copy(BIN / name, self.executables / name)
        shutil.copy(BIN / "fixture_captured", self.executables / "gatehouse-gateway")
        self.config = self.folder / "gatehouse.yaml"
        self.data = self.folder / "data"
        self.place = self.data / "captured"
        self.place.mkdir(parents=True, mode=0o700)
        self.config.write_text(CONFIG.format(data=self.data, port=port))
        self.log = self.folder / "log"

    def up(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [self.executables / "gatehouse", "up", "--config", str(self.config)],
                stdout=log, stderr=log)
        self.wait_until_ready()

    def link(self, service, tenant, key, *whose):
        file = self.folder / "key"
        file.write_text(key + "\n")
        done = self.ask("connect", service, "--tenant", tenant, *whose, str(file))
        assert done.returncode == 0, done.stderr
        file.unlink()

    def begin(self, user="alice"):
        run = subprocess.Popen(
            [house.GATEHOUSE, "run", "-a", "shell", "-u", user, "--tenant", "acme", "--config",
             str(self.config), "--", "/bin/sleep", "1000"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        line = run.stderr.readline()
        assert line.startswith("gatehouse: run "), line + self.log.read_text()
        return run, line.split()[2]

    def results(self):
        seen = collections.defaultdict(list)
        for line in (self.place / "results").read_text().splitlines():
            word, *rest = line.split("\t")
            seen[word].append(rest)
        return seen


def authorize(home):
    with subprocess.Popen([house.GATEHOUSE, "connect", "calendar", "--user", "alice", "--tenant",
                           "acme", "--json", "--config", str(home.config)],
                          stdout=subprocess.PIPE, text=True) as link:
        url = json.loads(link.stdout.readline())["authorize"]
        with urllib.request.urlopen(url, timeout=10) as page:
            assert page.status == 200
        link.stdout.read()
        assert link.wait(20) == 0


class Captured(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        print(f"seed {SEED}, {SECONDS} s, {LIVES} lives", flush=True)
        cls.server = Listener(("127.0.0.1", 0), Authorization)
        threading.Thread(target=cls.server.serve_forever, daemon=True).start()
        cls.house = House(cls.server.server_port)
        cls.addClassCleanup(cls.house.remove)
        cls.addClassCleanup(cls.end_all)
        cls.runs = []
        cls.house.up()
        for service, tenant, user, key in (
                ("model", "acme", "alice", "alice"), ("model", "acme", "bob", "bob"),
                ("undeclared", "acme", "alice", "undeclared"), ("theirs", "rival", "eve", "eve")):
            cls.house.link(service, tenant, KEYS[key], "--user", user, "--from-file")
        cls.house.link("calendar", "acme", CLIENT_SECRET, "--client-secret-file")
        authorize(cls.house)
        cls.attack()

    @classmethod
    def attack(cls):
        for user in ("alice", "alice", "alice", "bob"):
            cls.runs.append(cls.house.begin(user))
        (_, cls.live), (_, cls.killed), (ended, cls.ended), (_, bobs) = cls.runs
        assert cls.house.ask("kill", cls.killed).returncode == 0
        ended.terminate()
        ended.wait(10)
        cls.house.ask("kill", bobs, "--destroy")
        cls.wait_for_ends([cls.ended, bobs])
        cls.before = {role["role"]: role for role in cls.house.roles()}
        canaries = [KEYS["bob"], KEYS["eve"], KEYS["undeclared"], REFRESH, CLIENT_SECRET]
        canaries = [text.encode() for text in canaries]
        canaries.append((cls.house.data / "vault" / "root.key").read_bytes())
        orders = [f"seed {SEED}", f"seconds {SECONDS}", f"lives {LIVES}", f"live {cls.live}",
                  f"dead {cls.killed}", f"dead {cls.ended}", f"dead {bobs}",
                  "own model model.gatehouse", "own calendar calendar.gatehouse",
                  "foreign undeclared undeclared.gatehouse", "foreign theirs theirs.gatehouse",
                  "foreign nothing evil.example", "leaf calendar.gatehouse"]
        orders += [f"canary {text.hex()}" for text in canaries]
        orders += [f"value {text.encode().hex()}" for text in (KEYS["alice"], ACCESS)]
        file = cls.house.place / "orders.new"
        file.write_text("\n".join(orders) + "\n")
        file.rename(cls.house.place / "orders")
        deadline = time.monotonic() + 120 + SECONDS + LIVES
        while not (cls.house.place / "done").exists():
            assert time.monotonic() < deadline, cls.house.log.read_text()[-4000:]
            time.sleep(0.05)
        cls.house.wait_until_ready()
        cls.seen = cls.house.results()
        cls.hostile_answers()
        cls.after = {role["role"]: role for role in cls.house.roles()}
        cls.end_all()
        told = subprocess.run([BIN / "fixture_ask", "all", str(cls.house.data)],
                              capture_output=True, text=True, timeout=120)
        assert told.returncode == 0, told.stderr
        cls.entries = [json.loads(line) for line in told.stdout.splitlines()]

    @classmethod
    def wait_for_ends(cls, runs):
        deadline = time.monotonic() + 30
        while any(run["outcome"] == "running" for run in cls.house.runs() if run["run"] in runs):
            assert time.monotonic() < deadline, runs
            time.sleep(0.05)
        # Control tells the vault before it asks it anything else.
        assert cls.house.ask("connections", "--tenant", "acme").returncode == 0

    @classmethod
    def hostile_answers(cls):
        """From here on it answers nonsense to whoever asks."""
        cls.status = cls.house.ask("status")
        cls.doctor = cls.house.ask("doctor")
        cls.doctor_json = cls.house.ask("doctor", "--json")
        cls.late_run = cls.house.ask("run", "-a", "shell", "-u", "alice", "--tenant", "acme")

    @classmethod
    def end_all(cls):
        for run, _ in cls.runs:
            run.terminate()
        for run, _ in cls.runs:
            run.wait(20)
            run.stderr.close()
        cls.runs = []
        if cls.house.process and cls.house.process.poll() is None:
            cls.house.down()

    @classmethod
    def tearDownClass(cls):
        cls.server.shutdown()
        cls.server.server_close()

    def number(self, word):
        return sum(int(rest[0]) for rest in self.seen[word])

    def vault_uses(self, what):
        return [dict(e["tags"]) | {"run": e["run"]} for e in self.entries
                if e["kind"] == "vault_use" and dict(e["tags"])["use"] == what]

    def test_it_gets_nothing_but_what_is_a_live_runs(self):
        self.assertEqual(self.seen["wrong"], [])
        self.assertGreater(self.number("asked"), 1000)
        self.assertGreater(self.number("refused"), self.number("asked") // 3)
        self.assertGreater(len(self.seen["lease"]), 10, "and that it does get")
        self.assertGreater(self.number("leaves"), 0)
        print(f"{self.number('asked')} requests, {self.number('refused')} refused, "
              f"{len(self.seen['lease'])} leases, {self.number('rings')} rings, "
              f"{self.number('abandoned')} abandoned")

    def test_no_other_secret_comes_back_in_any_spelling(self):
        self.assertEqual(self.seen["leaked"], [])
        self.assertGreater(Server.refreshes, 0, "the tokens were there")

    def test_every_use_is_on_record(self):
        leased = sorted(rest[0] for rest in self.seen["lease"])
        recorded = self.vault_uses("lease")
        self.assertEqual(leased, sorted(use["lease"] for use in recorded))
        self.assertEqual({use["run"] for use in recorded}, {self.live})
        self.assertEqual(len(self.vault_uses("leaf")), self.number("leaves"))
        refused = {use["run"] for use in self.vault_uses("refused")}
        self.assertIn(self.killed, refused)
        self.assertIn(self.ended, refused)

    def test_what_it_writes_in_anothers_name_is_not_in_the_log(self):
        notes = [dict(e["tags"]) for e in self.entries if e["kind"] == "note"]
        numbers = {int(tags["captured.note"]) for tags in notes if "captured.note" in tags}
        self.assertGreaterEqual(len(numbers), self.number("noted"))
        self.assertGreater(self.number("noted"), 0, "honest records go in, between all the rest")
        forged = [e for e in self.entries if ["captured.forged", "1"] in e["tags"]]
        self.assertEqual(forged, [])
        self.assertGreater(self.number("abandoned"), 0)
        self.assertGreater(self.number("turned-away"), 0)

    def test_what_it_kept_from_the_log_is_on_record(self):
        gaps = [dict(e["tags"]) for e in self.entries if e["kind"] == "gap"]
        abandoned = [gap for gap in gaps if "abandoned" in gap["reason"]]
        self.assertGreaterEqual(len(abandoned), self.number("abandoned"), "those that it saw go")
        self.assertGreater(max(int(gap["bytes"]) for gap in abandoned), 0)
        self.assertGreater(sum(int(gap["records"]) for gap in gaps), 0, "the forged ones")

    def test_what_breaks_a_rule_is_closed_and_on_record(self):
        self.assertEqual([b for b in self.seen["breach"] if b[2] != "closed"], [])
        # The last one of a life ends it, before it is written down.
        told = collections.Counter(breach[0] for breach in self.seen["breach"])
        alarms = collections.Counter(e["role"] for e in self.entries if e["kind"] == "alarm"
                                     and dict(e["tags"])["rule"] == "permit-table")
        for role in ("vault", "audit", "control", "sandboxd"):
            self.assertEqual(told[role], LIVES, role)
            self.assertEqual(alarms[role], LIVES, role)
        self.assertEqual(alarms["supervisor"], LIVES)

    def test_the_others_live_on(self):
        for name in ("audit", "vault", "control", "courier", "sandboxd"):
            self.assertEqual(self.after[name]["pid"], self.before[name]["pid"], name)
            self.assertEqual(self.after[name]["state"], "ready")
        verified = house.gatehouse("audit", "verify", "--config", str(self.house.config))
        self.assertEqual(verified.returncode, 0, verified.stderr)

    def test_its_answers_reach_no_terminal_as_they_are(self):
        for told in (self.status, self.doctor, self.doctor_json, self.late_run):
            self.assertNotIn("\x1b", told.stdout + told.stderr)
            self.assertNotIn("\a", told.stdout + told.stderr)
        self.assertEqual(self.status.returncode, 0, self.status.stderr)
        json.loads(self.doctor_json.stdout)
        self.assertNotEqual(self.late_run.returncode, 0)


if __name__ == "__main__":
    house.main()
