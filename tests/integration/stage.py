# SPDX-License-Identifier: Apache-2.0
"""A house and, beside it, the servers of npm's that it leads to: for tests of programs that nobody
here wrote."""
import os
import subprocess
import sys
from pathlib import Path

from house import House

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "demo"))
from story import world as worlds  # noqa: E402


class Stage:
    def __init__(self):
        self.house = House()
        work = self.house.folder / "world"
        work.mkdir()
        self.world = worlds.World(work)

    def provider(self, name, script, key):
        """Starts the scripted provider, which wants that key; where it is."""
        return self.world.start(name, [
            str(worlds.NODE), str(worlds.FIXTURES / "provider.mjs"), "--script",
            str(worlds.FIXTURES / script), "--key-file", str(self.world.secret(name, key)),
            "--record", str(self.world.log(name))])["url"]

    def connect(self, services, key, users=("alice",)):
        """Gives each of the users that key for each of the services."""
        for service in services:
            for user in users:
                done = self.house.ask("connect", service, "--user", user, "--from-file",
                                      str(self.world.secret("key", key)))
                assert done.returncode == 0, done.stderr

    def end(self):
        self.house.down()
        self.world.stop()
        self.house.remove()


def need_npm(*packages):
    """Skips the tests where one of those is not there."""
    for package in packages:
        if not (worlds.NPM / package).exists():
            print(f"skipped: npm's packages are not there: {package}; demo/setup-npm.sh brings "
                  "those of this machine's architecture")
            sys.exit(77)


def shut_in():
    """Starts this program again where no way leads out of the network namespace."""
    if os.geteuid() == 0 and "GATEHOUSE_OWN_NETWORK" not in os.environ:
        os.environ["GATEHOUSE_OWN_NETWORK"] = "yes"
        os.execvp("unshare", ["unshare", "--net", "--", sys.executable, *sys.argv])
    if os.geteuid() == 0:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
