#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A whole house whose programs carry a sanitizer, under a load of everything at once: undisturbed,
then while the config is read again, runs are killed and revived, and every role dies. No
sanitizer says a word, no answer is wrong, every role ends in order, and the log is intact. And
what a sanitizer would say is heard: faults are planted in roles.

SANITIZED_LOAD_SECONDS (8) is how long it is; tools/soak takes longer."""
import json
import os
import re
import signal
import ssl
import subprocess
import threading
import time
import unittest
import urllib.parse
import urllib.request
from pathlib import Path

from attach_test import free_port, make_certificate
from busy_house import KEY, SERVICES, BusyHouse, Listener
from house import GATEHOUSE, main, send_signal
from mixed_upstream import Upstream

SECONDS = float(os.environ.get("SANITIZED_LOAD_SECONDS", "8"))
HERE = Path(__file__).resolve().parent
IS_THREADS = os.environ["GATEHOUSE_SANITIZE"] == "thread"  # as the build's cache has it
STATUS = 97  # a process ends with it when its sanitizer has found something
LEAK, FREED_MEMORY, UNDEFINED, RACE = 1, 2, 3, 4  # src/bin/planted_faults.cc
OPTIONS = {
    # A confined process starts no symbolizer: this test does it. What is found ends the process.
    "ASAN_OPTIONS": f"symbolize=0:exitcode={STATUS}:detect_leaks=1:strict_string_checks=1:"
                    "detect_stack_use_after_return=1:allow_addr2line=0",
    "LSAN_OPTIONS": f"exitcode={STATUS}",
    "UBSAN_OPTIONS": f"symbolize=0:exitcode={STATUS}:print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": f"symbolize=0:exitcode={STATUS}:halt_on_error=1:second_deadlock_stack=1"}
REPORT = re.compile(r"==\d+==\s*ERROR: |WARNING: ThreadSanitizer|: runtime error: |"
                    r"Sanitizer:? (CHECK failed|failed)|LeakSanitizer has encountered")
BUG = re.compile(r"CHECK failed|\bBUG\b|Assertion|task ended by an exception|terminate called")

CONFIG = """version: 1
data: {data}
users: [{{name: alice}}]
access_log: {{to: {folder}/access.log}}
otlp: {{endpoint: "http://127.0.0.1:{port}", allow_private: true}}
attach: {{listen: "127.0.0.1:{attach}", tls_certificate: attach.pem, tls_key: attach.key}}
services:
""" + SERVICES + """  - name: secure
    kind: openai
    url: https://secure.gatehouse
    upstream: http://127.0.0.1:{port}
    allow_private: true
    credential: {{kind: static, header: authorization, prefix: "Bearer "}}
  - {{name: sealed, kind: http, url: "http://sealed.gatehouse", allow_private: true,
      upstream: "https://127.0.0.1:{tls}", upstream_ca: "{folder}/upstream.pem"}}
  - {{name: helper, kind: a2a, url: "http://helper.gatehouse", upstream: "http://localhost:{port}",
      allow_private: true}}
agents:
  - name: shell
    command: [/bin/sh]
    toolbox: ["{here}:/opt/load"]
    leases_per_second: 100000
    environment:
      OPENAI_API_KEY: "{{{{placeholder:openai}}}}"
      SECURE_API_KEY: "{{{{placeholder:secure}}}}"
      MAIL_TOKEN: "{{{{placeholder:mail}}}}"
    rules:
      - {{id: models, service: openai, methods: [POST], paths: ["/v1/chat/completions"]}}
      - {{id: secure, service: secure, methods: [GET, POST],
         paths: ["/v1/chat/completions", "/said/plain", "/said/gzip", "/said/chunked"]}}
      - {{id: mail, service: mail, methods: [GET], paths: ["/inbox"]}}
      - {{id: sealed, service: sealed, methods: [POST], paths: ["/**"]}}
      - {{id: tools, service: tools, tools: [echo]}}
      - {{id: helper, service: helper, operations: [SendMessage]}}
      - {{id: api, service: api, methods: [GET, POST, WEBSOCKET], paths: ["/**"]}}
{more}"""
# What a config that is read again differs by.
MORE = '      - {id: more, service: api, methods: [PUT], paths: ["/more/**"]}\n'
SLOW = ("curl -sSN --fail http://openai.gatehouse/v1/chat/completions -d '{\"model\":\"m\","
        "\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"slowly\"}]}' "
        "-H 'content-type: application/json' -H \"authorization: Bearer $OPENAI_API_KEY\"")


class House(BusyHouse):
    """With everything that a house can have, and every word that its programs say kept."""

    def __init__(self):
        os.environ.update(OPTIONS)  # of the house and of every command that is asked of it
        super().__init__()
        self.folder.chmod(0o755)
        self.upstreams = [Listener(("127.0.0.1", 0), Upstream) for _ in range(2)]
        for stem in ("attach", "upstream"):
            make_certificate(self.folder / stem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "upstream.pem", self.folder / "upstream.key")
        self.upstreams[1].socket = context.wrap_socket(self.upstreams[1].socket, server_side=True)
        for upstream in self.upstreams:
            threading.Thread(target=upstream.serve_forever, daemon=True).start()
        self.attach = free_port()
        self.write_config("")
        self.said = []  # by commands
        self.killed = 0

    def write_config(self, more):
        plain, sealed = (upstream.server_port for upstream in self.upstreams)
        self.config.write_text(CONFIG.format(
            data=self.data, folder=self.folder, port=plain, tls=sealed, attach=self.attach,
            here=HERE, more=more))

    def ask(self, *words, **more):
        done = super().ask(*words, **more)
        self.said.append((words, done.returncode, done.stderr))
        return done

    def must(self, *words, **more):
        done = self.ask(*words, **more)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def begin(self):
        self.up()
        for service in ("openai", "secure"):
            key = self.folder / "key"
            key.write_text(KEY + "\n")
            self.must("connect", service, "--user", "alice", "--from-file", str(key))
            key.unlink()
        self.link_mail()

    def link_mail(self):
        asking = subprocess.Popen(
            [GATEHOUSE, "connect", "mail", "--user", "alice", "--json", "--config",
             str(self.config)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        link = json.loads(asking.stdout.readline())["authorize"]
        asked = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(link).query))
        back = urllib.parse.urlencode({"code": "c0de", "state": asked["state"]})
        urllib.request.urlopen(asked["redirect_uri"] + "?" + back, timeout=20).read()
        _, err = asking.communicate(timeout=60)
        assert asking.returncode == 0, err

    def kill(self, *names):
        self.killed += len(names)
        super().kill(*names)

    def threads(self):
        """How many each role has."""
        found = {}
        for role in self.roles():
            status = Path(f"/proc/{role['pid']}/status").read_text()
            found[role["role"]] = int(re.search(r"Threads:\s+(\d+)", status)[1])
        return found

    def end(self):
        """In order, however long sanitizers look for leaks; its exit status."""
        self.process.terminate()
        return self.process.wait(120)

    def remove(self):
        for upstream in self.upstreams:
            upstream.shutdown()
            upstream.server_close()
        super().remove()

    def reports(self):
        """What sanitizers said, and other bugs, with names in the place of addresses."""
        texts = [self.log.read_text(errors="replace")]
        texts += [f"{' '.join(words)}: status {status}\n{err}"
                  for words, status, err in self.said if REPORT.search(err) or status == STATUS]
        found = [text for text in texts if REPORT.search(text) or BUG.search(text)]
        return "\n".join(named(excerpt(text)) for text in found)


def excerpt(text):
    """From the first sign of a fault on."""
    signs = [sign.start() for sign in (REPORT.search(text), BUG.search(text)) if sign]
    return text[max(0, min(signs) - 300):][:12_000]


def named(report):
    """A sanitizer's frames with function, file and line."""
    def name(place):
        path = re.sub(r"/house-[^/]+/", "/bin/", place[1])
        done = subprocess.run(["llvm-symbolizer-19", "--obj=" + path, place[2]],
                              capture_output=True, text=True, check=False)
        lines = [line for line in done.stdout.splitlines() if line]
        return " in ".join(lines[:2]) or place[0]
    return re.sub(r"\((/[^\s()]+)\+(0x[0-9a-f]+)\)", name, report)


class Run:
    """The mixed load in a run, and what it says of it."""

    def __init__(self, house, name, verb="run", program="/opt/load/mixed_load.py"):
        self.name = name
        self.lines = []
        self.process = subprocess.Popen(
            [GATEHOUSE, verb, "-a", "shell", "-u", "alice", "--config", str(house.config), "--",
             "/usr/bin/python3", "-B", program, name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.run = self.process.stderr.readline().split()[2]
        self.errors = []
        for stream, taken in ((self.process.stdout, self.lines),
                              (self.process.stderr, self.errors)):
            threading.Thread(target=self.read, args=(stream, taken), daemon=True).start()

    @staticmethod
    def read(stream, taken):
        for line in stream:
            taken.append(line.rstrip("\n").split(" ", 4))

    def told(self, what):
        return [(line[1], float(line[2]), float(line[3]), line[4] if len(line) > 4 else "")
                for line in list(self.lines) if line[0] == what]

    def works(self, since):
        """When every kind was answered well that was asked after that."""
        deadline = time.monotonic() + 60
        while True:
            well = {kind for kind, began, _, _ in self.told("well") if began >= since}
            if well >= self.kinds:
                return time.monotonic()
            assert self.process.poll() is None, self.errors
            assert time.monotonic() < deadline, (
                self.kinds - well, self.told("refused")[-5:], self.told("wrong")[-5:])
            time.sleep(0.02)

    kinds = frozenset({"chat"})  # what it says at least

    def finish(self):
        self.process.stdin.close()
        status = self.process.wait(120)
        self.totals = {line[1]: int(line[2]) for line in self.lines if line[0] == "total"}
        return status


class Sanitized(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.house = House()
        self.addCleanup(self.house.remove)
        self.addCleanup(self.stop)
        self.runs = []

    def stop(self):
        for run in self.runs:
            run.process.kill()
            run.process.wait(10)
        if self.house.process is not None and self.house.process.poll() is None:
            self.house.process.kill()
            self.house.process.wait(10)

    def start(self, *about, **more):
        self.runs.append(Run(self.house, *about, **more))
        return self.runs[-1]

    def ends_in_order(self):
        self.assertEqual(self.house.end(), 0, self.house.log.read_text()[-3000:])

    def no_complaints(self):
        self.assertEqual(self.house.reports(), "")
        log = self.house.log.read_text()
        self.assertNotIn("did not end in order", log)
        ends = re.findall(r"a role ended; .*", log)
        self.assertEqual([end for end in ends if "signal=9" not in end], [])
        self.assertEqual(len(ends), self.house.killed, ends)
        self.assertEqual(self.house.processes(), {})

    def test_everything_at_once(self):
        self.house.begin()
        inside = self.start("inside")
        inside.kinds = {"chat", "stream", "big", "tool", "other_agent", "mail", "web_socket",
                        "denied", "intercepted", "echoed", "sealed", "broken_off", "malformed"}
        outside = self.start("outside", verb="attach", program=str(HERE / "mixed_load.py"))
        outside.kinds = inside.kinds - {"malformed"}
        calm_from = self.all_work(0)
        time.sleep(SECONDS / 2)
        self.has_one_thread_a_role()
        disturbed_from = time.monotonic()
        while True:
            self.disturb()
            ended = time.monotonic()
            if ended - disturbed_from > SECONDS / 2:
                break
        for run in self.runs:
            self.assertEqual(run.finish(), 0, run.errors)
        verified = self.house.must("audit", "verify")
        self.ends_in_order()
        self.no_complaints()
        self.judge(calm_from, disturbed_from)
        print(f"{ended - calm_from:.1f} s, {self.house.killed} roles killed, "
              f"{verified.splitlines()[0]}", flush=True)

    def all_work(self, since):
        return max(run.works(since) for run in self.runs)

    def judge(self, begin, end):
        """No answer is ever wrong; between those, while nothing disturbs, none is refused."""
        for run in self.runs:
            print(run.name, run.totals, flush=True)
            self.assertEqual(run.told("wrong"), [])
            refused = [one for one in run.told("refused") if begin <= one[1] and one[2] <= end]
            self.assertEqual(refused, [])
            self.assertEqual({kind for kind, count in run.totals.items() if count == 0}, set())

    def has_one_thread_a_role(self):
        """As the filter of an ordinary build holds it to; ThreadSanitizer has one of its own."""
        most = 2 if IS_THREADS else 1
        self.assertEqual({name: count for name, count in self.house.threads().items()
                          if count > most}, {})

    def disturb(self):
        for more in (MORE, ""):
            self.house.write_config(more)
            self.house.must("reload")
        self.kill_a_run()
        for role in [one["role"] for one in self.house.roles()]:
            self.house.kill(role)

    def kill_a_run(self):
        """In the middle of a stream, which is cut; and it goes on when it is revived."""
        run = self.house.start("/bin/sh", "-c", f"{SLOW}; echo; echo cut; read line; {SLOW}",
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
        try:
            name = run.stderr.readline().split()[2]
            self.assertIn("slowly 0;", run.stdout.readline())
            self.house.must("kill", name)
            self.house.must("revive", name)  # until then it is frozen
            while "cut" not in (line := run.stdout.readline()):
                self.assertNotIn("[DONE]", line)
            run.stdin.write("\n")
            run.stdin.flush()
            self.assertIn("slowly 0;", run.stdout.readline())
        finally:
            run.kill()
            run.communicate(timeout=60)

    def test_what_a_sanitizer_finds_is_heard_and_ends_the_process(self):
        self.house.begin()
        if IS_THREADS:
            self.is_caught("gateway", RACE, "WARNING: ThreadSanitizer: data race")
            return self.ends_in_order()
        self.is_caught("vault", FREED_MEMORY, "heap-use-after-free")
        self.is_caught("control", UNDEFINED, "runtime error: signed integer overflow")
        # And what is only seen when it ends, of each of them.
        pids = {role["role"]: int(role["pid"]) for role in self.house.roles()}
        for pid in pids.values():
            send_signal(pid, signal.SIGRTMIN + LEAK)
        time.sleep(0.5)
        self.ends_in_order()
        log = self.house.log.read_text()
        for role, pid in pids.items():
            for said in (f"=={pid}==ERROR: LeakSanitizer: detected memory leaks",
                         f"a role did not end in order name={role} pid={pid} status={STATUS}"):
                self.assertTrue(said in log, f"{role}: {said}\n{log[-6000:]}")

    def is_caught(self, role, fault, words):
        before = self.house.role(role)
        send_signal(before["pid"], signal.SIGRTMIN + fault)
        self.house.wait_for_role(role, before["pid"])
        log = self.house.log.read_text()
        self.assertIn(words, log)
        self.assertIn("planted_faults.cc", named(excerpt(log)))
        self.assertRegex(log, f"a role ended; .*name={role} pid={before['pid']} status={STATUS}")


if __name__ == "__main__":
    main()
