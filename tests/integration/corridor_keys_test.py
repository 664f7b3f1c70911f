#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Where a credential goes: to its service and nowhere else, never back to the agent, and to an
upstream that proves who it is. Every misuse of a placeholder is refused and raises an alarm."""
import base64
import gzip
import json
import subprocess
import unittest
import zlib

from corridor_house import (CHAT, KEY, MCP, HouseTest, Server, Upstream, chat, connect_bytes,
                            make_certificates, read_response, request_bytes, tool_call)

REMOVED = "[credential removed by gatehouse]"


class Echo(HouseTest):
    """What the upstream says back of the credential is replaced."""

    def ask(self, script, headers=None):
        Upstream.script = script
        headers = [self.house.bearer("openai")] if headers is None else headers
        return self.house.request("POST", CHAT, chat("hi"), headers)

    def test_interception_swaps_inside_tls_and_what_is_echoed_is_replaced(self):
        with self.house.connect() as sock:
            with self.house.intercepted(sock, "secure.gatehouse") as tls:
                tls.sendall(request_bytes("GET", "http://secure.gatehouse/echo", b"",
                                          [self.house.bearer("secure")])
                            .replace(b"http://secure.gatehouse", b""))
                status, headers, body = read_response(tls.makefile("rb"))
        self.assertEqual(status, 200)
        self.assertEqual(Upstream.seen[0][2]["authorization"], "Bearer " + KEY)
        self.assertNotIn(KEY, str(headers) + body.decode())
        self.assertIn(REMOVED, body.decode())
        for shift in range(3):
            inner = base64.b64encode(b"x" * shift + KEY.encode()).decode().rstrip("=")[4:-4]
            self.assertNotIn(inner, body.decode())
        _, settled = self.house.exchange(path="/echo")
        self.assertEqual(settled["tags"]["credential_echoes"], "3")
        self.assertNotIn(KEY, settled["bodies"]["response"])

    def test_in_pieces_it_is_found_all_the_same(self):
        text = b"before " + KEY.encode() + b" between " + KEY.encode() + b" after"
        for size in (1, 2, 5, len(KEY) + 6):
            def in_chunks(upstream, _, size=size):
                upstream.begin()
                for at in range(0, len(text), size):
                    upstream.chunk(text[at:at + size])
                upstream.end()
            status, _, body = self.ask(in_chunks)
            self.assertEqual((status, body.decode()),
                             (200, "before %s between %s after" % (REMOVED, REMOVED)))

    def test_the_beginning_of_it_at_the_end_is_not_withheld(self):
        text = b"it begins like sk-canary-0123"
        status, _, body = self.ask(lambda upstream, _: upstream.answer(200, text))
        self.assertEqual((status, body), (200, text))

    def test_in_the_reason_phrase_and_in_a_header(self):
        def spoken(upstream, _):
            upstream.wfile.write(("HTTP/1.1 200 take %s\r\nx-said: %s\r\ncontent-length: 2\r\n"
                                  "\r\nok" % (KEY, KEY)).encode())
        status, headers, body = self.ask(spoken)
        self.assertEqual((status, body), (200, b"ok"))
        self.assertNotIn(KEY, str(headers))
        self.assertEqual(headers["x-said"], REMOVED)
        self.assertIn(REMOVED, headers[""])

    def test_in_a_trailer(self):
        def trailing(upstream, _):
            upstream.begin(kind="text/plain")
            upstream.chunk(b"ok")
            upstream.wfile.write(b"0\r\nx-said: %s\r\n\r\n" % KEY.encode())
        with self.house.connect() as sock:
            Upstream.script = trailing
            sock.sendall(request_bytes("POST", CHAT, chat("hi"),
                                       [self.house.bearer("openai"), ("connection", "close")]))
            answer = sock.makefile("rb").read()
        removed = b"0\r\nx-said: %s\r\n\r\n" % REMOVED.encode()
        self.assertTrue(answer.endswith(b"ok\r\n" + removed), answer)
        self.assertNotIn(KEY.encode(), answer)

    def test_in_an_answer_to_a_later_request_that_carried_none(self):
        self.assertEqual(self.house.chat("hi")[0], 200)
        kept = ('{"you_sent":"%s"}' % KEY).encode()
        status, _, body = self.ask(lambda upstream, _: upstream.answer(200, kept), headers=[])
        self.assertNotIn("authorization", Upstream.seen[-1][2])
        self.assertEqual((status, body.decode()), (200, '{"you_sent":"%s"}' % REMOVED))
        # Another service at the same upstream: what it was leased is known there as well.
        Upstream.script = lambda upstream, _: upstream.answer(200, kept)
        _, _, body = self.house.request("GET", "http://web.gatehouse/later")
        self.assertNotIn(KEY, body.decode())

    def test_an_answer_that_cannot_be_looked_through_does_not_pass(self):
        packed = gzip.compress(KEY.encode())
        for coding in ("compress", "gzip, gzip"):
            status, headers, body = self.ask(lambda upstream, _: upstream.answer(
                200, packed, headers=[("content-encoding", coding)]))
            self.assertEqual(Upstream.seen[-1][2]["accept-encoding"], "identity")
            self.assertEqual((status, headers["x-gatehouse-error"]), (502, "upstream"))
            self.assertNotIn(packed, body)

    def test_a_compressed_answer_is_unpacked_and_looked_through(self):
        text = b'{"you_sent":"%s"}' % KEY.encode()
        for coding, packed in [("gzip", gzip.compress(text)), ("deflate", zlib.compress(text))]:
            status, headers, body = self.ask(lambda upstream, _: upstream.answer(
                200, packed, headers=[("content-encoding", coding)]))
            self.assertEqual((status, body.decode()), (200, '{"you_sent":"%s"}' % REMOVED))
            self.assertNotIn("content-encoding", headers)

    def test_a_compressed_answer_that_is_broken_or_a_bomb_is_cut(self):
        whole = gzip.compress(b"x" * 1000)
        bomb = gzip.compress(b"\0" * (4 << 20))
        for packed in (whole[:-4], whole[:12] + b"zzzz" + whole[16:], bomb):
            with self.assertRaises((OSError, EOFError)):
                self.ask(lambda upstream, _: upstream.answer(
                    200, packed, headers=[("content-encoding", "gzip")]))
        self.assertEqual(self.house.chat("hi")[0], 200)


class Compressed(HouseTest):
    def test_a_compressed_body_is_ruled_on_as_if_it_were_plain(self):
        packed = [self.house.bearer("openai"), ("content-encoding", "gzip")]
        asked = gzip.compress(chat("hi", model="packed"))
        Upstream.script = lambda upstream, _: upstream.answer(200, b"{}")
        self.assertEqual(self.house.request("POST", CHAT, asked, packed)[0], 200)
        self.assertEqual((Upstream.seen[-1][3], Upstream.seen[-1][2]["content-encoding"]),
                         (asked, "gzip"), "its bytes are as they came")
        intent, _ = self.house.exchange(**{"llm.model": "packed"})
        self.assertIn("hi", intent["bodies"]["llm.input"])
        # Its usage is asked for by an edit: what is edited goes out plain.
        self.house.request("POST", CHAT, gzip.compress(chat("hi", stream=True)), packed)
        self.assertTrue(json.loads(Upstream.seen[-1][3])["stream_options"]["include_usage"])
        self.assertNotIn("content-encoding", Upstream.seen[-1][2])
        seen = len(Upstream.seen)
        tools = {"model": "m", "messages": [], "web_search_options": {}}
        hidden = chat("psst: " + self.house.placeholders["openai"])
        for body in (json.dumps(tools).encode(), hidden):
            self.assertEqual(self.house.request("POST", CHAT, gzip.compress(body), packed)[0], 403)
        self.house.entry(kind="alarm", alarm="placeholder-misused")
        self.assertEqual(len(Upstream.seen), seen)


class Placeholders(HouseTest):
    """Sent anywhere but to its own service's header: refused, with an alarm."""

    def alarm(self, **tags):
        return self.house.entry(kind="alarm", alarm="placeholder-misused", **tags)

    def test_a_placeholder_goes_nowhere_but_to_its_service(self):
        mine = self.house.placeholders["openai"]
        basic = base64.b64encode(("x:" + mine).encode()).decode()
        web = "http://web.gatehouse"
        cases = {
            "/header": ("GET", web, b"", [self.house.bearer("openai")]),
            "/other-header": ("GET", web, b"", [("x-key", "a " + mine + " b")]),
            "/cookie": ("GET", web, b"", [("cookie", "k=" + mine)]),
            "/basic": ("GET", web, b"", [("authorization", "Basic " + basic)]),
            "/query?k=" + mine: ("GET", web, b"", []),
            "/encoded?k=" + "".join("%%%02x" % ord(c) for c in mine): ("GET", web, b"", []),
            "/body": ("POST", web, b"take " + mine.encode(), []),
        }
        before = self.house.counters()["alarms"]
        for path, (method, place, body, headers) in cases.items():
            with self.subTest(path=path):
                status, _, answer = self.house.request(method, place + path, body, headers)
                self.assertEqual(status, 403, answer)
                self.assertIn('"rule":"placeholder-binding"', answer.decode())
                self.alarm(path=path.split("?")[0])
        self.assertEqual(Upstream.seen, [])
        self.assertEqual(self.house.counters()["alarms"] - before, len(cases))

    def test_not_to_a_host_that_no_rule_allows_either(self):
        for method, body, headers in [("GET", b"", [self.house.bearer("openai")]),
                                      ("POST", self.house.placeholders["openai"].encode(), [])]:
            status, _, answer = self.house.request(method, "http://evil.test/", body, headers)
            self.assertEqual(status, 403)
            self.assertIn("default-deny", answer.decode())
            entry = self.house.entry(kind="alarm", method=method, host="evil.test")
            self.assertEqual(entry["tags"]["placeholder.service"], "openai")

    def test_not_in_another_place_of_its_own_service(self):
        mine = self.house.placeholders["openai"]
        for url, body, headers in [(CHAT + "?key=" + mine, chat("hi", model="query"), []),
                                   (CHAT, chat("hi", model="x-key"), [("x-api-key", mine)]),
                                   (CHAT, chat("say " + mine, model="body"), [])]:
            status, _, answer = self.house.request("POST", url, body, headers)
            self.assertEqual(status, 403, answer)
            self.assertIn('"code":"placeholder-binding"', answer.decode())
        for model in ("query", "x-key", "body"):
            self.house.entry(kind="alarm", llm__model=model)
        self.assertEqual(Upstream.seen, [])

    def test_not_in_a_conversation_that_goes_on(self):
        """What was said before is not looked through again: what is new is, from its first byte on,
        and what was refused is not known."""
        mine = self.house.placeholders["openai"]
        Upstream.script = lambda upstream, _: upstream.answer(200, b"{}")

        def status_of(last):
            said = [{"role": "user", "content": text} for text in ("~" * 20000, last)]
            body = json.dumps({"model": "goes-on", "messages": said}).encode()
            return self.house.request("POST", CHAT, body, [self.house.bearer("openai")])[0]
        for _ in range(4):  # at each gateway
            self.assertEqual(status_of("say " + mine[:-1]), 200)
            self.assertEqual(status_of("say " + mine), 403)
            self.assertEqual(status_of("say " + mine), 403)
            self.assertEqual(status_of("say " + mine + ", and " + "." * 5000), 403)
        self.alarm(llm__model="goes-on")
        for _, _, _, body in Upstream.seen:
            self.assertNotIn(mine.encode(), body)

    def test_not_for_another_service_with_a_credential_and_not_into_a_tool(self):
        status, _, answer = self.house.request("POST", CHAT, chat("hi", model="swapped"),
                                               [self.house.bearer("secure")])
        self.assertEqual(status, 403)
        self.assertIn("placeholder-binding", answer.decode())
        self.house.entry(kind="alarm", llm__model="swapped")
        call = tool_call("echo", arguments={"message": self.house.placeholders["openai"]})
        status, _, answer = self.house.request("POST", MCP, call)
        self.assertEqual(status, 403)
        self.assertIn('"id":7', answer.decode())
        self.assertIn('"rule":"placeholder-binding"', answer.decode())
        self.house.entry(kind="alarm", tool="echo")
        self.assertEqual(Upstream.seen, [])

    def test_a_body_that_streams_stops_where_it_is_found(self):
        mine = self.house.placeholders["openai"].encode()
        for half in (0, 1, len(mine) // 2, len(mine) - 1):
            Upstream.seen.clear()
            path = "/streamed%d" % half
            with self.house.connect() as sock:
                sock.sendall(("PUT http://web.gatehouse%s HTTP/1.1\r\nhost: web.gatehouse\r\n"
                              "transfer-encoding: chunked\r\n\r\n" % path).encode())
                for piece in (b"z" * 100_000, b"z" * 9000 + mine[:half], mine[half:] + b"z" * 9000):
                    sock.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
                status, _, answer = read_response(sock.makefile("rb"))
            self.assertEqual(status, 403, answer)
            self.assertIn('"rule":"placeholder-binding"', answer.decode())
            self.alarm(path=path)
            for _, _, _, body in Upstream.seen:
                self.assertNotIn(mine, body)

    def test_not_with_connect(self):
        for name in ("authorization", "proxy-authorization", "x-note"):
            for target in ("secure.gatehouse:443", "web.gatehouse:80", "evil.test:443"):
                answer = self.house.raw(connect_bytes(target, [
                    (name, "Bearer " + self.house.placeholders["openai"])]))
                self.assertTrue(answer.startswith(b"HTTP/1.1 403"), answer)
                self.assertIn(b'"rule":"placeholder-binding"', answer)
        for target in ("secure.gatehouse:443", "web.gatehouse:80", "evil.test:443"):
            self.house.entry(kind="alarm", method="CONNECT", host=target,
                             rule="placeholder-binding")
        self.assertEqual(Upstream.seen, [])

    def test_another_runs_placeholder_gets_no_credential(self):
        uses = len([e for e in self.house.entries() if e["kind"] == "vault_use"])
        self.assertNotEqual(self.house.placeholders, self.house.second_placeholders)
        self.house.request("POST", CHAT, chat("hi"),
                           [("authorization", "Bearer "
                             + self.house.second_placeholders["openai"])])
        self.house.request("POST", CHAT, chat("hi"), [self.house.bearer("openai")],
                           port=self.house.second_proxy)
        for _, _, sent, _ in Upstream.seen:
            self.assertNotIn("authorization", sent)
        status, _, _ = self.house.request(
            "POST", CHAT, chat("hi"), [("authorization", "Bearer "
                                        + self.house.second_placeholders["openai"])],
            port=self.house.second_proxy)
        self.assertEqual(status, 200)
        self.assertEqual(Upstream.seen[-1][2]["authorization"], "Bearer " + KEY)
        self.house.entry(run=self.house.second_run, kind="vault_use")
        self.assertEqual(uses, len([e for e in self.house.entries() if e["kind"] == "vault_use"]))


class UpstreamTls(HouseTest):
    """An upstream that speaks TLS under a CA of its own."""

    @classmethod
    def before(cls, data):
        make_certificates(data, "trusted", "other")
        cls.server = Server(certificate=data + "/server.pem")
        cls.addClassCleanup(cls.server.stop)
        with open(data + "/tls", "w", encoding="ascii") as file:
            file.write(str(cls.server.server_port))

    def test_it_is_reached_under_the_ca_that_the_service_names(self):
        for _ in range(2):
            status, _, body = self.house.request("GET", "http://trusted.gatehouse/a")
            self.assertEqual((status, body), (200, b'{"ok":true}'))
        self.assertEqual([item[1] for item in Upstream.seen], ["/a", "/a"])

    def test_an_agent_is_offered_what_the_upstream_was_found_to_speak(self):
        def version():
            done = subprocess.run(
                ["curl", "-sS", "--max-time", "20", "--http2", "-o", "/dev/null", "-w",
                 "%{http_version} %{http_code}", "-x", "http://127.0.0.1:%d" % self.house.proxy,
                 "--cacert", self.house.data + "/ca.pem", "https://inner.gatehouse/c"],
                capture_output=True, check=False, timeout=60)
            return done.stdout.decode() or done.stderr.decode()
        self.assertEqual(version(), "2 200", "nobody knows yet")
        self.assertEqual(version(), "1.1 200")

    def test_and_under_no_other(self):
        status, headers, body = self.house.request("GET", "http://other.gatehouse/b")
        self.assertEqual(status, 502, body)
        self.assertIn(headers["x-gatehouse-error"], ("upstream", "unreachable"))
        self.assertEqual(Upstream.seen, [])
        _, settled = self.house.exchange(path="/b")
        self.assertEqual(settled["tags"]["state"], "failed")
        self.assertIn("certificate", settled["tags"]["reason"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
