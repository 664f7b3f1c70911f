# SPDX-License-Identifier: Apache-2.0
"""The gatehouse itself, as a person runs it: its config, and its one command."""
import json
import shutil
import subprocess
import time

from .world import NPM, ROOT, World

GATEHOUSE = ROOT / "build/dev/bin/gatehouse"
MODEL = "gatehouse-demo"
NPM_INSIDE = "/opt/agents/node_modules"
INSTRUCTIONS = [".openclaw/openclaw.json", ".openclaw/workspace/SOUL.md",
                ".openclaw/workspace/AGENTS.md"]

AGENT = """
  - name: {name}
    skeleton: {skeleton}
    toolbox: ["{npm}:{npm_inside}"]
    read_only: [{read_only}]
    environment:
      PATH: {npm_inside}/.bin:/usr/bin:/bin
      OPENAI_BASE_URL: http://model.gatehouse/v1
      OPENAI_API_KEY: "{{{{placeholder:model}}}}"
      CALENDAR_TOKEN: "{{{{placeholder:calendar}}}}"
      MCP_URL: http://tools.gatehouse/mcp
    rules:
      - {{id: models, service: model, methods: [POST], paths: ["/v1/chat/completions"]}}
      - {{id: calendar, service: calendar, methods: [GET, POST, PATCH], paths: ["/calendar/**"]}}
      - {{id: tools, service: tools, tools: [echo, get-sum]}}
"""

CONFIG = """version: 1
data: {data}
users: [{{name: alice}}, {{name: bob}}, {{name: carol}}]
services:
  - name: model
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
        (skeleton / ".openclaw").mkdir(parents=True)
        settings = (ROOT / "demo/openclaw/openclaw.json").read_text(encoding="utf-8")
        (skeleton / ".openclaw/openclaw.json").write_text(
            settings.replace(MODEL, model or MODEL), encoding="utf-8")
        shutil.copytree(ROOT / "demo/openclaw/workspace", skeleton / ".openclaw/workspace")
        agents = "".join(
            AGENT.format(name=name, skeleton=skeleton, npm=NPM.resolve(), npm_inside=NPM_INSIDE,
                         read_only=", ".join(INSTRUCTIONS))
            for name in ("openclaw", "forgetful"))
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
        return self.start(agent, user, ["node", f"{NPM_INSIDE}/openclaw/openclaw.mjs", "agent",
                                        "--local", "--session-id", name, "-m", task], name)

    def story(self, run_id):
        return json.loads(self.ask("transcript", run_id).stdout)

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


class Run:
    """One `gatehouse run`, under way."""

    def __init__(self, house, agent, user, command, name):
        self.name = name
        self.out = house.work / f"{name}.out"
        self.err = house.work / f"{name}.err"
        words = [str(GATEHOUSE), "run", "--config", str(house.config), "--agent", agent, "--user",
                 user, "--json", "--", *command]
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=err)
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

    def wait(self, most_s=180):
        try:
            return self.process.wait(most_s)
        except subprocess.TimeoutExpired:
            return None
