#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`gatehouse upgrade --check` says what a start would make of a data directory, and changes nothing
in it. Every version of every format has a fixture that it reads."""
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import threading
import unittest
from pathlib import Path

from busy_house import BusyHouse
from formats_test import FIXTURES, FixtureHouse, setUpModule, tearDownModule
from house import GATEHOUSE, gatehouse, main

ALL = sorted(FIXTURES.glob("v*"), key=lambda path: int(path.name[1:]))
NEWEST = ALL[-1].name  # of the formats that are written now
NOBODY = 65_534
REFUSED = 69  # sysexits(3): the status where it should not be started


def tree(folder):
    """All that can be seen of it, but when it was read."""
    seen = {}
    for path in sorted(folder.rglob("*")):
        about = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        seen[str(path.relative_to(folder))] = (about.st_mode, about.st_uid, about.st_mtime_ns,
                                               hashlib.sha256(content).hexdigest())
    return seen


def checked(house, *words, **more):
    done = house.ask("upgrade", "--check", "--json", *words, **more)
    return done, json.loads(done.stdout or "{}")


def standings(about):
    return {store["format"]: store["standing"] for store in about["stores"]}


class Upgrade(unittest.TestCase):
    def house(self, name):
        house = FixtureHouse(FIXTURES / name)
        self.addCleanup(house.remove)
        return house

    def test_says_what_is_migrated_and_leaves_every_byte(self):
        for fixture in ALL:
            with self.subTest(fixture.name):
                house = self.house(fixture.name)
                before = tree(house.folder)
                done, about = checked(house)
                self.assertEqual(tree(house.folder), before)
                rest = set(standings(about).values()) - {"migrates", "current", "absent"}
                self.assertEqual(rest, set(), done.stdout)
                migrates = {store["format"] for store in about["stores"]
                            if store["standing"] == "migrates"}
                self.assertEqual(migrates, {store["format"] for store in about["stores"]
                                            if min(store["found"], default=store["latest"])
                                            < store["latest"]})
                if fixture == ALL[0]:
                    self.assertEqual(migrates, {"state-store", "root-key", "house-key",
                                                "audit-segment"})
                if fixture.name == NEWEST:
                    self.assertEqual(migrates, set())
                self.assertFalse(about["running"])
                table = house.ask("upgrade", "--check")
                self.assertIn("state/state.db", table.stdout)
                self.assertEqual(table.returncode, done.returncode)

    def test_where_a_migration_leads_one_way_a_fresh_backup_is_wanted(self):
        house = self.house("v1")
        done, about = checked(house)
        self.assertEqual(done.returncode, REFUSED)
        self.assertFalse(about["can_upgrade"])
        self.assertIn("gatehouse backup", "".join(about["reasons"]))
        file = house.folder / "nightly/one.backup"
        file.parent.mkdir()
        made = house.ask("backup", str(file))
        self.assertEqual(made.returncode, 0, made.stderr)
        for where in (file, file.parent):
            done, about = checked(house, "--backup", str(where))
            self.assertEqual(done.returncode, 0, done.stdout)
            self.assertEqual(about["backup"]["file"], str(file))
        other = checked(house, "--backup", str(FIXTURES / "v2/house.backup"))
        self.assertEqual(other[0].returncode, REFUSED)
        self.assertIn("of another house", "".join(other[1]["reasons"]))
        file.write_bytes(file.read_bytes()[:-1])
        damaged = checked(house, "--backup", str(file))
        self.assertEqual(damaged[0].returncode, REFUSED)
        self.assertIn("damaged", "".join(damaged[1]["reasons"]))

    def test_what_a_newer_one_wrote_or_is_damaged_is_a_reason_each(self):
        for store, path, standing, change in (
                ("vault-record", "vault/*.sealed", "newer", lambda b: b.replace(b"1", b"2", 1)),
                ("root-key", "vault/root.key", "newer", lambda b: b"GHROOTK2" + b[8:]),
                ("root-key", "vault/root.key", "damaged", lambda b: b[:9] + b"x" + b[10:]),
                ("audit-segment", "audit/*.seg", "newer", lambda b: b"GHAUDIT3" + b[8:]),
                ("audit-segment", "audit/*.seg", "damaged", lambda b: b[:9] + b"x" + b[10:]),
                ("kill-file", "run/kills", "newer", lambda b: b.replace(b"kills 1", b"kills 2")),
                ("kill-file", "run/kills", "damaged", lambda b: b[:-2]),
                ("house-key", "run/house-key", "newer", lambda b: b"GHHOUSE2" + b[8:]),
                ("state-store", "state/state.db", "damaged", lambda b: b[:5000])):
            with self.subTest(f"{store} {standing}"):
                house = self.house(NEWEST)
                file = next(house.data.glob(path))
                file.write_bytes(change(file.read_bytes()))
                self.is_refused(house, store, standing)

    def is_refused(self, house, store, standing):
        before = tree(house.folder)
        done, about = checked(house)
        self.assertEqual(done.returncode, REFUSED, done.stdout)
        self.assertEqual(standings(about)[store], standing)
        reasons = "".join(about["reasons"])
        if standing == "newer":
            self.assertIn("made by a newer gatehouse", reasons)
        self.assertEqual(tree(house.folder), before)

    def test_a_state_of_a_newer_one_or_a_key_that_is_gone_is_a_reason(self):
        house = self.house(NEWEST)
        state = sqlite3.connect(house.data / "state/state.db")
        state.execute("UPDATE schema_version SET version = 99")
        state.commit()
        state.close()
        self.is_refused(house, "state-store", "newer")
        house = self.house(NEWEST)
        (house.data / "vault/root.key").unlink()
        self.is_refused(house, "root-key", "damaged")

    def test_a_config_that_this_version_refuses_is_a_reason(self):
        house = self.house(NEWEST)
        house.config.write_text(house.config.read_text() + "nonsense: 1\n")
        done, about = checked(house, "--data", str(house.data))
        self.assertEqual(done.returncode, REFUSED)
        self.assertIn("config check", "".join(about["reasons"]))
        self.assertEqual(about["config"]["problems"], 1)

    def test_who_may_not_read_the_house_is_told_so(self):
        house = self.house(NEWEST)
        house.folder.chmod(0o755)
        house.data.chmod(0o711)
        command = shutil.copy(GATEHOUSE, house.folder)
        before = tree(house.folder)
        done = subprocess.run([command, "upgrade", "--check", "--config", house.config],
                              capture_output=True, text=True, user=NOBODY, group=NOBODY,
                              extra_groups=[])
        self.assertEqual(done.returncode, 77)
        self.assertIn("uid 65534 cannot read all of the data directory", done.stderr)
        self.assertIn("ask as root", done.stderr)
        self.assertEqual(tree(house.folder), before)

    def test_a_disk_without_room_is_a_reason(self):
        house = self.house(NEWEST)
        script = ('mount -t tmpfs -o size=20m none "$1" && cp -a "$2" "$1/data" && '
                  'exec "$3" upgrade --check --json --data "$1/data" --config "$4"')
        small = house.folder / "small"
        small.mkdir()
        done = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", small, house.data,
                               GATEHOUSE, house.config], capture_output=True, text=True)
        self.assertEqual(done.returncode, REFUSED, done.stderr)
        self.assertIn("bytes free", "".join(json.loads(done.stdout)["reasons"]))

    def test_without_check_it_says_how_one_upgrades(self):
        done = gatehouse("upgrade")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("upgrade --check", done.stderr)

    def test_of_a_house_that_runs_it_says_what_will_end(self):
        house = BusyHouse()
        self.addCleanup(house.remove)
        house.begin()
        try:
            run = house.start("/bin/sh", "-c", "read line", stdin=subprocess.PIPE,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            run.stderr.readline()
            enough = threading.Event()
            load = threading.Thread(target=self.load_until, args=(house, enough))
            load.start()
            for _ in range(8):  # while its state is written to
                done, about = checked(house)
                self.assertEqual(done.returncode, 0, done.stdout)
                self.assertGreaterEqual(about["runs"]["under_way"], 1)
            enough.set()
            load.join(30)
            done, about = checked(house)
            self.assertEqual(done.returncode, 0, done.stdout)
            self.assertTrue(about["running"])
            self.assertEqual(about["runs"], {"under_way": 1, "survive": False})
            self.assertIn("1 run(s) are under way", "".join(about["notes"]))
            self.assertIn("no backup", "".join(about["notes"]))
            folder = house.folder / "backups"
            folder.mkdir()
            self.assertEqual(house.ask("backup", str(folder)).returncode, 0)
            done, about = checked(house)
            self.assertIn("a backup was made", "".join(about["notes"]))
            self.assertEqual(checked(house, "--backup", str(folder))[0].returncode, 0)
            run.communicate("enough\n", timeout=20)
            self.assertEqual(run.returncode, 0)
            verified = house.ask("audit", "verify")
            self.assertEqual(verified.returncode, 0, verified.stderr)
        finally:
            house.down()

    def load_until(self, house, enough):
        while not enough.is_set():
            self.assertEqual(house.run("/bin/true").returncode, 0)


class EveryVersion(unittest.TestCase):
    """Whoever raises the version of a format adds a fixture: tools/format-fixtures makes it."""

    def found_in(self, fixture):
        house = FixtureHouse(fixture)
        self.addCleanup(house.remove)
        environment = dict(os.environ)
        place = house.folder / "state/gatehouse"
        (place / "adopted").mkdir(parents=True)
        environment["XDG_STATE_HOME"] = str(place.parent)
        for name, where in (("sessions.json", place), ("adopted.json", place / "adopted")):
            if (fixture / name).exists():
                shutil.copyfile(fixture / name, where / name)
                (where / name).chmod(0o600)
        _, about = checked(house, env=environment)
        found = {(store["format"], version) for store in about["stores"]
                 for version in store["found"]}
        if (fixture / "house.backup").exists():
            header = (fixture / "house.backup").read_bytes()[:12]
            found.add(("backup", int.from_bytes(header[8:], "little")))
        first = (fixture / "gatehouse.yaml").read_text().split("\n")[0]
        found.add(("config", int(first.removeprefix("version: "))))
        return about["formats"], found

    def test_has_a_fixture_that_is_read(self):
        formats, found = [], set()
        for fixture in ALL:
            formats, more = self.found_in(fixture)
            found |= more
        wanted = {(row["format"], version) for row in formats
                  for version in range(row["earliest"], row["latest"] + 1)}
        self.assertEqual(wanted - found, set(),
                         "formats without a fixture: see tools/format-fixtures")

    def test_stands_in_the_table_of_the_documents(self):
        page = (FIXTURES.parents[2] / "docs/formats/README.md").read_text()
        formats, _ = self.found_in(ALL[-1])
        for row in formats:
            reads = ", ".join(map(str, range(row["earliest"], row["latest"] + 1)))
            self.assertIn(f"| {row['latest']} | {reads} |",
                          next((line for line in page.split("\n")
                                if line.startswith("| ") and row["file"].split("/")[-1]
                                in line.split("|")[1].replace("a backup", "FILE.backup")), ""),
                          row["format"])


if __name__ == "__main__":
    main()
