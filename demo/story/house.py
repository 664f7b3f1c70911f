# SPDX-License-Identifier: Apache-2.0
"""The gatehouse itself, as a person runs it: its config, and its one command."""
import json
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from .world import NPM, ROOT, World

GATEHOUSE = ROOT / "build/dev/bin/gatehouse"
FIXTURE_ASK = ROOT / "build/dev/bin/fixture_ask"
MODEL = "gatehouse-demo"
CALENDAR = "https://calendar.gatehouse"
NPM_INSIDE = "/opt/agents/node_modules"
COMPILED = ".compile-cache"
INSTRUCTIONS = [".openclaw/openclaw.json", ".openclaw/workspace/SOUL.md",
                ".openclaw/workspace/AGENTS.md"]

RUN_MOST_S = 240
READ_MOST_S = 5

AGENTS = ("openclaw", "forgetful", "astray")
AGENT = """
  - name: {name}
    skeleton: {skeleton}
    toolbox: ["{npm}:{npm_inside}"]
    read_only: [{read_only}]
    environment:
      {environment}
      OPENAI_BASE_URL: http://model.gatehouse/v1
      OPENAI_API_KEY: "{{{{placeholder:openai}}}}"
      CALENDAR_TOKEN: "{{{{placeholder:calendar}}}}"
      MCP_URL: http://tools.gatehouse/mcp
    rules:
      - {{id: models, service: openai, methods: [POST], paths: ["/v1/chat/completions"]}}
      - {{id: calendar, service: calendar, methods: [GET, POST, PATCH], paths: ["/calendar/**"]}}
      - {{id: tools, service: tools, tools: [echo, get-sum]}}
"""

CONFIG = """version: 1
data: {data}
users: [{{name: alice}}, {{name: bob}}, {{name: carol}}]
services:
  - name: openai
    kind: openai
    url: http://model.gatehouse
    upstream: {model_url}
    allow_private: true
    credential: {{kind: static, header: authorization, prefix: "Bearer "}}
    scope: tenant
  - name: calendar
    kind: http
    url: https://calendar.gatehouse
    upstream: http://127.0.0.1:{calendar_port}
    allow_private: true
    credential:
      kind: oauth
      authorization_endpoint: {authorization}
      token_endpoint: {token}
      revocation_endpoint: {revocation}
      issuer: {issuer}
      client_id: gatehouse
      scopes: [calendar.read, calendar.write]
  - name: tools
    kind: mcp
    url: http://tools.gatehouse
    upstream: http://127.0.0.1:{mcp_port}
    allow_private: true
agents:{agents}"""


class House:
    def __init__(self, work):
        self.work = work
        self.data = work / "data"
        self.config = work / "gatehouse.yaml"
        self.log = work / "gatehouse.log"
        self.process = None
        self.runs = []

    def write_config(self, world: World, model_url, model=None):
        skeleton = self.work / "skeleton"
        write_home(skeleton, model or MODEL)
        environment = "\n      ".join(
            f'{name}: "{value}"' for name, value in agent_environment(NPM_INSIDE).items())
        agents = "".join(
            AGENT.format(name=name, skeleton=skeleton, npm=NPM.resolve(), npm_inside=NPM_INSIDE,
                         read_only=", ".join(INSTRUCTIONS), environment=environment)
            for name in AGENTS)
        calendar = world.facts["calendar"]
        self.config.write_text(CONFIG.format(
            data=self.data, model_url=model_url,
            calendar_port=calendar["api_port"], authorization=calendar["authorization_endpoint"],
            token=calendar["token_endpoint"], revocation=calendar["revocation_endpoint"],
            issuer=calendar["issuer"], mcp_port=world.facts["mcp"]["port"], agents=agents),
            encoding="utf-8")
        self.data.mkdir(mode=0o711)

    def up(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([str(GATEHOUSE), "up", "--config", str(self.config)],
                                            stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            done = self.ask("status", check=False)
            if done.returncode == 0:
                roles = json.loads(done.stdout)["roles"]
                if roles and all(role["state"] == "ready" for role in roles):
                    return
            time.sleep(0.05)
        raise SystemExit("demo: the gatehouse did not come up:\n"
                         + self.log.read_text(encoding="utf-8"))

    def ask(self, *words, check=True, json_form=True, **more):
        command = [str(GATEHOUSE), *words, "--config", str(self.config)]
        if json_form:
            command.append("--json")
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              check=False, **more)
        if check and done.returncode != 0:
            raise SystemExit(f"demo: gatehouse {' '.join(words)} ended with {done.returncode}: "
                             f"{done.stderr.strip()}")
        return done

    def connect(self, service, *words):
        return self.ask("connect", service, *words)

    def start(self, agent, user, command, name):
        """Starts a Run; its output goes to NAME.out. Returns it when it has its id."""
        started = Run(self, agent, user, command, name)
        self.runs.append(started)
        return started

    def openclaw(self, task, name, agent="openclaw", user="alice"):
        return self.start(agent, user, agent_command(NPM_INSIDE, name, task), name)

    def story(self, run_id):
        return json.loads(self.ask("transcript", run_id).stdout)

    def copy_of_log(self):
        """The log's files as they are now, with their holes, in a directory of their own."""
        copy = Path(tempfile.mkdtemp(dir=self.work, prefix="log-")) / "audit"
        subprocess.run(["cp", "-r", "--sparse=always", str(self.data / "audit"), str(copy)],
                       check=True)
        return copy

    def entries(self):
        """Every Entry, read from the files and not told by the house."""
        done = subprocess.run([str(FIXTURE_ASK), "all", str(self.copy_of_log().parent)],
                              stdout=subprocess.PIPE, text=True, check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def volume(self, agent, user):
        return self.data / "volumes" / f"default+{agent}+{user}"

    def down(self):
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.process = None


def write_home(home, model):
    """What OpenClaw finds in a home that is new: its settings and the instructions of its owner."""
    (home / ".openclaw").mkdir(parents=True)
    settings = (ROOT / "demo/openclaw/openclaw.json").read_text(encoding="utf-8")
    (home / ".openclaw/openclaw.json").write_text(settings.replace(MODEL, model), encoding="utf-8")
    shutil.copytree(ROOT / "demo/openclaw/workspace", home / ".openclaw/workspace")


def agent_environment(packages):
    """What OpenClaw's own documents advise for a small machine: Node finds its modules compiled
    (demo/warm-cache did it, once; in a sandbox they are read-only) and starts a second time only
    where it must. "Portable" is by the way from the cache to the module, the same on both sides."""
    return {
        "PATH": f"{packages}/.bin:/usr/bin:/bin",
        "NODE_COMPILE_CACHE": f"{packages}/{COMPILED}",
        "NODE_COMPILE_CACHE_PORTABLE": "1",
        "OPENCLAW_NO_RESPAWN": "1",
    }


def agent_command(packages, session, task):
    return ["node", f"{packages}/openclaw/openclaw.mjs", "agent", "--local", "--session-id",
            session, "-m", task]


class Run:
    """One `gatehouse run`, under way."""

    def __init__(self, house, agent, user, command, name):
        self.name, self.user = name, user
        self.out = house.work / f"{name}.out"
        self.err = house.work / f"{name}.err"
        words = [str(GATEHOUSE), "run", "--config", str(house.config), "--agent", agent, "--user",
                 user, "--json", "--", *command]
        self.last_byte = 0.0
        with open(self.err, "wb") as err:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL,
                                            stdout=subprocess.PIPE, stderr=err)
        self.out.touch()
        self.pump = threading.Thread(target=self.keep_output, daemon=True)
        self.pump.start()
        deadline = time.monotonic() + 20
        while True:
            first = self.err.read_text(encoding="utf-8", errors="replace").split("\n")[0]
            if first.startswith('{"run"'):
                facts = json.loads(first)
                self.id, self.trace = facts["run"], facts["trace"]
                return
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"demo: the run {name} did not start: {first}")
            time.sleep(0.02)

    def keep_output(self):
        """Writes down what the Run prints, and when the last of it came."""
        with open(self.out, "ab", buffering=0) as out:
            while piece := self.process.stdout.read1(65536):
                self.last_byte = time.time()
                out.write(piece)

    def end(self):
        """Waits for its end, which is to be a good one."""
        try:
            status = self.process.wait(RUN_MOST_S)
        except subprocess.TimeoutExpired:
            status = "no end"
        self.pump.join(READ_MOST_S)
        if status != 0:
            raise SystemExit(f"demo: the run {self.name} ended with {status}; its words are in "
                             f"{self.out} and {self.err}")
        return self

    def wait_until(self, holds, what):
        """Polls until `holds` says so, while the Run is alive; returns what it said."""
        deadline = time.monotonic() + RUN_MOST_S
        while not (found := holds()):
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise SystemExit(f"demo: waited in vain for {what}; the agent's words are in "
                                 f"{self.out} and {self.err}")
            time.sleep(0.1)
        return found
