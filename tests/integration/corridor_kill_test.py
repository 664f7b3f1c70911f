#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The kill, whatever it meets, and what happens while the audit role is away. In a network of the
test's own, for an opaque tunnel needs a public address."""
import contextlib
import os
import signal
import threading
import time
import unittest

from corridor_house import (CHAT, KEY, MCP, PUBLIC, HouseTest, Server, Upstream, chat,
                            connect_bytes, drain, live_in_own_network, read_response,
                            request_bytes)


class Kill(HouseTest):
    """One kill, of one of two Runs, with every kind of connection open."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.addClassCleanup(Server(PUBLIC, 443).stop)

    def setUp(self):
        super().setUp()
        self.open = {}
        self.over = threading.Event()  # lets the upstream go
        self.addCleanup(self.over.set)
        self.calm = self.house.counters()

    def add(self, name, data, port=None):
        sock = self.house.connect(port)
        self.addCleanup(sock.close)
        sock.sendall(data)
        self.open[name] = sock
        return sock

    def slow_stream(self, name, port=None, headers=None):
        headers = [self.house.bearer("openai")] if headers is None else headers
        sock = self.add(name, request_bytes("POST", CHAT, chat("slowly", True), headers), port)
        stream = sock.makefile("rb")
        self.assertEqual(read_response(stream, head_only=True)[0], 200)
        for _ in range(6):
            self.assertTrue(stream.readline())
        return stream

    def silent_stream(self, upstream, _):
        upstream.begin()
        upstream.chunk(b": I think\n\n")
        self.over.wait(60)

    def flood(self, upstream, _):
        upstream.begin(kind="application/octet-stream")
        with contextlib.suppress(OSError):
            while not self.over.is_set():
                upstream.chunk(b"x" * 65536)

    def scripted(self, script, name, data):
        Upstream.script = script
        sock = self.add(name, data)
        self.assertEqual(read_response(sock.makefile("rb", buffering=0), head_only=True)[0], 200)
        return sock

    def open_everything(self):
        self.slow_stream("a stream")
        self.scripted(self.silent_stream, "an idle stream", request_bytes(
            "POST", CHAT, chat("hi", True), [self.house.bearer("openai")]))
        self.scripted(self.silent_stream, "MCP's own stream", request_bytes("GET", MCP))
        self.scripted(self.flood, "a client that does not read", request_bytes(
            "GET", "http://web.gatehouse/flood"))
        tunnel = self.add("a tunnel", connect_bytes("public.test:443"))
        self.assertEqual(read_response(tunnel.makefile("rb", buffering=0), True)[0], 200)
        Upstream.script = self.silent_stream
        tunnel.sendall(b"GET /tunnelled HTTP/1.1\r\nhost: public.test\r\n\r\n")
        self.assertTrue(tunnel.recv(10))
        sock = self.house.connect()
        self.addCleanup(sock.close)
        tls = self.open["intercepted TLS"] = self.house.intercepted(sock, "secure.gatehouse")
        self.addCleanup(tls.close)
        Upstream.script = self.silent_stream
        tls.sendall(("GET /s HTTP/1.1\r\nhost: secure.gatehouse\r\n%s: %s\r\n\r\n"
                     % self.house.bearer("secure")).encode())
        self.assertEqual(read_response(tls.makefile("rb", buffering=0), True)[0], 200)
        kept = self.add("a kept connection", request_bytes("GET", "http://web.gatehouse/kept"))
        self.assertEqual(read_response(kept.makefile("rb", buffering=0))[0], 200)
        self.add("half a head", b"GET http://web.gatehouse/ HTT")
        self.add("half a body", b"PUT http://web.gatehouse/half HTTP/1.1\r\nhost: web.gatehouse"
                 b"\r\ncontent-length: 200000\r\n\r\n" + b"z" * 100_000)

    def storm(self, answers):
        """Connects and asks without a pause, as many at once as a Door takes and more."""
        while not self.over.is_set():
            try:
                with self.house.connect() as sock:
                    sock.sendall(request_bytes("GET", "http://web.gatehouse/storm"))
                    began = time.monotonic()
                    answers.append((began, sock.recv(12)))
            except OSError:
                answers.append((time.monotonic(), b""))

    def test_a_kill_cuts_the_stream_and_refuses_what_comes_after_and_the_log_verifies(self):
        self.open_everything()
        other = self.slow_stream("of the other run", self.house.second_proxy, [])
        answers = []
        threads = [threading.Thread(target=self.storm, args=(answers,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        while sum(answer.endswith(b"200") for _, answer in list(answers)) < 20:
            time.sleep(0.01)
        pid = self.house.pid_of("gateway")
        self.house.kill(self.house.run)
        acknowledged = time.monotonic()
        del self.open["of the other run"]
        for name, sock in self.open.items():
            with self.subTest(name):
                sock.settimeout(10)
                try:
                    rest = drain(sock)
                except TimeoutError:
                    self.fail("it goes on after the kill")
                if name == "a stream":
                    print("last byte %.1f ms after the acknowledgement"
                          % ((time.monotonic() - acknowledged) * 1000))
                if name in ("a stream", "an idle stream"):
                    self.assertIn(b'"type":"gatehouse_killed"', rest, "it is told why")
                self.assertNotIn(b"[DONE]", rest)
                self.assertNotIn(b"\r\n0\r\n\r\n", rest, "a cut is never dressed up as an end")
        while sum(began > acknowledged for began, _ in list(answers)) < 50:
            time.sleep(0.01)
        self.over.set()
        for thread in threads:
            thread.join()
        late = {answer for began, answer in answers if began > acknowledged}
        self.assertLessEqual(late, {b"", b"HTTP/1.1 403"}, "nothing passes after the kill")
        # The house and the other Run live on.
        self.assertEqual(self.house.pid_of("gateway"), pid)
        for _ in range(6):
            self.assertTrue(other.readline())
        status, _, _ = self.house.request("GET", "http://web.gatehouse/alive",
                                          port=self.house.second_proxy)
        self.assertEqual(status, 200)
        counters = self.house.counters()
        self.assertGreaterEqual(counters["cut_by_kill"] - self.calm["cut_by_kill"], len(self.open))
        self.assertGreater(counters["refused.killed"], 0)
        self.check_log()

    def check_log(self):
        def all_settled(entries):
            ended = {e["exchange"] for e in entries if e["kind"] == "settled"}
            return all(e["exchange"] in ended for e in entries if e["kind"] == "intent")
        entries = self.house.entries(all_settled)
        cut = [e for e in entries if e["kind"] == "settled" and e["tags"]["state"] == "cut"]
        self.assertTrue({"/v1/chat/completions", "/mcp", "/flood", "/s", "/half"}
                        <= {e["tags"].get("path") for e in cut}, cut)
        self.assertTrue([e for e in cut if e["tags"]["call"] == "tunnel"])
        told = str(entries)
        self.assertIn("word0", told, "the partial answer is in the log")
        self.assertIn("vault_use", told)
        self.assertNotIn(KEY, told)
        self.assertNotIn(KEY, self.house.logged())


class AuditAway(HouseTest):
    """The audit role is killed under traffic, again and again: nothing passes unrecorded."""

    def traffic(self, number, answers):
        count = 0
        while not self.over.is_set():
            count += 1
            method, path = ("POST", "GET")[count % 2], "/n/%d/%d" % (number, count)
            try:
                status, headers, _ = self.house.request(method, "http://web.gatehouse" + path,
                                                        b"x" if method == "POST" else b"")
                answers.append((status, headers.get("x-gatehouse-error")))
            except OSError as error:
                answers.append((0, str(error)))

    def test_what_reaches_the_upstream_is_on_record_and_the_rest_is_a_503(self):
        self.over = threading.Event()
        self.addCleanup(self.over.set)
        answers = []
        threads = [threading.Thread(target=self.traffic, args=(number, answers))
                   for number in range(4)]
        ended = threading.Event()

        def ends_meanwhile(upstream, _):
            upstream.begin()
            upstream.chunk(b": begun\n\n")
            ended.wait(30)
            upstream.end()
        Upstream.script = ends_meanwhile
        sock = self.house.connect()
        self.addCleanup(sock.close)
        sock.sendall(request_bytes("POST", "http://web.gatehouse/meanwhile", b"x"))
        stream = sock.makefile("rb")
        self.assertEqual(read_response(stream, head_only=True)[0], 200)
        for thread in threads:
            thread.start()
        for turn in range(4):
            good = sum(status == 200 for status, _ in list(answers))
            self.wait(lambda least=good + 20: sum(
                status == 200 for status, _ in list(answers)) >= least, "traffic passes")
            pid = self.house.pid_of("audit")
            os.kill(pid, signal.SIGKILL)
            if turn == 0:
                ended.set()
                self.assertTrue(stream.read1(100))
            self.wait(lambda old=pid: self.house.pid_of("audit") not in (0, old), "audit is back")
        good = sum(status == 200 for status, _ in list(answers))
        self.wait(lambda: sum(status == 200 for status, _ in list(answers)) >= good + 20,
                  "traffic passes again")
        self.over.set()
        for thread in threads:
            thread.join()
        self.assertLessEqual(set(answers), {(200, None), (503, "audit_unavailable")})
        self.assertIn((503, "audit_unavailable"), answers)
        reached = {path for _, path, _, _ in Upstream.seen}

        def complete(entries):
            settled = {e["tags"].get("path") for e in entries if e["kind"] == "settled"}
            return reached <= settled
        entries = self.house.entries(complete)
        intents = {e["tags"].get("path") for e in entries if e["kind"] == "intent"}
        self.assertLessEqual(reached, intents)
        meanwhile = [e for e in entries if e["tags"].get("path") == "/meanwhile"]
        self.assertEqual([e["tags"]["state"] for e in meanwhile if e["kind"] == "settled"][:1],
                         ["done"])
        self.assertNotIn("gap", {e["kind"] for e in entries})

    def wait(self, holds, what):
        for _ in range(1000):
            if holds():
                return
            time.sleep(0.02)
        self.fail("in 20 s it did not come to this: " + what + "\n" + self.house.logged())


if __name__ == "__main__":
    live_in_own_network()
    unittest.main(verbosity=2)
