#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs outlive sandboxd, and the house: their wardens are adopted. What is killed stays killed over
it, what ended is told with its own status, and nothing is left."""
import glob
import json
import os
import pty
import select
import signal
import socket
import subprocess
import threading
import time
import unittest
from pathlib import Path

from busy_house import BusyHouse
from corridor_house import Upstream, event
from house import main, send_signal

TICKS = "i=0; while true; do echo $i; i=$((i+1)); sleep 0.02; done"
ASK = "curl -sS http://api.gatehouse/things; echo"


def setUpModule():
    global HOUSE
    HOUSE = BusyHouse()
    HOUSE.begin()


def tearDownModule():
    HOUSE.down()
    left = HOUSE.processes()
    HOUSE.remove()
    assert not left, left


def goes_on(run):
    """Whether it says something, from now on."""
    while select.select([run.stdout], [], [], 0)[0]:
        if not os.read(run.stdout.fileno(), 65536):
            return False
    return bool(select.select([run.stdout], [], [], 5)[0])


def is_still(run):
    """Whether it says nothing any more, after what was under way."""
    for _ in range(20):
        if not select.select([run.stdout], [], [], 0.4)[0]:
            return True
        os.read(run.stdout.fileno(), 65536)
    return False


class Adoption(unittest.TestCase):
    def start(self, script, **more):
        run = HOUSE.start("/bin/sh", "-c", script, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, **more)
        self.addCleanup(self.clean, run)
        return run, run.stderr.readline().split()[2]

    def clean(self, run):
        run.kill()
        run.wait(10)
        for stream in (run.stdin, run.stdout, run.stderr):
            if not stream.closed:
                stream.close()

    def asked(self, run):
        run.stdin.write("go\n")
        run.stdin.flush()
        return run.stdout.readline()

    def outcome(self, name, wanted):
        deadline = time.monotonic() + 15
        while True:
            told = next(run["outcome"] for run in HOUSE.runs() if run["run"] == name)
            if told == wanted or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        self.assertEqual(told, wanted)

    def nothing_is_left_of(self, name):
        deadline = time.monotonic() + 10
        while left := glob.glob(f"/sys/fs/cgroup/**/{name}", recursive=True):
            self.assertLess(time.monotonic(), deadline, left)
            time.sleep(0.02)
        self.assertNotIn(name, str(json.loads(HOUSE.ask("status", "--json").stdout)["killed"]))

    def adopted(self, name, how="", times=1):
        deadline = time.monotonic() + 10
        wanted = f"a sandbox is adopted run={name}"
        while sum(wanted in line and f"state={how}" in line
                  for line in HOUSE.log.read_text().splitlines()) < times:
            self.assertLess(time.monotonic(), deadline, HOUSE.log.read_text()[-4000:])
            time.sleep(0.02)

    def test_a_run_its_exchange_and_its_streams_go_on_without_sandboxd(self):
        more = threading.Event()

        def stream(handler, _):
            handler.begin()
            handler.chunk(event({"content": "first"}))
            more.wait(20)
            handler.chunk(event({"content": "second"}))
            handler.chunk(event({}, "stop"))
            handler.chunk(b"data: [DONE]\n\n")
            handler.end()
        Upstream.script = stream
        self.addCleanup(more.set)
        run, name = self.start(
            "curl -sSN http://openai.gatehouse/v1/chat/completions -d '{\"model\":\"m\","
            "\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}' "
            "-H 'content-type: application/json' -H \"authorization: Bearer $OPENAI_API_KEY\"; "
            f"while read line; do {ASK}; done; exit 5")
        self.assertIn("first", run.stdout.readline())
        for times in (1, 2):
            HOUSE.kill("sandboxd")
            self.adopted(name, times=times)
        more.set()
        self.assertIn("second", run.stdout.readline() + run.stdout.readline())
        while "[DONE]" not in run.stdout.readline():
            pass
        run.stdout.readline()
        self.assertIn("ok", self.asked(run))
        for gateway in [role["role"] for role in HOUSE.roles()
                        if role["role"].startswith("gateway")]:
            HOUSE.kill(gateway)
        self.assertIn("ok", self.asked(run), "its Door is open at a gateway that came after")
        run.stdin.close()
        self.assertEqual(run.wait(10), 5)
        self.outcome(name, "exit 5")
        self.nothing_is_left_of(name)

    def test_what_ends_while_sandboxd_is_away_ends_with_its_own_status(self):
        run, name = self.start("read line; exit 6")
        HOUSE.take_away("sandboxd")
        try:
            run.stdin.close()
            with self.assertRaises(subprocess.TimeoutExpired):
                run.wait(0.5)  # its end is not on record yet
        finally:
            HOUSE.bring_back("sandboxd")
        self.assertEqual(run.wait(10), 6)
        self.outcome(name, "exit 6")
        self.nothing_is_left_of(name)

    def test_its_end_is_told_to_a_control_that_was_away(self):
        run, name = self.start("read line; exit 9")
        HOUSE.take_away("control")
        try:
            run.stdin.close()
            self.assertEqual(run.wait(10), 9, "who waits is not held up for ever")
        finally:
            HOUSE.bring_back("control")
        self.outcome(name, "exit 9")

    def test_a_kill_while_sandboxd_is_away_holds_after_the_adoption(self):
        run, name = self.start(TICKS)
        run.stdout.readline()
        HOUSE.take_away("sandboxd")
        try:
            self.assertTrue(goes_on(run))
            done = HOUSE.ask("kill", name)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertTrue(is_still(run))
        finally:
            HOUSE.bring_back("sandboxd")
        self.adopted(name)
        self.assertTrue(is_still(run))
        self.assertIn(name, json.loads(HOUSE.ask("status", "--json").stdout)["killed"])
        self.assertEqual(HOUSE.ask("revive", name).returncode, 0)
        self.assertTrue(goes_on(run))
        HOUSE.take_away("sandboxd")
        try:
            self.assertEqual(HOUSE.ask("kill", name, "--destroy").returncode, 0)
        finally:
            HOUSE.bring_back("sandboxd")
        self.assertEqual(run.wait(10), 137)
        self.outcome(name, "SIGKILL")
        HOUSE.ask("revive", name)
        self.nothing_is_left_of(name)

    def test_it_ends_with_who_started_it_although_sandboxd_is_away(self):
        run, name = self.start(TICKS)
        run.stdout.readline()
        HOUSE.take_away("sandboxd")
        try:
            run.kill()
            run.wait(10)
            self.nothing_is_left_of(name)
        finally:
            HOUSE.bring_back("sandboxd")
        self.outcome(name, "SIGKILL")

    def test_a_warden_that_dies_takes_its_sandbox_along_and_leaves_nothing(self):
        before = set(HOUSE.processes())
        run, name = self.start(TICKS)
        run.stdout.readline()
        wardens = [pid for pid, program in HOUSE.processes().items()
                   if pid not in before and program == "gatehouse-warden"]
        self.assertEqual(len(wardens), 1)
        send_signal(wardens[0], signal.SIGKILL)
        self.assertNotEqual(run.wait(10), 0)
        self.outcome(name, "SIGKILL")
        self.nothing_is_left_of(name)

    def test_who_is_not_of_this_house_is_not_adopted(self):
        path = HOUSE.data / "run/wardens.sock"
        about = path.stat()
        self.assertEqual((about.st_uid, about.st_mode & 0o777), (0, 0o600))
        for answer in (b"W" + bytes(64), b"W", b"L" + bytes(100)):
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as knocking:
                knocking.settimeout(10)
                knocking.connect(str(path))
                self.assertEqual(knocking.recv(100)[:1], b"N")
                knocking.send(answer)
                self.assertEqual(knocking.recv(100), b"", "nothing is told to a stranger")
        self.assertIn("it is not of this house", HOUSE.log.read_text())

    def test_a_sandbox_is_frozen_without_its_house_and_goes_on_in_the_next(self):
        run, name = self.start("while read line; do " + ASK + "; done; exit 7")
        ticks, ticking = self.start(TICKS)
        stopped, killed = self.start(TICKS)
        self.assertIn("ok", self.asked(run))
        for one in (ticks, stopped):
            one.stdout.readline()
        self.assertEqual(HOUSE.ask("kill", killed).returncode, 0)
        HOUSE.kill_supervisor()
        self.assertTrue(is_still(ticks), "nothing runs unsupervised")
        HOUSE.up()
        self.adopted(name, "frozen")
        self.assertTrue(goes_on(ticks))
        self.assertIn("ok", self.asked(run))
        self.adopted(killed, "frozen")
        self.assertTrue(is_still(stopped), "what was killed stays killed")
        run.stdin.close()
        self.assertEqual(run.wait(10), 7)
        self.outcome(name, "exit 7")
        self.assertEqual(HOUSE.ask("kill", ticking, "--destroy").returncode, 0)
        self.assertEqual(ticks.wait(10), 137)
        self.assertEqual(HOUSE.ask("revive", killed).returncode, 0)
        self.assertTrue(goes_on(stopped))
        self.assertEqual(HOUSE.ask("kill", killed, "--destroy").returncode, 0)
        self.assertEqual(stopped.wait(10), 137)
        HOUSE.ask("revive", "--all")
        for one in (name, ticking, killed):
            self.nothing_is_left_of(one)

    def test_a_terminal_goes_on_without_sandboxd(self):
        ours, theirs = pty.openpty()
        run = HOUSE.start("/bin/sh", "-c", "echo begun; read line; echo got=$line; exit 4",
                          stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, text=True)
        os.close(theirs)
        name = run.stderr.readline().split()[2]
        HOUSE.kill("sandboxd")
        self.adopted(name)
        os.write(ours, b"words\n")
        self.assertEqual(run.wait(10), 4)
        self.assertIn(b"got=words", os.read(ours, 65536))
        os.close(ours)
        run.stderr.close()

    def test_wardens_outlive_a_service_manager_that_ends_what_a_dead_house_leaves(self):
        root = next((path for path in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
                     if os.path.exists(path + "/cgroup.controllers")), None)
        if root is None:
            self.skipTest("no cgroup2")
        service = Path(root, "gatehouse-test-service")
        service.mkdir(exist_ok=True)
        self.addCleanup(service.rmdir)
        HOUSE.down()
        HOUSE.up(before=lambda: (service / "cgroup.procs").write_text("0"))
        run, name = self.start("echo begun; read line; exit 8")
        run.stdout.readline()  # what becomes its init is the warden's executable until then
        inside = (service / "cgroup.procs").read_text().split()
        self.assertEqual(len(inside), len(HOUSE.processes()) - 1, "all but the warden")
        HOUSE.process.kill()
        (service / "cgroup.kill").write_text("1")
        HOUSE.process.wait(10)
        HOUSE.up()
        self.adopted(name)
        run.stdin.close()
        self.assertEqual(run.wait(10), 8)
        self.outcome(name, "exit 8")

    def test_a_house_that_is_told_to_stop_ends_its_sandboxes_and_says_so(self):
        run, name = self.start(TICKS)
        run.stdout.readline()
        HOUSE.down()
        self.assertEqual(HOUSE.processes(), {})
        self.assertEqual(run.wait(10), 137)
        HOUSE.up()
        self.outcome(name, "SIGKILL")
        self.assertNotIn("earlier gatehouse", HOUSE.ask("transcript", name).stdout,
                         "its end was on record before the house ended")
        self.nothing_is_left_of(name)


if __name__ == "__main__":
    main()
