# SPDX-License-Identifier: Apache-2.0
"""A gatehouse of a test's own, as a person makes and runs one."""
import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

GATEHOUSE = os.path.join(os.environ["GATEHOUSE_BIN"], "gatehouse")

# The uid that houses and their people have, for a test that runs without root; None as root.
AS = int(os.environ["GATEHOUSE_TEST_UID"]) if "GATEHOUSE_TEST_UID" in os.environ else None


def identity():
    return {} if AS is None else {"user": AS, "group": AS, "extra_groups": []}


def gatehouse(*words, **more):
    return subprocess.run([GATEHOUSE, *words], capture_output=True, text=True,
                          timeout=more.pop("timeout", 60),
                          stdin=more.pop("stdin", subprocess.DEVNULL), **{**identity(), **more})


def send_signal(pid, what):
    """To that process and to no other: a role that is away has pid -1, and kill(2) takes that for
    every process there is."""
    if int(pid) <= 1:
        raise ProcessLookupError(f"{pid} is no process of the house")
    os.kill(int(pid), what)


def files_with(folder, secret):
    """The files below `folder` that hold it, plain, in UTF-16 or in base64 at any alignment."""
    text = secret.encode()
    forms = [text, secret.encode("utf-16le")]
    for shift in range(3):
        inner = base64.b64encode(bytes(shift) + text)[4 if shift else 0:]
        forms.append(inner[:len(inner) // 4 * 4 - 4])  # its ends depend on what is beside it
        forms.append(forms[-1].replace(b"+", b"-").replace(b"/", b"_"))
    found = []
    for path in Path(folder).rglob("*"):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            if any(form in content for form in forms):
                found.append(path)
    return found


def delegated_cgroup(name):
    """A directory of cgroup2 that is the test's user's, as a service manager delegates one; None
    where there is no cgroup2."""
    for root in (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified")):
        if (root / "cgroup.controllers").exists():
            path = root / name
            path.mkdir()
            for what in (path, path / "cgroup.procs", path / "cgroup.subtree_control"):
                os.chown(what, AS, AS)
            return path
    return None


class House:
    flags = []  # of `up`
    around = []  # a command that `up` is run by
    cgroup = None  # delegated to the house's user, where it runs without root

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="gatehouse-house-"))
        if AS is not None:
            os.chown(self.folder, AS, AS)
            self.flags = ["--limits", "best-effort"]
            self.cgroup = delegated_cgroup(self.folder.name)
        made = gatehouse("init", str(self.folder))
        assert made.returncode == 0, made.stderr
        self.config = self.folder / "gatehouse.yaml"
        self.data = self.folder / "gatehouse-data"
        self.log = self.folder / "log"
        self.executable = GATEHOUSE  # what `up` runs; its roles lie beside it
        self.process = None

    def up(self, before=None):
        """`before` is called in its process, ahead of it."""
        self.launch(before)
        self.wait_until_ready()

    def launch(self, before=None):
        def enter():
            if self.cgroup is not None:
                (self.cgroup / "cgroup.procs").write_text("0")
            if before is not None:
                before()
            if AS is not None:
                os.setgroups([])
                os.setresgid(AS, AS, AS)
                os.setresuid(AS, AS, AS)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*self.around, self.executable, "up", "--config", str(self.config), *self.flags],
                stdout=log, stderr=log, preexec_fn=enter)

    def wait_until_ready(self):
        for _ in range(200):
            if all(role["state"] == "ready" for role in self.roles()):
                return
            time.sleep(0.05)
        raise AssertionError(self.log.read_text())

    def roles(self):
        """None known yet: one that is away."""
        status = self.ask("status", "--json")
        if status.returncode != 0:
            return [{"role": "supervisor", "state": "away", "pid": "-1", "restarts": "0"}]
        return json.loads(status.stdout)["roles"]

    def down(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(10)

    def remove(self):
        shutil.rmtree(self.folder)
        if self.cgroup is not None:
            for below in sorted(self.cgroup.rglob("*/"), reverse=True):
                below.rmdir()
            self.cgroup.rmdir()

    def complaints(self):
        """What doctor finds but for what this host does not give a house without root."""
        done = self.ask("doctor", "--json")
        found = json.loads(done.stdout)
        assert found["well"] == (done.returncode == 0), done.stdout
        if AS is None:
            return found["complaints"]
        return [line for line in found["complaints"] if not line.startswith("not enforced: ")]

    def ask(self, *words, **more):
        return gatehouse(*words, "--config", str(self.config), **more)

    def words_to_run(self, *command, user="alice"):
        return ["run", "-a", "shell", "-u", user, "--config", str(self.config), "--", *command]

    def run(self, *command, user="alice", **more):
        return gatehouse(*self.words_to_run(*command, user=user), **more)

    def start(self, *command, **more):
        """A run under way; its first line of errors names it."""
        return subprocess.Popen([GATEHOUSE, *self.words_to_run(*command)], **identity(), **more)

    def connect(self, key):
        file = self.folder / "key"
        file.write_text(key + "\n")
        done = self.ask("connect", "openai", "--user", "alice", "--from-file", str(file))
        assert done.returncode == 0, done.stderr

    def files_with(self, secret):
        return files_with(self.data, secret)

    def runs(self):
        return json.loads(self.ask("runs", "--json").stdout)

    def last_run(self):
        return self.runs()[0]


def main():
    if os.geteuid() != 0:
        print("skipped: the house makes sandboxes as root")
        sys.exit(77)
    unittest.main(verbosity=2)
