#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What every earlier gatehouse left on disk (tests/fixtures/formats, made by tools/format-fixtures)
is read by this one: it is migrated, and what was in it is there."""
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

from busy_house import Listener
from corridor_house import Upstream
from house import House, gatehouse, main

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures/formats"
KEY = "sk-fixture-0123456789abcdef"
OWNERS = {"audit": 58100, "vault": 58101, "state": 58104}  # the roles' uids, which git keeps not
CHAT = ("curl -sS http://openai.gatehouse/v1/chat/completions -d '{\"model\":\"m\","
        "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}' "
        "-H 'content-type: application/json' -H \"authorization: Bearer $OPENAI_API_KEY\"")


def setUpModule():
    global SERVER
    SERVER = Listener(("127.0.0.1", 0), Upstream)
    threading.Thread(target=SERVER.serve_forever, daemon=True).start()


def tearDownModule():
    SERVER.shutdown()
    SERVER.server_close()


class FixtureHouse(House):
    """A house on a copy of what one left."""

    def __init__(self, fixture):
        self.folder = Path(tempfile.mkdtemp(prefix="gatehouse-formats-"))
        self.data = self.folder / "data"
        shutil.copytree(fixture / "data", self.data)
        for path in [self.data, *self.data.rglob("*")]:
            top = path.relative_to(self.data).parts[:1]
            owner = OWNERS.get(top[0], 0) if top else 0
            os.chown(path, owner, owner)
            path.chmod(0o700 if path.is_dir() else 0o600)
        (self.data / "run").chmod(0o755)
        self.config = self.folder / "gatehouse.yaml"
        text = (fixture / "gatehouse.yaml").read_text()
        if "attach:" in text:
            self.certify()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            attach = listener.getsockname()[1]
        self.config.write_text(text.format(data=self.data, port=SERVER.server_port,
                                           attach=attach))
        self.log = self.folder / "log"
        self.executable = os.path.join(os.environ["GATEHOUSE_BIN"], "gatehouse")
        self.process = None

    def certify(self):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=gate", "-addext",
                        "subjectAltName=IP:127.0.0.1", "-days", "1", "-keyout", "attach.key",
                        "-out", "attach.pem"], check=True, capture_output=True, cwd=self.folder)

    def schema(self):
        state = sqlite3.connect(f"file:{self.data}/state/state.db?mode=ro", uri=True)
        try:
            return state.execute("SELECT version FROM schema_version").fetchall()
        finally:
            state.close()


class Formats(unittest.TestCase):
    def test_a_house_goes_on_with_what_each_earlier_one_left(self):
        fixtures = sorted(FIXTURES.glob("v*"))
        self.assertGreaterEqual(len(fixtures), 3)
        for fixture in fixtures:
            with self.subTest(fixture.name):
                self.goes_on(fixture)

    def goes_on(self, fixture):
        about = json.loads((fixture / "about.json").read_text())
        house = FixtureHouse(fixture)
        self.addCleanup(house.remove)
        key = (house.data / "vault/root.key").read_bytes()
        house.up()
        try:
            users = json.loads(house.ask("objects", "user", "--json").stdout)
            self.assertEqual([user["name"] for user in users], ["alice", "bob"])
            self.assertEqual({run["run"] for run in house.runs()}, set(about["runs"]))
            links = json.loads(house.ask("connections", "--json").stdout)
            self.assertIn(("openai", "alice"),
                          [(link["service"], link["user"]) for link in links])
            killed = house.ask("status", "--json")
            self.assertIn(about["killed"], killed.stdout, killed.stderr)
            talked = next(run for run in about["runs"] if run != about["killed"])
            told = house.ask("transcript", talked)
            self.assertIn("remember the fixture", told.stdout, told.stderr)
            self.assertIn("Hello!", told.stdout)
            Upstream.seen.clear()
            done = house.run("/bin/sh", "-c", CHAT)
            self.assertIn("Hello!", done.stdout, done.stderr)
            self.assertEqual([headers.get("authorization") for _, _, headers, _ in Upstream.seen],
                             ["Bearer " + KEY], "what it sealed is lent")
            verified = house.ask("audit", "verify")
            self.assertEqual(verified.returncode, 0, verified.stderr)
        finally:
            house.down()
        migrated = (house.data / "vault/root.key").read_bytes()
        self.assertEqual(migrated[:40], b"GHROOTK1" + (key if len(key) == 32 else key[8:40]))
        self.assertEqual((house.data / "run/house-key").read_bytes()[:8], b"GHHOUSE1")
        self.assertEqual(house.schema(), [(6,)])

    def test_each_backup_that_an_earlier_one_made_is_restored(self):
        backups = sorted(FIXTURES.glob("v*/house.backup"))
        self.assertGreaterEqual(len(backups), 2)
        for file in backups:
            with self.subTest(file.parent.name):
                folder = Path(tempfile.mkdtemp(prefix="gatehouse-formats-"))
                self.addCleanup(shutil.rmtree, folder)
                done = gatehouse("restore", str(file), "--data", str(folder / "data"))
                self.assertEqual(done.returncode, 0, done.stderr)
                verified = gatehouse("audit", "verify", str(folder / "data/audit"))
                self.assertEqual(verified.returncode, 0, verified.stderr)
                self.assertEqual((folder / "data/vault/root.key").read_bytes(),
                                 (file.parent / "data/vault/root.key").read_bytes())
                self.assertEqual((folder / "data/run/kills").read_bytes(),
                                 (file.parent / "data/run/kills").read_bytes())


if __name__ == "__main__":
    main()
