#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The cell's walls again, built without root: sandbox_integration's own tests, run by root of one
unprivileged user's namespaces, where everything has that user's uid and there is no cgroup."""
import os
import subprocess
import sys

NOBODY = "31337"
# What no cgroup limits is said to be missing (docs/modes.md); modes_integration tries what is in
# its place.
ROOTS_ALONE = ("Walls.MemoryAndProcessesAreLimited", "Walls.SwapIsNoWayAroundTheLimitOnMemory")


def main(program):
    if os.geteuid() != 0:
        print("skipped: only root becomes somebody else")
        return 77
    # Nobody may write where root keeps results: what is printed is theirs.
    environment = {name: value for name, value in os.environ.items() if name != "GTEST_OUTPUT"}
    done = subprocess.run(
        ["/usr/bin/setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups",
         "--inh-caps=-all", "--bounding-set=-all", "/usr/bin/unshare", "--user", "--map-root-user",
         "--mount", program, "--gtest_filter=Walls.*:Cell.*-" + ":".join(ROOTS_ALONE)],
        check=False, env=environment)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
