#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who may ask a house that root runs: root, and whoever owns its data directory; nobody else."""
import http.client
import json
import os
import shutil
import socket
import subprocess
import unittest

from house import House, GATEHOUSE, main

OWNER = 31_415  # of no person of this machine
STRANGER = 65_534


def setUpModule():
    global HOUSE, COMMAND
    HOUSE = House()
    # So that it is the house, and not the file system, that turns somebody away.
    HOUSE.folder.chmod(0o755)
    HOUSE.data.chmod(0o755)
    os.chown(HOUSE.data, OWNER, OWNER)
    COMMAND = shutil.copy(GATEHOUSE, HOUSE.folder)
    HOUSE.up()
    HOUSE.connect("sk-people-test-0123456789abcdef")


def tearDownModule():
    HOUSE.down()
    HOUSE.remove()


def ask_as(uid, *words):
    at = words.index("--") if "--" in words else len(words)
    return subprocess.run([COMMAND, *words[:at], "--config", str(HOUSE.config), *words[at:]],
                          capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
                          user=uid, group=uid, extra_groups=[])


def acts():
    """What people did, as the admin API tells it."""
    at = http.client.HTTPConnection("localhost")
    at.sock = socket.socket(socket.AF_UNIX)
    at.sock.connect(str(HOUSE.data / "run/admin.sock"))
    at.request("GET", "/v1/tenants/default/acts?limit=500")
    items = json.loads(at.getresponse().read())["items"]
    at.close()
    return items


RUN = ("run", "-a", "shell", "-u", "alice", "--")


class People(unittest.TestCase):
    def test_the_owner_runs_for_a_user_kills_and_revives(self):
        done = ask_as(OWNER, *RUN, "/bin/sh", "-c", "id -u; exit 7")
        self.assertEqual((done.returncode, done.stdout), (7, "1000\n"), done.stderr)
        with subprocess.Popen([COMMAND, "run", "-a", "shell", "-u", "alice", "--json", "--config",
                               str(HOUSE.config), "--", "/bin/sleep", "100"], user=OWNER,
                              group=OWNER, extra_groups=[], stdin=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True) as run:
            name = json.loads(run.stderr.readline())["run"]
            killed = ask_as(OWNER, "kill", name, "--reason", "by its owner")
            self.assertEqual(killed.returncode, 0, killed.stderr)
            self.assertIn(name, ask_as(OWNER, "status").stdout)
            self.assertEqual(ask_as(OWNER, "revive", name).returncode, 0)
            self.assertNotIn(name, ask_as(OWNER, "status").stdout)
            self.assertEqual(ask_as(OWNER, "kill", name, "--destroy").returncode, 0)
            self.assertEqual(run.wait(10), 137)
        self.assertEqual(ask_as(OWNER, "revive", name).returncode, 0)
        self.assertIn("by its owner", ask_as(OWNER, "transcript", name).stdout)
        self.assertEqual(json.loads(ask_as(OWNER, "runs", "--json").stdout)[0]["run"], name)
        began = json.loads(ask_as(OWNER, "transcript", name, "--json").stdout)["steps"][0]
        self.assertEqual(began["entry"]["tags"]["by"], f"uid {OWNER}")
        steps = json.loads(ask_as(OWNER, "transcript", name, "--json").stdout)["steps"]
        for kind in ("killed", "revived"):
            by = [step["entry"]["tags"]["by"] for step in steps if step["entry"]["kind"] == kind]
            self.assertEqual(by, [f"uid {OWNER}"] * 2, kind)
        readings = [act for act in acts() if act["kind"] == "transcript_read"
                    and act["tags"]["of"] == name]
        self.assertEqual({act["tags"]["who"] for act in readings}, {f"uid {OWNER}"})
        self.assertEqual(len(readings), 3, "one for each time, however long the story is")

    def test_the_owner_links_an_account(self):
        key = HOUSE.data / "key-of-the-owner"
        key.write_text("sk-people-test-of-the-owner-9876\n")
        key.chmod(0o644)
        done = ask_as(OWNER, "connect", "openai", "--user", "alice", "--from-file", str(key))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(ask_as(OWNER, *RUN, "/bin/true").returncode, 0)
        last = [act["tags"] for act in acts() if act["kind"] == "administered"][-1]
        self.assertEqual((last["who"], last["act"], last["object"]),
                         (f"uid {OWNER}", "connect", "connection openai of alice"))

    def test_a_stranger_gets_no_answer_of_control(self):
        before = HOUSE.runs()
        for words in ((*RUN, "/bin/echo", "it ran"), ("runs",), ("objects",), ("connections",),
                      ("connect", "openai", "--user", "alice", "--remove"),
                      ("transcript", before[0]["run"] if before else "run_" + "0" * 26)):
            done = ask_as(STRANGER, *words)
            self.assertNotIn(done.returncode, (0, 66), words)
            self.assertEqual(done.stdout, "", words)
            self.assertIn("only root and the owner", done.stderr, words)
        self.assertEqual(HOUSE.runs(), before)
        self.assertEqual(len(json.loads(HOUSE.ask("connections", "--json").stdout)), 1)
        self.assertRegex(HOUSE.log.read_text(), rf"turned away.*\b{STRANGER}\b")

    def test_a_stranger_gets_no_answer_of_the_supervisor(self):
        for words in (("status",), ("doctor",), ("kill", "--all"), ("revive", "--all")):
            done = ask_as(STRANGER, *words)
            self.assertNotIn(done.returncode, (0, 66), words)
            self.assertEqual(done.stdout, "", words)
            self.assertIn("only root and the owner", done.stderr, words)
        self.assertFalse(json.loads(HOUSE.ask("status", "--json").stdout)["all_killed"])
        self.assertRegex(HOUSE.log.read_text(), rf"stranger.*\b{STRANGER}\b")

    def test_a_stranger_reads_nothing_of_the_data(self):
        for folder in ("audit", "vault", "state", "volumes"):
            done = subprocess.run(["/bin/ls", str(HOUSE.data / folder)], capture_output=True,
                                  user=STRANGER, group=STRANGER, extra_groups=[])
            self.assertNotEqual(done.returncode, 0, folder)


if __name__ == "__main__":
    main()
