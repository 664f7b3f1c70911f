#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""WebSockets through the gateway: ruled, recorded, looked through, killed; what RFC 6455 lets a
hostile peer try. Clients and servers that nobody here wrote are in clients_test.py."""
import base64
import contextlib
import hashlib
import json
import os
import select
import socket
import struct
import threading
import unittest

from corridor_house import KEY, House, HouseTest, Upstream, read_response

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
NONCE = "dGhlIHNhbXBsZSBub25jZQ=="
REMOVED = b"[credential removed by gatehouse]"
WEB = "http://web.gatehouse/socket"


def accept_of(key):
    text = key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    return base64.b64encode(hashlib.sha1(text.encode()).digest()).decode()


def frame(opcode, payload=b"", final=True, mask=None):
    out = bytes([opcode | (0x80 if final else 0)])
    masked = 0x80 if mask else 0
    if len(payload) < 126:
        out += bytes([len(payload) | masked])
    elif len(payload) < 65536:
        out += bytes([126 | masked]) + struct.pack(">H", len(payload))
    else:
        out += bytes([127 | masked]) + struct.pack(">Q", len(payload))
    if mask:
        out += mask
        payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
    return out + payload


def close(code, reason=b""):
    return struct.pack(">H", code) + reason


class Peer:
    """One side of a WebSocket that sends what it likes. An agent's frames have a mask."""

    def __init__(self, sock, stream, is_agent):
        self.sock, self.stream, self.is_agent = sock, stream, is_agent
        sock.settimeout(20)

    def send(self, opcode, payload=b"", final=True):
        self.raw(frame(opcode, payload, final, os.urandom(4) if self.is_agent else None))

    def raw(self, data):
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # what was said before is still to be read

    def frame(self):
        """(opcode, payload, final) of the next one; None at the end."""
        try:
            start = self.stream.read(2)
            if len(start) < 2:
                return None
            size = start[1] & 0x7f
            if size == 126:
                size = struct.unpack(">H", self.stream.read(2))[0]
            elif size == 127:
                size = struct.unpack(">Q", self.stream.read(8))[0]
            masked = bool(start[1] & 0x80)
            assert masked != self.is_agent, "what comes from a client has a mask, else none"
            mask = self.stream.read(4) if masked else b"\0\0\0\0"
            payload = self.stream.read(size)
        except (ConnectionResetError, ValueError):
            return None
        return (start[0] & 0x0f, bytes(b ^ mask[i % 4] for i, b in enumerate(payload)),
                bool(start[0] & 0x80))

    def message(self):
        """The next message, put together of its fragments; a control frame as it is."""
        whole, kind = b"", None
        while True:
            got = self.frame()
            if got is None:
                return None
            opcode, payload, final = got
            if opcode >= CLOSE:
                return opcode, payload
            kind = opcode if kind is None else kind
            whole += payload
            if final:
                return kind, whole

    def closed(self):
        """The code and reason of the Close that comes, past all else; None without one. Then this
        side ends too."""
        while (got := self.message()) is not None:
            if got[0] == CLOSE:
                with contextlib.suppress(OSError):
                    self.sock.shutdown(socket.SHUT_WR)
                code = struct.unpack(">H", got[1][:2])[0] if got[1] else 1005
                return code, got[1][2:].decode()
        return None


def handshake(url=WEB, fields=(), nonce=NONCE):
    lines = ["GET %s HTTP/1.1" % url, "host: " + (url.split("/")[2] if "://" in url else ""),
             "upgrade: websocket", "connection: Upgrade", "sec-websocket-version: 13",
             "sec-websocket-key: " + nonce]
    return "\r\n".join(lines + ["%s: %s" % field for field in fields]).encode() + b"\r\n\r\n"


HOUSE = []  # one for all: only Killed asks for its second Run


def setUpModule():
    HOUSE.append(House())


def tearDownModule():
    HOUSE.pop().stop()


class SocketTest(HouseTest):
    @classmethod
    def setUpClass(cls):
        cls.house = HOUSE[0]

    def setUp(self):
        super().setUp()
        self.upstream = None  # once it has accepted
        self.done = threading.Event()
        self.addCleanup(self.done.set)

    def accepting(self, fields=(), talk=None, accept=None, at_once=b""):
        """A script of the upstream: it accepts; then `talk` has the Peer, or the test."""
        arrived = threading.Event()

        def script(handler, _):
            key = handler.headers["sec-websocket-key"]
            lines = ["HTTP/1.1 101 Switching Protocols", "upgrade: websocket",
                     "connection: Upgrade", "sec-websocket-accept: " + (accept or accept_of(key))]
            lines += ["%s: %s" % field for field in fields]
            handler.wfile.write("\r\n".join(lines).encode() + b"\r\n\r\n" + at_once)
            self.upstream = Peer(handler.connection, handler.rfile, False)
            arrived.set()
            handler.close_connection = True
            if talk:
                talk(self.upstream)
            else:
                self.done.wait(30)
        Upstream.script = script
        return arrived

    def connect(self, url=WEB, fields=(), port=None, behind=b""):
        """The status, the head and the agent's Peer."""
        sock = self.house.connect(port)
        self.addCleanup(sock.close)
        sock.sendall(handshake(url, fields) + behind)
        stream = sock.makefile("rb")
        self.addCleanup(stream.close)
        status, headers, body = read_response(stream, head_only=False)
        return status, headers, Peer(sock, stream, True) if status == 101 else body

    def opened(self, url=WEB, fields=(), port=None, **script):
        """Both sides of one that is open."""
        arrived = self.accepting(**script)
        status, _, agent = self.connect(url, fields, port)
        self.assertEqual(status, 101, agent)
        self.assertTrue(arrived.wait(10))
        return agent, self.upstream

    def settled(self, **tags):
        intent, settled = self.house.exchange(call="websocket", **tags)
        return intent, settled, dict(settled["tags"])


class Relay(SocketTest):
    def test_messages_pass_both_ways_and_are_on_record(self):
        agent, upstream = self.opened(WEB + "/talk?x=1")
        self.assertEqual(Upstream.seen[-1][1], "/socket/talk?x=1")
        agent.send(TEXT, "grüß dich".encode())
        self.assertEqual(upstream.message(), (TEXT, "grüß dich".encode()))
        upstream.send(BINARY, bytes(range(256)))
        self.assertEqual(agent.message(), (BINARY, bytes(range(256))))
        agent.send(CLOSE, close(1000, b"bye"))
        self.assertEqual(upstream.message(), (CLOSE, close(1000, b"bye")))
        upstream.send(CLOSE, close(1000))
        upstream.sock.shutdown(socket.SHUT_WR)
        self.assertEqual(agent.closed(), (1000, ""))
        self.assertIsNone(agent.frame(), "the connection ends")
        intent, settled, tags = self.settled(path="/socket/talk")
        self.assertEqual(dict(intent["tags"])["rule"], "web")
        self.assertEqual(tags["status"], "101")
        self.assertEqual(tags["state"], "done")
        self.assertEqual((tags["close.agent"], tags["close.upstream"]), ("1000", "1000"))
        self.assertEqual((tags["messages.agent"], tags["messages.upstream"]), ("1", "1"))
        said = [json.loads(line) for line in settled["bodies"]["messages"].splitlines()]
        for line in said:
            self.assertGreaterEqual(line.pop("at_ms"), 0)
        self.assertEqual(said, [
            {"from": "agent", "text": "grüß dich"},
            {"from": "upstream", "base64": base64.b64encode(bytes(range(256))).decode()},
            {"from": "agent", "close": 1000, "reason": "bye"},
            {"from": "upstream", "close": 1000, "reason": ""}])

    def test_the_intent_is_durable_before_the_upstream_hears_of_it(self):
        found = []
        talk = lambda peer: found.append(self.house.read_log(self.house.run)[1])
        agent, _ = self.opened(WEB + "/durable", talk=talk)
        agent.closed()
        self.assertTrue([entry for entry in found[0] if entry["kind"] == "intent"
                         and dict(entry["tags"])["path"] == "/socket/durable"])

    def test_fragments_pings_and_large_messages_pass(self):
        agent, upstream = self.opened()
        agent.send(TEXT, b"one ", final=False)
        agent.send(PING, b"alive?")
        agent.send(CONTINUATION, b"two ", final=False)
        agent.send(CONTINUATION, b"three")
        self.assertEqual([upstream.frame() for _ in range(4)],
                         [(TEXT, b"one ", False), (PING, b"alive?", True),
                          (CONTINUATION, b"two ", False), (CONTINUATION, b"three", True)])
        upstream.send(PONG, b"alive?")
        self.assertEqual(agent.frame(), (PONG, b"alive?", True))
        big = os.urandom(3_000_000)
        sender = threading.Thread(target=upstream.send, args=(BINARY, big))
        sender.start()
        self.assertEqual(agent.message(), (BINARY, big))
        sender.join()
        agent.send(BINARY, b"x" * 65536)
        self.assertEqual(upstream.frame(), (BINARY, b"x" * 65536, True), "a frame is one frame")

    def test_what_the_upstream_sends_right_behind_its_101_is_not_lost(self):
        agent, _ = self.opened(at_once=frame(TEXT, b"first"))
        self.assertEqual(agent.message(), (TEXT, b"first"))

    def test_the_subprotocol_is_one_of_those_offered(self):
        offer = [("sec-websocket-protocol", "chat, superchat")]
        self.accepting([("sec-websocket-protocol", "superchat")])
        status, headers, _ = self.connect(fields=offer)
        self.assertEqual((status, headers["sec-websocket-protocol"]), (101, "superchat"))
        self.assertEqual(Upstream.seen[-1][2]["sec-websocket-protocol"], "chat, superchat")
        self.accepting([("sec-websocket-protocol", "other")])
        self.assertEqual(self.connect(fields=offer)[0], 502)

    def test_no_extension_is_offered_and_none_is_taken(self):
        offer = [("sec-websocket-extensions", "permessage-deflate; client_max_window_bits")]
        self.accepting()
        status, headers, _ = self.connect(fields=offer)
        self.assertEqual(status, 101)
        self.assertNotIn("sec-websocket-extensions", headers)
        self.assertNotIn("sec-websocket-extensions", Upstream.seen[-1][2])
        self.accepting([("sec-websocket-extensions", "permessage-deflate")])
        status, _, body = self.connect(fields=offer)
        self.assertEqual(status, 502)
        self.assertIn(b"extension", body)

    def test_an_upstream_that_declines_is_heard_and_the_connection_goes_on(self):
        Upstream.script = lambda handler, _: handler.answer(426, b"{}")
        sock = self.house.connect()
        self.addCleanup(sock.close)
        stream = sock.makefile("rb")
        sock.sendall(handshake(WEB + "/no"))
        self.assertEqual(read_response(stream)[0], 426)
        sock.sendall(b"GET http://web.gatehouse/x HTTP/1.1\r\nhost: web.gatehouse\r\n\r\n")
        self.assertEqual(read_response(stream)[0], 200)


class Rules(SocketTest):
    def refused(self, url, fields=(), status=403):
        got, _, body = self.connect(url, fields)
        self.assertEqual(got, status, body)
        self.assertEqual(Upstream.seen, [])
        return body.decode()

    def test_what_no_rule_allows_is_refused(self):
        self.assertIn("no rule", self.refused("http://drained.gatehouse:81/socket"))

    def test_a_rule_for_get_is_none_for_a_socket(self):
        """What reads may not talk: `methods: [GET]` would have let a WebSocket write."""
        body = self.refused("http://reading.gatehouse/socket")
        self.assertIn("WEBSOCKET reading.gatehouse/socket", body)
        self.house.entry(kind="refused", host="reading.gatehouse", call="websocket")
        self.accepting()
        self.assertEqual(self.connect("http://reading.gatehouse/named")[0], 101)

    def test_mcp_has_no_websocket(self):
        self.assertIn("MCP's transport", self.refused("http://tools.gatehouse/mcp"))

    def test_endpoints_of_models_that_are_not_known_need_to_be_named(self):
        self.assertIn("paths name it",
                      self.refused("http://provider.gatehouse/v1/realtime?model=m"))
        self.assertIn("a model is asked with POST",
                      self.refused("http://provider.gatehouse/v1/chat/completions"))
        self.accepting()
        self.assertEqual(self.connect("http://provider.gatehouse/v1/named")[0], 101)

    def test_websocket_is_not_a_method_to_be_sent(self):
        sock = self.house.connect()
        self.addCleanup(sock.close)
        sock.sendall(handshake().replace(b"GET", b"WEBSOCKET", 1))
        self.assertEqual(read_response(sock.makefile("rb"))[0], 400)

    def test_a_malformed_wish_is_refused_in_words(self):
        for change, words in (((b"-version: 13", b"-version: 8"), "version 13"),
                              ((NONCE.encode(), b"c2hvcnQ="), "16 bytes"),
                              ((b"host:", b"content-length: 2\r\nhost:"), "has no body")):
            with self.subTest(words):
                sock = self.house.connect()
                self.addCleanup(sock.close)
                sock.sendall(handshake().replace(*change) + b"{}")
                status, _, body = read_response(sock.makefile("rb"))
                self.assertIn(status, (400, 501))
                self.assertIn(words, body.decode())
                self.assertEqual(Upstream.seen, [])


class Credentials(SocketTest):
    def secured(self, fields, path="/socket"):
        """(status, Peer or body) of one inside of an interception."""
        sock = self.house.connect()
        tls = self.house.intercepted(sock, "secure.gatehouse")
        self.addCleanup(tls.close)
        tls.sendall(handshake(path, fields).replace(b"host: ", b"host: secure.gatehouse"))
        stream = tls.makefile("rb")
        status, _, body = read_response(stream)
        return status, Peer(tls, stream, True) if status == 101 else body

    def test_the_credential_is_put_into_the_handshake_and_its_echo_is_removed(self):
        def echo(peer):
            # Whole; split over frames of three bytes; in base64; in a ping and a Close.
            peer.send(TEXT, ("you said %s!" % KEY).encode())
            text = ("again %s." % KEY).encode()
            for at in range(0, len(text), 3):
                peer.send(TEXT if at == 0 else CONTINUATION, text[at:at + 3], at + 3 >= len(text))
            peer.send(BINARY, base64.b64encode(b"  " + KEY.encode() + b"  "))
            peer.send(PING, KEY.encode())
            peer.send(CLOSE, close(1000, KEY.encode()))
        self.accepting(talk=echo)
        status, agent = self.secured([self.house.bearer("secure")])
        self.assertEqual(status, 101, agent)
        self.assertEqual(Upstream.seen[-1][2]["authorization"], "Bearer " + KEY)
        self.assertEqual(agent.message(), (TEXT, b"you said " + REMOVED + b"!"))
        self.assertEqual(agent.message(), (TEXT, b"again " + REMOVED + b"."))
        self.assertIn(REMOVED, agent.message()[1])
        self.assertEqual(agent.message(), (PING, REMOVED))
        self.assertEqual(agent.closed(), (1000, REMOVED.decode()))
        agent.send(CLOSE, close(1000))
        _, settled, tags = self.settled(host="secure.gatehouse")
        self.assertEqual(tags["credential_echoes"], "3")
        self.assertNotIn(KEY, settled["bodies"]["messages"])

    def test_a_placeholder_in_a_message_is_misuse_and_ends_it(self):
        placeholder = self.house.placeholders["secure"].encode()
        for name, pieces in (("whole", [b"key: " + placeholder]),
                             ("in fragments", [placeholder[:9], placeholder[9:]]),
                             ("in two messages", None), ("in a ping", None)):
            with self.subTest(name):
                agent, upstream = self.opened()
                if name == "in a ping":
                    agent.send(PING, placeholder)
                elif pieces is None:
                    agent.send(TEXT, placeholder[:9])
                    agent.send(TEXT, placeholder[9:])
                else:
                    for at, piece in enumerate(pieces):
                        agent.send(TEXT if at == 0 else CONTINUATION, piece,
                                   at == len(pieces) - 1)
                code, reason = agent.closed()
                self.assertEqual(code, 1008)
                self.assertIn("placeholder of service secure", reason)
                passed = b""
                while (got := upstream.frame()) and got[0] != CLOSE:
                    passed += got[1]
                self.assertNotIn(placeholder, passed)
                self.assertEqual(got, (CLOSE, close(1001), True))
                alarm = self.house.entry(kind="alarm", call="websocket")
                self.assertEqual(dict(alarm["tags"])["alarm"], "placeholder-misused")
                self.done.set()
                self.done = threading.Event()

    def test_a_key_among_the_subprotocols_goes_where_it_belongs(self):
        key = "openai-insecure-api-key." + self.house.placeholders["openai"]
        self.accepting([("sec-websocket-protocol", "realtime")])
        status, headers, _ = self.connect(
            "http://openai.gatehouse/v1/realtime",
            [("sec-websocket-protocol", "realtime, %s, openai-beta.realtime-v1" % key)])
        self.assertEqual((status, headers["sec-websocket-protocol"]), (101, "realtime"))
        seen = Upstream.seen[-1][2]
        self.assertEqual(seen["authorization"], "Bearer " + KEY)
        self.assertEqual(seen["sec-websocket-protocol"], "realtime, openai-beta.realtime-v1")

    def test_no_key_of_the_agents_own_passes_in_either_place(self):
        self.accepting()
        self.assertEqual(self.connect(
            "http://openai.gatehouse/v1/realtime",
            [("sec-websocket-protocol", "realtime, openai-insecure-api-key.sk-mine")])[0], 101)
        self.assertNotIn("sk-mine", str(Upstream.seen[-1]))

    def test_a_placeholder_among_other_subprotocols_is_refused_in_words(self):
        status, _, body = self.connect(
            fields=[("sec-websocket-protocol", "token." + self.house.placeholders["secure"])])
        self.assertEqual(status, 403)
        self.assertIn(b"bound to that service", body)
        self.assertEqual(Upstream.seen, [])
        self.house.entry(kind="alarm", call="websocket", alarm="placeholder-misused")


PROVIDER = "http://provider.gatehouse/v1/responses"


def event(kind, **members):
    return json.dumps({"type": kind, **members})


def ask(text, model="priced-1", **members):
    return event("response.create", model=model, input=text, **members)


def answer(text, identity, usage=(11, 3), **lane):
    """The events of one response."""
    begun = {"id": identity, "object": "response", "model": "priced-1", "status": "in_progress"}
    yield event("response.created", response=begun, **lane)
    for piece in text:
        yield event("response.output_text.delta", output_index=0, delta=piece, **lane)
    ended = dict(begun, status="completed", usage={
        "input_tokens": usage[0], "output_tokens": usage[1], "total_tokens": sum(usage)})
    yield event("response.completed", response=ended, **lane)


class Responses(SocketTest):
    """OpenAI's Responses over its WebSocket: each response.create is a call of its own."""

    def talking(self, path=PROVIDER, **more):
        agent, upstream = self.opened(path, **more)
        self.addCleanup(agent.sock.close)
        return agent, upstream

    def said(self, peer):
        opcode, text = peer.message()
        self.assertEqual(opcode, TEXT, text)
        return text.decode()

    def call(self, model, run=None):
        intent = self.house.entry(run, kind="intent", call="llm", llm__model=model)
        def ends(entry):
            return entry["kind"] == "settled" and entry["exchange"] == intent["exchange"]
        found = self.house.entries(lambda all_of_it: any(map(ends, all_of_it)), run)
        settled = next(filter(ends, found))
        return intent, settled, dict(settled["tags"])

    def test_each_create_is_a_call_that_is_read_and_booked(self):
        agent, upstream = self.talking(PROVIDER + "?first")
        for number, text in enumerate(("one", "two")):
            model = "priced-booked-%d" % number
            agent.send(TEXT, ask("say " + text, model).encode())
            self.assertEqual(self.said(upstream), ask("say " + text, model), "byte for byte")
            for line in answer([text[:2], text[2:]], "resp_%d" % number):
                upstream.send(TEXT, line.encode())
                self.assertEqual(self.said(agent), line)
            intent, settled, tags = self.call(model)
            self.assertEqual(tags["state"], "done")
            self.assertEqual((tags["tokens.input"], tags["tokens.output"]), ("11", "3"))
            self.assertEqual(tags["cost.micro_usd"], str(11 * 3 + 3 * 15))
            self.assertEqual(tags["llm.response_id"], "resp_%d" % number)
            self.assertEqual(settled["bodies"]["llm.text"], text)
            self.assertEqual(intent["bodies"]["request"], ask("say " + text, model))
            self.assertEqual(json.loads(intent["bodies"]["llm.input"])[0]["text"], "say " + text)
            self.assertIn('"response.created"', settled["bodies"]["response"])
        agent.send(CLOSE, close(1000))
        self.assertEqual(upstream.message(), (CLOSE, close(1000)))
        upstream.send(CLOSE, close(1000))
        upstream.sock.shutdown(socket.SHUT_WR)
        self.assertEqual(agent.closed()[0], 1000)
        socket_intent, _, tags = self.settled(path="/v1/responses")
        self.assertEqual(tags["state"], "done")
        self.assertEqual((tags["messages.agent"], tags["messages.upstream"]), ("2", "8"))
        self.assertEqual(dict(intent["tags"])["websocket"], socket_intent["exchange"])
        self.assertEqual(dict(socket_intent["tags"])["websocket.read"], "true")

    def test_streams_of_one_socket_are_told_apart(self):
        agent, upstream = self.talking()
        for lane in ("left", "right"):
            agent.send(TEXT, ask("x", "priced-" + lane, stream_id=lane).encode())
            self.said(upstream)
        left = list(answer(["L", "l"], "resp_l", (5, 7), stream_id="left"))
        right = list(answer(["R", "r"], "resp_r", (6, 8), stream_id="right"))
        for pair in zip(right, left):
            for line in pair:
                upstream.send(TEXT, line.encode())
                self.assertEqual(self.said(agent), line)
        for lane, text, used in (("left", "Ll", "7"), ("right", "Rr", "8")):
            _, settled, tags = self.call("priced-" + lane)
            self.assertEqual(settled["bodies"]["llm.text"], text)
            self.assertEqual(tags["tokens.output"], used)

    def test_one_that_is_not_allowed_is_answered_and_the_socket_goes_on(self):
        agent, upstream = self.talking()
        agent.send(TEXT, ask("search", "priced-no", stream_id="s",
                             tools=[{"type": "web_search"}]).encode())
        said = json.loads(self.said(agent))
        self.assertEqual((said["type"], said["status"], said["stream_id"]), ("error", 403, "s"))
        self.assertEqual(said["error"]["code"], "provider-side-tools")
        self.assertIn("web_search", said["message"])
        self.house.entry(kind="refused", call="llm", llm__model="priced-no",
                         rule="provider-side-tools")
        agent.send(TEXT, ask("without", "priced-yes").encode())
        self.assertIn("without", self.said(upstream), "what was refused has not passed")

    def test_a_name_that_leads_elsewhere_is_not_followed(self):
        agent, upstream = self.talking("http://router.gatehouse/v1/responses")
        agent.send(TEXT, ask("elsewhere", "plain").encode())
        said = json.loads(self.said(agent))
        self.assertEqual((said["status"], said["error"]["code"]), (403, "model-route"))
        self.house.entry(kind="refused", call="llm", llm__model="plain", rule="model-route")
        agent.send(TEXT, ask("here", "a-model").encode())
        self.assertIn("here", self.said(upstream), "what was refused has not passed")

    def test_what_is_not_known_is_refused_in_words_and_on_record(self):
        agent, upstream = self.talking()
        for opcode, data, words in (
                (TEXT, event("session.update", session={}), "session.update"),
                (TEXT, "no json", "JSON"),
                (TEXT, event("response.create", model="m", response={"tools": []}), "the top"),
                (BINARY, ask("binary"), "binary")):
            with self.subTest(words):
                agent.send(opcode, data.encode())
                self.assertIn(words, json.loads(self.said(agent))["error"]["message"])
        self.house.entry(kind="refused", rule="malformed",
                         host="provider.gatehouse/v1/responses")
        agent.send(TEXT, event("response.processed", response_id="r").encode())
        self.assertIn("response.processed", self.said(upstream))

    def test_an_error_of_the_provider_ends_the_call(self):
        agent, upstream = self.talking()
        agent.send(TEXT, ask("x", "priced-error", previous_response_id="gone").encode())
        self.said(upstream)
        error = {"code": "previous_response_not_found", "message": "no such response"}
        upstream.send(TEXT, event("error", status=400, error=error).encode())
        self.assertIn("previous_response_not_found", self.said(agent))
        _, _, tags = self.call("priced-error")
        self.assertEqual((tags["state"], tags["llm.error"]), ("failed", "no such response"))

    def test_what_follows_a_steer_is_booked_too(self):
        agent, upstream = self.talking()
        agent.send(TEXT, ask("long", "priced-steered").encode())
        self.said(upstream)
        for line in list(answer(["lo"], "resp_1"))[:-1]:
            upstream.send(TEXT, line.encode())
            self.said(agent)
        agent.send(TEXT, event("response.steer", previous_response_id="resp_1",
                               input="shorter").encode())
        self.assertIn("shorter", self.said(upstream))
        upstream.send(TEXT, event("response.incomplete", response={
            "id": "resp_1", "status": "incomplete",
            "incomplete_details": {"reason": "steered"}}).encode())
        self.said(agent)
        self.assertEqual(self.call("priced-steered")[2]["llm.finish_reason"], "steered")
        for line in answer(["ok"], "resp_2", (20, 1)):
            upstream.send(TEXT, line.encode())
            self.said(agent)
        def booked(entries):
            return [e for e in entries if e["kind"] == "settled"
                    and dict(e["tags"]).get("llm.response_id") == "resp_2"
                    and dict(e["tags"])["llm.model"] == "priced-steered"]
        tags = dict(booked(self.house.entries(booked))[0]["tags"])
        self.assertEqual((tags["tokens.input"], tags["tokens.output"]), ("20", "1"))

    def test_a_placeholder_in_an_event_is_misuse(self):
        agent, upstream = self.talking()
        agent.send(TEXT, ask(self.house.placeholders["openai"], "priced-misuse").encode())
        self.assertEqual(agent.closed()[0], 1008)
        self.assertEqual(upstream.closed()[0], 1001)

    def test_an_event_above_16_mib_ends_it(self):
        agent, _ = self.talking()
        agent.raw(b"\x81\xff" + struct.pack(">Q", 16 * 1024 * 1024 + 1) + b"abcd")
        self.assertEqual(agent.closed()[0], 1009)


class Hostile(SocketTest):
    def test_bytes_behind_the_handshake_are_refused_before_anybody_is_dialled(self):
        for behind in (frame(TEXT, b"early", mask=b"abcd"),
                       b"GET http://web.gatehouse/x HTTP/1.1\r\nhost: web.gatehouse\r\n\r\n"):
            with self.subTest(behind):
                status, _, body = self.connect(behind=behind)
                self.assertEqual(status, 400)
                self.assertIn(b"before it was answered", body)
                self.assertEqual(Upstream.seen, [])

    def test_a_101_that_does_not_answer_the_key_is_none(self):
        self.accepting(accept=accept_of("bm90IHRoZSBrZXkgYXQgYWxs"))
        status, _, body = self.connect()
        self.assertEqual(status, 502)
        self.assertIn(b"Sec-WebSocket-Accept", body)

    def test_a_101_that_nobody_asked_for_is_none(self):
        self.accepting(accept="x")
        Upstream.script, script = None, Upstream.script
        Upstream.script = lambda handler, body: (handler.headers.add_header(
            "sec-websocket-key", NONCE), script(handler, body))
        status, _, body = self.house.request("GET", WEB)
        self.assertEqual(status, 502)
        self.assertIn(b"nobody asked it to", body)

    def assert_ends(self, agent, upstream, code, of_upstream=1001):
        self.assertEqual(agent.closed()[0], code)
        self.assertEqual(upstream.closed()[0], of_upstream)

    def test_frames_of_an_agent_that_break_the_protocol_end_it(self):
        for name, data, code in (
                ("no mask", frame(TEXT, b"x"), 1002),
                ("a reserved bit", bytes([0xc1]) + frame(TEXT, b"x", mask=b"abcd")[1:], 1002),
                ("a frame bomb", b"\x82\xff\x40" + bytes(7) + b"abcd", 1009),
                ("a text that is none", frame(TEXT, b"\xc3\x28", mask=b"abcd"), 1007),
                ("fragments without an end", frame(TEXT, b"", False, b"abcd")
                 + frame(CONTINUATION, b"", False, b"abcd") * 65536, 1008)):
            with self.subTest(name):
                agent, upstream = self.opened(WEB + "/hostile")
                agent.raw(data)
                self.assert_ends(agent, upstream, code)
                self.done.set()
                self.done = threading.Event()
                self.assertEqual(self.settled(path="/socket/hostile")[2]["state"], "failed")

    def test_frames_of_an_upstream_that_break_the_protocol_end_it(self):
        agent, upstream = self.opened(WEB + "/broken")
        upstream.raw(frame(TEXT, b"x", mask=b"abcd"))
        code, reason = agent.closed()
        self.assertEqual(code, 1011)
        self.assertIn("with a mask", reason)
        self.assertEqual(upstream.closed()[0], 1002)
        _, _, tags = self.settled(path="/socket/broken")
        self.assertEqual(tags["state"], "failed")

    def test_an_end_without_a_close_is_told_to_the_other_and_on_record(self):
        agent, upstream = self.opened(WEB + "/left")
        agent.sock.close()
        agent.stream.close()
        self.assertEqual(upstream.closed()[0], 1001)
        self.assertEqual(self.settled(path="/socket/left")[2]["state"], "cut")
        agent, upstream = self.opened(WEB + "/dropped")
        upstream.sock.shutdown(socket.SHUT_WR)
        self.assertEqual(agent.closed()[0], 1011)
        self.assertEqual(self.settled(path="/socket/dropped")[2]["state"], "failed")

    def test_an_upstream_that_is_not_read_waits(self):
        """Back-pressure: what an agent does not take is not fetched, nor kept."""
        agent, upstream = self.opened()
        upstream.sock.settimeout(None)
        sent = 0
        data = frame(BINARY, b"x" * 60_000)
        upstream.sock.setblocking(False)
        while select.select([], [upstream.sock], [], 1)[1]:
            with contextlib.suppress(BlockingIOError):
                sent += upstream.sock.send(data)
            self.assertLess(sent, 64_000_000)
        agent.sock.close()
        agent.stream.close()


class Killed(SocketTest):
    def test_a_kill_ends_it_at_once_in_the_middle_of_a_message(self):
        port = self.house.second_proxy
        agent, upstream = self.opened(WEB + "/killed", port=port)
        idle, _ = self.opened(WEB + "/idle", port=port)
        model, provider = self.opened(PROVIDER, port=port)
        model.send(TEXT, ask("a story", "priced-killed").encode())
        self.assertIn(b"a story", provider.message()[1])
        for line in list(answer(["once ", "upon"], "resp_k"))[:-1]:
            provider.send(TEXT, line.encode())
            model.message()
        agent.send(TEXT, b"begun, ", final=False)
        self.assertEqual(upstream.frame(), (TEXT, b"begun, ", False))
        self.house.kill(self.house.second_run)
        for peer in (agent, idle, model):
            self.assertEqual(peer.closed(), (1008, "the run was killed"))
            self.assertIsNone(peer.frame())
        self.assertEqual(upstream.closed()[0], 1001)
        def ended(entries):
            return {dict(e["tags"])["path"]: dict(e["tags"])["state"] for e in entries
                    if e["kind"] == "settled" and dict(e["tags"])["call"] == "websocket"}
        states = {"/socket/killed": "cut", "/socket/idle": "cut", "/v1/responses": "cut"}
        self.house.entries(lambda entries: ended(entries) == states, self.house.second_run)
        settled = self.house.entry(self.house.second_run, kind="settled", path="/socket/killed")
        self.assertIn('"text":"begun, ","more":true', settled["bodies"]["messages"])
        cut = self.house.entry(self.house.second_run, kind="settled", llm__model="priced-killed")
        self.assertEqual(cut["bodies"]["llm.text"], "once upon")
        tags = dict(cut["tags"])
        self.assertEqual((tags["state"], tags["tokens.estimated"]), ("cut", "true"))
        with self.assertRaises(ConnectionResetError):
            self.connect(port=port)


if __name__ == "__main__":
    unittest.main()
