#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`gatehouse run` as a part of pipelines and at a terminal: bytes go through whole, signals and
job control work as in a shell, and a run does not outlive the command that asked for it."""
import fcntl
import hashlib
import os
import pty
import select
import struct
import subprocess
import tempfile
import termios
import time
import unittest

from house import House, main


def setUpModule():
    global HOUSE
    HOUSE = House()
    HOUSE.up()
    HOUSE.connect("sk-terminal-test-0123456789abcdef")


def tearDownModule():
    HOUSE.down()
    HOUSE.remove()


class Pipes(unittest.TestCase):
    def through(self, given, *command):
        """What the command makes of `given`, and its status; none when it hangs."""
        with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as made:
            source.write(given)
            source.seek(0)
            run = HOUSE.start(*command, stdin=source, stdout=made, stderr=subprocess.DEVNULL)
            try:
                status = run.wait(60)
            except subprocess.TimeoutExpired:
                self.fail("it hangs")
            finally:
                run.kill()
                run.wait(10)
            made.seek(0)
            return status, made.read()

    def test_ten_megabytes_come_back_as_they_were(self):
        given = os.urandom(10_000_000)
        status, made = self.through(given, "cat")
        self.assertEqual(status, 0)
        self.assertEqual(hashlib.sha256(made).hexdigest(), hashlib.sha256(given).hexdigest())

    def test_a_filter_that_writes_more_than_it_reads(self):
        given = os.urandom(2_000_000)
        status, made = self.through(given, "/usr/bin/python3", "-c", """
import sys
while piece := sys.stdin.buffer.read(4096):
    sys.stdout.buffer.write((piece.hex() * 3).encode())
    sys.stdout.buffer.flush()
""")
        self.assertEqual(status, 0)
        pieces = (given[at:at + 4096].hex() * 3 for at in range(0, len(given), 4096))
        self.assertEqual(hashlib.sha256(made).hexdigest(),
                         hashlib.sha256("".join(pieces).encode()).hexdigest())

    def test_a_command_that_reads_nothing_ends(self):
        status, made = self.through(os.urandom(1_000_000), "/bin/sh", "-c", "echo enough")
        self.assertEqual((status, made), (0, b"enough\n"))

    def test_nothing_given_is_an_end_at_once(self):
        self.assertEqual(self.through(b"", "cat"), (0, b""))

    def test_a_command_begins_with_the_usual_signals(self):
        done = HOUSE.run("/bin/bash", "-c", "trap; grep -E 'Sig(Ign|Blk)' /proc/self/status")
        self.assertEqual(done.stdout,
                         "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n")

    def test_a_pipeline_inside_ends_by_its_last_part(self):
        done = HOUSE.run("/bin/bash", "-c", "yes | head -1; echo ${PIPESTATUS[*]}", timeout=20)
        self.assertEqual((done.returncode, done.stdout), (0, "y\n141 0\n"), done.stderr)
        self.assertNotIn("Broken pipe", done.stderr)

    def test_a_pipeline_outside_ends_with_its_reader(self):
        run = HOUSE.start("/usr/bin/yes", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL)
        self.assertEqual(run.stdout.read(2), b"y\n")
        run.stdout.close()
        try:
            run.wait(20)
        except subprocess.TimeoutExpired:
            self.fail("it goes on with nobody to read it")
        finally:
            run.kill()
            run.wait(10)
        self.assertEqual(HOUSE.last_run()["outcome"], "SIGPIPE")

    def test_a_run_does_not_outlive_the_command_that_asked_for_it(self):
        run = HOUSE.start("/bin/sleep", "1000", stdin=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True)
        name = run.stderr.readline().split()[2]
        run.kill()
        run.wait(10)
        run.stderr.close()
        deadline = time.monotonic() + 10
        try:
            while next(r["outcome"] for r in HOUSE.runs() if r["run"] == name) == "running":
                self.assertLess(time.monotonic(), deadline, "it goes on with nobody to read it")
                time.sleep(0.1)
        finally:
            HOUSE.ask("kill", name, "--destroy")
            HOUSE.ask("revive", name)


class Session:
    """A person at a terminal that shows a run."""

    def __init__(self, test, *command, rows=33, columns=101):
        self.test = test
        self.said = b""
        self.leader, self.follower = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self.follower)
        self.run = HOUSE.start(*command, stdin=self.follower, stdout=self.follower,
                               stderr=self.follower, preexec_fn=self.take_terminal)

    @staticmethod
    def take_terminal():
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.run.kill()
        self.run.wait(10)
        os.close(self.leader)
        os.close(self.follower)

    def resize(self, rows, columns):
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self.follower, termios.TIOCSWINSZ, size)

    def type(self, text):
        os.write(self.leader, text)

    def until(self, wanted):
        """Reads until it has been said, and forgets all up to there."""
        deadline = time.monotonic() + 20
        while wanted not in self.said:
            self.test.assertLess(time.monotonic(), deadline, (wanted, self.said))
            if select.select([self.leader], [], [], 0.2)[0]:
                self.said += os.read(self.leader, 65536)
        self.said = self.said.partition(wanted)[2]

    def end(self):
        """The status with which it ends, while somebody reads."""
        deadline = time.monotonic() + 20
        while (status := self.run.poll()) is None:
            self.test.assertLess(time.monotonic(), deadline, self.said)
            if select.select([self.leader], [], [], 0.2)[0]:
                self.said += os.read(self.leader, 65536)
        return status


class Terminals(unittest.TestCase):
    def test_a_terminal_is_a_terminal(self):
        with Session(self, "/bin/sh") as session:
            session.type(b"stty size; tty; sleep 100\n")
            session.until(b"33 101")
            session.until(b"/dev/pts/")
            time.sleep(0.3)
            session.type(b"\x03")
            session.type(b"echo after=$?\n")
            session.until(b"after=130")
            session.type(b"exit 5\n")
            self.assertEqual(session.end(), 5)
            self.assertEqual(termios.tcgetattr(session.follower), session.before,
                             "the terminal is as it was")

    def test_a_new_size_arrives_inside(self):
        with Session(self, "/bin/bash", "--norc", "--noediting") as session:
            session.type(b"trap 'echo resized to $(stty size)' WINCH; echo re''ady\n")
            session.until(b"ready")
            for rows, columns in ((50, 132), (12, 40)):
                session.resize(rows, columns)
                time.sleep(0.3)
                session.type(b"echo size=$(stty size).\n")
                session.until(b"resized to %d %d" % (rows, columns))
                session.until(b"size=%d %d." % (rows, columns))

    def test_jobs_stop_and_go_on(self):
        with Session(self, "/bin/bash", "--norc", "--noediting") as session:
            session.type(b"echo re''ady; sleep 3\n")
            session.until(b"ready")
            time.sleep(0.3)
            session.type(b"\x1a")
            session.until(b"Stopped")
            session.type(b"jobs; echo the jo''bs\n")
            session.until(b"sleep 3")
            session.until(b"the jobs")
            session.type(b"fg; echo sta''tus=$?\n")
            session.until(b"status=0")
            session.type(b"cat & sleep 0.5; jobs\n")
            session.until(b"Stopped")  # by SIGTTIN: it is not in the foreground
            session.type(b"kill -9 %cat; disown -a; exit 4\n")
            self.assertEqual(session.end(), 4)

    def test_it_is_no_terminal_when_its_output_is_none(self):
        leader, follower = pty.openpty()
        run = HOUSE.start("/bin/sh", "-c", "test -t 0 || test -t 1 || echo none", stdin=follower,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        os.write(leader, b"\x04")
        self.assertEqual(run.communicate(timeout=20)[0], b"none\n")
        os.close(leader)
        os.close(follower)


if __name__ == "__main__":
    main()
