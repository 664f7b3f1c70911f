# SPDX-License-Identifier: Apache-2.0
"""The world around the gatehouse: a network namespace with no way out, and the fixtures in it."""
import json
import os
import secrets
import select
import shutil
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NPM = ROOT / "build/npm/node_modules"
NODE = NPM / ".bin/node"
FIXTURES = ROOT / "tests/fixtures"
SCENARIOS = ROOT / "demo/scenarios"
INSIDE = "GATEHOUSE_DEMO_INSIDE"
READY_MOST_S = 60

METADATA = "169.254.169.254"
INTERNAL = "10.99.0.1"
RESOLVER = "10.99.0.53"
ATTACKED = (METADATA, INTERNAL, RESOLVER)


def enter(with_network=False):
    """Starts this program again as root in a mount, PID and (unless it is to reach a real model)
    network namespace of its own."""
    if os.environ.get(INSIDE) == "1":
        return
    command = ["unshare", *([] if with_network else ["--net"]), "--mount", "--pid", "--fork",
               "--kill-child", "--mount-proc", "--", sys.executable, *sys.argv]
    if os.geteuid() != 0:
        command = ["sudo", "env", f"{INSIDE}=1", *command]
    os.execvpe(command[0], command, {**os.environ, INSIDE: "1"})


def own_addresses():
    """Only lo is here; the addresses that attacks aim at are put on it."""
    run(["ip", "link", "set", "lo", "up"])
    shown = json.loads(run(["ip", "-j", "link"]))
    others = [link["ifname"] for link in shown if "UP" in link["flags"] and link["ifname"] != "lo"]
    if others:
        raise SystemExit(f"demo: this network namespace leads out by {others}; it stops here")
    for address in ATTACKED:
        run(["ip", "address", "replace", f"{address}/32", "dev", "lo"])


def own_resolver(work):
    """In this mount namespace the system's resolver is the fixture."""
    path = work / "resolv.conf"
    path.write_text(f"nameserver {RESOLVER}\noptions timeout:1 attempts:1\n", encoding="utf-8")
    run(["mount", "--bind", str(path), os.path.realpath("/etc/resolv.conf")])


def run(command, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          check=False, **more)
    if done.returncode != 0:
        raise SystemExit(f"demo: {' '.join(map(str, command))} ended with {done.returncode}: "
                         f"{done.stderr.strip()}")
    return done.stdout


def lines_of(path):
    """The JSON lines of a fixture's log."""
    if not Path(path).exists():
        return []
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def trace_of(line):
    """The trace that a request came with, by a fixture's log; "" if none."""
    return line["headers"].get("traceparent", "-").split("-")[1]


class World:
    """All that is not the gatehouse: the model, the calendar, the MCP server, the oracles."""

    def __init__(self, work):
        self.work = work
        self.children = []
        self.secrets = work / "secrets"
        self.secrets.mkdir(mode=0o700)
        self.model_key = "sk-demo-" + secrets.token_urlsafe(24)
        self.client_secret = secrets.token_urlsafe(32)
        self.key_file = self.secret("model.key", self.model_key)
        self.client_secret_file = self.secret("client.secret", self.client_secret)
        self.canary = "canary" + secrets.token_hex(16)
        self.control = "control" + secrets.token_hex(16)
        self.host_file = self.secret("host.secret", "host-file-" + secrets.token_hex(8))
        self.host_port = 5432
        self.facts = {}

    def secret(self, name, value):
        path = self.secrets / name
        path.write_text(value, encoding="utf-8")
        path.chmod(0o600)
        return path

    def log(self, name):
        return self.work / f"{name}.log"

    def start(self, name, command):
        """Starts a fixture and waits for its ready line."""
        with open(self.work / f"{name}.stderr", "w", encoding="utf-8") as errors:
            child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors)
        self.children.append(child)
        readable, _, _ = select.select([child.stdout], [], [], READY_MOST_S)
        line = child.stdout.readline() if readable else b""
        if not line:
            said = (self.work / f"{name}.stderr").read_text(encoding="utf-8").strip()
            raise SystemExit(f"demo: the fixture {name} did not start: {said}")
        self.facts[name] = json.loads(line)
        return self.facts[name]

    def start_oracles(self):
        self.start("oracles", [
            sys.executable, str(FIXTURES / "oracles.py"), "--log", str(self.log("oracles")),
            "--http", f"metadata={METADATA}:80", "--http", f"internal={INTERNAL}:8080",
            "--tcp", f"host-service={INTERNAL}:{self.host_port}", "--dns",
            f"resolver={RESOLVER}:53", "--packets", "lo",
            *sum((["--watch", a] for a in ATTACKED), [])])

    def start_services(self):
        node = str(NODE)
        self.start("calendar", [
            node, str(FIXTURES / "calendar.mjs"), "--client-id", "gatehouse",
            "--client-secret-file", str(self.client_secret_file), "--log",
            str(self.log("calendar")), "--state-file", str(self.work / "calendar.json"),
            "--issued-file", str(self.secrets / "issued.jsonl"), "--echo",
            "--token-seconds", "20"])
        self.start("mcp", [node, str(FIXTURES / "mcp_server.mjs"), "--log", str(self.log("mcp"))])

    def start_model(self, settings):
        scenarios = [SCENARIOS / f"{name}.json" for name in ("job", "errand", "attacks")]
        self.start("model", self.model_command(scenarios, settings) + [
            "--log", str(self.log("model"))])

    def model_command(self, scenarios, settings):
        return [str(NODE), str(FIXTURES / "model_server.mjs"), "--key-file", str(self.key_file),
                *sum((["--scenario", str(path)] for path in scenarios), []),
                *sum((["--set", f"{key}={value}"] for key, value in settings.items()), [])]

    def events(self):
        """Who has which events, as the calendar itself wrote it down."""
        return json.loads((self.work / "calendar.json").read_text(encoding="utf-8"))

    def issued(self):
        """Every token that was ever issued."""
        return lines_of(self.secrets / "issued.jsonl")

    def requests(self, name):
        """What came to a fixture, by its log."""
        return [line for line in lines_of(self.log(name)) if line.get("headers")]

    @property
    def is_scripted(self):
        """Whether the model is ours: then what it was asked and said is known."""
        return "model" in self.facts

    def scenes(self, trace):
        """The model server's answers to a Run."""
        return [line for line in self.requests("model") if trace_of(line) == trace]

    @staticmethod
    def moment(line):
        """When a fixture wrote a line of its log, in seconds since the epoch."""
        return datetime.fromisoformat(line["time"].replace("Z", "+00:00")).timestamp()

    def seen(self, since):
        """What arrived at the attacked addresses since line number `since` of the log, once nothing
        more comes: the last packets of a connection are later than its end."""
        size = -1
        while size != (size := self.log("oracles").stat().st_size):
            time.sleep(0.3)
        return lines_of(self.log("oracles"))[since:]

    def stop(self):
        for child in self.children:
            child.terminate()
        deadline = time.monotonic() + 5
        for child in self.children:
            try:
                child.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()


def fresh_directory():
    """build/demo, emptied; its path must leave room for the names of sockets."""
    work = ROOT / "build/demo"
    if work.exists():
        shutil.rmtree(work)
    work.mkdir(parents=True)
    return work
