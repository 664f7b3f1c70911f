#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What an operator sees of a house that runs: the example configurations in force, logs, metrics
and health."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request
from pathlib import Path

from house import GATEHOUSE, House, gatehouse, main
from prometheus import Prometheus, free_port

ROOT = Path(__file__).resolve().parents[2]
KEY = "sk-observed-test-0123456789abcdef"
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def setUpModule():
    global HOUSE
    HOUSE = House()
    HOUSE.port = free_port()
    HOUSE.config.write_text(HOUSE.config.read_text() + "log: {format: json}\n"
                            f"metrics: {{listen: '127.0.0.1:{HOUSE.port}'}}\n")
    HOUSE.up()
    HOUSE.connect(KEY)


def tearDownModule():
    HOUSE.down()
    HOUSE.remove()


def fetch(path, **headers):
    request = urllib.request.Request(f"http://127.0.0.1:{HOUSE.port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def sample(name):
    return json.loads(HOUSE.ask("metrics", "--json").stdout).get(name, 0)


def logged():
    """Every line, as JSON: one that is not fails here."""
    return [json.loads(line) for line in HOUSE.log.read_text().splitlines()]


class Examples(unittest.TestCase):
    def test_a_house_runs_with_each(self):
        folder = tempfile.mkdtemp(prefix="gatehouse-examples-")
        self.addCleanup(shutil.rmtree, folder)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=gate", "-days", "1",
                        "-keyout", f"{folder}/gate.key", "-out", f"{folder}/gate.pem"], check=True,
                       capture_output=True)
        houses = []
        for example in sorted((ROOT / "docs/examples").glob("*.yaml")):
            data = Path(folder) / example.stem
            data.mkdir()
            config = Path(folder) / example.name
            text = example.read_text()
            for port in (":9464", ":7443", ":8443"):
                text = text.replace(port, f":{free_port()}")
            config.write_text(text)
            with open(Path(folder) / f"{example.stem}.log", "wb") as log:
                houses.append((example, data, subprocess.Popen(
                    [GATEHOUSE, "up", "--config", str(config), "--data", str(data)],
                    stdout=log, stderr=log)))
        try:
            for example, data, _ in houses:
                wanted = json.loads(gatehouse("config", "check", "--json",
                                              str(example)).stdout)["files"][0]
                self.assertTrue(wanted["valid"])
                objects = self.objects(data)
                text = example.read_text()
                for name in re.findall(r"\b(?:name|id): ([\w-]+)", text):
                    self.assertIn(name, [item["name"].split("/")[-1] for item in objects], example)
        finally:
            for _, _, process in houses:
                process.send_signal(signal.SIGINT)
            self.assertEqual([process.wait(20) for _, _, process in houses], [0] * len(houses))

    def objects(self, data):
        for _ in range(200):
            done = gatehouse("objects", "--json", "--data", str(data))
            if done.returncode == 0:
                return json.loads(done.stdout)
            time.sleep(0.05)
        raise AssertionError(Path(f"{data}.log").read_text())


class Metrics(unittest.TestCase):
    def test_prometheus_own_tool_finds_nothing_wrong_with_them(self):
        status, text = fetch("/metrics")
        self.assertEqual(status, 200)
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True,
                              text=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    def test_a_prometheus_scrapes_them_and_answers_questions_about_times(self):
        HOUSE.run("/bin/sh", "-c", "curl -sS http://example.com/")
        with Prometheus(HOUSE.port) as prometheus:
            prometheus.wait_for("up{job='house'} == 1")
            name = "gatehouse_gateway_exchange_duration_seconds"
            count, = prometheus.ask(f"sum({name}_count)")
            last, = prometheus.ask(f"sum({name}_bucket{{le='+Inf'}})")
            self.assertGreaterEqual(float(count["value"][1]), 1)
            self.assertEqual(last["value"][1], count["value"][1])
            middle, = prometheus.ask(f"histogram_quantile(0.5, sum by (le) ({name}_bucket))")
            self.assertLess(0, float(middle["value"][1]))
            self.assertEqual(prometheus.ask("gatehouse_control_unknown_counters > 0"), [])

    def test_every_process_of_every_role_is_there_and_nothing_unknown(self):
        text = fetch("/metrics")[1]
        names = {role["role"] for role in HOUSE.roles()} | {"supervisor"}
        for name in names:
            for metric in ("gatehouse_role_answering", "gatehouse_process_cpu_seconds_total"):
                self.assertRegex(text, rf'(?m)^{metric}{{role="{re.escape(name)}"}} [1-9.0]')
        self.assertIn("\ngatehouse_control_unknown_counters 0\n", text)
        for role in ("gateway", "vault", "audit", "courier", "sandboxd", "supervisor"):
            self.assertIn(f"# HELP gatehouse_{role}_", text)

    def test_what_happens_is_counted(self):
        def counted():
            return [sum(sample(name) for name in names) for names in (
                [f'gatehouse_gateway_refusals_total{{role="{role["role"]}",reason="denied"}}'
                 for role in HOUSE.roles()],
                ['gatehouse_sandboxd_made_sandboxes_total{role="sandboxd"}'],
                ['gatehouse_vault_uses_total{role="vault",use="stored"}'])]
        before = counted()
        entries = sample('gatehouse_audit_entries_total{role="audit"}')
        HOUSE.run("/bin/sh", "-c", "curl -sS http://example.com/")
        HOUSE.connect(KEY)
        self.assertEqual(counted(), [number + 1 for number in before])
        self.assertGreater(sample('gatehouse_audit_entries_total{role="audit"}'), entries + 2)

    def test_no_name_of_a_persons_or_an_agents_is_in_them(self):
        HOUSE.run("/bin/sh", "-c", "curl -sS http://canary-host.example/canary-path")
        text = fetch("/metrics")[1]
        for name in ("alice", "shell", "openai", "canary", KEY, str(HOUSE.folder), "run_"):
            self.assertNotIn(name, text)

    def test_the_house_is_well_and_ready(self):
        self.assertEqual(fetch("/healthz"), (200, "ok\n"))
        status, text = fetch("/readyz")
        self.assertEqual((status, json.loads(text)),
                         (200, {"ready": True, "everything_killed": False, "missing": []}))

    def test_it_says_which_role_is_missing_and_why(self):
        pid = int(next(role["pid"] for role in HOUSE.roles() if role["role"] == "courier"))
        os.kill(pid, signal.SIGSTOP)
        try:
            status, text = fetch("/readyz")
            self.assertEqual(fetch("/healthz")[0], 200)
            self.assertEqual(sample('gatehouse_role_answering{role="courier"}'), 0)
        finally:
            os.kill(pid, signal.SIGCONT)
        missing = json.loads(text)["missing"]
        self.assertEqual((status, len(missing), missing[0]["role"]), (503, 1, "courier"), text)
        self.assertIn("does not answer", missing[0]["why"])

    def test_only_this_machines_own_names_are_answered_and_only_to_reads(self):
        self.assertEqual(fetch("/metrics", Host=f"localhost:{HOUSE.port}")[0], 200)
        self.assertEqual(fetch("/metrics", Host="rebound.example")[0], 421)
        self.assertEqual(fetch("/else")[0], 404)
        with socket.create_connection(("127.0.0.1", HOUSE.port), 10) as sock:
            sock.sendall(b"DELETE /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n")
            self.assertTrue(sock.recv(4096).startswith(b"HTTP/1.1 405 "))

    def test_the_socket_is_the_owners(self):
        path = HOUSE.data / "run/metrics.sock"
        def read(uid):
            done = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}",
                                   "--unix-socket", str(path), "http://localhost/metrics"],
                                  capture_output=True, text=True, user=uid, cwd="/", timeout=30)
            return done.stdout
        os.chmod(HOUSE.folder, 0o755)
        os.chmod(HOUSE.data, 0o755)
        self.assertEqual(read(0), "200")
        self.assertEqual(read(65534), "403")

    def test_a_port_that_is_taken_is_told(self):
        with tempfile.TemporaryDirectory() as folder:
            done = gatehouse("up", "--config", str(HOUSE.config), "--data", folder, timeout=20)
        self.assertEqual(done.returncode, 73, done.stderr)
        self.assertIn(f"127.0.0.1:{HOUSE.port}", done.stderr)


class Export(unittest.TestCase):
    def test_a_house_without_an_exporter_says_that_it_has_one_at_the_next_start(self):
        before = HOUSE.config.read_text()
        HOUSE.config.write_text(before + "access_log: {to: stderr}\n"
                                "otlp: {endpoint: 'https://collector.example:4318'}\n")
        try:
            done = HOUSE.ask("reload", "--json")
            self.assertEqual([(one["change"], one["what"]) for one in
                              json.loads(done.stdout)["changes"]],
                             [("at the next start", "otlp"), ("at the next start", "access_log")])
        finally:
            HOUSE.config.write_text(before)
            self.assertEqual(HOUSE.ask("reload").returncode, 0)
        self.assertNotIn("exporter", [role["role"] for role in HOUSE.roles()])


class Logs(unittest.TestCase):
    def test_every_line_of_every_role_is_json_with_time_level_role_and_message(self):
        HOUSE.run("/bin/sh", "-c", "curl -sS http://example.com/")
        lines = logged()
        for line in lines:
            self.assertRegex(line["time"], RFC3339)
            self.assertIn(line["level"], ("info", "warning", "error"))
            self.assertTrue(line["message"])
            self.assertTrue(all(isinstance(value, str) for value in line.values()), line)
        roles = {line["role"] for line in lines}
        self.assertLessEqual({"supervisor", "audit", "control", "gateway", "vault", "sandboxd"},
                             roles)

    def test_what_concerns_a_run_carries_its_trace(self):
        HOUSE.run("/bin/sh", "-c", "curl -sS http://example.com/")
        run = HOUSE.last_run()
        of_run = [line for line in logged() if line.get("run") == run["run"]]
        self.assertGreater(len(of_run), 2)
        for line in of_run:
            self.assertEqual(line.get("trace"), run["trace"], line)
        refused = [line for line in of_run if line["message"] == "refused"]
        self.assertTrue(refused, of_run)

    def test_a_gateway_says_which_one_it_is(self):
        said = {line["role"] for line in logged() if line["message"] == "rules are in force"}
        cores = min(len(os.sched_getaffinity(0)), 16)
        self.assertEqual(said, {"gateway"} | {f"gateway.{i}" for i in range(1, cores)})

    def test_a_flag_stands_above_the_file(self):
        with tempfile.TemporaryDirectory() as folder:
            config = Path(folder) / "gatehouse.yaml"
            config.write_text("version: 1\nlog: {format: json}\n")
            def first(*words):
                with subprocess.Popen([GATEHOUSE, "up", "--config", str(config), "--data", folder,
                                       *words], stderr=subprocess.PIPE, text=True,
                                      env={**os.environ, "GATEHOUSE_LOG": "json"}) as house:
                    line = house.stderr.readline()
                    house.send_signal(signal.SIGINT)
                    house.stderr.read()
                return line
            plain = r"^\S+Z info +supervisor +the house starts "
            self.assertRegex(first("--log", "text"), plain)
            self.assertEqual(json.loads(first())["message"], "the house starts")
            config.write_text("version: 1\nlog: {format: text}\n")
            self.assertRegex(first(), plain)
            config.write_text("version: 1\n")
            self.assertEqual(json.loads(first())["message"], "the house starts")
        self.assertEqual(gatehouse("up", "--log", "xml").returncode, 64)

    def test_no_key_is_in_it(self):
        HOUSE.run("/bin/sh", "-c", f"curl -sS 'http://openai.gatehouse/v1/models?key={KEY}'")
        self.assertNotIn(KEY, HOUSE.log.read_text())


if __name__ == "__main__":
    main()
