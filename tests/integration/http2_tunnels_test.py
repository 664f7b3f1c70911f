#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a stream of an agent's HTTP/2 may become: a tunnel by CONNECT (RFC 9113 section 8.5), and a
WebSocket by extended CONNECT (RFC 8441); by Node's client, and frame by frame. The rules are those
of HTTP/1.1."""
import base64
import json
import os
import socket
import struct
import subprocess
import unittest

import websocket_test
from corridor_house import (KEY, PUBLIC, House, HouseTest, Server, Upstream,
                            live_in_own_network, read_response)
from http2_test import (ACK, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, RST_STREAM, SETTINGS,
                        WINDOW_UPDATE, Raw, frame, head)
from websocket_test import BINARY, CLOSE, PING, TEXT, Peer, close

FIXTURE = os.path.join(os.path.dirname(__file__), "../fixtures/http2_tunnels.mjs")
NO_ERROR, CANCEL = 0, 8
OK = b"\x88"  # :status 200, indexed


class Carried:
    """One stream: as a socket to write to, and as a file to read from."""

    def __init__(self, client, number):
        self.client, self.number = client, number
        self.head, self.came, self.ended = None, b"", None  # how: "end", a code, or "gone"
        self.may_send = 65535

    def settimeout(self, _):
        pass

    def sendall(self, data):
        while data and self.ended is None:
            room = min(16384, self.may_send, self.client.may_send)
            if room == 0:
                self.client.pump()
                continue
            self.client.send(frame(DATA, 0, self.number, data[:room]))
            self.may_send -= len(data[:room])
            self.client.may_send -= len(data[:room])
            data = data[room:]

    def shutdown(self, _):
        self.client.send(frame(DATA, END_STREAM, self.number))

    def reset(self, code=CANCEL):
        self.client.send(frame(RST_STREAM, 0, self.number, struct.pack(">I", code)))

    def close(self):
        pass

    def answered(self):
        while self.head is None and self.ended is None:
            self.client.pump()
        return self.head

    def read(self, size=None):
        while self.ended is None and (size is None or len(self.came) < size):
            self.client.pump()
        size = len(self.came) if size is None else size
        taken, self.came = self.came[:size], self.came[size:]
        return taken

    def readline(self):
        while self.ended is None and b"\n" not in self.came:
            self.client.pump()
        at = self.came.find(b"\n") + 1
        return self.read(at or None)

    def ends(self):
        """How it ends, past all else."""
        self.read()
        return self.ended


class Client(Raw):
    """A client of many streams."""

    def __init__(self, house, port=None):
        if port is not None:
            house = type("Port", (), {"connect": lambda _: house_connect(port)})()
        super().__init__(house)
        self.streams, self.coming, self.next = {}, self.frames(), 1
        self.settings, self.went_away, self.takes = b"", False, True
        self.may_send = 65535

    def open(self, fields, flags=END_HEADERS):
        stream = self.streams[self.next] = Carried(self, self.next)
        self.send(head(self.next, fields, flags))
        self.next += 2
        return stream

    def connect(self, authority, *more):
        return self.open([(":method", "CONNECT"), (":authority", authority), *more])

    def websocket(self, url="http://web.gatehouse/socket", *more, protocol="websocket"):
        scheme, _, authority, path = url.split("/", 3)
        return self.open([(":method", "CONNECT"), (":protocol", protocol),
                          (":scheme", scheme[:-1]), (":authority", authority),
                          (":path", "/" + path), ("sec-websocket-version", "13"), *more])

    def pump(self):
        kind, flags, number, payload = next(self.coming, (None, 0, 0, b""))
        if kind is None:
            for stream in self.streams.values():
                stream.ended = "gone" if stream.ended is None else stream.ended
            return
        if kind == SETTINGS and not flags & ACK:
            self.settings = payload
            self.send(frame(SETTINGS, ACK, 0))
        self.went_away = self.went_away or kind == GOAWAY
        stream = self.streams.get(number)
        if kind == WINDOW_UPDATE and (number == 0 or stream):
            (stream or self).may_send += struct.unpack(">I", payload)[0]
        if stream is None:
            return
        if kind == HEADERS:
            stream.head = payload
        if kind == DATA:
            stream.came += payload
            if payload and self.takes:
                size = struct.pack(">I", len(payload))
                self.send(frame(WINDOW_UPDATE, 0, 0, size) + frame(WINDOW_UPDATE, 0, number, size))
        if kind == RST_STREAM and stream.ended is None:
            stream.ended = struct.unpack(">I", payload)[0]
        elif kind in (HEADERS, DATA) and flags & END_STREAM:
            stream.ended = "end"


def house_connect(port):
    return socket.create_connection(("127.0.0.1", port), 10)


def setUpModule():
    websocket_test.HOUSE.append(House())


def tearDownModule():
    websocket_test.HOUSE.pop().stop()


class StreamsTest(websocket_test.SocketTest):
    def client(self, port=None):
        client = Client(self.house, port)
        self.addCleanup(client.close)
        return client

    def opened(self, url="http://web.gatehouse/socket", *more, client=None, **script):
        """Both sides of a WebSocket that is open."""
        arrived = self.accepting(**script)
        stream = (client or self.client()).websocket(url, *more)
        self.assertEqual(stream.answered()[:1], OK, stream.came)
        self.assertTrue(arrived.wait(10))
        agent = Peer(stream, stream, True)
        agent.carried = stream
        return agent, self.upstream

    def refused(self, stream, words):
        self.assertNotIn(stream.answered(), (None, OK))
        self.assertNotEqual(stream.head[:1], OK)
        self.assertIn(words, stream.read().decode())
        self.assertEqual(Upstream.seen, [])


class WebSockets(StreamsTest):
    def test_it_is_announced(self):
        client = self.client()
        while not client.settings:
            client.pump()
        self.assertIn(struct.pack(">HI", 8, 1), client.settings)

    def test_messages_pass_both_ways_and_are_on_record(self):
        agent, upstream = self.opened("http://web.gatehouse/socket/carried?x=1",
                                      ("sec-websocket-protocol", "chat"),
                                      ("sec-websocket-key", "bm90IGEga2V5"))
        method, path, fields, _ = Upstream.seen[-1]
        self.assertEqual((method, path), ("GET", "/socket/carried?x=1"))
        self.assertEqual(len(base64.b64decode(fields["sec-websocket-key"])), 16)
        self.assertEqual(fields["sec-websocket-protocol"], "chat")
        agent.send(TEXT, "grüß dich".encode())
        self.assertEqual(upstream.message(), (TEXT, "grüß dich".encode()))
        big = os.urandom(2_000_000)
        agent.send(BINARY, big)
        self.assertEqual(upstream.message(), (BINARY, big))
        upstream.send(BINARY, big)
        self.assertEqual(agent.message(), (BINARY, big))
        upstream.send(PING, b"alive?")
        self.assertEqual(agent.message(), (PING, b"alive?"))
        agent.send(CLOSE, close(1000, b"bye"))
        self.assertEqual(upstream.message(), (CLOSE, close(1000, b"bye")))
        upstream.send(CLOSE, close(1000))
        upstream.sock.shutdown(socket.SHUT_WR)
        self.assertEqual(agent.closed(), (1000, ""))
        self.assertEqual(agent.carried.ends(), "end")
        intent, _, tags = self.settled(path="/socket/carried")
        self.assertEqual((intent["tags"]["rule"], tags["state"], tags["status"]),
                         ("web", "done", "101"))
        self.assertEqual((tags["close.agent"], tags["close.upstream"]), ("1000", "1000"))

    def test_the_intent_is_durable_before_the_upstream_hears_of_it(self):
        found = []
        talk = lambda peer: found.append(self.house.read_log(self.house.run)[1])
        agent, _ = self.opened("http://web.gatehouse/socket/lasting", talk=talk)
        agent.closed()
        self.assertTrue([entry for entry in found[0] if entry["kind"] == "intent"
                         and entry["tags"].get("path") == "/socket/lasting"])

    def test_the_rules_are_those_of_a_websocket(self):
        client = self.client()
        self.refused(client.websocket("http://reading.gatehouse/socket"),
                     "WEBSOCKET reading.gatehouse/socket")
        self.house.entry(kind="refused", host="reading.gatehouse", call="websocket")
        self.refused(client.websocket("http://tools.gatehouse/mcp"), "MCP's transport")
        agent, upstream = self.opened("http://reading.gatehouse/named", client=client)
        agent.send(TEXT, b"allowed")
        self.assertEqual(upstream.message(), (TEXT, b"allowed"), "beside what was refused")

    def test_what_cannot_be_one_is_refused_in_words(self):
        client = self.client()
        self.refused(client.websocket(protocol="connect-udp"), "only :protocol websocket")
        self.refused(client.websocket("http://web.gatehouse/socket", ("content-length", "2")),
                     "no body")
        fields = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"),
                  (":authority", "web.gatehouse"), (":path", "/socket")]
        self.refused(client.open(fields), "Sec-WebSocket-Version")
        self.refused(client.open(fields + [("sec-websocket-version", "13")],
                                 END_HEADERS | END_STREAM), "ended with its head")
        # What HTTP/1.1 asks by is a stream's error here (RFC 9113 section 8.2.2).
        classic = client.open([(":method", "GET"), *fields[2:], ("upgrade", "websocket"),
                               ("connection", "Upgrade")])
        self.assertEqual(classic.ends(), 1)

    def test_bytes_behind_the_head_are_refused_before_anybody_is_dialled(self):
        client = self.client()
        both = head(1, [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"),
                        (":authority", "web.gatehouse"), (":path", "/socket"),
                        ("sec-websocket-version", "13")], END_HEADERS)
        stream = client.streams[1] = Carried(client, 1)
        client.send(both + frame(DATA, 0, 1, websocket_test.frame(TEXT, b"early", mask=b"abcd")))
        self.refused(stream, "before it was answered")

    def test_an_upstream_that_declines_is_heard(self):
        Upstream.script = lambda handler, _: handler.answer(426, b'{"sorry":1}')
        client = self.client()
        stream = client.websocket()
        self.assertNotEqual(stream.answered()[:1], OK)
        self.assertEqual(stream.read(11), b'{"sorry":1}')
        self.assertIn(stream.ends(), ("end", NO_ERROR))
        plain = client.open(None, END_HEADERS | END_STREAM)
        self.assertEqual(plain.answered()[:1], OK, "the connection goes on")

    def test_who_resets_it_leaves_without_a_close(self):
        agent, upstream = self.opened("http://web.gatehouse/socket/reset")
        agent.carried.reset()
        self.assertEqual(upstream.closed()[0], 1001)
        self.assertEqual(self.settled(path="/socket/reset")[2]["state"], "cut")

    def test_frames_that_break_the_protocol_end_it_alone(self):
        client = self.client()
        agent, upstream = self.opened("http://web.gatehouse/socket/bad", client=client)
        other, upstream_of_other = self.opened(client=client)
        agent.raw(websocket_test.frame(TEXT, b"no mask"))
        self.assertEqual(agent.closed()[0], 1002)
        self.assertEqual(upstream.closed()[0], 1001)
        other.send(TEXT, b"still here")
        self.assertEqual(upstream_of_other.message(), (TEXT, b"still here"))

    def test_an_upstream_waits_for_an_agent_that_takes_nothing(self):
        client = self.client()
        agent, upstream = self.opened(client=client)
        client.takes = False
        upstream.sock.setblocking(False)
        sent, data = 0, websocket_test.frame(BINARY, b"x" * 60_000)
        while websocket_test.select.select([], [upstream.sock], [], 1)[1]:
            with websocket_test.contextlib.suppress(BlockingIOError):
                sent += upstream.sock.send(data)
            self.assertLess(sent, 64_000_000)
        agent.carried.reset()

    def test_a_kill_is_told_by_a_close(self):
        client = self.client(self.house.second_proxy)
        agent, upstream = self.opened("http://web.gatehouse/socket/killed", client=client)
        inner = client.connect("web.gatehouse:80")
        self.assertEqual(inner.answered()[:1], OK)
        arrived = self.accepting()
        inner.sendall(websocket_test.handshake("/socket/inner").replace(
            b"host: ", b"host: web.gatehouse"))
        self.assertEqual(read_response(inner, head_only=True)[0], 101)
        self.assertTrue(arrived.wait(10))
        tunnelled = Peer(inner, inner, True)
        agent.send(TEXT, b"begun, ", final=False)
        self.assertEqual(upstream.frame(), (TEXT, b"begun, ", False))
        self.house.kill(self.house.second_run)
        for peer in (agent, tunnelled):
            self.assertEqual(peer.closed(), (1008, "the run was killed"))
        self.assertEqual(upstream.closed()[0], 1001)
        self.assertTrue(client.went_away or agent.carried.ends() is not None)
        settled = self.house.entry(self.house.second_run, kind="settled", path="/socket/killed")
        self.assertEqual(settled["tags"]["state"], "cut")
        with self.assertRaises((ConnectionResetError, EOFError)):
            self.house.request("GET", "http://web.gatehouse/x", port=self.house.second_proxy)


class Tunnels(StreamsTest):
    @staticmethod
    def ask(stream, host, path="/x", more=""):
        stream.sendall(("GET %s HTTP/1.1\r\nhost: %s\r\n%s\r\n" % (path, host, more)).encode())
        return read_response(stream)

    def test_what_passes_through_one_to_a_service_is_ruled_and_recorded(self):
        client = self.client()
        stream = client.connect("web.gatehouse:80")
        self.assertEqual(stream.answered()[:1], OK)
        for path in ("/tunnelled-1", "/tunnelled-2"):
            self.assertEqual(self.ask(stream, "web.gatehouse", path)[0], 200)
        self.assertEqual(self.ask(stream, "openai.gatehouse")[0], 400, "it is to one host")
        self.house.exchange(path="/tunnelled-2")

    def test_a_tunnel_that_a_rule_allows_passes_unseen_and_is_recorded_as_such(self):
        server = Server(PUBLIC, 443)
        self.addCleanup(server.stop)
        stream = self.client().connect("public.test:443")
        self.assertEqual(stream.answered()[:1], OK)
        status, fields, body = self.ask(stream, "anything", "/through", "connection: close\r\n")
        self.assertEqual((status, body), (200, b'{"ok":true}'))
        self.assertNotIn("x-gatehouse-trace", fields)
        self.assertEqual(stream.ends(), "end", "the end passes too")
        intent, settled = self.house.exchange(call="tunnel", host="public.test:443")
        self.assertEqual((intent["tags"]["inspected"], intent["tags"]["rule"]), ("false", "hosts"))
        self.assertEqual(settled["tags"]["state"], "done")

    def test_one_to_a_silent_host_ends_with_its_stream(self):
        server = Server(PUBLIC, 443)
        self.addCleanup(server.stop)
        stream = self.client().connect("public.test:443")
        self.assertEqual(stream.answered()[:1], OK)
        stream.reset()
        self.house.entry(kind="settled", call="tunnel", host="public.test:443", state="cut")

    def test_what_no_rule_allows_is_refused_and_on_record(self):
        client = self.client()
        self.refused(client.connect("unknown.test:443"), "no rule")
        self.house.entry(kind="refused", host="unknown.test:443")
        self.refused(client.connect("private.test:443"), "private-address")
        self.refused(client.connect("web.gatehouse:80",
                                    ("x-key", self.house.placeholders["secure"])), "alarm")
        self.assertEqual(client.connect("web.gatehouse:80").answered()[:1], OK)

    def test_one_in_another_is_none(self):
        stream = self.client().connect("web.gatehouse:80")
        self.assertEqual(stream.answered()[:1], OK)
        inner = Client(type("In", (), {"connect": lambda _: Inside(stream)})())
        self.refused(inner.connect("public.test:443"), "inside a connection to one host")

    def test_malformed_ones_are_refused(self):
        client = self.client()
        self.refused(client.connect("web.gatehouse"), "")
        self.refused(client.connect("web.gatehouse:80", ("content-length", "3")), "")
        crooked = client.open([(":method", "CONNECT"), (":authority", "web.gatehouse:80"),
                               (":scheme", "http"), (":path", "/")])
        self.assertEqual(crooked.ends(), 1)

    def test_they_count_as_connections_and_go_with_what_carries_them(self):
        before = self.house.counters()["open"]
        clients = [self.client() for _ in range(6)]
        streams = [client.connect("web.gatehouse:80") for client in clients for _ in range(90)]
        answers = [stream.answered()[:1] for stream in streams]
        self.assertEqual(answers.count(OK), 512 - 6)
        full = next(stream for stream in streams if stream.head[:1] != OK)
        self.assertIn("as many connections as it may", full.read().decode())
        streams[0].shutdown(None)
        self.assertEqual(streams[0].ends(), "end")
        for client in clients:
            client.sock.shutdown(socket.SHUT_RDWR)
        for _ in range(500):
            if self.house.counters()["open"] <= before:
                break
            websocket_test.threading.Event().wait(0.02)
        else:
            self.fail("tunnels are left over")
        self.assertEqual(self.house.request("GET", "http://web.gatehouse/x")[0], 200)


class Inside:
    """A stream as the socket of another client."""

    def __init__(self, stream):
        self.stream = stream
        self.settimeout, self.sendall, self.close = (stream.settimeout, stream.sendall,
                                                     stream.close)

    def makefile(self, _):
        return self.stream


class Real(HouseTest):
    """Node's client: what it does in a tunnel, in TLS in a tunnel, in HTTP/2 in TLS in one."""

    @classmethod
    def setUpClass(cls):
        cls.house = websocket_test.HOUSE[0]

    def test_node_goes_through_tunnels_and_websockets(self):
        def script(handler, _):
            if "upgrade" not in handler.headers:
                return handler.answer(200, b"plain")
            accept = websocket_test.accept_of(handler.headers["sec-websocket-key"])
            handler.wfile.write(("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n"
                                 "connection: Upgrade\r\nsec-websocket-accept: %s\r\n\r\n"
                                 % accept).encode())
            handler.close_connection = True
            peer = Peer(handler.connection, handler.rfile, False)
            opcode, said = peer.message()
            peer.send(opcode, said + b" " + handler.headers.get("authorization", "").encode())
            peer.send(CLOSE, close(1000))
            peer.closed()
        Upstream.always = script
        done = subprocess.run(
            ["node", FIXTURE, "--proxy", "http://127.0.0.1:%d" % self.house.proxy, "--ca",
             os.path.join(self.house.data, "ca.pem"), "--key", self.house.placeholders["secure"]],
            capture_output=True, text=True, timeout=30, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        told = json.loads(done.stdout)
        self.assertEqual(told, {
            "announced": True, "plain": [200, "plain"], "tls": [200, "plain"],
            "denied": 403, "websocket": ["hello ", 1000],
            "inner_http2": "h2", "inner_announced": False, "inner": 200})
        keys = [fields.get("authorization") for _, path, fields, _ in Upstream.seen
                if path == "/inner"]
        self.assertEqual(keys, ["Bearer " + KEY])


if __name__ == "__main__":
    live_in_own_network()
    unittest.main(verbosity=2)
