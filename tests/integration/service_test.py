# SPDX-License-Identifier: Apache-2.0
"""What an installation is: the command finds its roles, the unit holds, the roles are its users."""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import unit_wall

BUILD = Path(os.environ["GATEHOUSE_BIN"]).parent
EXPOSURE_MOST = 50  # tenths, of systemd-analyze security
WALL = Path(__file__).with_name("unit_wall.py")

CONFIG = """version: 1
data: {data}
users: [{{name: alice}}]
agents:
  - name: shell
    command: [sh]
    toolbox: [/usr]
"""


class Installed:
    """A whole installation below a folder of its own, as `cmake --install` makes it."""

    def __init__(self):
        # Not below /tmp, of which the unit has its own.
        self.root = Path(tempfile.mkdtemp(prefix="gatehouse-service-", dir="/var/lib"))
        self.prefix = self.root / "usr"
        done = subprocess.run(["cmake", "--install", str(BUILD), "--prefix", str(self.prefix),
                               "--strip"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        self.command = self.prefix / "bin/gatehouse"
        self.unit = self.prefix / "lib/systemd/system/gatehouse.service"
        self.data = self.root / "data"
        self.config = self.root / "gatehouse.yaml"
        self.config.write_text(CONFIG.format(data=self.data))

    def ask(self, *words):
        return subprocess.run([str(self.command), words[0], "--config", str(self.config),
                               *words[1:]], capture_output=True, text=True, timeout=60,
                              check=False, stdin=subprocess.DEVNULL)


def analyze(*words):
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, check=False)


def users():
    lines = (installed.prefix / "lib/sysusers.d/gatehouse.conf").read_text().splitlines()
    words = [line.split() for line in lines if line.startswith("u ")]
    return {int(line[2]): line[1] for line in words}


class Files(unittest.TestCase):
    def test_the_unit_is_well_formed(self):
        done = analyze("verify", "--man=no", str(installed.unit))
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_the_unit_is_no_more_exposed_than_it_was(self):
        done = analyze("security", "--offline=true", f"--threshold={EXPOSURE_MOST}",
                       str(installed.unit))
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_the_unit_starts_what_is_installed(self):
        start = unit_wall.settings(installed.unit)["ExecStart"].split()
        self.assertEqual(start[0], str(installed.command))
        self.assertTrue(os.access(start[0], os.X_OK))

    def test_the_configuration_that_comes_with_it_is_valid(self):
        example = installed.prefix / "share/doc/gatehouse/examples/gatehouse.yaml"
        done = subprocess.run([str(installed.command), "config", "check", "--config", str(example)],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_every_shell_has_its_completion(self):
        for place, word in (("bash-completion/completions/gatehouse", "complete "),
                            ("zsh/vendor-completions/_gatehouse", "#compdef gatehouse"),
                            ("fish/vendor_completions.d/gatehouse.fish", "complete -c gatehouse")):
            self.assertIn(word, (installed.prefix / "share" / place).read_text())

    def test_users_and_directories_are_made_as_systemd_reads_them(self):
        root = installed.root / "root"
        (root / "etc").mkdir(parents=True)
        for words in (["sysusers"], ["tmpfiles", "--create"]):
            folder = words[0] + ".d"
            shutil.copytree(installed.prefix / "lib" / folder, root / "usr/lib" / folder)
            done = subprocess.run([f"systemd-{words[0]}", f"--root={root}", *words[1:]],
                                  capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
        lines = (root / "etc/passwd").read_text().splitlines()
        made = dict(line.split(":")[:3:2] for line in lines)
        for uid, name in users().items():
            self.assertEqual(made[name], str(uid))
        self.assertEqual((root / "var/lib/gatehouse").stat().st_mode & 0o7777, 0o711)

    def test_a_command_without_its_roles_says_what_is_missing(self):
        alone = installed.root / "alone/bin"
        alone.mkdir(parents=True)
        shutil.copy(installed.command, alone)
        done = subprocess.run([str(alone / "gatehouse"), "up", "--config", str(installed.config)],
                              capture_output=True, text=True, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("install gatehouse again", done.stderr)


class Users(unittest.TestCase):
    def test_a_number_that_is_somebody_elses_is_not_taken(self):
        passwd = installed.root / "passwd"
        passwd.write_text("root:x:0:0::/root:/bin/sh\nmallory:x:58101:58101::/:/bin/sh\n")
        data = installed.root / "other"
        data.mkdir()
        done = subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c",
             'mount --bind "$1" /etc/passwd && exec "$2" up --config "$3" --data "$4"', "sh",
             str(passwd), str(installed.command), str(installed.config), str(data)],
            capture_output=True, text=True, timeout=30, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('uid 58101 is meant for the role vault, and belongs to the user "mallory"',
                      done.stderr)


class BehindTheWall(unittest.TestCase):
    """The house with no more than the unit gives it, told of by sd_notify(3)."""

    @classmethod
    def setUpClass(cls):
        installed.data.mkdir()
        installed.data.chmod(0o711)
        cls.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        cls.manager.bind(f"\0gatehouse-service-{os.getpid()}")
        cls.manager.settimeout(30)
        environment = {**os.environ, "NOTIFY_SOCKET": f"@gatehouse-service-{os.getpid()}"}
        with open(installed.root / "log", "wb") as log:
            cls.process = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", sys.executable, str(WALL),
                 str(installed.unit), str(installed.data), str(installed.command), "up", "--config",
                 str(installed.config)], env=environment, stdout=log, stderr=log)
        try:
            cls.hear("READY=1")
        except (TimeoutError, AssertionError) as why:
            cls.tearDownClass()
            raise AssertionError((installed.root / "log").read_text()) from why

    @classmethod
    def tearDownClass(cls):
        if cls.process.poll() is None:
            cls.process.send_signal(signal.SIGTERM)
            cls.process.wait(20)
        cls.manager.close()

    @classmethod
    def hear(cls, wanted):
        for _ in range(100):
            if wanted in cls.manager.recv(4096).decode().splitlines():
                return
        raise AssertionError(f"{wanted} was not told")

    def roles(self):
        return json.loads(installed.ask("status", "--json").stdout)["roles"]

    def test_1_ready_is_told_when_every_role_is(self):
        self.assertEqual({role["state"] for role in self.roles()}, {"ready"})

    def test_2_the_roles_run_as_the_users_that_the_package_makes(self):
        for role in self.roles():
            status = Path(f"/proc/{role['pid']}/status").read_text()
            uid = int(status.split("Uid:")[1].split()[0])
            name = role["role"].replace(".", "-")
            self.assertEqual(uid, 0) if name == "sandboxd" else self.assertEqual(
                users().get(uid), f"gatehouse-{name}")

    def test_3_a_sandbox_is_built_and_works(self):
        done = installed.ask("run", "-a", "shell", "-u", "alice", "--", "sh", "-c",
                             "echo hello from $(id -u); test -d /proc/self")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("hello from", done.stdout)

    def test_4_what_every_role_can_do_is_what_it_should(self):
        done = installed.ask("doctor", "--json")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_5_a_role_that_ends_is_told_and_so_is_the_end(self):
        audit = next(role for role in self.roles() if role["role"] == "courier")
        self.assertGreater(int(audit["pid"]), 1)  # -1, of one that is away, is everybody's
        os.kill(int(audit["pid"]), signal.SIGKILL)
        self.hear("STATUS=courier is away")
        self.hear("STATUS=all roles are ready")
        self.process.send_signal(signal.SIGTERM)
        self.hear("STOPPING=1")
        self.assertEqual(self.process.wait(20), 0)


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("skipped: the house makes sandboxes as root")
        sys.exit(77)
    installed = Installed()
    try:
        unittest.main(verbosity=2)
    finally:
        shutil.rmtree(installed.root)
