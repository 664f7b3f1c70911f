#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An upgrade as it is done, of a house that works, and the way back: the earlier gatehouse is the
one in $GATEHOUSE_EARLIER. Of `make soak`, which builds it."""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest
from pathlib import Path

from busy_house import Listener
from corridor_house import Upstream
from formats_test import CHAT, FIXTURES, KEY
from house import GATEHOUSE, main

EARLIER = os.path.join(os.environ["GATEHOUSE_EARLIER"], "gatehouse")


class UpgradeFrom(unittest.TestCase):
    def setUp(self):
        self.server = Listener(("127.0.0.1", 0), Upstream)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.folder = Path(tempfile.mkdtemp(prefix="gatehouse-upgrade-from-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.data = self.folder / "data"
        self.data.mkdir(mode=0o700)
        self.config = self.folder / "gatehouse.yaml"
        text = (FIXTURES / "v1/gatehouse.yaml").read_text()
        self.config.write_text(text.format(data=self.data, port=self.server.server_port))
        self.house = None
        self.addCleanup(lambda: self.house and self.down())

    def ask(self, executable, *words):
        return subprocess.run([executable, *words, "--config", self.config], capture_output=True,
                              text=True, timeout=60)

    def up(self, executable):
        with open(self.folder / "log", "ab") as log:
            self.house = subprocess.Popen([executable, "up", "--config", self.config], stdout=log,
                                          stderr=log)
        for _ in range(200):
            status = self.ask(executable, "status", "--json")
            if status.returncode == 0 and all(role["state"] == "ready"
                                              for role in json.loads(status.stdout)["roles"]):
                return
            time.sleep(0.05)
        self.fail((self.folder / "log").read_text())

    def down(self):
        self.house.send_signal(signal.SIGINT)
        self.house.wait(20)
        self.house = None

    def chat(self, executable):
        Upstream.seen.clear()
        done = subprocess.run([executable, "run", "-a", "shell", "-u", "alice", "--config",
                               self.config, "--", "/bin/sh", "-c", CHAT], capture_output=True,
                              text=True, timeout=60)
        self.assertIn("Hello!", done.stdout, done.stderr)
        self.assertEqual([headers.get("authorization") for _, _, headers, _ in Upstream.seen],
                         ["Bearer " + KEY])

    def checked(self, *words):
        done = self.ask(GATEHOUSE, "upgrade", "--check", "--json", *words)
        return done.returncode, json.loads(done.stdout)

    def test_there_and_back(self):
        self.up(EARLIER)
        (self.folder / "key").write_text(KEY + "\n")
        linked = self.ask(EARLIER, "connect", "openai", "--user", "alice", "--from-file",
                          self.folder / "key")
        self.assertEqual(linked.returncode, 0, linked.stderr)
        enough = threading.Event()
        load = threading.Thread(target=self.load_until, args=(enough,))
        load.start()
        for _ in range(20):  # while it works
            status, about = self.checked()
            self.assertEqual(status, 69, "there is no backup")
            self.assertTrue(about["running"])
            self.assertEqual({store["standing"] for store in about["stores"]}
                             & {"newer", "damaged"}, set(), about["reasons"])
        enough.set()
        load.join(60)
        self.down()
        file = self.folder / "before.backup"
        made = self.ask(GATEHOUSE, "backup", file, "--with-key")
        self.assertEqual(made.returncode, 0, made.stderr)
        status, about = self.checked("--backup", file)
        self.assertEqual(status, 0, about["reasons"])

        self.up(GATEHOUSE)
        self.chat(GATEHOUSE)
        self.assertEqual(self.ask(GATEHOUSE, "audit", "verify").returncode, 0)
        self.down()
        self.assertEqual(self.checked()[0], 0, "all is of this version")

        back = subprocess.run([GATEHOUSE, "restore", file, "--data", self.data, "--force"],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(back.returncode, 0, back.stderr)
        self.up(EARLIER)
        self.chat(EARLIER)
        self.assertEqual(self.ask(EARLIER, "audit", "verify").returncode, 0)

    def load_until(self, enough):
        while not enough.is_set():
            self.chat(EARLIER)


if __name__ == "__main__":
    main()
