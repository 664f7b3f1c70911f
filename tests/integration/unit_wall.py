# SPDX-License-Identifier: Apache-2.0
"""Runs a command behind the walls that a systemd unit asks for, where no systemd runs.

    unshare --mount --propagation private python3 unit_wall.py UNIT WRITABLE COMMAND...

As systemd.exec(5) does it: CapabilityBoundingSet, NoNewPrivileges, ProtectSystem=strict (WRITABLE
is the StateDirectory), PrivateTmp, PrivateDevices, SystemCallFilter. A directive that it does not
know how to enforce is left out; the caller checks the rest by systemd-analyze.
"""
import ctypes
import os
import subprocess
import sys

EPERM = 1
SCMP_ACT_ALLOW = 0x7FFF0000
SCMP_ACT_ERRNO = 0x00050000
# ProtectSystem=strict leaves these as they are, and PrivateTmp makes its own writable.
WRITABLE = ("/proc", "/dev", "/sys", "/tmp", "/var/tmp")


def settings(unit):
    """The assignments of a unit's [Service], the last one of each name."""
    with open(unit, encoding="utf-8") as lines:
        pairs = (line.strip().split("=", 1) for line in lines if not line.startswith("#"))
        return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def mount(*words):
    subprocess.run(["mount", *words], check=True)


def read_only(writable):
    mount("--bind", writable, writable)
    with open("/proc/self/mountinfo", encoding="utf-8") as lines:
        points = [line.split()[4] for line in lines]
    for point in sorted(set(points)):
        if point != writable and not any((point + "/").startswith(tree + "/") for tree in WRITABLE):
            # A mount that another one covers cannot be reached, by us as by the house.
            subprocess.run(["mount", "-o", "remount,bind,ro", point], check=point == "/",
                           capture_output=True)


def private_tmp():
    for place in ("/tmp", "/var/tmp"):
        mount("-t", "tmpfs", "-o", "nosuid,nodev,mode=1777", "tmpfs", place)


def private_devices():
    new = "/tmp/dev"
    os.mkdir(new)
    mount("-t", "tmpfs", "-o", "nosuid,noexec,mode=0755", "tmpfs", new)
    for name in ("null", "zero", "full", "random", "urandom", "tty"):
        open(f"{new}/{name}", "w", encoding="utf-8").close()
        mount("--bind", f"/dev/{name}", f"{new}/{name}")
    for name in ("pts", "shm"):
        os.mkdir(f"{new}/{name}")
        if os.path.isdir(f"/dev/{name}"):
            mount("--bind", f"/dev/{name}", f"{new}/{name}")
    os.symlink("pts/ptmx", f"{new}/ptmx")
    mount("--move", new, "/dev")


def names_of(group):
    listing = subprocess.run(["systemd-analyze", "syscall-filter", group], capture_output=True,
                             text=True, check=True).stdout
    for word in (line.strip() for line in listing.splitlines()[1:]):
        if word.startswith("@"):
            yield from names_of(word)
        elif word and not word.startswith("#"):
            yield word


def filter_calls(groups):
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_rule_add.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int,
                                         ctypes.c_uint]
    library.seccomp_load.argtypes = [ctypes.c_void_p]
    context = library.seccomp_init(SCMP_ACT_ALLOW)
    for name in sorted({name for group in groups for name in names_of(group)}):
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:  # a call of another architecture has none
            library.seccomp_rule_add(context, SCMP_ACT_ERRNO | EPERM, number, 0)
    assert library.seccomp_load(context) == 0


def main():
    unit, writable, command = sys.argv[1], sys.argv[2], sys.argv[3:]
    wanted = settings(unit)
    assert wanted["ProtectSystem"] == "strict" and wanted["NoNewPrivileges"] == "yes"
    assert wanted["PrivateTmp"] == "yes" and wanted["PrivateDevices"] == "yes"
    denied = wanted["SystemCallFilter"]
    assert denied.startswith("~"), denied
    kept = [name.removeprefix("CAP_").lower() for name in wanted["CapabilityBoundingSet"].split()]
    private_tmp()
    private_devices()
    read_only(writable)
    filter_calls(denied[1:].split())
    bounding = ",".join(["-all", *("+" + name for name in kept)])
    os.execvp("setpriv", ["setpriv", "--no-new-privs", "--inh-caps=-all",
                          f"--bounding-set={bounding}", *command])


if __name__ == "__main__":
    main()
