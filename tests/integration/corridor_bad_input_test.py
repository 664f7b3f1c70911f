#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Bad input: a correct error in the caller's own dialect, a counter, no crash, no leak, and nobody
is contacted."""
import gzip
import json
import unittest

from corridor_house import (CHAT, KEY, MCP, TRACE, HouseTest, Upstream, chat, request_bytes,
                            tool_call)

WEB = "http://web.gatehouse/"
HOST = b"host: web.gatehouse\r\n"
POST = b"POST http://web.gatehouse/ HTTP/1.1\r\n"
CHUNKED = POST + HOST + b"transfer-encoding: chunked\r\n\r\n"


def parts(answer):
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    return int(lines[0].split()[1]), headers, body


class BadInput(HouseTest):
    def setUp(self):
        super().setUp()
        self.before = self.house.counters()

    def tearDown(self):
        self.assertEqual(Upstream.seen, [])
        said = self.house.logged()
        for wrong in (KEY, "CHECK", "BUG_IF", "restarted"):
            self.assertNotIn(wrong, said)
        status, _, _ = self.house.request("GET", WEB)
        self.assertEqual(status, 200, "the house goes on")

    def counted(self, name):
        return self.house.counters().get(name, 0) - self.before.get(name, 0)

    def check(self, answer, status, label, dialect):
        """An error of the house's own, whole, in that dialect."""
        got, headers, body = answer if isinstance(answer, tuple) else parts(answer)
        self.assertEqual((got, headers.get("x-gatehouse-error")), (status, label), body)
        self.assertEqual(headers["x-gatehouse-trace"], TRACE)
        self.assertEqual(int(headers["content-length"]), len(body))
        said = json.loads(body)
        if dialect == "openai":
            self.assertEqual(headers["content-type"], "application/json")
            self.assertEqual(said["error"]["type"], "gatehouse_" + label)
            self.assertTrue(said["error"]["message"])
        elif dialect == "json-rpc":
            self.assertEqual(headers["content-type"], "application/json")
            self.assertEqual((said["jsonrpc"], said["error"]["data"]["type"]), ("2.0", label))
        else:
            self.assertEqual(headers["content-type"], "application/problem+json")
            self.assertEqual((said["status"], said["gatehouse_error"]), (status, label))
            self.assertTrue(said["title"] and said["detail"])
        return said

    def test_malformed_and_smuggled_requests_end_in_a_400_and_touch_nobody(self):
        get = b"GET http://web.gatehouse/ HTTP/1.1\r\n"
        cases = {
            "CL and TE": CHUNKED[:-2] + b"content-length: 5\r\n\r\n0\r\n\r\n",
            "two CL": POST + HOST + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello",
            "two equal CL": POST + HOST + b"content-length: 5\r\ncontent-length: 5\r\n\r\nhello",
            "CL list": POST + HOST + b"content-length: 5, 5\r\n\r\nhello",
            "signed CL": POST + HOST + b"content-length: +5\r\n\r\nhello",
            "two TE": CHUNKED[:-2] + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            "TE list": POST + HOST + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "TE hidden": POST + HOST + b"transfer-encoding : chunked\r\n\r\n0\r\n\r\n",
            "TE in 1.0": CHUNKED.replace(b"1.1", b"1.0") + b"0\r\n\r\n",
            "bare LF": b"GET http://web.gatehouse/ HTTP/1.1\n" + HOST + b"\n",
            "bare LF in a header": get + HOST + b"a: b\nc: d\r\n\r\n",
            "bare CR": get + HOST + b"a: b\rc: d\r\n\r\n",
            "no Host": get + b"\r\n",
            "two Hosts": get + HOST + HOST + b"\r\n",
            "obs-fold": POST + HOST + b"a: b\r\n c\r\n\r\n",
            "Host differs": POST + b"host: evil.test\r\n\r\n",
            "userinfo": b"GET http://web.gatehouse@evil.test/ HTTP/1.1\r\nhost: evil.test\r\n\r\n",
            "NUL": b"GET http://web.gatehouse/\0.evil HTTP/1.1\r\n" + HOST + b"\r\n",
            "NUL in a header": get + HOST + b"a: b\0c\r\n\r\n",
            "dots": b"GET http://web.gatehouse/a/..%2f..%2fetc HTTP/1.1\r\n" + HOST
            + b"connection: close\r\n\r\n",
            "origin form": b"GET / HTTP/1.1\r\n" + HOST + b"\r\n",
            "disguised address": b"GET http://2852039166/ HTTP/1.1\r\nhost: 2852039166\r\n\r\n",
            "not HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
            "another version": b"GET http://web.gatehouse/ HTTP/2.0\r\n" + HOST + b"\r\n",
            "empty lines before": b"\r\n\r\n" + get + HOST + b"\r\n",
        }
        for what, data in cases.items():
            with self.subTest(what):
                self.check(self.house.raw(data), 400, "invalid_request", "http")
        self.assertEqual(self.counted("refused.invalid_request"), len(cases))
        self.assertEqual(self.counted("malformed"), len(cases) - 1, "all but the dots in a path")

    def test_what_is_too_large_is_told_so(self):
        huge = {
            "a header": (413, POST + HOST + b"a: " + b"x" * 70000),
            "a target": (413, b"GET http://web.gatehouse/" + b"x" * 20000 + b" HTTP/1.1\r\n"),
            "a number of headers": (429, POST + HOST + b"a: b\r\n" * 200 + b"\r\n"),
        }
        for what, (status, data) in huge.items():
            with self.subTest(what):
                answer = self.house.raw(data)
                self.check(answer, status, {413: "too_large", 429: "too_many"}[status], "http")
        self.assertEqual(self.counted("malformed"), 3)
        self.assertEqual(self.counted("refused.too_large"), 2)

    def test_a_head_that_breaks_off(self):
        whole = request_bytes("GET", WEB)
        cuts = [1, 10, len(whole) // 2, len(whole) - 1]
        for cut in cuts:
            answer = self.house.raw(whole[:cut], end=True)
            self.check(answer, 400, "invalid_request", "http")
        self.assertEqual(self.counted("malformed"), len(cuts))
        self.assertEqual(self.house.raw(b"", end=True), b"", "that is an end in order")

    def test_a_body_that_breaks_off(self):
        ends = [b"content-length: 100\r\n\r\nhalf", b"content-length: 100\r\n\r\n",
                b"transfer-encoding: chunked\r\n\r\n5\r\nhal",
                b"transfer-encoding: chunked\r\n\r\n",
                b"transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"]
        places = [(WEB, "http"), (CHAT, "openai"), (MCP, "json-rpc")]
        for url, dialect in places:
            for rest in ends:
                with self.subTest(url=url, rest=rest):
                    head = request_bytes("POST", url)[:-2]
                    self.check(self.house.raw(head + rest, end=True), 400, "invalid_request",
                               dialect)
        self.assertEqual(self.counted("refused.invalid_request"), len(ends) * len(places))

    def test_bad_chunks(self):
        bodies = [b"x\r\nhello\r\n0\r\n\r\n", b"-5\r\nhello\r\n0\r\n\r\n", b"\r\n0\r\n\r\n",
                  b"0x5\r\nhello\r\n0\r\n\r\n", b" 5\r\nhello\r\n0\r\n\r\n",
                  b"5\nhello\r\n0\r\n\r\n", b"5\r\nhello!\r\n0\r\n\r\n", b"5\r\nhello0\r\n\r\n",
                  b"ffffffffffffffff\r\nhello\r\n", b"5\r\nhello\r\n0\r\ncontent-length: 5\r\n\r\n",
                  b"5;a=" + b"x" * 300 + b"\r\nhello\r\n0\r\n\r\n"]
        places = [(WEB, "http"), (CHAT, "openai"), (MCP, "json-rpc")]
        for url, dialect in places:
            for body in bodies:
                with self.subTest(url=url, body=body):
                    head = request_bytes("POST", url)[:-2] + b"transfer-encoding: chunked\r\n\r\n"
                    self.check(self.house.raw(head + body), 400, "invalid_request", dialect)
        self.assertEqual(self.counted("refused.invalid_request"), len(bodies) * len(places))

    def test_a_body_above_16_mib_where_it_must_be_read_whole(self):
        for url, dialect in [(CHAT, "openai"), (MCP, "json-rpc")]:
            head = request_bytes("POST", url)[:-2]
            answer = self.house.raw(head + b"content-length: 16777217\r\n\r\n")
            self.check(answer, 413, "too_large", dialect)
            chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
            with self.house.connect() as sock:
                sock.sendall(head + b"transfer-encoding: chunked\r\n\r\n")
                try:
                    for _ in range(300):
                        sock.sendall(chunk)
                except (ConnectionResetError, BrokenPipeError):
                    pass
                try:
                    answer = sock.recv(65536)
                except ConnectionResetError:
                    answer = b""  # a client that only writes may miss the answer
            if answer:
                self.check(answer, 413, "too_large", dialect)
        self.assertEqual(self.counted("refused.too_large"), 4)

    def test_bad_json_is_refused_in_openais_own_words(self):
        ask = '{"model":"m","messages":[{"role":"user","content":"hi"}]%s}'
        bodies = [b"", b"{", b"[]", b"null", b'"\xff"', b"{}", b'{"model":"m"}',
                  b'{"model":3,"messages":[]}', b'{"model":"m","messages":{}}',
                  b'{"model":"a","model":"b","messages":[]}',
                  b'{"model":"a","\\u006dodel":"b","messages":[]}',
                  b'{"model":"\xff","messages":[]}', b'{"model":"\xc0\xaf","messages":[]}',
                  b'{"model":"\xed\xa0\x80","messages":[]}',
                  b'{"\xff":1,"model":"m","messages":[]}',
                  b'{"model":"m","messages":[{"role":"user","content":"\xfe"}]}',
                  (ask % ',"messages":[]').encode(),
                  (ask % ',"stream":true,"stream":false').encode(),
                  (ask % ',"tools":[],"tools":[{"type":"web_search"}]').encode(),
                  (ask % ',"stream":"yes"').encode(), (ask % (',"x":' + "[" * 100)).encode(),
                  (ask % ',"tools":[{"type":"function","type":"web_search"}]').encode(),
                  (ask % "").encode() + b"{}", (ask % ",").encode()]
        for body in bodies:
            with self.subTest(body=body):
                answer = self.house.request("POST", CHAT, body, [self.house.bearer("openai")])
                status = 413 if b"[[[[" in body else 400
                self.check(answer, status, "too_large" if status == 413 else "invalid_request",
                           "openai")
        self.assertEqual(self.counted("refused.invalid_request"), len(bodies) - 1)

    def test_a_compressed_body_that_cannot_be_looked_into_is_not_ruled_on(self):
        bomb = gzip.compress(b'{"model":"m","messages":[],"x":"' + b" " * (4 << 20) + b'"}')
        for url, dialect in [(CHAT, "openai"), (MCP, "json-rpc")]:
            for coding, body, status, label in [
                    ("gzip", b"\x1f\x8b\x08", 400, "invalid_request"),
                    ("gzip", b"{}", 400, "invalid_request"), ("gzip", bomb, 413, "too_large"),
                    ("compress", b"x", 501, "unsupported"), ("gzip, br", b"x", 501, "unsupported")]:
                with self.subTest(url=url, coding=coding, size=len(body)):
                    answer = self.house.request("POST", url, body, [("content-encoding", coding)])
                    self.check(answer, status, label, dialect)
        self.assertEqual(Upstream.seen, [])

    def test_unknown_routes_in_each_dialect(self):
        for url, dialect in [("http://openai.gatehouse/v1/nothing", "openai"),
                             ("http://nobody.test/", "http"),
                             ("http://nobody.gatehouse/", "http"),
                             ("http://web.gatehouse:81/", "http")]:
            said = self.check(self.house.request("POST", url, b"{}"), 403, "denied", dialect)
            self.assertIn("default-deny", json.dumps(said))
        said = self.check(self.house.request("POST", MCP, tool_call("nothing")), 403, "denied",
                          "json-rpc")
        self.assertEqual((said["id"], said["error"]["data"]["rule"]), (7, "default-deny"))
        answer = self.house.raw(b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n")
        self.check(answer, 501, "unsupported", "http")
        self.assertEqual(self.counted("refused.denied"), 5)

    def test_an_error_inside_a_connection_to_one_service_is_in_its_dialect(self):
        with self.house.connect() as sock:
            sock.sendall(b"CONNECT openai.gatehouse:80 HTTP/1.1\r\nhost: openai.gatehouse:80\r\n"
                         b"\r\n")
            self.assertTrue(sock.recv(4096).startswith(b"HTTP/1.1 200"))
            sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: openai.gatehouse\n\r\n")
            self.check(sock.makefile("rb").read(), 400, "invalid_request", "openai")
        with self.house.connect() as sock:
            with self.house.intercepted(sock, "secure.gatehouse") as tls:
                tls.sendall(b"GET / HTTP/1.1\r\nhost: evil.test\r\n\r\n")
                self.check(tls.makefile("rb").read(), 400, "invalid_request", "http")
        self.assertEqual(self.counted("malformed"), 2)

    def test_after_an_error_nothing_more_of_that_connection_is_read(self):
        smuggled = CHUNKED + b"zz\r\n" + request_bytes("GET", WEB + "smuggled")
        answer = self.house.raw(smuggled)
        self.assertEqual(answer.count(b"HTTP/1.1 4"), 1, answer)
        self.check(answer, 400, "invalid_request", "http")


if __name__ == "__main__":
    unittest.main(verbosity=2)
