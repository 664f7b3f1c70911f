#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 from agents: real clients (curl, nghttp), with prior knowledge and by ALPN inside of an
interception, many streams at once; and what RFC 9113 lets a hostile one try."""
import os
import signal
import struct
import subprocess
import threading
import time
import unittest

from corridor_house import CHAT, KEY, HouseTest, Upstream, chat, event
from house import send_signal

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    0, 1, 2, 3, 4, 6, 7, 8, 9)
END_STREAM, END_HEADERS, ACK = 1, 4, 1
WEB = [(":method", "GET"), (":scheme", "http"), (":authority", "web.gatehouse"), (":path", "/x")]


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(
        ">I", stream) + payload


def text(value):
    """A string as it is (RFC 7541 sections 5.1 and 5.2)."""
    if len(value) < 127:
        return bytes([len(value)]) + value.encode()
    size, rest = b"\x7f", len(value) - 127
    while rest >= 128:
        size, rest = size + bytes([rest % 128 + 128]), rest // 128
    return size + bytes([rest]) + value.encode()


def packed(fields):
    """Literals without indexing (RFC 7541 section 6.2.2)."""
    return b"".join(b"\0" + text(name) + text(value) for name, value in fields)


def head(stream, fields=None, flags=END_STREAM | END_HEADERS):
    return frame(HEADERS, flags, stream, packed(WEB if fields is None else fields))


class Raw:
    """A client that sends what it likes."""

    def __init__(self, house, settings=b""):
        self.sock = house.connect()
        self.sock.settimeout(10)
        self.file = self.sock.makefile("rb")
        self.send(PREFACE + frame(SETTINGS, 0, 0, settings))

    def send(self, data):
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # what it said before it went is still to be read

    def frames(self):
        """Those that come, until the end."""
        while True:
            try:
                start = self.file.read(9)
                if len(start) < 9:
                    return
                size = int.from_bytes(start[:3], "big")
                payload = self.file.read(size)
            except ConnectionResetError:
                return
            yield start[3], start[4], int.from_bytes(start[5:9], "big"), payload

    def until(self, *kinds):
        for kind, flags, stream, payload in self.frames():
            if kind in kinds:
                return kind, flags, stream, payload
        return None, 0, 0, b""

    def close(self):
        self.file.close()
        self.sock.close()


class Http2Test(HouseTest):
    def raw(self, settings=b""):
        client = Raw(self.house, settings)
        self.addCleanup(client.close)
        return client


class Clients(Http2Test):
    def test_a_model_is_asked_with_prior_knowledge(self):
        bearer = "authorization: Bearer " + self.house.placeholders["openai"]
        about, body = self.curl("-H", bearer, "-d", chat("hi").decode(), CHAT)
        self.assertEqual(about, "2 200")
        self.assertIn(b"Hello!", body)
        self.assertEqual(Upstream.seen[-1][2]["authorization"], "Bearer " + KEY)
        self.house.exchange(llm__model="m")

    def test_a_stream_of_events_comes_whole(self):
        bearer = "authorization: Bearer " + self.house.placeholders["openai"]
        about, body = self.curl("-N", "-H", bearer, "-d", chat("hi", True).decode(), CHAT)
        self.assertEqual(about, "2 200")
        self.assertTrue(body.endswith(b"data: [DONE]\n\n"), body)

    def test_alpn_agrees_on_it_inside_of_an_interception(self):
        about, body = self.curl("https://secure.gatehouse/x", intercepted=True)
        self.assertEqual(about.split()[0], "2", body)
        self.assertEqual(about.split()[1], "200", body)
        about, _ = self.curl("--http1.1", "https://secure.gatehouse/x", intercepted=True)
        self.assertEqual(about, "1.1 200")

    def test_a_large_body_goes_up_and_comes_down_whole(self):
        big = os.urandom(1_500_000).hex().encode()
        path = os.path.join(self.house.data, "big")
        with open(path, "wb") as file:
            file.write(big)
        Upstream.script = lambda upstream, body: upstream.answer(200, body, "x/y")
        about, body = self.curl("-H", "content-type: x/y", "--data-binary", "@" + path,
                                "http://web.gatehouse/up")
        self.assertEqual(about, "2 200")
        self.assertEqual(body, big)
        self.assertEqual(Upstream.seen[-1][3], big)

    def test_a_refusal_comes_in_the_callers_dialect(self):
        about, body = self.curl("http://evil.test/")
        self.assertEqual(about, "2 403")
        self.assertIn(b'"gatehouse_error":"denied"', body)

    def test_an_answer_that_is_edited_as_a_whole_comes_whole_or_is_refused(self):
        card = "http://free.gatehouse/.well-known/agent-card.json"
        there = b'{"url":"http://127.0.0.1:%d/free/x"}' % self.house.server.server_port
        Upstream.script = lambda upstream, _: upstream.answer(200, there)
        about, body = self.curl(card)
        self.assertEqual((about, body), ("2 200", b'{"url":"http://free.gatehouse/x"}'))
        Upstream.script = lambda upstream, _: upstream.answer(200, b"none")
        about, body = self.curl(card)
        self.assertEqual(about, "2 502")
        self.assertIn(b"card cannot be read", body)

    def test_a_head_has_no_body_and_its_length(self):
        about, body = self.curl("-I", "http://web.gatehouse/x")
        self.assertEqual(about, "2 200")
        self.assertIn(b"content-length: 11", body)

    def test_streams_do_not_wait_for_each_other(self):
        both = threading.Barrier(2, timeout=10)

        def together(upstream, _):
            both.wait()
            upstream.answer(200, b"ok")
        Upstream.script = together
        client = self.raw()
        client.send(head(1))
        while Upstream.script is not None:
            time.sleep(0.01)
        Upstream.script = together
        client.send(head(3))
        ended = {stream for kind, flags, stream, _ in self.some(client.frames(), 2)}
        self.assertEqual(ended, {1, 3})

    @staticmethod
    def some(frames, count):
        for one in frames:
            if one[0] == DATA and one[1] & END_STREAM:
                yield one
                count -= 1
            if count == 0:
                return

    def test_trailers_pass_both_ways(self):
        def trailing(upstream, _):
            upstream.begin(kind="text/plain")
            upstream.chunk(b"ok")
            upstream.wfile.write(b"0\r\nx-checksum: 17\r\n\r\n")
        Upstream.script, Upstream.trailers = trailing, []
        done = subprocess.run(
            ["nghttp", "-v", "--no-dep", "--trailer", "x-sum: 1", "-d", "-", "-H",
             ":authority: web.gatehouse", "http://127.0.0.1:%d/up" % self.house.proxy],
            input=b"hello", capture_output=True, check=False, timeout=20)
        self.assertIn(b"x-checksum: 17", done.stdout, done.stdout)
        self.assertEqual(Upstream.trailers, [b"x-sum: 1\r\n"])
        self.assertEqual(Upstream.seen[-1][3], b"hello")

    def test_a_stream_that_the_agent_resets_is_cancelled_upstream(self):
        left = threading.Event()

        def endless(upstream, _):
            upstream.begin()
            try:
                while True:
                    upstream.chunk(event({"content": "x" * 1000}))
                    time.sleep(0.01)
            except OSError:
                left.set()
        Upstream.script = endless
        client = self.raw()
        client.send(head(1))
        client.until(DATA)
        client.send(frame(RST_STREAM, 0, 1, struct.pack(">I", 8)))
        self.assertTrue(left.wait(10))
        client.send(head(3))  # the connection goes on
        self.assertEqual(client.until(HEADERS)[2], 3)

    def test_who_does_not_read_makes_the_upstream_wait(self):
        sent = [0]
        stuck = threading.Event()

        def flood(upstream, _):
            upstream.begin(kind="x/y")
            upstream.connection.settimeout(1)
            try:
                for _ in range(20_000):
                    upstream.chunk(b"x" * 4096)
                    sent[0] += 4096
            except OSError:
                stuck.set()
        Upstream.script = flood
        client = self.raw()
        client.send(head(1))  # and its window is never opened again
        self.assertTrue(stuck.wait(20))
        self.assertLess(sent[0], 16 * 1024 * 1024)


class Kill(Http2Test):
    def test_a_kill_ends_streams_by_a_reset(self):
        def endless(upstream, _):
            upstream.begin(kind="x/y")
            upstream.chunk(b"x")
            time.sleep(5)
        Upstream.script = endless
        client = self.raw()
        client.send(head(1))
        client.until(DATA)
        self.house.kill(self.house.run)
        for kind, flags, stream, _ in client.frames():
            self.assertFalse(kind == DATA and flags & END_STREAM)
            if kind == RST_STREAM:
                self.assertEqual(stream, 1)
                break
        else:
            self.fail("no RST_STREAM")


class Stop(Http2Test):
    def test_a_gateway_that_stops_says_which_requests_it_has_begun_with(self):
        def endless(upstream, _):
            upstream.begin(kind="x/y")
            upstream.chunk(b"x")
            time.sleep(2)
        Upstream.script = endless
        client, idle = self.raw(), self.raw()
        client.send(head(1))
        client.until(DATA)
        idle.until(SETTINGS)
        send_signal(self.house.pid_of("gateway"), signal.SIGTERM)
        said = {kind: payload for kind, _, _, payload in client.frames()}
        self.assertIn(RST_STREAM, said)
        self.assertEqual(struct.unpack(">II", said[GOAWAY][:8]), (1, 0))
        self.assertEqual(struct.unpack(">II", idle.until(GOAWAY)[3][:8]), (0, 0))


class Abuse(Http2Test):
    """Each ends its stream, or the connection with GOAWAY; and the house goes on."""

    def tearDown(self):
        self.assertEqual(self.house.request("GET", "http://web.gatehouse/after")[0], 200)

    def ends(self, data, settings=b""):
        client = self.raw(settings)
        client.send(data)
        kind, _, _, payload = client.until(GOAWAY)
        self.assertEqual(kind, GOAWAY)
        return struct.unpack(">I", payload[4:8])[0]

    def test_a_flood_of_pings(self):
        self.assertEqual(self.ends(frame(PING, 0, 0, b"12345678") * 20_000), 11)

    def test_a_flood_of_settings(self):
        self.assertEqual(self.ends(frame(SETTINGS, 0, 0) * 20_000), 11)

    def test_a_flood_of_empty_data(self):
        fields = [(":method", "POST")] + WEB[1:]
        self.assertEqual(self.ends(head(1, fields, END_HEADERS) + frame(DATA, 0, 1) * 20_000), 11)

    def test_rapid_resets(self):
        seen = len(Upstream.seen)
        both = b"".join(head(id) + frame(RST_STREAM, 0, id, struct.pack(">I", 8))
                        for id in range(1, 4001, 2))
        self.ends(both)
        self.assertLess(len(Upstream.seen) - seen, 500)

    def test_a_flood_of_continuation(self):
        data = frame(HEADERS, 0, 1, packed(WEB)) + frame(
            CONTINUATION, 0, 1, packed([("x-a", "b")])) * 10_000
        self.ends(data)

    def test_a_head_that_is_too_large(self):
        fields = WEB + [("x-%d" % i, "y" * 120) for i in range(101)]
        client = self.raw()
        client.send(head(1, fields))
        self.assertEqual(client.until(RST_STREAM)[2], 1)

    def test_more_streams_than_are_allowed(self):
        seen = len(Upstream.seen)
        over = threading.Event()
        self.addCleanup(over.set)
        fields = [(":method", "POST")] + WEB[1:]
        client = self.raw()
        client.send(b"".join(head(id, fields, END_HEADERS) for id in range(1, 403, 2)))
        kind, _, stream, payload = client.until(RST_STREAM, GOAWAY)
        self.assertIn(kind, (RST_STREAM, GOAWAY))
        if kind == RST_STREAM:
            self.assertGreater(stream, 200)
        self.assertEqual(len(Upstream.seen), seen)

    def test_what_is_malformed_is_refused_and_reaches_nobody(self):
        seen = len(Upstream.seen)
        post = [(":method", "POST")] + WEB[1:]
        for fields in [WEB[:3],                                     # no :path
                       WEB + [("X-Upper", "a")],
                       WEB + [("connection", "close")],
                       WEB + [("transfer-encoding", "chunked")],
                       WEB + [("te", "gzip")],
                       WEB + [(":path", "/y")],
                       [("x-first", "a")] + WEB,
                       WEB + [("host", "other.test")],
                       WEB[:3] + [(":path", "http://evil.test/")],
                       WEB[:3] + [(":path", "/a b")],
                       WEB[:2] + [(":authority", "user@web.gatehouse"), (":path", "/x")],
                       [(":method", "GET"), (":scheme", "https")] + WEB[2:],
                       post + [("content-length", "5")],            # and no body
                       WEB + [("x-a", "b\r\nx-c: d")]]:
            client = self.raw()
            client.send(head(1, fields))
            kind, _, _, payload = client.until(HEADERS, RST_STREAM, GOAWAY)
            self.assertIn(kind, (HEADERS, RST_STREAM, GOAWAY), fields)
            self.assertFalse(kind == HEADERS and payload[:1] == b"\x88", fields)
        self.assertEqual(len(Upstream.seen), seen)

    def test_a_body_that_is_not_as_long_as_it_says(self):
        seen = len(Upstream.seen)
        fields = [(":method", "POST")] + WEB[1:] + [("content-length", "5")]
        for body in (b"1234", b"123456"):
            client = self.raw()
            client.send(head(1, fields, END_HEADERS) + frame(DATA, END_STREAM, 1, body))
            self.assertEqual(client.until(RST_STREAM, GOAWAY)[0], RST_STREAM)
        self.assertEqual(len(Upstream.seen), seen)

    def test_a_stream_below_one_that_was_opened_is_none(self):
        seen = len(Upstream.seen)
        client = self.raw()
        client.send(head(3) + head(1))
        self.assertEqual(client.until(HEADERS)[2], 3)
        client.send(frame(PING, 0, 0, b"12345678"))
        for kind, _, stream, _ in client.frames():
            self.assertNotEqual(stream, 1)
            if kind == PING:
                break
        self.assertEqual(len(Upstream.seen) - seen, 1)

    def test_frames_that_may_not_be(self):
        for data in [frame(DATA, 0, 1, b"x"),                        # of an idle stream
                     frame(HEADERS, END_HEADERS, 2, packed(WEB)),    # of an even one
                     frame(HEADERS, END_HEADERS, 0, packed(WEB)),
                     frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 0)),
                     frame(PING, 0, 1, b"12345678"),
                     frame(SETTINGS, 0, 0, b"12345"),
                     frame(CONTINUATION, END_HEADERS, 1, packed(WEB)),
                     frame(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff"),
                     b"\xff\xff\xff" + b"\0" * 6]:
            with self.subTest(data=data[:20]):
                self.assertNotEqual(self.ends(data), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
