# SPDX-License-Identifier: Apache-2.0
"""Looks for secrets in everything that an agent can reach: the files and environments of its
sandbox and the memory of each of its processes."""
import base64
import json
import os
import subprocess
from pathlib import Path

from .world import ROOT

MEMORY_SEARCH = ROOT / "build/dev/bin/memory_search"
FILE_MOST = 256 * 1024 * 1024
# What an agent can write, and what is made for it; the rest is the read-only toolbox.
PLACES = ["home", "tmp", "run", "dev/shm", "etc"]


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


def processes_of(run_id):
    """The process ids in the Run's cgroup, seen from here."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if run_id in (entry / "cgroup").read_text(encoding="utf-8"):
                found.append(entry.name)
        except OSError:
            pass
    return found


def in_memory(patterns, processes, work):
    """Hits by pattern's name, and how much of the resident memory was read."""
    listing = work / "secrets/patterns"
    listing.write_text("".join(f"{name} {value.hex()}\n" for name, value in patterns.items()),
                       encoding="utf-8")
    done = subprocess.run([str(MEMORY_SEARCH), str(listing), *processes], check=True,
                          stdout=subprocess.PIPE)
    listing.unlink()
    hits, resident, read = {}, 0, 0
    for pid, about in json.loads(done.stdout).items():
        resident += about["resident"]
        read += about["read"]
        for name, places in about["hits"].items():
            hits.setdefault(name, []).append((pid, places))
    return hits, resident, read


def in_files(patterns, processes):
    """Hits by pattern's name in environments and files, and how many of them were read."""
    hits, count = {}, 0

    def look(where, content):
        for name, value in patterns.items():
            if value in content:
                hits.setdefault(name, []).append(where)

    for pid in processes:
        for name in ("environ", "cmdline"):
            try:
                look(f"{pid}/{name}", Path(f"/proc/{pid}/{name}").read_bytes())
            except OSError:
                pass
    root = Path(f"/proc/{processes[0]}/root")
    for place in PLACES:
        for folder, _, names in os.walk(root / place):
            for name in names:
                path = Path(folder) / name
                if path.is_symlink() or not path.is_file():
                    continue
                if path.stat().st_size > FILE_MOST:
                    hits.setdefault("too-large", []).append(str(path))
                    continue
                count += 1
                look(str(path), path.read_bytes())
    return hits, count
