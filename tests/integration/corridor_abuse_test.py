#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What breaks a gateway that bounds nothing: too many connections, bodies that fill its memory,
answers without an end, peers that stop in the middle or read nothing, names that change what they
stand for. In network and mount namespaces of the test's own."""
import contextlib
import json
import os
import resource
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import unittest

from corridor_house import (CHAT, METADATA, PRIVATE, PUBLIC, HouseTest, Server, Upstream, chat,
                            event, live_in_own_network, read_chunk, read_response, request_bytes)

WEB = "http://web.gatehouse/"
MIB = 1024 * 1024


class NameServer:
    """Answers for every name what it is told to, and keeps what it was asked. The answers are not
    to be kept by anybody (TTL 0)."""

    def __init__(self):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 53))
        self.asked = []
        self.addresses = []  # the answers to come, one each; the last one stays
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                query, client = self.sock.recvfrom(4096)
            except OSError:
                return
            end = query.index(b"\0", 12) + 5
            kind = struct.unpack(">H", query[end - 4:end - 2])[0]
            found = []
            if kind == 1:
                self.asked.append(query[12:end - 5])
                found = [self.addresses.pop(0) if len(self.addresses) > 1 else self.addresses[0]]
            answer = query[:2] + b"\x81\x80\0\1" + struct.pack(">H", len(found)) + b"\0\0\0\0"
            answer += query[12:end]
            for address in found:
                answer += b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + socket.inet_aton(address)
            self.sock.sendto(answer, client)


class AbuseTest(HouseTest):
    """The house holds, and serves the next who comes."""

    def setUp(self):
        super().setUp()
        self.over = threading.Event()  # lets scripted upstreams go
        self.addCleanup(self.serves)
        self.addCleanup(self.over.set)

    def serves(self):
        Upstream.script = Upstream.always = None
        for port in (self.house.proxy, self.house.second_proxy):
            for _ in range(100):
                with contextlib.suppress(OSError, EOFError):
                    if self.house.request("GET", WEB, port=port)[0] == 200:
                        break
                time.sleep(0.05)
            else:
                self.fail("the house does not serve:\n" + self.house.logged()[-2000:])
        for wrong in ("CHECK", "BUG_IF", "restarted"):
            self.assertNotIn(wrong, self.house.logged())

    def memory(self):
        """Of the gateway, in bytes."""
        with open("/proc/%d/statm" % self.house.pid_of("gateway"), encoding="ascii") as file:
            return int(file.read().split()[1]) * resource.getpagesize()

    def shed(self, answer):
        status, headers, body = answer
        self.assertEqual((status, headers.get("x-gatehouse-error")), (503, "exhausted"), body)
        self.assertGreaterEqual(int(headers["retry-after"]), 1)
        return json.loads(body)


class Crowd(AbuseTest):
    def hold(self, count):
        """So many connections, each with a request that is not whole."""
        held = []
        for _ in range(count):
            sock = self.house.connect()
            self.addCleanup(sock.close)
            sock.sendall(b"GET http://web")
            held.append(sock)
        return held

    def test_too_many_connections_of_one_run_are_told_so_and_another_run_is_not(self):
        held = self.hold(512)
        for sock in self.hold(3):
            self.shed(read_response(sock.makefile("rb")))
        self.assertEqual(self.house.request("GET", WEB, port=self.house.second_proxy)[0], 200)
        held[0].sendall(b".gatehouse/ HTTP/1.1\r\nhost: web.gatehouse\r\n\r\n")
        self.assertEqual(read_response(held[0].makefile("rb"))[0], 200)

    def test_descriptors_that_run_out_leave_enough_for_those_who_are_in(self):
        pid = self.house.pid_of("gateway")
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        self.addCleanup(resource.prlimit, pid, resource.RLIMIT_NOFILE, before)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (80, before[1]))
        held = self.hold(30)
        for sock in self.hold(5):
            self.shed(read_response(sock.makefile("rb")))
        held[0].sendall(b".gatehouse/ HTTP/1.1\r\nhost: web.gatehouse\r\n\r\n")
        self.assertEqual(read_response(held[0].makefile("rb"))[0], 200)


class Floods(AbuseTest):
    def test_who_sends_without_an_end_behind_a_refusal_holds_up_nobody_and_is_let_go(self):
        """What still comes is read, or the refusal would be lost: for a while."""
        sent = []

        def flood():
            with self.house.connect() as sock, contextlib.suppress(OSError):
                sock.settimeout(20)
                sock.sendall(b"POST http://elsewhere.gatehouse/ HTTP/1.1\r\n"
                             b"host: elsewhere.gatehouse\r\ncontent-length: 999999999999\r\n\r\n")
                while not self.over.is_set():
                    sock.sendall(b"x" * MIB)
                    sent.append(MIB)

        threads = [threading.Thread(target=flood, daemon=True) for _ in range(2)]
        for thread in threads:
            thread.start()
        for _ in range(500):
            if len(sent) > 16:
                break
            time.sleep(0.01)
        self.assertGreater(len(sent), 16, "it floods")
        self.assertEqual(self.house.request("GET", WEB, port=self.house.second_proxy)[0], 200)
        for thread in threads:
            thread.join(20)
            self.assertFalse(thread.is_alive(), "however much it sends")


class Bodies(AbuseTest):
    def test_bodies_of_one_run_take_only_so_much_memory(self):
        """They are never whole; 64 MiB is what one Run may have under way at a gateway."""
        head = request_bytes("POST", CHAT, b"", [self.house.bearer("openai")])[:-2]
        head += b"content-length: %d\r\n\r\n" % (16 * MIB)
        held, shed = [], None
        for _ in range(5):
            sock = self.house.connect()
            self.addCleanup(sock.close)
            held.append(sock)
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                sock.sendall(head + b'{"model":"m","x":"' + b"x" * (15 * MIB + 512 * 1024))
            sock.settimeout(0.5)
            with contextlib.suppress(TimeoutError, ConnectionResetError):
                shed = self.shed(read_response(sock.makefile("rb")))
                break
        self.assertEqual(shed["error"]["type"], "gatehouse_exhausted", "in the model's dialect")
        self.assertEqual(self.house.request("POST", CHAT, chat("hi"), [
            ("authorization", "Bearer " + self.house.second_placeholders["openai"])],
            port=self.house.second_proxy)[0], 200, "another Run has room")
        for sock in held:
            sock.close()
        for _ in range(100):
            if self.house.chat("hi")[0] == 200:
                return
            time.sleep(0.05)
        self.fail("the room is not given back")

    def test_an_answer_without_an_end_takes_no_more_memory_than_is_kept_of_it(self):
        piece = b": " + b"x" * 65000 + b"\n\n"

        def endless(upstream, _):
            upstream.begin()
            with contextlib.suppress(OSError):
                while not self.over.is_set():
                    upstream.chunk(piece)

        before = self.memory()
        Upstream.script = endless
        with self.house.connect() as sock, sock.makefile("rb") as stream:
            sock.sendall(request_bytes("POST", CHAT, chat("x", True),
                                       [self.house.bearer("openai")]))
            self.assertEqual(read_response(stream, head_only=True)[0], 200)
            taken = 0
            while taken < 128 * MIB:
                taken += len(read_chunk(stream))
            self.assertLess(self.memory() - before, 48 * MIB)
        _, settled = self.house.exchange(call="llm", llm__stream="true")
        self.assertEqual(settled["tags"]["response.truncated"], "true")

    def test_who_reads_nothing_lets_the_upstream_wait(self):
        sent = []

        def flood(upstream, _):
            upstream.begin(kind="application/octet-stream")
            upstream.connection.settimeout(1)
            with contextlib.suppress(OSError):
                while not self.over.is_set():
                    upstream.chunk(b"x" * 65536)
                    sent.append(65536)
            self.over.set()

        Upstream.script = flood
        before = self.memory()
        with self.house.connect() as sock:
            sock.sendall(request_bytes("GET", WEB + "flood"))
            self.assertTrue(self.over.wait(30), "the upstream is never held up")
            self.assertLess(sum(sent), 32 * MIB, "what sockets and a bounded buffer take")
            self.assertLess(self.memory() - before, 16 * MIB)


class Breaks(AbuseTest):
    """An upstream that breaks off anywhere: no part of an answer passes for a whole one."""

    ANSWERS = {
        "length": b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\nhello",
        "chunks": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n"
                  b"0\r\nx-after: 1\r\n\r\n",
        "stream": b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: "
                  b"chunked\r\n\r\n" + b"".join(
                      b"%x\r\n%s\r\n" % (len(data), data) for data in
                      (event({"content": "hi"}), event({}, "stop"), b"data: [DONE]\n\n"))
                  + b"0\r\n\r\n",
    }

    def ask(self, name):
        """Status and body; None where the answer was cut."""
        try:
            if name == "stream":
                return self.house.chat("hi", stream=True)
            return self.house.request("GET", WEB + name)
        except (EOFError, ConnectionError, ValueError, IndexError):
            return None

    def test_at_each_byte_by_a_reset_or_an_end(self):
        wholes = {"length": b"hello", "chunks": b"hello"}
        for name, answer in self.ANSWERS.items():
            for is_reset in (False, True):
                for cut in range(len(answer)):
                    def broken(upstream, _, cut=cut, answer=answer, is_reset=is_reset):
                        upstream.wfile.write(answer[:cut])
                        if is_reset:
                            upstream.connection.setsockopt(
                                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        upstream.close_connection = True
                    Upstream.always = broken  # also to a safe request that comes once more
                    got = self.ask(name)
                    what = "%s, %s after %d" % (name, "a reset" if is_reset else "an end", cut)
                    if got is None:
                        continue
                    status, headers, body = got
                    if status == 200 and name == "stream":
                        self.assertIn(b"gatehouse_upstream", body, what)
                        said = body.split(b"gatehouse_upstream")[0]
                        self.assertTrue(b"[DONE]" not in body or b"[DONE]" in answer[:cut], what)
                        self.assertTrue(said, what)
                    elif status == 200:
                        self.assertNotEqual(body, wholes[name], what)
                        self.fail(what + ": taken for an answer: %r" % (body,))
                    else:
                        self.assertEqual((status, headers["x-gatehouse-error"]),
                                         (502, "upstream"), what)

    def test_one_that_is_silent_is_let_go_when_its_client_leaves(self):
        gone = threading.Event()

        def silent(upstream, _):
            upstream.connection.settimeout(10)
            with contextlib.suppress(OSError):
                if upstream.connection.recv(1) == b"":
                    gone.set()
            upstream.close_connection = True

        for method, url in (("GET", WEB), ("POST", CHAT)):
            gone.clear()
            Upstream.script = silent
            with self.house.connect() as sock:
                sock.sendall(request_bytes(method, url, chat("x") if method == "POST" else b"",
                                           [self.house.bearer("openai")] if method == "POST"
                                           else []))
                time.sleep(0.2)
            self.assertTrue(gone.wait(10), url)


class Stop(HouseTest):
    """A house that is told to stop, in the midst of work."""

    def ask(self, number):
        while not self.over.is_set():
            with contextlib.suppress(OSError, EOFError, ValueError):
                with self.house.connect() as sock, sock.makefile("rb") as stream:
                    for turn in range(1000):
                        sock.sendall(request_bytes("POST", CHAT, chat(
                            "<%d.%d.%d>" % (number, turn, time.monotonic_ns())),
                            [self.house.bearer("openai")]))
                        read_response(stream)

    def test_has_all_on_record_that_was_done_and_how_it_ended(self):
        self.over = threading.Event()
        streams = []
        for _ in range(4):
            sock = self.house.connect()
            self.addCleanup(sock.close)
            sock.sendall(request_bytes("POST", CHAT, chat("slowly", True),
                                       [self.house.bearer("openai")]))
            self.assertEqual(read_response(sock.makefile("rb"), head_only=True)[0], 200)
            streams.append(sock)
        askers = [threading.Thread(target=self.ask, args=(number,)) for number in range(8)]
        for asker in askers:
            asker.start()
        time.sleep(0.5)
        self.house.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.house.process.wait(20), 0)
        self.over.set()
        for asker in askers:
            asker.join(20)
        report, entries = self.house.read_log(self.house.run)
        self.assertTrue(report.startswith("intact"), report)
        intents = {entry["exchange"]: entry for entry in entries if entry["kind"] == "intent"}
        ended = {entry["exchange"] for entry in entries if entry["kind"] == "settled"}
        self.assertEqual(set(intents) - ended, set(), "how it ended is not on record")
        said = {entry["bodies"].get("request") for entry in intents.values()}
        reached = {body.decode() for _, _, _, body in Upstream.seen if b'"stream": false' in body}
        self.assertGreater(len(reached), 50)
        self.assertEqual(reached - said, set(), "done, and not on record")


class Names(AbuseTest):
    """A name that stands for a public address when it is checked and for another a moment later."""

    @classmethod
    def setUpClass(cls):
        cls.names = NameServer()
        cls.addClassCleanup(cls.names.sock.close)
        super().setUpClass()
        for address in (PUBLIC, PRIVATE, METADATA, "127.0.0.1"):
            cls.addClassCleanup(Server(address, 80).stop)

    def ask(self, name):
        return self.house.request("GET", "http://%s.public.test/x" % name.replace(".", "-"))

    def test_is_looked_up_once_and_what_was_checked_is_dialled(self):
        for then in (PRIVATE, METADATA, "127.0.0.1"):
            with self.subTest(then):
                Upstream.seen.clear()
                self.names.asked.clear()
                self.names.addresses = [PUBLIC, then]
                self.assertEqual(self.ask("once-" + then)[0], 200)
                self.assertEqual(len(self.names.asked), 1, "asked once for one connection")
                self.assertEqual(len(Upstream.seen), 1)

    def test_is_refused_when_it_stands_for_another_the_next_time(self):
        for then in (PRIVATE, METADATA, "127.0.0.1", "0.0.0.0"):
            with self.subTest(then):
                def last(upstream, _):  # of that connection, which is not kept for the next
                    upstream.answer(200, b"{}", headers=[("connection", "close")])
                Upstream.script = last
                self.names.addresses = [PUBLIC, then]
                self.assertEqual(self.ask("twice-" + then)[0], 200)
                Upstream.seen.clear()
                status, _, body = self.ask("twice-" + then)
                self.assertEqual(status, 403, body)
                self.assertIn(b'"rule":"private-address"', body)
                self.assertEqual(Upstream.seen, [])


if __name__ == "__main__":
    live_in_own_network()
    with tempfile.NamedTemporaryFile("w", delete=False) as resolver:
        resolver.write("nameserver 127.0.0.1\n")
    os.chmod(resolver.name, 0o644)
    subprocess.run(["mount", "--bind", resolver.name,
                    os.path.realpath("/etc/resolv.conf")], check=True)
    os.remove(resolver.name)
    unittest.main(verbosity=2)
