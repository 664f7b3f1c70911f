#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A backup that is made while agents work gives back a house that works: its log verifies and
covers what its state has, its connections open, its transcripts read, its volumes are there."""
import json
import os
import shutil
import stat
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from busy_house import KEY, BusyHouse
from corridor_house import Upstream
from house import GATEHOUSE, files_with, gatehouse, main

BACKUPS = 5  # one after the other, under load
POST = "curl -sS -o /dev/null -w '%{http_code}\\n' -d x http://api.gatehouse/things"
CHAT = ("curl -sS http://openai.gatehouse/v1/chat/completions -d '{\"model\":\"m\","
        "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}' "
        "-H 'content-type: application/json' -H \"authorization: Bearer $OPENAI_API_KEY\"")


def setUpModule():
    """A house, backed up while it was busy."""
    global HOUSE, FOLDER, FILES, KEY_FILE, STORY, STATUSES
    FOLDER = Path(tempfile.mkdtemp(prefix="gatehouse-backups-"))
    HOUSE = BusyHouse()
    HOUSE.begin()
    run = HOUSE.start("/bin/sh", "-c", "echo remembered > notes; "
                      f"while [ ! -e stop ]; do {POST}; {CHAT} >> answers; done & "
                      "read line; touch stop; wait; rm stop",
                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                      text=True)
    STORY = run.stderr.readline().split()[2]
    assert run.stdout.readline() == "200\n"
    FILES = [FOLDER / f"{i}.backup" for i in range(BACKUPS)]
    for file in FILES:
        made = HOUSE.ask("backup", str(file))
        assert made.returncode == 0, made.stderr
    STATUSES = run.stdout.readline()
    run.stdin.write("enough\n")
    run.stdin.flush()
    STATUSES += run.stdout.read()
    run.wait(20)
    for stream in (run.stdin, run.stdout, run.stderr):
        stream.close()
    KEY_FILE = HOUSE.data / "vault/root.key"


def tearDownModule():
    HOUSE.down()
    HOUSE.remove()
    shutil.rmtree(FOLDER)


class Backup(unittest.TestCase):
    def restored(self, file, *words):
        data = FOLDER / f"data-{self._testMethodName}"
        done = gatehouse("restore", str(file), "--data", str(data), *words)
        return data, done

    def test_what_is_made_under_load_drops_nothing_and_each_is_whole(self):
        self.assertEqual(set(STATUSES.split()), {"200"})
        for i, file in enumerate(FILES):
            self.assertEqual(stat.S_IMODE(file.stat().st_mode), 0o600)
            checked = gatehouse("restore", "--check", "--json", str(file))
            self.assertEqual(checked.returncode, 0, checked.stderr)
            about = json.loads(checked.stdout)
            self.assertTrue(about["was_running"])
            self.assertFalse(about["has_key"])
            data = FOLDER / f"each-{i}"
            gatehouse("restore", str(file), "--data", str(data))
            verified = gatehouse("audit", "verify", str(data / "audit"))
            self.assertEqual(verified.returncode, 0, verified.stdout + verified.stderr)
            log = b"".join(s.read_bytes() for s in sorted((data / "audit").glob("*.seg")))
            self.assertEqual(log.count(b"backup"), i + 1, "each backup is on record, itself too")

    def test_a_house_that_is_restored_works(self):
        HOUSE.down()
        try:
            data, done = self.restored(FILES[-1], "--key", str(KEY_FILE))
            self.assertEqual(done.returncode, 0, done.stderr)
            other = BusyHouse.__new__(BusyHouse)
            other.__dict__.update(HOUSE.__dict__)
            other.data = data
            other.config = FOLDER / "restored.yaml"
            text = (data / "gatehouse.yaml").read_text()
            other.config.write_text(text.replace(str(HOUSE.data), str(data)))
            other.up()
            try:
                self.works(other)
            finally:
                other.down()
        finally:
            HOUSE.up()

    def works(self, house):
        self.assertEqual(house.ask("audit", "verify").returncode, 0)
        links = json.loads(house.ask("connections", "--json").stdout)
        self.assertEqual([(link["service"], link["user"]) for link in links],
                         [("openai", "alice")])
        deadline = time.monotonic() + 15
        while next(run for run in house.runs() if run["run"] == STORY)["outcome"] == "running":
            self.assertLess(time.monotonic(), deadline, "its sandbox is not here")
            time.sleep(0.05)
        told = house.ask("transcript", STORY)
        self.assertEqual(told.returncode, 0, told.stderr)
        self.assertIn("api.gatehouse", told.stdout)
        self.assertIn("Hello!", told.stdout)
        Upstream.seen.clear()
        done = house.run("/bin/sh", "-c", f"cat notes; {CHAT}")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("remembered", done.stdout, "the volume is there")
        self.assertIn("Hello!", done.stdout)
        self.assertIn("Bearer " + KEY, [headers.get("authorization")
                                        for _, _, headers, _ in Upstream.seen])

    def test_without_its_key_a_house_says_what_is_missing(self):
        data, done = self.restored(FILES[0])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("root key", done.stdout)
        self.assertFalse((data / "vault/root.key").exists())
        self.assertFalse(KEY_FILE.read_bytes() in FILES[0].read_bytes())
        self.assertEqual(files_with(data, KEY), [], "no credential lies in it")
        HOUSE.down()
        try:
            refused = gatehouse("up", "--config", str(HOUSE.config), "--data", str(data))
            self.assertNotEqual(refused.returncode, 0)
            self.assertIn("root.key", refused.stdout + refused.stderr)
        finally:
            HOUSE.up()

    def test_everything_gets_back_its_owner_and_mode(self):
        data, _ = self.restored(FILES[0])
        for path in ("state", "state/state.db", "vault", "audit", "volumes"):
            was, now = (HOUSE.data / path).stat(), (data / path).stat()
            self.assertEqual((was.st_uid, was.st_gid, was.st_mode),
                             (now.st_uid, now.st_gid, now.st_mode), path)

    def test_a_damaged_one_is_refused_and_nothing_is_made(self):
        whole = FILES[0].read_bytes()
        manifest = int.from_bytes(whole[-56:-48], "little")
        places = {"header": 20, "member": 64 + (manifest - 64) // 2, "manifest": manifest + 40,
                  "trailer": len(whole) - 10}
        damaged = {name: whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:]
                   for name, at in places.items()}
        damaged |= {"cut": whole[:-1], "half": whole[:len(whole) // 2], "empty": b"",
                    "longer": whole + b"x"}
        for name, content in damaged.items():
            file = FOLDER / "damaged.backup"
            file.write_bytes(content)
            data, done = self.restored(file, "--force")
            self.assertNotEqual(done.returncode, 0, name)
            self.assertRegex(done.stderr, "damaged|no backup", name)
            self.assertFalse(data.exists(), name)
        self.assertEqual(list(FOLDER.glob("*.restoring-*")), [])

    def test_nothing_that_is_there_is_lost(self):
        again = HOUSE.ask("backup", str(FILES[0]))
        self.assertNotEqual(again.returncode, 0)
        self.assertIn("exists", again.stderr)
        running = gatehouse("restore", str(FILES[0]), "--data", str(HOUSE.data), "--force")
        self.assertNotEqual(running.returncode, 0)
        self.assertIn("runs on", running.stderr)
        data, _ = self.restored(FILES[0])
        (data / "mine").write_text("mine")
        _, refused = self.restored(FILES[0])
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("--force", refused.stderr)
        _, forced = self.restored(FILES[0], "--force", "--json")
        self.assertEqual(forced.returncode, 0, forced.stderr)
        aside = Path(json.loads(forced.stdout)["kept_aside"])
        self.assertEqual((aside / "mine").read_text(), "mine")
        self.assertFalse((data / "mine").exists())

    def test_of_a_house_that_does_not_run_too(self):
        HOUSE.down()
        try:
            folder = FOLDER / "nightly"
            folder.mkdir()
            before = self.backups_on_record(HOUSE.data)
            made = HOUSE.ask("backup", str(folder), "--with-key", "--json")
            self.assertEqual(made.returncode, 0, made.stderr)
            file = Path(json.loads(made.stdout)["file"])
            self.assertEqual(file.parent, folder)
            self.assertTrue(json.loads(made.stdout)["on_record"])
            owner = (HOUSE.data / "audit").stat().st_uid
            for segment in (HOUSE.data / "audit").iterdir():
                self.assertEqual(segment.stat().st_uid, owner, "the log stays the audit role's")
            data, done = self.restored(file)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual((data / "vault/root.key").read_bytes(), KEY_FILE.read_bytes())
            self.assertEqual(self.backups_on_record(data), before + 1, "itself too")
            self.assertEqual(HOUSE.ask("audit", "verify").returncode, 0)
        finally:
            HOUSE.up()

    def test_where_nothing_can_be_written_it_is_made_and_says_that_it_is_not_on_record(self):
        data, _ = self.restored(FILES[0])
        before = self.backups_on_record(data)
        made = subprocess.run(
            ["unshare", "-m", "sh", "-ec", 'mount --bind "$1" "$1"; mount -o remount,ro,bind "$1"; '
             'exec "$2" backup "$3" --data "$1"', "sh", data, GATEHOUSE, FOLDER / "read-only"],
            capture_output=True, text=True, timeout=30)
        self.assertEqual(made.returncode, 0, made.stderr)
        self.assertIn("not on record in the log", made.stdout)
        self.assertEqual(self.backups_on_record(data), before)

    def test_of_one_that_was_restored_and_never_started_what_is_said_to_be_on_record_is(self):
        data, _ = self.restored(FILES[0])
        before = self.backups_on_record(data)
        made = [subprocess.Popen([GATEHOUSE, "backup", FOLDER / f"at-once-{i}", "--data", data,
                                  "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 text=True) for i in range(4)]
        told = 0
        for each in made:
            out, err = each.communicate(timeout=30)
            if each.returncode == 0:
                told += json.loads(out)["on_record"]
            else:
                self.assertIn("another backup is being made", err)
        self.assertGreater(told, 0)
        self.assertEqual(self.backups_on_record(data), before + told)

    def test_a_house_of_one_uid_is_not_taken_for_one_of_many(self):
        data, _ = self.restored(FILES[0])
        for path in (data, *data.rglob("*")):
            os.lchown(path, 33, 33)
        file, again = FOLDER / "one-uid", FOLDER / "one-uid-again"
        self.assertEqual(gatehouse("backup", str(file), "--data", str(data)).returncode, 0)
        done = gatehouse("restore", str(file), "--data", str(again))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((again / "vault").stat().st_uid, 33)
        self.assertIn("It is the house of uid 33", done.stdout)
        self.assertNotIn("It is the house of", self.restored(FILES[0], "--force")[1].stdout)

    @staticmethod
    def backups_on_record(data):
        return sum(path.read_bytes().count(b"backup") for path in (data / "audit").iterdir())


if __name__ == "__main__":
    main()
