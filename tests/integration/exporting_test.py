#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What leaves a house of what is on record: spans to a collector that misbehaves now and then, and
the access log."""
import http.server
import json
import os
import signal
import threading
import time
import unittest

from house import House, main, send_signal
from prometheus import Prometheus, free_port

KEY = "sk-exporting-test-0123456789abcdef"
TOKEN = "of-the-collector-0123456789"
CANARY = "canary-of-what-is-said"
FOREIGN = "4bf92f3577b34da6a3ce929d0e0e4736"

CONFIG = """version: 1
data: {data}
users: [{{name: alice}}]
otlp:
  endpoint: http://127.0.0.1:{collector}
  allow_private: true
  headers_file: {folder}/otlp-headers
  resource: {{deployment.environment.name: test}}
access_log: {{to: {folder}/access.log}}
metrics: {{listen: "127.0.0.1:{port}"}}
prices: [{{model: "gpt-*", input: 1, output: 2}}]
services:
  - name: openai
    kind: openai
    url: http://openai.gatehouse
    upstream: http://127.0.0.1:{upstream}
    allow_private: true
    credential: {{kind: static}}
    scope: user
  - name: tools
    kind: mcp
    url: http://tools.gatehouse
    upstream: http://127.0.0.1:{upstream}
    allow_private: true
agents:
  - name: shell
    command: [/bin/sh]
    environment: {{OPENAI_API_KEY: "{{{{placeholder:openai}}}}"}}
    rules:
      - {{id: models, service: openai}}
      - {{id: tools, service: tools, tools: [echo]}}
"""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, body, headers=()):
        self.send_response(status)
        for name, value in (("content-type", "application/json"), ("content-length", len(body)),
                            *headers):
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def body(self):
        return self.rfile.read(int(self.headers["content-length"] or 0))


class Upstream(Handler):
    seen = []  # path, traceparent

    def do_POST(self):
        request = json.loads(self.body())
        self.path = self.path.split("?")[0]
        Upstream.seen.append((self.path, self.headers["traceparent"]))
        if self.path.endswith("/embeddings"):
            said = {"object": "list", "model": "embed-1", "data": [
                {"object": "embedding", "index": 0, "embedding": [0.5]}],
                "usage": {"prompt_tokens": 3, "total_tokens": 3}}
        elif self.path.endswith("/completions"):
            said = {"id": "c-1", "object": "chat.completion", "model": "gpt-test-1", "choices": [
                {"index": 0, "finish_reason": "stop",
                 "message": {"role": "assistant", "content": CANARY}}],
                "usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}}
        else:
            said = {"jsonrpc": "2.0", "id": request["id"], "result": {
                "content": [{"type": "text", "text": CANARY}], "isError": True}}
        self.answer(200, json.dumps(said).encode())


class Collector(Handler):
    """As OTLP says a receiver is, and as its script says before that."""
    requests = []
    spans = []
    script = []  # statuses that the next requests are answered with

    def do_POST(self):
        body = self.body()
        Collector.requests.append((
            self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        if Collector.script:
            self.answer(Collector.script.pop(0), b"", [("retry-after", "1")])
            return
        request = json.loads(body)
        for resource in request["resourceSpans"]:
            about = attributes(resource["resource"])
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    Collector.spans.append((about, span, attributes(span)))
        self.answer(200, b"{}")


def attributes(of):
    """By name; a name that is there twice, or a value of an unknown kind, fails."""
    out = {}
    for attribute in of["attributes"]:
        (kind, value), = attribute["value"].items()
        assert attribute["key"] not in out, attribute
        out[attribute["key"]] = {
            "stringValue": lambda: value, "boolValue": lambda: bool(value),
            "intValue": lambda: int(value), "doubleValue": lambda: float(value),
            "arrayValue": lambda: [item["stringValue"] for item in value["values"]]}[kind]()
    return out


def server(handler):
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    return made


def setUpModule():
    global HOUSE, SERVERS
    HOUSE = House()
    HOUSE.port = free_port()
    SERVERS = [server(Collector), server(Upstream)]
    (HOUSE.folder / "otlp-headers").write_text(f"Authorization: Bearer {TOKEN}\nx-scope: tenant\n")
    os.chmod(HOUSE.folder / "otlp-headers", 0o600)
    HOUSE.config.write_text(CONFIG.format(
        data=HOUSE.data, folder=HOUSE.folder, collector=SERVERS[0].server_port,
        upstream=SERVERS[1].server_port, port=HOUSE.port))
    HOUSE.up()
    HOUSE.connect(KEY)


def tearDownModule():
    HOUSE.down()
    HOUSE.remove()
    for one in SERVERS:
        one.shutdown()
        one.server_close()


def wait_for(what):
    for _ in range(600):
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError(HOUSE.log.read_text())


def pid_of_exporter():
    return next(role["pid"] for role in HOUSE.roles() if role["role"] == "exporter")


def sample(name):
    return json.loads(HOUSE.ask("metrics", "--json").stdout).get(name, 0)


def curl(url, data=None, *headers):
    words = ["curl", "-sS", "-o", "/dev/null", f"'{url}'"]
    for header in headers:
        words += ["-H", f'"{header}"']
    if data is not None:
        words += ["-H", "'content-type: application/json'", "-d", f"'{json.dumps(data)}'"]
    return " ".join(words)


AUTHORIZED = "authorization: Bearer $OPENAI_API_KEY"
CHAT = curl("http://openai.gatehouse/v1/chat/completions?secret=in-a-query",
            {"model": "gpt-test", "messages": [{"role": "user", "content": CANARY}]}, AUTHORIZED)
EMBED = curl("http://openai.gatehouse/v1/embeddings",
             {"model": "embed-test", "input": CANARY}, AUTHORIZED)
TOOL = curl("http://tools.gatehouse/mcp",
            {"jsonrpc": "2.0", "id": 1, "method": "tools/call",
             "params": {"name": "echo", "arguments": {"say": CANARY}}},
            "accept: application/json, text/event-stream")
REFUSED = curl("http://elsewhere.example/path?secret=in-a-query", None,
               f"traceparent: 00-{FOREIGN}-00f067aa0ba902b7-01")


class Spans(unittest.TestCase):
    def test_a_run_and_what_it_did_is_one_trace_with_the_conventions_names(self):
        Collector.script = [503]
        seen = len(Upstream.seen)
        HOUSE.run("/bin/sh", "-c", "; ".join((CHAT, EMBED, TOOL, REFUSED)))
        run = HOUSE.last_run()

        def of_run():
            mine = [span for span in Collector.spans if span[1]["traceId"] == run["trace"]]
            return mine if any("parentSpanId" not in span for _, span, _ in mine) else []
        spans = wait_for(of_run)
        by_name = {span["name"]: (span, named) for _, span, named in spans}
        self.assertEqual(sorted(by_name), ["GET", "chat gpt-test", "embeddings embed-test",
                                           "invoke_agent shell", "tools/call echo"])
        root, of_root = by_name["invoke_agent shell"]
        self.assertEqual((root["kind"], of_root["gen_ai.operation.name"],
                          of_root["gatehouse.run.id"], of_root["gen_ai.agent.name"]),
                         (1, "invoke_agent", run["run"], "shell"))
        for name, (span, named) in by_name.items():
            self.assertRegex(span["spanId"], "^[0-9a-f]{16}$")
            begin, end = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
            self.assertLessEqual(begin, end)
            if span is not root:
                self.assertEqual((span["parentSpanId"], span["kind"]), (root["spanId"], 3), name)
                self.assertLessEqual(int(root["startTimeUnixNano"]), begin + 10**9)
        for about, _, _ in spans:
            self.assertEqual((about["service.name"], about["deployment.environment.name"]),
                             ("gatehouse", "test"))
        self.look_at_calls(by_name)
        # What the upstreams were told is what the collector is.
        sent = {"00-%s-%s-01" % (run["trace"], by_name[name][0]["spanId"])
                for name in ("chat gpt-test", "embeddings embed-test", "tools/call echo")}
        self.assertEqual({trace for _, trace in Upstream.seen[seen:]}, sent)
        self.look_at_requests()

    def look_at_calls(self, by_name):
        chat = by_name["chat gpt-test"][1]
        wanted = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai",
                  "gen_ai.request.model": "gpt-test", "gen_ai.response.model": "gpt-test-1",
                  "gen_ai.response.finish_reasons": ["stop"], "gen_ai.usage.input_tokens": 7,
                  "gen_ai.usage.output_tokens": 5, "gatehouse.cost.micro_usd": 17,
                  "server.address": "127.0.0.1", "server.port": SERVERS[1].server_port,
                  "http.response.status_code": 200, "gatehouse.rule": "models"}
        self.assertEqual({name: chat.get(name) for name in wanted}, wanted)
        self.assertEqual(by_name["embeddings embed-test"][1]["gen_ai.operation.name"], "embeddings")
        span, tool = by_name["tools/call echo"]
        self.assertEqual((tool["gen_ai.operation.name"], tool["mcp.method.name"],
                          tool["gen_ai.tool.name"], tool["error.type"], span["status"]["code"]),
                         ("execute_tool", "tools/call", "echo", "tool_error", 2))
        span, refused = by_name["GET"]
        self.assertEqual((refused["error.type"], refused["server.address"]),
                         ("denied", "elsewhere.example"))
        self.assertEqual(span["links"], [{"traceId": FOREIGN, "spanId": "00f067aa0ba902b7"}])

    def look_at_requests(self):
        path, headers, _ = Collector.requests[-1]
        self.assertEqual((path, headers["authorization"], headers["x-scope"],
                          headers["content-type"]),
                         ("/v1/traces", f"Bearer {TOKEN}", "tenant", "application/json"))
        for _, _, body in Collector.requests:
            for secret in (CANARY, KEY, TOKEN, "in-a-query", "alice"):
                self.assertNotIn(secret.encode(), body)
        self.assertGreaterEqual(
            sample('gatehouse_exporter_failed_posts_total{role="exporter"}'), 1)
        self.assertGreaterEqual(sample('gatehouse_exporter_sent_spans_total{role="exporter"}'), 5)
        self.assertEqual(sample("gatehouse_control_unknown_counters"), 0)
        self.assertNotIn(TOKEN, HOUSE.log.read_text())

    def test_what_waits_when_the_house_stops_is_sent(self):
        Collector.script = [503]
        HOUSE.run("/bin/sh", "-c", CHAT)
        trace = HOUSE.last_run()["trace"]
        HOUSE.down()
        self.addCleanup(HOUSE.up)
        names = [span["name"] for _, span, _ in Collector.spans if span["traceId"] == trace]
        self.assertIn("chat gpt-test", names)
        self.assertEqual(len(names), 2, "and the run's own")

    def test_a_collector_elsewhere_is_in_force_by_a_reload(self):
        other = server(Collector)
        before = HOUSE.config.read_text()
        try:
            HOUSE.config.write_text(before.replace(
                f"http://127.0.0.1:{SERVERS[0].server_port}\n",
                f"http://127.0.0.1:{other.server_port}/own/path\n"))
            done = HOUSE.ask("reload", "--json")
            self.assertEqual([one["what"] for one in json.loads(done.stdout)["changes"]], ["otlp"])
            HOUSE.run("/bin/sh", "-c", EMBED)
            wait_for(lambda: [path for path, _, _ in Collector.requests if path == "/own/path"])
        finally:
            HOUSE.config.write_text(before)
            self.assertEqual(HOUSE.ask("reload").returncode, 0)
            other.shutdown()
            other.server_close()


class Metrics(unittest.TestCase):
    def test_a_prometheus_knows_what_models_used_and_what_was_refused(self):
        HOUSE.run("/bin/sh", "-c", "; ".join((CHAT, CHAT, REFUSED)))
        with Prometheus(HOUSE.port) as prometheus:
            prometheus.wait_for("up{job='house'} == 1")

            def of_openai(name):
                one, = prometheus.ask(f"sum by (provider) (gatehouse_gateway_llm_{name}_total)")
                self.assertEqual(one["metric"], {"provider": "openai"})
                return float(one["value"][1])
            calls = of_openai("calls")
            self.assertGreaterEqual(calls, 2)
            self.assertGreaterEqual(of_openai("input_tokens"), 14)
            self.assertGreaterEqual(of_openai("output_tokens"), 10)
            self.assertGreater(of_openai("cost_usd"), 0)
            self.assertEqual(of_openai("reasoning_output_tokens"), 0)
            for query in ("sum(gatehouse_gateway_refusals_total{reason='denied'}) >= 1",
                          "sum(gatehouse_gateway_made_upstream_connections_total) >= 1",
                          "sum(gatehouse_gateway_used_upstream_connections) == 0",
                          "gatehouse_exporter_written_lines_total >= 3",
                          "gatehouse_exporter_dropped_lines_total == 0"):
                self.assertTrue(prometheus.ask(query), query)
            self.assertEqual(prometheus.ask("gatehouse_control_unknown_counters > 0"), [])


class AccessLog(unittest.TestCase):
    def lines(self, run, name="access.log"):
        text = (HOUSE.folder / name).read_text()
        return [line for line in map(json.loads, text.splitlines()) if line.get("run") == run]

    def test_each_exchange_is_a_line(self):
        HOUSE.run("/bin/sh", "-c", "; ".join((CHAT, TOOL, REFUSED)))
        run = HOUSE.last_run()
        chat, tool, refused = wait_for(
            lambda: found if len(found := self.lines(run["run"])) == 3 else None)
        self.assertRegex(chat["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        wanted = {"outcome": "done", "tenant": chat["tenant"], "trace": run["trace"],
                  "agent": "shell", "service": "openai", "call": "llm", "method": "POST",
                  "host": "openai.gatehouse", "path": "/v1/chat/completions", "rule": "models",
                  "ruling": "allow", "status": 200, "operation": "chat", "provider": "openai",
                  "model": "gpt-test", "input_tokens": 7, "output_tokens": 5,
                  "cost_micro_usd": 17, "stream": False}
        self.assertEqual({key: chat.get(key) for key in wanted}, wanted)
        self.assertGreater(chat["duration_ms"], 0)
        self.assertEqual((tool["call"], tool["mcp_method"], tool["tool"]),
                         ("mcp", "tools/call", "echo"))
        self.assertEqual((refused["outcome"], refused["ruling"], refused["path"]),
                         ("refused", "deny", "/path"))
        text = (HOUSE.folder / "access.log").read_text()
        for secret in ("in-a-query", CANARY, KEY, "alice"):
            self.assertNotIn(secret, text)
        self.assertEqual(os.stat(HOUSE.folder / "access.log").st_mode & 0o777, 0o640)

    def test_what_is_refused_before_it_is_understood_is_a_line_too(self):
        HOUSE.run("/bin/sh", "-c", CHAT.replace('"model": "gpt-test"', '"model": 1, "model": 2'))
        run = HOUSE.last_run()["run"]
        line, = wait_for(lambda: self.lines(run))
        wanted = {"outcome": "refused", "error": "invalid_request", "ruling": "deny",
                  "rule": "invalid_request",
                  "method": "POST", "host": "openai.gatehouse", "path": "/v1/chat/completions"}
        self.assertEqual({key: line.get(key) for key in wanted}, wanted)
        self.assertIn("twice", line["reason"])

    def test_what_cannot_be_read_as_http_is_a_line_too(self):
        HOUSE.run("/bin/sh", "-c", "curl -sS http://openai.gatehouse/ -H 'content-length: 1' "
                                   "-H 'transfer-encoding: chunked' -d x")
        line, = wait_for(lambda: self.lines(HOUSE.last_run()["run"]))
        wanted = {"outcome": "refused", "error": "invalid_request", "ruling": "deny",
                  "rule": "malformed", "method": "HTTP"}
        self.assertEqual({key: line.get(key) for key in wanted}, wanted)
        self.assertIn("trace", line)

    def test_a_file_that_was_moved_away_is_followed_by_a_new_one(self):
        os.rename(HOUSE.folder / "access.log", HOUSE.folder / "access.log.1")
        HOUSE.process.send_signal(signal.SIGHUP)
        wait_for((HOUSE.folder / "access.log").exists)
        HOUSE.run("/bin/sh", "-c", REFUSED)
        run = HOUSE.last_run()["run"]
        wait_for(lambda: self.lines(run))
        self.assertEqual(self.lines(run, "access.log.1"), [])

    def test_one_that_cannot_be_opened_is_refused_and_the_one_before_goes_on(self):
        before = HOUSE.config.read_text()
        os.symlink("/etc/passwd", HOUSE.folder / "link")
        try:
            for to in ("link", "no-such-folder/log", "."):
                HOUSE.config.write_text(before.replace(f"{HOUSE.folder}/access.log",
                                                       f"{HOUSE.folder}/{to}"))
                done = HOUSE.ask("reload")
                self.assertNotEqual(done.returncode, 0, to)
        finally:
            HOUSE.config.write_text(before)
        HOUSE.run("/bin/sh", "-c", REFUSED)
        run = HOUSE.last_run()["run"]
        wait_for(lambda: self.lines(run))

    def test_nothing_waits_for_an_exporter_that_hangs_or_has_ended(self):
        pid = pid_of_exporter()
        send_signal(pid, signal.SIGSTOP)
        try:
            done = HOUSE.run("/bin/sh", "-c", f"{EMBED} -w '%{{http_code}}'", timeout=30)
            self.assertEqual(done.stdout, "200")
            run = HOUSE.last_run()["run"]
            self.assertEqual(self.lines(run), [])
        finally:
            send_signal(pid, signal.SIGCONT)
        wait_for(lambda: self.lines(run))
        send_signal(pid, signal.SIGKILL)
        done = HOUSE.run("/bin/sh", "-c", f"{EMBED} -w '%{{http_code}}'", timeout=30)
        self.assertEqual(done.stdout, "200")
        run = HOUSE.last_run()["run"]
        wait_for(lambda: self.lines(run))
        HOUSE.wait_until_ready()
        self.assertNotEqual(pid_of_exporter(), pid)
        self.assertEqual(sample('gatehouse_audit_unreported_entries_total{role="audit"}'), 0)


class Confinement(unittest.TestCase):
    def test_doctor_finds_the_exporter_as_confined_as_it_should_be(self):
        self.assertEqual(HOUSE.complaints(), [])
        done = HOUSE.ask("doctor")
        self.assertIn("EXPORTER", done.stdout)


if __name__ == "__main__":
    main()
