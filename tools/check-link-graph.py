#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows that the privilege boundary is a link boundary.

  tools/check-link-graph.py [BUILD_FOLDER]      (build/dev)

1. From CMake's file API: the gateway executable depends on no library of another role, directly or
   through others.
2. From `nm -C` on the unstripped executables: no symbol of gatehouse::vault:: in the gateway, and
   over a hundred in the vault (else the first half would prove nothing).
3. From the compiler's own list: no file of the gateway was made with a header that can name a
   refresh token or a client secret.
"""
import json
import subprocess
import sys
from pathlib import Path

EXECUTABLE = "gatehouse-gateway"
GATEWAY_OBJECTS = "src/gateway/CMakeFiles/gh_gateway.dir/"
# The contracts in which refresh tokens, client secrets or codes travel.
FORBIDDEN_HEADERS = ("src/ipc/control_vault.h", "src/ipc/vault_courier.h", "src/ipc/cli_control.h",
                     "src/vault/", "src/courier/")
FORBIDDEN = {"gh_vault", "gh_courier", "gh_control", "gh_sandbox", "gh_supervisor", "gh_cli"}
VAULT_SYMBOLS_MIN = 100


def reply(build):
    """The newest codemodel, as {target name: (names it depends on)}, made by running CMake."""
    api = build / ".cmake/api/v1"
    query = api / "query/codemodel-v2"
    query.parent.mkdir(parents=True, exist_ok=True)
    query.touch()
    subprocess.run(["cmake", str(build)], check=True, stdout=subprocess.DEVNULL)
    index = json.loads(max((api / "reply").glob("index-*.json")).read_text())
    model = json.loads((api / "reply" / index["reply"]["codemodel-v2"]["jsonFile"]).read_text())
    targets = [json.loads((api / "reply" / t["jsonFile"]).read_text())
               for t in model["configurations"][0]["targets"]]
    names = {t["id"]: t["name"] for t in targets}
    return {t["name"]: sorted(names[d["id"]] for d in t.get("dependencies", []) if d["id"] in names)
            for t in targets}


def path_to(edges, source, forbidden):
    """The shortest chain of dependencies from `source` to one of `forbidden`, or None."""
    chains, seen = [[source]], {source}
    for chain in chains:
        for name in edges.get(chain[-1], []):
            if name in forbidden:
                return chain + [name]
            if name not in seen:
                seen.add(name)
                chains.append(chain + [name])
    return None


def headers_of(build, folder):
    """Every file that an object of that folder was made from, by what the compiler said."""
    listing = subprocess.run(["ninja", "-C", str(build), "-t", "deps"], check=True, text=True,
                             capture_output=True).stdout.splitlines()
    headers, inside = set(), False
    for line in listing:
        if line and not line.startswith(" "):
            inside = folder in line
        elif inside and line.strip():
            headers.add(line.strip())
    return headers


def vault_symbols(executable):
    listing = subprocess.run(["nm", "-C", str(executable)], check=True, text=True,
                             capture_output=True).stdout.splitlines()
    if not listing:
        raise SystemExit(f"{executable} is stripped: build the dev preset")
    return [line for line in listing if "gatehouse::vault::" in line]


def main(arguments):
    build = Path(arguments[0] if arguments else "build/dev").resolve()
    edges = reply(build)
    if EXECUTABLE not in edges:
        print(f"skipped: no target {EXECUTABLE} in this build yet")
        return 77
    failures = []
    chain = path_to(edges, EXECUTABLE, FORBIDDEN & set(edges))
    if chain:
        failures.append("the gateway depends on another role: " + " -> ".join(chain))
    else:
        reached = len(FORBIDDEN & set(edges))
        print(f"link graph: {EXECUTABLE} reaches none of {reached} libraries of other roles")
    headers = headers_of(build, GATEWAY_OBJECTS)
    if len(headers) < 100:
        failures.append(f"only {len(headers)} headers of the gateway are known: build it first")
    for header in sorted(headers):
        if any(part in header for part in FORBIDDEN_HEADERS):
            failures.append("the gateway was made with " + header)
    print(f"the gateway was made with {len(headers)} files")
    counts = {}
    for name in ("gatehouse-gateway", "gatehouse-vault"):
        executable = build / "bin" / name
        if not executable.exists():
            print(f"skipped: {name} is not built")
            return 1 if failures else 77
        counts[name] = vault_symbols(executable)
        print(f"nm -C {name}: {len(counts[name])} symbols of gatehouse::vault::")
    if counts["gatehouse-gateway"]:
        failures.append("the gateway holds symbols of the vault: "
                        + counts["gatehouse-gateway"][0])
    if len(counts["gatehouse-vault"]) <= VAULT_SYMBOLS_MIN:
        failures.append(f"the vault shows only {len(counts['gatehouse-vault'])} symbols of its "
                        "own: this check sees too little to prove anything")
    for failure in failures:
        print("link graph: " + failure)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
