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


def gatehouse(*words, **more):
    return subprocess.run([GATEHOUSE, *words], capture_output=True, text=True,
                          timeout=more.pop("timeout", 60),
                          stdin=more.pop("stdin", subprocess.DEVNULL), **more)


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


class House:
    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="gatehouse-house-"))
        made = gatehouse("init", str(self.folder))
        assert made.returncode == 0, made.stderr
        self.config = self.folder / "gatehouse.yaml"
        self.data = self.folder / "gatehouse-data"
        self.log = self.folder / "log"
        self.executable = GATEHOUSE  # what `up` runs; its roles lie beside it
        self.process = None

    def up(self, before=None):
        """`before` is called in its process, ahead of it."""
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([self.executable, "up", "--config",
                                             str(self.config)], stdout=log, stderr=log,
                                            preexec_fn=before)
        self.wait_until_ready()

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

    def ask(self, *words, **more):
        return gatehouse(*words, "--config", str(self.config), **more)

    def words_to_run(self, *command, user="alice"):
        return ["run", "-a", "shell", "-u", user, "--config", str(self.config), "--", *command]

    def run(self, *command, user="alice", **more):
        return gatehouse(*self.words_to_run(*command, user=user), **more)

    def start(self, *command, **more):
        """A run under way; its first line of errors names it."""
        return subprocess.Popen([GATEHOUSE, *self.words_to_run(*command)], **more)

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
