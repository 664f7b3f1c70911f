#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""nghttp2's own servers as upstreams: nghttpd, which has files and sends back what it is sent, and
nghttpx, a proxy that is told to read its configuration again while it is used. Before the house
stand plain requests, nghttp and h2load."""
import contextlib
import hashlib
import os
import re
import signal
import socket
import subprocess
import threading
import time
import unittest

from corridor_house import (HouseTest, Server, Upstream, live_in_own_network, make_certificates,
                            read_chunk, read_response, request_bytes)

URL = "http://trusted.gatehouse"
PORT = 8443  # in the test's own network namespace
BIG = os.urandom(8_000_000)


def wait_for_port(port=PORT):
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", port), 5).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.01)
    raise AssertionError("nothing listens at port %d" % port)


class ServerTest(HouseTest):
    """A house with one of those servers behind it."""
    command = []

    @classmethod
    def before(cls, data):
        make_certificates(data, "trusted", "other")
        cls.data = data
        cls.server = None
        cls.addClassCleanup(cls.end_server)
        cls.start_server()
        with open(data + "/tls", "w", encoding="ascii") as file:
            file.write(str(PORT))

    @classmethod
    def start_server(cls):
        cls.output = open(cls.data + "/server.log", "ab")
        cls.server = subprocess.Popen([word.format(data=cls.data) for word in cls.command],
                                      stdin=subprocess.DEVNULL, stdout=cls.output,
                                      stderr=cls.output)
        wait_for_port()

    @classmethod
    def end_server(cls, how=signal.SIGTERM):
        if cls.server is not None:
            cls.server.send_signal(how)
            cls.server.wait(10)
            cls.output.close()
            cls.server = None

    def ask(self, method, path, body=b"", headers=()):
        status, fields, answer = self.house.request(method, URL + path, body, headers)
        self.assertEqual(status, 200, answer)
        return fields, answer

    def nghttp(self, *words, **more):
        done = subprocess.run(["nghttp", "-v", "--no-dep", "-H", ":authority: trusted.gatehouse",
                               *words], capture_output=True, check=False, timeout=20, **more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def here(self, path):
        return "http://127.0.0.1:%d%s" % (self.house.proxy, path)

    def load(self, path, count, *words, data=None):
        """h2load, by HTTP/2 without TLS; how many were answered 2xx."""
        more = []
        if data is not None:
            with open(self.data + "/load", "wb") as file:
                file.write(data)
            more = ["-d", self.data + "/load"]
        done = subprocess.run(["h2load", "-n", str(count), "-H", ":authority: trusted.gatehouse",
                               *more, *words, self.here(path)],
                              capture_output=True, text=True, check=False, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return int(re.search(r"status codes: (\d+) 2xx", done.stdout).group(1))

    def connections(self):
        return self.house.counters()["upstreams.http2"]


class Nghttpd(ServerTest):
    """With padded frames, few streams at a time, small windows, and a trailer behind all."""
    command = ["nghttpd", "-a", "127.0.0.1", "-d", "{data}/files", "-b", "100", "-m", "6", "-w",
               "14", "-W", "15", "--echo-upload", "--trailer", "x-sum: 17", str(PORT),
               "{data}/server.key", "{data}/server.crt"]

    @classmethod
    def before(cls, data):
        os.mkdir(data + "/files")
        for name, content in (("small.txt", b"hello from a file\n"), ("big", BIG)):
            with open(data + "/files/" + name, "wb") as file:
                file.write(content)
        super().before(data)

    def test_a_file_comes_by_http2(self):
        before = self.connections()
        fields, body = self.ask("GET", "/small.txt")
        self.assertEqual(body, b"hello from a file\n")
        self.assertIn("nghttpd", fields["server"])
        self.assertGreaterEqual(self.connections(), max(before, 1))
        status, fields, body = self.house.request("HEAD", URL + "/small.txt")
        self.assertEqual((status, body), (200, b""))
        self.assertEqual(self.house.request("GET", URL + "/none")[0], 404)

    def test_big_bodies_come_whole_through_small_windows(self):
        self.assertEqual(hashlib.sha256(self.ask("GET", "/big")[1]).digest(),
                         hashlib.sha256(BIG).digest())
        sent = BIG[:3_000_000]
        self.assertEqual(self.ask("POST", "/", sent)[1], sent, "both directions at once")

    def test_trailers_come_behind_the_body(self):
        self.assertIn(b"x-sum: 17", self.nghttp(self.here("/small.txt")))
        # To HTTP/1.1 the length was told, so that nothing can follow.
        fields, body = self.ask("GET", "/small.txt", headers=[("te", "trailers")])
        self.assertEqual((fields["content-length"], body), ("18", b"hello from a file\n"))

    def test_many_exchanges_at_once_and_after_one_another(self):
        """Six streams a connection are all that it takes: the others have more of them."""
        self.ask("GET", "/small.txt")
        before = self.connections()
        self.assertEqual(self.load("/small.txt", 400, "-c", "2", "-m", "10"), 400)
        more = self.connections() - before
        self.assertGreater(more, 0)
        self.assertLess(more, 40, "and they are used again")
        self.assertEqual(self.load("/", 100, "-c", "1", "-m", "4", data=b"x" * 20_000), 100)

    def test_one_that_was_started_again_is_asked_on_a_new_connection(self):
        self.ask("GET", "/small.txt")
        self.end_server()
        self.start_server()
        self.assertEqual(self.ask("POST", "/", b"again")[1], b"again")


class Nghttpx(ServerTest):
    """In front of an HTTP/1.1 server that answers as a test tells it to."""
    command = ["nghttpx", "--conf", "{data}/nghttpx.conf", "--workers", "1"]

    @classmethod
    def before(cls, data):
        cls.behind = Server()
        cls.addClassCleanup(cls.behind.stop)
        with open(data + "/nghttpx.conf", "w", encoding="ascii") as file:
            file.write("frontend=127.0.0.1,%d\nbackend=127.0.0.1,%d\n" % (
                PORT, cls.behind.server_port))
            file.write("private-key-file=%s/server.key\ncertificate-file=%s/server.crt\n" % (
                data, data))
            file.write("errorlog-file=%s/server.log\nno-ocsp=yes\n" % data)
        super().before(data)

    @classmethod
    def children(cls):
        with open("/proc/%d/task/%d/children" % (cls.server.pid, cls.server.pid)) as file:
            return {int(pid) for pid in file.read().split()}

    def reload(self):
        """Another process accepts from now on, and the one before says GOAWAY."""
        before = self.children()
        self.server.send_signal(signal.SIGHUP)
        for _ in range(500):
            if self.children() - before:
                return
            time.sleep(0.01)
        self.fail("nghttpx has not read its configuration again")

    @contextlib.contextmanager
    def streaming(self, path):
        """An answer whose head has come."""
        with self.house.connect() as sock, sock.makefile("rb") as stream:
            sock.sendall(request_bytes("GET", URL + path))
            read_response(stream, head_only=True)
            yield stream

    def test_requests_and_answers_pass(self):
        fields, body = self.ask("POST", "/any?a=1", b"some body", [("x-mine", "1")])
        self.assertEqual(body, b'{"ok":true}')
        self.assertIn("nghttpx", fields["via"])
        method, path, headers, sent = Upstream.seen[-1]
        self.assertEqual((method, path, sent), ("POST", "/any?a=1", b"some body"))
        self.assertEqual(headers["x-mine"], "1")
        self.assertIn("2 nghttpx", headers["via"])

    def test_what_is_said_comes_as_it_is_said(self):
        go_on = threading.Event()

        def script(handler, _):
            handler.begin()
            handler.chunk(b"data: first\n\n")
            go_on.wait(10)
            handler.chunk(b"data: second\n\n")
            handler.end()
        Upstream.script = script
        with self.streaming("/events") as stream:
            self.assertEqual(read_chunk(stream), b"data: first\n\n")
            go_on.set()
            self.assertEqual(read_chunk(stream), b"data: second\n\n")
            self.assertEqual(read_chunk(stream), b"")

    def test_trailers_pass_both_ways(self):
        def script(handler, _):
            handler.begin(kind="text/plain", headers=[("trailer", "x-checksum")])
            handler.chunk(b"ok")
            handler.wfile.write(b"0\r\nx-checksum: 17\r\n\r\n")
        Upstream.script = script
        said = self.nghttp("--trailer", "x-sum: 1", "-d", "-", self.here("/say"), input=b"hello")
        self.assertIn(b"x-checksum: 17", said)
        self.assertEqual(Upstream.seen[-1][3], b"hello")
        self.assertIn(b"x-sum: 1\r\n", [line.lower() for line in Upstream.trailers])

    def test_big_bodies_pass_whole(self):
        Upstream.always = lambda handler, body: handler.answer(200, body)
        self.assertEqual(self.ask("POST", "/big", BIG)[1], BIG)

    def test_nothing_is_lost_when_it_is_reloaded_under_load(self):
        lost = []

        def load():
            lost.append(400 - self.load("/any", 400, "-c", "2", "-m", "8", data=b"{}"))
        loading = threading.Thread(target=load)
        loading.start()
        for _ in range(3):
            self.reload()
        loading.join(60)
        self.assertEqual(lost, [0])
        self.assertEqual(len(Upstream.seen), 400, "and nothing was done twice")

    def test_a_stream_outlives_a_reload_and_others_go_to_a_new_connection(self):
        go_on = threading.Event()

        def script(handler, _):
            handler.begin()
            handler.chunk(b"before ")
            go_on.wait(20)
            handler.chunk(b"and after")
            handler.end()
        Upstream.script = script
        with self.streaming("/long") as stream:
            self.assertEqual(read_chunk(stream), b"before ")
            before = self.connections()
            self.reload()
            for _ in range(10):
                self.ask("POST", "/meanwhile", b"{}")
            self.assertGreater(self.connections(), before - 1)
            go_on.set()
            self.assertEqual(read_chunk(stream), b"and after")
            self.assertEqual(read_chunk(stream), b"")

    def test_an_answer_that_ends_with_its_server_is_no_whole_one(self):
        held = threading.Event()
        self.addCleanup(held.set)

        def script(handler, _):
            handler.begin()
            handler.chunk(b"half of it")
            held.wait(20)
        Upstream.script = script
        with self.streaming("/dying") as stream:
            self.assertEqual(read_chunk(stream), b"half of it")
            for pid in self.children():
                os.kill(pid, signal.SIGKILL)
            self.server.wait(10)  # it ends with its workers
            with self.assertRaises((EOFError, ConnectionResetError)):
                read_chunk(stream)
        _, settled = self.house.exchange(path="/dying")
        self.assertEqual(dict(settled["tags"])["state"], "failed")
        status, _, _ = self.house.request("GET", URL + "/any")
        self.assertEqual(status, 502)
        self.output.close()
        self.start_server()
        self.ask("GET", "/any")

    def test_an_agent_that_leaves_cancels_what_it_asked(self):
        left = threading.Event()

        def script(handler, _):
            handler.begin()
            try:
                while True:
                    handler.chunk(b"x" * 1000)
                    time.sleep(0.005)
            except OSError:
                left.set()
                handler.close_connection = True
        Upstream.script = script
        with self.house.connect() as sock:
            sock.sendall(request_bytes("GET", URL + "/endless"))
            self.assertTrue(sock.recv(1000))
        self.assertTrue(left.wait(10))
        self.ask("GET", "/any")


if __name__ == "__main__":
    live_in_own_network()
    unittest.main(verbosity=2)
