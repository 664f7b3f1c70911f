# SPDX-License-Identifier: Apache-2.0
"""A house with a model, an MCP server and an API to go to, whose roles can be taken away, and which
can be searched for what it leaves."""
import glob
import http.server
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

from corridor_house import Upstream
from house import House, send_signal

KEY = "sk-busy-test-0123456789abcdef"
# The services without a credential are at another host than the one with: of what comes from there
# the vault must be asked what to look for, and is away at times.
SERVICES = """  - name: openai
    kind: openai
    url: http://openai.gatehouse
    upstream: http://127.0.0.1:{port}
    allow_private: true
    credential: {{kind: static, header: authorization, prefix: "Bearer "}}
  - name: mail
    kind: http
    url: http://mail.gatehouse
    upstream: http://127.0.0.1:{port}
    allow_private: true
    credential: {{kind: oauth, authorization_endpoint: "http://127.0.0.1:{port}/authorize",
                  token_endpoint: "http://127.0.0.1:{port}/token", client_id: gatehouse}}
  - {{name: tools, kind: mcp, url: "http://tools.gatehouse", upstream: "http://localhost:{port}",
      allow_private: true}}
  - {{name: api, kind: http, url: "http://api.gatehouse", upstream: "http://localhost:{port}",
      allow_private: true}}
"""
CONFIG = """version: 1
data: {data}
users: [{{name: alice}}]
services:
""" + SERVICES + """agents:
  - name: shell
    command: [/bin/sh]
    environment: {{OPENAI_API_KEY: "{{{{placeholder:openai}}}}"}}
    rules:
      - {{id: models, service: openai, methods: [POST], paths: ["/v1/chat/completions"]}}
      - {{id: tools, service: tools, tools: [echo]}}
      - {{id: api, service: api, methods: [GET, POST], paths: ["/**"]}}
"""

ROLES = ("audit", "vault", "courier", "gateway", "control", "sandboxd")


class Listener(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class BusyHouse(House):
    def __init__(self):
        super().__init__()
        self.server = Listener(("127.0.0.1", 0), Upstream)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.config.write_text(CONFIG.format(data=self.data, port=self.server.server_port))
        # Executables of its own: what runs is known by them, and a role can be kept away.
        source = Path(os.environ["GATEHOUSE_BIN"])
        self.bin = Path(tempfile.mkdtemp(prefix="house-", dir=source.parent))
        for program in source.glob("gatehouse*"):
            os.link(program, self.bin / program.name)
        self.executable = str(self.bin / "gatehouse")

    def begin(self):
        self.up()
        self.connect(KEY)

    def remove(self):
        self.server.shutdown()
        self.server.server_close()
        super().remove()
        shutil.rmtree(self.bin)

    def with_clock(self):
        """Its roles get a wall clock that is set by the file returned: nanoseconds ahead. The
        supervisor gives them no variable of its own, so that a script stands in front of each."""
        clock = self.folder / "clock"
        clock.write_bytes(bytes(8))
        library = Path(os.environ["GATEHOUSE_BIN"]) / "fixture_wall_clock.so"
        behind = self.bin / "behind"
        behind.mkdir()
        for program in list(self.bin.glob("gatehouse-*")):
            os.link(program, behind / program.name)
        for name in ROLES:
            program = self.bin / f"gatehouse-{name}"
            program.unlink()
            program.write_text(f"#!/bin/sh\nexport LD_PRELOAD='{library}' WALL_CLOCK='{clock}'\n"
                               f"exec '{behind / program.name}' \"$@\"\n")
            program.chmod(0o755)
        return clock

    # --- its roles

    def role(self, name):
        return next((role for role in self.roles() if role["role"] == name),
                    {"state": "away", "pid": "-1", "restarts": "-1"})

    def wait_for_role(self, name, other_than):
        deadline = time.monotonic() + 30
        while True:
            now = self.role(name)
            if now["state"] == "ready" and now["pid"] != other_than:
                return
            assert time.monotonic() < deadline, now
            time.sleep(0.02)

    def kill(self, *names):
        """Kills roles at once, and waits until others are ready."""
        for name in names:
            self.wait_for_role(name, None)
        pids = {name: self.role(name)["pid"] for name in names}
        for pid in pids.values():
            send_signal(pid, signal.SIGKILL)
        for name, pid in pids.items():
            self.wait_for_role(name, pid)

    def take_away(self, name):
        """Kills a role that then cannot be started, until it is brought back."""
        self.wait_for_role(name, None)
        pid = self.role(name)["pid"]
        executable = self.bin / ("gatehouse-" + name.split(".")[0])
        executable.rename(str(executable) + ".away")
        send_signal(pid, signal.SIGKILL)
        while self.role(name)["state"] == "ready":
            time.sleep(0.02)

    def bring_back(self, name):
        executable = self.bin / ("gatehouse-" + name.split(".")[0])
        Path(str(executable) + ".away").rename(executable)
        self.wait_for_role(name, None)

    def kill_supervisor(self):
        """It and all its roles are gone when this returns."""
        self.process.kill()
        self.process.wait(10)
        deadline = time.monotonic() + 10
        while self.processes(but=("gatehouse-warden",)):
            assert time.monotonic() < deadline, self.processes()
            time.sleep(0.02)

    # --- what it leaves

    def processes(self, but=()):
        """The names of the house's processes, by pid; a dead one that nobody buries too."""
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                executable = Path(os.readlink(entry / "exe").removesuffix(" (deleted)"))
            except OSError:
                continue
            if self.bin in executable.parents and executable.name not in but:
                found[int(entry.name)] = executable.name
        return found

    def cgroups(self):
        """Those of its runs, with how many processes are in each."""
        names = {run["run"] for run in self.runs()}
        return {path: len(Path(path, "cgroup.procs").read_text().split())
                for path in glob.glob("/sys/fs/cgroup/**/gatehouse/run_*", recursive=True)
                if os.path.basename(path) in names}
