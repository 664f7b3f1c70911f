#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A house where it is not root, or where this host does not give all that it wants: it says which
mode it is in and what is missing wherever somebody looks, and runs start or are refused with the
exact setting to add. The tests make these circumstances themselves, around the house alone."""
import ctypes
import json
import os
import subprocess
import time
import unittest
from pathlib import Path

import house
from house import House, main

NOBODY = 31337  # nobody's uid
BIN = Path(os.environ["GATEHOUSE_BIN"])
NO_NAMESPACES = str(BIN / "fixture_no_namespaces")
KEY = "sk-modes-test-0123456789abcdef"
ASK = "curl -sS http://nowhere.example/; exit 7"


class Mode(unittest.TestCase):
    uid = NOBODY

    def setUp(self):
        house.AS = self.uid
        self.house = House()
        self.addCleanup(self.remove)

    def remove(self):
        if self.house.process is not None:
            if self.house.process.poll() is None:
                self.house.down()
            self.house.process.wait(10)
        self.house.remove()
        house.AS = None

    def begin(self, *flags, cgroup=False, around=()):
        if not cgroup and self.house.cgroup is not None:
            self.house.cgroup.rmdir()
            self.house.cgroup = None
        self.house.flags = list(flags)
        self.house.around = list(around)
        self.house.up()
        self.house.connect(KEY)

    def status(self):
        return json.loads(self.house.ask("status", "--json").stdout)

    def doctor(self):
        return json.loads(self.house.ask("doctor", "--json").stdout)

    def is_told_everywhere(self, mode, *missing):
        """Status, doctor, the list of runs and the log; each in words."""
        status, doctor = self.status(), self.doctor()
        self.assertEqual((status["mode"], doctor["mode"]), (mode, mode))
        self.assertEqual(status["not_enforced"], doctor["not_enforced"])
        told = [self.house.ask(verb) for verb in ("status", "doctor", "runs")]
        told = [each.stdout + each.stderr for each in told]
        # What is on record is durable a moment after the audit role is there.
        deadline = time.monotonic() + 10
        while not self.on_record(mode) and time.monotonic() < deadline:
            time.sleep(0.05)
        record = self.on_record(mode)
        self.assertTrue(record, "the start is in the log")
        for words in missing:
            self.assertTrue(any(line.startswith(words) for line in status["not_enforced"]),
                            (words, status["not_enforced"]))
            for text in told:
                self.assertIn("not enforced: " + words, text)
            self.assertIn(words.encode(), record)
        self.assertEqual(len(status["not_enforced"]), len(missing), status["not_enforced"])

    def on_record(self, mode):
        for path in self.house.data.glob("audit/*"):
            content = path.read_bytes() if path.is_file() else b""
            at = content.find(b"the house starts")
            if at >= 0 and mode.encode() in content[at:at + 64]:
                return content[at:at + 4096]
        return b""

    def is_refused(self, *words):
        done = self.house.run("/bin/true")
        self.assertEqual(done.returncode, 69, done.stderr)
        for each in ("no run starts", *words):
            self.assertIn(each, done.stderr)
        status = self.status()
        self.assertIn(status["no_sandbox"], done.stderr)
        self.assertIn(status["no_sandbox"], self.doctor()["complaints"])
        self.assertIn(status["no_sandbox"], self.house.ask("status").stdout)

    def exchanges(self):
        done = self.house.run("/bin/sh", "-c", ASK)
        self.assertEqual(done.returncode, 7, done.stderr)
        self.assertIn("default-deny", done.stdout, "the gateway answers at its Door")
        return done

    def pid_of(self, role):
        return next(int(each["pid"]) for each in self.house.roles() if each["role"] == role)


ONE_UID = "a uid of its own for each role and each sandbox: all have yours (31337)"


class SingleUser(Mode):
    def test_without_cgroups_runs_are_refused_with_what_to_do(self):
        self.begin()
        self.is_refused("this host does not enforce", "Delegate=yes", "loginctl enable-linger",
                        "systemd-run --user --scope -p Delegate=yes gatehouse up",
                        "gatehouse up --limits=best-effort")
        self.is_told_everywhere("single-user", ONE_UID, "the limit on memory",
                                "the limit on processes", "freezing")

    def test_by_best_effort_they_start_and_a_kill_is_certain(self):
        self.begin("--limits", "best-effort")
        done = self.exchanges()
        self.assertIn("not enforced on this host: the limit on memory", done.stderr)
        self.assertIn("not enforced on this host: freezing", done.stderr)
        words = self.house.words_to_run("/bin/true")
        done = house.gatehouse(words[0], "--json", *words[1:])
        self.assertEqual(done.returncode, 0, done.stderr)
        told = json.loads(done.stderr)["not_enforced"]
        self.assertTrue(any(line.startswith("freezing") for line in told), told)
        self.assertLessEqual(set(told), set(self.status()["not_enforced"]))
        self.is_told_everywhere("single-user", ONE_UID, "the limit on memory",
                                "the limit on processes", "freezing")
        self.assertEqual(self.house.complaints(), [], "each role can do what it should")
        # Bounds in the place of cgroups': each process's memory, the processes of the sandbox.
        bombs = self.house.run("python3", "-c", "import os, signal\n"
                               "try: bytearray(3 << 30); print('memory')\n"
                               "except MemoryError: print('no memory')\n"
                               "pids = 0\n"
                               "try:\n"
                               "  while pids < 2000:\n"
                               "    if os.fork() == 0: signal.pause()\n"
                               "    pids += 1\n"
                               "except BlockingIOError: print('processes', pids < 600)\n"
                               "os.kill(-1, 9)")
        self.assertIn("no memory", bombs.stdout, bombs.stderr)
        self.assertIn("processes True", bombs.stdout, bombs.stderr)
        run = self.house.start("/bin/sh", "-c", "trap '' TERM INT; echo up; while :; do sleep 1; "
                               "done", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        name = run.stderr.readline().split()[2]
        self.assertEqual(run.stdout.readline(), "up\n")
        listed = next(each for each in self.house.runs() if each["run"] == name)
        self.assertEqual((listed["outcome"], listed["limits"]), ("running", "best-effort"))
        told = self.house.ask("kill", name)
        self.assertIn("1 sandboxes ended for good", told.stdout)
        self.assertEqual(run.wait(10), 137)
        run.stdout.close()
        run.stderr.close()
        deadline = time.monotonic() + 10
        while "KILLED" not in (told := self.house.ask("transcript", name).stdout):
            self.assertLess(time.monotonic(), deadline, told)
            time.sleep(0.05)
        self.assertIn("the sandbox was destroyed", told)
        self.assertIn("uid 31337", self.house.ask("transcript", name, "--json").stdout,
                      "who it was is told by their number outside")

    def test_each_role_sees_its_own_folder_alone(self):
        self.begin("--limits", "best-effort")
        seen = {role: sorted(os.listdir(f"/proc/{self.pid_of(role)}/root{self.house.data}"))
                for role in ("audit", "vault", "courier", "gateway", "control", "sandboxd")}
        self.assertEqual(seen, {"audit": ["audit"], "vault": ["vault"], "courier": [],
                                "gateway": [], "control": ["state"],
                                "sandboxd": ["run", "volumes"]})
        inside = os.readlink(f"/proc/{self.house.process.pid}/ns/user")
        self.assertNotEqual(inside, os.readlink("/proc/self/ns/user"))
        for role in seen:
            about = Path(f"/proc/{self.pid_of(role)}/status").read_text(encoding="utf-8")
            facts = dict(line.split(":\t", 1) for line in about.splitlines() if ":\t" in line)
            self.assertEqual(set(facts["Uid"].split()), {str(NOBODY)}, role)
            self.assertEqual((facts["NoNewPrivs"], facts["Seccomp"]), ("1", "2"), role)
            if role != "sandboxd":
                self.assertEqual(int(facts["CapEff"], 16) | int(facts["CapPrm"], 16), 0, role)

    def test_where_a_cgroup_is_delegated_a_kill_freezes(self):
        if self.house.cgroup is None:
            self.skipTest("there is no cgroup2")
        self.begin("--limits", "best-effort", cgroup=True)
        self.assertNotIn("freezing", " ".join(self.status()["not_enforced"]))
        run = self.house.start("/bin/sleep", "100", stderr=subprocess.PIPE, text=True)
        name = run.stderr.readline().split()[2]
        try:
            self.assertIn("1 sandboxes frozen", self.house.ask("kill", name).stdout)
            self.assertIsNone(run.poll())
        finally:
            self.house.ask("kill", name, "--destroy")
            self.assertEqual(run.wait(10), 137)
            run.stderr.close()

    def test_a_house_of_somebody_elses_is_not_started(self):
        os.chown(self.house.data, 0, 0)
        self.house.cgroup = self.house.cgroup and self.house.cgroup.rmdir()
        done = self.house.ask("up")
        os.chown(self.house.data, NOBODY, NOBODY)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("belongs to uid 0, and without root a house is its owner's", done.stderr)

    def test_nobody_else_may_ask(self):
        """In its user namespace everybody else is one number, which is nobody's here."""
        self.begin("--limits", "best-effort")
        self.house.folder.chmod(0o755)
        for uid in (0, 65534, 12345):
            done = self.house.ask("status", user=uid, group=uid, extra_groups=[])
            self.assertNotEqual(done.returncode, 0, uid)
            self.assertRegex(done.stderr, "closed the connection|you may not use")


class Mounts:
    """Of a mount namespace of this process's own."""
    BIND, RECURSIVE, PRIVATE, READ_ONLY = 0x1000, 0x4000, 0x40000, 1

    def __init__(self):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.must(self.libc.unshare(0x20000))
        self.mount(None, "/", None, self.RECURSIVE | self.PRIVATE)

    def must(self, failed):
        if failed:
            raise OSError(ctypes.get_errno(), "mounting")

    def mount(self, source, target, kind, flags):
        self.must(self.libc.mount(*(text and str(text).encode() for text in (source, target, kind)),
                                  flags, None))


def cover_proc():
    Mounts().mount("tmpfs", "/proc/fs", "tmpfs", Mounts.READ_ONLY)


class SubUids(Mode):
    FIRST = 500_000

    def setUp(self):
        super().setUp()
        if not Path("/usr/bin/newuidmap").exists():
            self.skipTest("newuidmap is not installed")
        self.given = self.house.folder / "etc"
        self.given.mkdir()
        for name, line in (("passwd", "tester:x:31337:31337::/:/bin/sh"),
                           ("subuid", f"tester:{self.FIRST}:65536"),
                           ("subgid", f"tester:{self.FIRST}:65536")):
            text = Path("/etc/passwd").read_text() if name == "passwd" else ""
            (self.given / name).write_text(text + line + "\n")
        self.house.cgroup = self.house.cgroup and self.house.cgroup.rmdir()

    def give(self):
        mounts = Mounts()
        for path in self.given.iterdir():
            mounts.mount(path, f"/etc/{path.name}", None, Mounts.BIND)

    def begin_with_range(self):
        self.house.up(before=self.give)
        self.house.connect(KEY)

    def ask_with_range(self, *words):
        def become():
            self.give()
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
        done = self.house.ask(*words, preexec_fn=become, user=None, group=None, extra_groups=None)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_its_user_reads_what_the_roles_have_and_brings_it_back(self):
        self.begin_with_range()
        self.exchanges()
        self.assertEqual(self.house.run("/bin/sh", "-c", "echo mine > ~/note").returncode, 0)
        saved, back = self.house.folder / "saved", self.house.folder / "back"
        self.assertIn("intact", self.ask_with_range("audit", "verify"))
        self.ask_with_range("backup", str(saved), "--with-key")
        self.assertEqual(saved.stat().st_uid, NOBODY)
        self.house.down()
        self.ask_with_range("upgrade", "--check")
        self.ask_with_range("backup", str(saved) + ".stopped")
        self.assertIn("intact", self.ask_with_range("audit", "verify"))
        house.AS = None  # root's house has no such ids
        refused = house.gatehouse("restore", str(saved), "--data", str(back))
        house.AS = self.uid
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("restore it as the user whose house it is to be", refused.stderr)
        self.assertFalse(back.exists())
        self.ask_with_range("restore", str(saved), "--data", str(back))
        for name in ("vault", "audit", "state"):
            self.assertEqual((back / name).stat().st_uid, (self.house.data / name).stat().st_uid)
        self.house.flags += ["--data", str(back)]
        self.house.data.rename(self.house.folder / "gone")
        self.house.data = back
        self.house.config.write_text(self.house.config.read_text().replace(
            "gatehouse-data", "back"))
        self.house.up(before=self.give)
        self.assertEqual(self.status()["mode"], "sub-uids")
        self.assertEqual(self.house.run("/bin/cat", "/home/agent/note").stdout, "mine\n")
        linked = json.loads(self.house.ask("connections", "--json").stdout)
        self.assertEqual([link["service"] for link in linked], ["openai"])

    def test_each_role_and_each_users_sandboxes_have_uids_of_their_own(self):
        self.begin_with_range()
        self.is_told_everywhere("sub-uids", "the limit on memory", "the limit on processes",
                                "freezing")
        self.assertEqual(self.house.complaints(), [])
        uids = [self.uid_of(each["pid"]) for each in self.house.roles()
                if each["role"] != "sandboxd"]
        self.assertEqual(len(set(uids)), len(uids), uids)
        self.assertTrue(all(self.FIRST <= uid < self.FIRST + 100 for uid in uids), uids)
        self.assertEqual((self.house.data / "vault").stat().st_uid,
                         self.uid_of(self.pid_of("vault")))
        self.exchanges()
        self.assertEqual(self.house.run("/bin/sh", "-c", "echo mine > ~/note").returncode, 0)
        note = next(self.house.data.glob("volumes/*/note"))
        self.assertGreaterEqual(note.stat().st_uid, self.FIRST + 99)
        self.assertEqual(self.house.run("/bin/cat", "/home/agent/note").stdout, "mine\n")

    def uid_of(self, pid):
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
        return int(next(line for line in status.splitlines()
                        if line.startswith("Uid:")).split()[1])


class Container(Mode):
    def has_everything_but_sandboxes(self):
        roles = {each["role"].split(".")[0]: each["state"] for each in self.house.roles()}
        self.assertEqual(roles, {name: "ready" for name in
                                 ("audit", "vault", "courier", "gateway", "control")})
        linked = json.loads(self.house.ask("connections", "--json").stdout)
        self.assertEqual([link["service"] for link in linked], ["openai"], "the vault works")
        self.assertEqual(self.house.ask("audit", "verify").returncode, 0)
        rest = [line for line in self.house.complaints() if "no run starts" not in line]
        self.assertEqual(rest, [], "each role can do what it should, and nothing else")

    def test_as_another_user(self):
        self.begin(around=[NO_NAMESPACES])
        self.is_refused("a seccomp filter denies namespaces",
                        "--security-opt seccomp=/usr/share/gatehouse/seccomp.json",
                        "seccompProfile: {type: Localhost")
        self.is_told_everywhere("container", "a uid of its own for each role")
        self.has_everything_but_sandboxes()

    def test_the_profile_that_is_shipped_is_the_setting_to_add(self):
        profile = json.loads((Path(__file__).parents[2] / "packaging/seccomp.json").read_text())
        self.assertEqual(profile["defaultAction"], "SCMP_ACT_ERRNO")
        names = [name for rule in profile["syscalls"] for name in rule["names"]]
        self.assertEqual({rule["action"] for rule in profile["syscalls"]}, {"SCMP_ACT_ALLOW"})
        for name in ("bpf", "ptrace", "init_module", "io_uring_setup", "userfaultfd", "setns",
                     "perf_event_open", "kexec_load", "open_by_handle_at"):
            self.assertNotIn(name, names)
        self.begin("--limits", "best-effort", around=[NO_NAMESPACES, "--only", ",".join(names)])
        self.assertEqual(self.status()["mode"], "single-user")
        self.exchanges()
        self.assertEqual(self.house.complaints(), [])

    def test_with_proc_covered(self):
        """As docker covers it, around a house that may make namespaces."""
        self.begin("--limits", "best-effort")
        self.assertEqual(self.status()["mode"], "single-user", "what follows is of the cover")
        self.house.down()
        self.house.up(before=cover_proc)
        self.is_refused("--security-opt systempaths=unconfined", "procMount: Unmasked")
        self.has_everything_but_sandboxes()


class ContainersRoot(Container):
    uid = None

    def test_as_another_user(self):
        self.begin(around=[NO_NAMESPACES])
        self.is_refused("a seccomp filter denies namespaces",
                        "--security-opt seccomp=/usr/share/gatehouse/seccomp.json")
        self.is_told_everywhere("container")
        self.has_everything_but_sandboxes()
        uids = set()
        for each in self.house.roles():
            uids.add(os.stat(f"/proc/{each['pid']}").st_uid)
            status = Path(f"/proc/{each['pid']}/status").read_text(encoding="utf-8")
            uid = int(next(line for line in status.splitlines()
                           if line.startswith("Uid:")).split()[1])
            self.assertGreaterEqual(uid, 58100, each)

    test_the_profile_that_is_shipped_is_the_setting_to_add = None
    test_with_proc_covered = None


class Landlock(Mode):
    def test_without_it_there_is_no_start_unless_it_is_conceded(self):
        self.house.around = [NO_NAMESPACES, "--no-landlock"]
        self.house.flags = ["--limits", "best-effort"]
        self.house.launch()
        self.assertNotEqual(self.house.process.wait(20), 0)
        said = self.house.log.read_text(encoding="utf-8")
        self.assertIn("Landlock is not in force here", said)
        self.assertIn("gatehouse up --allow-no-landlock", said)
        self.begin("--limits", "best-effort", "--allow-no-landlock",
                   around=[NO_NAMESPACES, "--no-landlock"])
        self.is_told_everywhere("single-user", "Landlock: not there", ONE_UID,
                                "the limit on memory", "the limit on processes", "freezing")
        self.exchanges()


if __name__ == "__main__":
    main()
