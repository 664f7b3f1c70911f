# SPDX-License-Identifier: Apache-2.0
"""The unit under systemd itself: started, ready, in use, reloaded by a restart, stopped."""
import os
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

import service_test

NAME = "gatehouse-test"
UNIT = Path(f"/run/systemd/system/{NAME}.service")


def systemctl(*words):
    return subprocess.run(["systemctl", *words], capture_output=True, text=True, timeout=90,
                          check=False)


class UnderSystemd(unittest.TestCase):
    def setUp(self):
        self.installed = service_test.Installed()
        self.addCleanup(shutil.rmtree, self.installed.root)
        data = f"/var/lib/{NAME}"
        config = self.installed.config
        config.write_text(service_test.CONFIG.format(data=data))
        text = self.installed.unit.read_text()
        UNIT.write_text(text.replace("/etc/gatehouse/gatehouse.yaml", str(config))
                        .replace("StateDirectory=gatehouse", f"StateDirectory={NAME}"))
        self.addCleanup(shutil.rmtree, data, ignore_errors=True)
        self.addCleanup(systemctl, "daemon-reload")
        self.addCleanup(UNIT.unlink)
        self.addCleanup(systemctl, "stop", NAME)
        systemctl("daemon-reload")

    def test_it_starts_works_and_stops(self):
        started = systemctl("start", NAME)
        self.assertEqual(started.returncode, 0,
                         started.stderr + systemctl("status", "-n", "50", NAME).stdout)
        done = self.installed.ask("run", "-a", "shell", "-u", "alice", "--", "true")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.installed.ask("doctor").returncode, 0)
        self.assertEqual(systemctl("restart", NAME).returncode, 0)
        self.assertEqual(systemctl("stop", NAME).returncode, 0)
        result = systemctl("show", "-p", "Result", "--value", NAME)
        self.assertEqual(result.stdout.strip(), "success")


if __name__ == "__main__":
    if os.geteuid() != 0 or not os.path.isdir("/run/systemd/system"):
        print("skipped: systemd does not run this machine, or this is not root")
        sys.exit(77)
    unittest.main(verbosity=2)
