# SPDX-License-Identifier: Apache-2.0
"""What a bench sends its load to: the upstreams, the proxies before them, the gatehouse; and what
processor time and memory they take."""
import http.client
import json
import os
import select
import shutil
import socket
import subprocess
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
HERE = ROOT / "tests/bench"
BUILD = ROOT / "build/bench"
SAMPLES = BUILD / "samples"
GATEHOUSE = ROOT / "build" / os.environ.get("GATEHOUSE_PRESET", "release") / "bin/gatehouse"
LOAD_CORE, PROXY_CORE = "0", "1"
PATH = "/v1/chat/completions"
EVENTS, GAP_US, DELAY_US = 200, 20_000, 5_000
IDLE_GAP_US = 1_800_000_000  # half an hour, in which a stream is idle
AUTHORIZATION = "Bearer sk-bench-0123456789abcdef0123456789abcdef"  # where no gateway swaps it

# Command that runs a peer in the foreground, before its configuration's path.
PEERS = {
    "nginx": ["nginx", "-c"],
    "haproxy": ["haproxy", "-db", "-f"],
    "caddy": ["caddy", "run", "--adapter", "caddyfile", "--config"],
}
LIBRARIES = {"mock_upstream": ["-lssl", "-lcrypto"], "distinct_bodies.so": ["-shared", "-fPIC"]}


@dataclass
class Place:
    """Where a load of one kind goes."""
    url: str                                      # what is connected to: http(s)://HOST:PORT
    target: str = PATH                            # the request's
    host: str = "bench.test"                      # the Host header's value
    headers: dict = field(default_factory=lambda: {"Authorization": AUTHORIZATION})

    @property
    def address(self):
        host, _, port = self.url.partition("//")[2].rpartition(":")
        return host, int(port)


@dataclass
class Target:
    """Who is measured: a proxy, or the upstream itself. Its places are `now` (the upstream answers
    at once), `later` (after DELAY_US), `h2` (HTTP/2 comes in), `tls` (TLS on both sides)."""
    name: str
    places: dict
    process: subprocess.Popen = None
    roles: dict = field(default_factory=dict)   # of Gatehouse: role -> pids
    prefix: list = field(default_factory=list)  # command that enters the client's namespace
    said: dict = field(default_factory=dict)    # what start-gatehouse printed

    def cpu_seconds(self):
        if self.roles:
            return sum(cpu_ticks(pid, 0) for pid in self.pids()) / os.sysconf("SC_CLK_TCK")
        return family_ticks(self.process.pid) / os.sysconf("SC_CLK_TCK") if self.process else 0

    def pids(self):
        return [pid for pids in self.roles.values() for pid in pids]


def cpu_ticks(pid, ended_children):
    """Of one process: user and system time, and with `ended_children` 1 that of those too."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(ticks) for ticks in fields[11:13 + 2 * ended_children])


def family_ticks(pid):
    """Of a process and all below it, those that have ended too: nginx has a new worker after each
    reload."""
    ticks = 0
    try:
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            ticks += family_ticks(child)
        return ticks + cpu_ticks(pid, 1)
    except (FileNotFoundError, ProcessLookupError):
        return 0  # it has ended: its parent's time has it


def memory_bytes(pids, file, name):
    kb = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
            if line.startswith(name + ":"):
                kb += int(line.split()[1])
    return kb * 1024


def first_line(process, timeout_s):
    if not select.select([process.stdout], [], [], timeout_s)[0]:
        process.kill()
        raise SystemExit(f"{process.args[0]} said nothing in {timeout_s} s")
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"{process.args[0]} ended with status {process.wait()}")
    return line


def built(name):
    """A program of this folder, or a library that ends in .so."""
    source, binary = HERE / (name.removesuffix(".so") + ".cc"), BUILD / "bin" / name
    if not binary.exists() or binary.stat().st_mtime < source.stat().st_mtime:
        binary.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["clang++-19", "-std=c++23", "-O2", "-Wall", "-Wextra", "-Werror",
                        str(source), "-o", str(binary), *LIBRARIES.get(name, [])], check=True)
    return str(binary)


def certificates():
    """A CA, and a certificate by it for 127.0.0.1 and bench.test; the folder that has them."""
    folder = BUILD / "tls"
    if (folder / "server.pem").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650"]

    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=bench")
    openssl("req", "-x509", *key, "-CA", "ca.pem", "-CAkey", "ca.key", "-keyout", "server.key",
            "-out", "server.pem", "-subj", "/CN=bench.test", "-addext",
            "subjectAltName=IP:127.0.0.1,DNS:bench.test", "-addext", "basicConstraints=CA:FALSE")
    return folder


def start_upstream(delay_us=0, events=EVENTS, gap_us=GAP_US, tls=False):
    """A mock_upstream; its process and port."""
    SAMPLES.mkdir(parents=True, exist_ok=True)
    words = [str(certificates() / name) for name in ("server.pem", "server.key")] if tls else []
    process = subprocess.Popen(
        ["taskset", "-c", LOAD_CORE, built("mock_upstream"), "0", str(delay_us), str(events),
         str(gap_us), str(SAMPLES), *words], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
        text=True)
    return process, int(first_line(process, 5))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def filled(name, folder, words):
    """The peer's configuration, tests/bench/NAME.in, with its @WORD@s."""
    text = (HERE / f"{name}.in").read_text()
    for word, value in words.items():
        text = text.replace(f"@{word}@", str(value))
    folder.mkdir(parents=True, exist_ok=True)
    os.chmod(folder, 0o777)  # nginx's worker runs as another user
    path = folder / name
    path.write_text(text)
    return path


def started_peer(name, words, folder, place):
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            ["taskset", "-c", PROXY_CORE, *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env={**os.environ, "XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder),
                 "NODE_ENV": "production"})
    for _ in range(100):
        time.sleep(0.1)
        if answers(place):
            return process
    process.kill()
    raise SystemExit(f"{name} did not start: see {folder}/log")


def start_peer(name, upstreams):
    """A proxy with tests/bench/NAME.conf.in, before the upstreams that this names."""
    command = PEERS[name]
    if not shutil.which(command[0]):
        raise SystemExit(f"{command[0]} is not installed: tools/bootstrap bench installs it")
    folder = BUILD / name
    ports = {kind: free_port() for kind in ("now", "later", "h2", "tls")}
    config = filled(f"{name}.conf", folder, {
        "FOLDER": folder, "CERTIFICATES": certificates(), "NOW": upstreams["now"],
        "LATER": upstreams["later"], "TLS_UPSTREAM": upstreams["tls"],
        **{f"PORT_{kind.upper()}": port for kind, port in ports.items()}})
    places = {kind: Place(f"{'https' if kind == 'tls' else 'http'}://127.0.0.1:{port}")
              for kind, port in ports.items()}
    process = started_peer(name, [*command, str(config)], folder, places["now"])
    return Target(name, places, process)


def start_portkey(upstreams):
    """npm's @portkey-ai/gateway, of tests/bench/package.json."""
    modules = BUILD / "npm/node_modules"
    if not modules.exists():
        raise SystemExit(f"{modules} is missing: tests/bench/setup-npm installs it")
    folder = BUILD / "portkey"
    headers = filled("portkey.headers", folder, {"NOW": upstreams["now"]}).read_text()
    port = free_port()
    place = Place(f"http://127.0.0.1:{port}", headers={"Authorization": AUTHORIZATION, **dict(
        line.split(": ", 1) for line in headers.splitlines() if not line.startswith("#"))})
    process = started_peer(
        "portkey", [str(modules / ".bin/node"),
                    str(modules / "@portkey-ai/gateway/build/start-server.js"), f"--port={port}",
                    "--headless"], folder, place)
    return Target("portkey", {"now": place}, process)


def answers(place):
    connection = http.client.HTTPConnection(*place.address, timeout=1)
    try:
        connection.request("POST", PATH, '{"model":"bench","messages":[]}',
                           {"Content-Type": "application/json", **place.headers})
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def direct(upstreams):
    """The upstreams themselves; of HTTP/2 they know nothing."""
    places = {kind: Place(f"{'https' if kind == 'tls' else 'http'}://127.0.0.1:{port}")
              for kind, port in upstreams.items()}
    return Target("direct", {**places, "h2": places["now"]})


def start_gatehouse(upstreams, runs=1):
    """Starts Gatehouse with the upstreams as Services.

    tests/bench/start-gatehouse reads JSON from its argument (upstreams: kind -> port, ca, core,
    runs), starts all roles pinned to `core` with governing on and so many Runs, prints one line of
    JSON and stays until SIGTERM:

      {"places": {"now": {"url": ..., "target": ..., "host": ..., "headers": {}}, ...},
       "roles": {"gateway": [PID], "vault": [PID], ...},
       "prefix": ["nsenter", "--net=...", ...],  a command that reaches the first Run's Door
       "doors": [{"network": PATH, "authorization": ...}, ...],  the Runs' namespaces
       "denied": "http://model.test/...",        what no rule allows, at places["now"]
       "config": PATH, "other_config": PATH,     what it was started with, and another good one
       "audit": "DIRECTORY"}                     the log's files, whole once it has ended
    """
    given = {"upstreams": upstreams, "ca": str(certificates() / "ca.pem"), "core": int(PROXY_CORE),
             "runs": runs}
    process = subprocess.Popen([str(HERE / "start-gatehouse"), json.dumps(given)],
                               stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    said = json.loads(first_line(process, 120))
    places = {kind: Place(**place) for kind, place in said["places"].items()}
    return Target("gatehouse", places, process, said["roles"], said["prefix"], said)


def ended(process):
    process.terminate()
    process.wait()


class Started(ExitStack):
    """What runs; all of it has ended when this is left, the last that was started first."""

    def upstreams(self):
        shutil.rmtree(SAMPLES, ignore_errors=True)
        return {kind: self.kept(*start_upstream(**how)) for kind, how in {
            "now": {}, "later": {"delay_us": DELAY_US}, "tls": {"tls": True}}.items()}

    def idle_upstreams(self):
        shutil.rmtree(SAMPLES, ignore_errors=True)
        port = self.kept(*start_upstream(events=2, gap_us=IDLE_GAP_US))
        return {"now": port, "later": port, "tls": port}

    def kept(self, process, result):
        self.callback(ended, process)
        return result

    def target(self, target):
        return self.kept(target.process, target)
