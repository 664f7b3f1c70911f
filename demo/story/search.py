# SPDX-License-Identifier: Apache-2.0
"""Looks for byte patterns in everything that an agent can reach: the files and environments of its
sandbox and the memory of each of its processes, all of which stand still meanwhile."""
import base64
import contextlib
import json
import os
import stat
import subprocess
import time
from pathlib import Path

from .world import ROOT

MEMORY_SEARCH = ROOT / "build/dev/bin/memory_search"
CGROUPS = Path("/sys/fs/cgroup")
FREEZE_MOST_S = 10
# Kernel views without content of anyone's.
NO_FILES = {"proc", "sysfs", "devpts", "mqueue", "cgroup", "cgroup2"}


def base64_forms(value):
    """The part of value's base64 that does not depend on its neighbours, at each alignment."""
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + value).rstrip(b"=")
        start = (0, 2, 3)[offset]
        whole = (len(value) + offset) // 3 * 4
        yield f"base64_{offset}", encoded[start:whole]


def wide(value):
    return b"".join(bytes([byte, 0]) for byte in value)


def forms(name, value):
    """All forms of one secret, by a name each."""
    value = value.encode()
    plain = [("plain", value), *base64_forms(value)]
    return {f"{name}/{form}": found for form, found in plain} | {
        f"{name}/{form}_utf16": wide(found) for form, found in plain}


def patterns_of(secrets):
    found = {}
    for name, value in secrets.items():
        found |= forms(name, value)
    return found


def cgroup_of(run_id):
    """The Run's directory in cgroup2 or in version 1's freezer, and the file that freezes it."""
    for root in (CGROUPS, CGROUPS / "unified", CGROUPS / "freezer"):
        directory = root / "gatehouse" / run_id
        for name in ("cgroup.freeze", "freezer.state"):
            if (directory / name).exists():
                return directory, name
    raise SystemExit(f"demo: no cgroup of {run_id} can be frozen")


def has_stopped(directory, name):
    if name == "freezer.state":
        return (directory / name).read_text(encoding="ascii").strip() == "FROZEN"
    return "frozen 1" in (directory / "cgroup.events").read_text(encoding="ascii")


def is_zombie(pid):
    """Ended and not yet buried: it has no memory, files or environment any more."""
    about = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    return about.rpartition(")")[2].split()[0] == "Z"


@contextlib.contextmanager
def frozen(run_id):
    """Stops all of the Run's processes; gives their ids, as seen from here."""
    directory, name = cgroup_of(run_id)
    stop, go = ("1", "0") if name == "cgroup.freeze" else ("FROZEN", "THAWED")
    (directory / name).write_text(stop, encoding="ascii")
    try:
        deadline = time.monotonic() + FREEZE_MOST_S
        while not has_stopped(directory, name):
            if time.monotonic() > deadline:
                raise SystemExit(f"demo: {run_id} does not stand still")
            time.sleep(0.01)
        listed = (directory / "cgroup.procs").read_text(encoding="ascii").split()
        yield [pid for pid in listed if not is_zombie(pid)]
    finally:
        (directory / name).write_text(go, encoding="ascii")


def outside_cgroup(processes):
    """Processes that share the sandbox's PID namespace without being in its cgroup."""
    def space(pid):
        try:
            return os.stat(f"/proc/{pid}/ns/pid").st_ino
        except FileNotFoundError:
            return None  # ended since it was listed

    inside = {space(pid) for pid in processes} - {space("self"), None}
    everyone = [entry for entry in os.listdir("/proc") if entry.isdigit()]
    return [pid for pid in everyone if space(pid) in inside and pid not in processes]


class Memory:
    """What the search of the processes' memory came to."""

    def __init__(self, patterns, processes, work):
        listing = work / "secrets/patterns"
        listing.write_text("".join(f"{name} {value.hex()}\n" for name, value in patterns.items()),
                           encoding="utf-8")
        done = subprocess.run([str(MEMORY_SEARCH), str(listing), *processes], check=True,
                              stdout=subprocess.PIPE)
        listing.unlink()
        self.hits, self.resident, self.read, self.faults = {}, 0, 0, []
        for pid, about in json.loads(done.stdout).items():
            self.resident += about["resident"]
            self.read += about["read"]
            if about["fault"]:
                self.faults.append(f"process {pid}: {about['fault']}")
            for name, places in about["hits"].items():
                self.hits.setdefault(name, []).append((pid, places))


class Files:
    """What the search of environments and files came to: all that the sandbox can write to, and its
    /etc. The rest is the toolbox: read-only, and the host's for everyone."""

    def __init__(self, patterns, processes):
        self.patterns = patterns
        self.hits, self.faults = {}, []
        self.counts = {}  # by place
        for pid in processes:
            for name in ("environ", "cmdline"):
                self.read(f"/proc/{pid}/{name}", "environment")
        root = f"/proc/{processes[0]}/root"
        for place in [*self.writable(processes[0]), "/etc"]:
            kind = os.stat(root + place).st_mode
            if stat.S_ISDIR(kind):
                self.counts[place] = 0
                self.walk(root, place)
            elif stat.S_ISREG(kind):
                self.read(root + place, place)

    @staticmethod
    def writable(pid):
        """Where a file system is mounted for writing, by the kernel's list."""
        with open(f"/proc/{pid}/mountinfo", encoding="utf-8") as mounts:
            for line in mounts:
                own, _, of_system = line.partition(" - ")
                point, options = own.split()[4:6]
                kind = of_system.split()[0]
                if "rw" in options.split(",") and kind not in NO_FILES:
                    yield point

    def walk(self, root, place):
        def failed(error):
            self.faults.append(f"{error.filename}: {error.strerror}")

        for folder, folders, names in os.walk(root + place, onerror=failed):
            folders[:] = [name for name in folders
                          if not os.path.ismount(os.path.join(folder, name))]
            for name in names:
                path = os.path.join(folder, name)
                kind = os.lstat(path).st_mode
                if stat.S_ISREG(kind):
                    self.read(path, place)
                elif stat.S_ISLNK(kind):
                    self.look(path, os.fsencode(os.readlink(path)))

    def read(self, path, place):
        try:
            with open(path, "rb") as file:
                self.look(path, file.read())
        except OSError as error:
            self.faults.append(f"{path}: {error.strerror}")
            return
        self.counts[place] = self.counts.get(place, 0) + 1

    def look(self, path, content):
        for name, value in self.patterns.items():
            if value in content:
                self.hits.setdefault(name, []).append(path)
