#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 to upstreams: a real server (Node's), of which real clients (curl) and plain requests ask
through the house; what it refuses, cuts and leaves."""
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import unittest

from corridor_house import HouseTest, make_certificates, request_bytes

FIXTURE = os.path.join(os.path.dirname(__file__), "../fixtures/http2_upstream.mjs")
URL = "http://trusted.gatehouse"


class Http2UpstreamTest(HouseTest):
    @classmethod
    def before(cls, data):
        make_certificates(data, "trusted", "other")
        cls.server = subprocess.Popen(["node", FIXTURE, "--pem", data + "/server.pem"],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        cls.addClassCleanup(cls.end_server)
        with open(data + "/tls", "w", encoding="ascii") as file:
            file.write(cls.server.stdout.readline().strip())

    @classmethod
    def end_server(cls):
        cls.server.stdin.close()
        cls.server.wait(10)
        cls.server.stdout.close()

    def say(self, path="/say", method="GET", body=b"", headers=(), url=URL):
        status, _, answer = self.house.request(method, url + path, body, headers)
        self.assertEqual(status, 200, answer)
        return json.loads(answer)


class Exchanges(Http2UpstreamTest):
    def test_what_an_agent_of_http1_asks_goes_by_http2(self):
        said = self.say("/say?a=1", headers=[("x-mine", "1"), ("connection", "close"),
                                             ("authorization", "Basic eDp5")])
        self.assertEqual(said["version"], "2.0")
        headers = said["headers"]
        self.assertTrue(headers[":authority"].startswith("127.0.0.1:"))
        self.assertEqual((headers[":path"], headers[":scheme"]), ("/say?a=1", "https"))
        self.assertEqual((headers["x-mine"], headers["te"]), ("1", "trailers"))
        self.assertNotIn("connection", headers)
        self.assertNotIn("host", headers)

    def test_one_connection_carries_one_after_another(self):
        self.assertEqual(self.say()["session"], self.say()["session"])
        self.assertGreaterEqual(self.house.counters()["upstreams.http2"], 1)

    def test_and_many_at_once(self):
        self.say()  # from now on it is known what it speaks
        answers = []

        def ask():
            answers.append(self.house.request("GET", URL + "/meet"))
        all_of_them = [threading.Thread(target=ask) for _ in range(20)]
        for one in all_of_them:
            one.start()
        for one in all_of_them:
            one.join(20)
        self.assertEqual([status for status, _, _ in answers], [200] * 20)
        self.assertEqual(len({body for _, _, body in answers}), 1, "they share a connection")

    def test_bodies_go_whole_both_ways(self):
        body = os.urandom(700_000)
        said = self.say(method="POST", body=body, headers=[("content-type", "x/y")])
        self.assertEqual(said["body"], {"size": len(body),
                                        "sha256": hashlib.sha256(body).hexdigest()})
        status, _, answer = self.house.request("GET", URL + "/big")
        self.assertEqual((status, len(answer), set(answer)), (200, 64 * 65536, set(b"x")))

    def test_http2_from_end_to_end_with_trailers(self):
        about, body = self.curl(URL + "/say")
        self.assertEqual((about, json.loads(body)["version"]), ("2 200", "2.0"))
        done = subprocess.run(
            ["nghttp", "-v", "--no-dep", "--trailer", "x-sum: 1", "-d", "-", "-H",
             ":authority: trusted.gatehouse", "http://127.0.0.1:%d/say" % self.house.proxy],
            input=b"hello", capture_output=True, check=False, timeout=20)
        self.assertIn(b'"trailers":{"x-sum":"1"}', done.stdout, done.stdout)
        done = subprocess.run(
            ["nghttp", "-v", "--no-dep", "-H", ":authority: trusted.gatehouse",
             "http://127.0.0.1:%d/trailers" % self.house.proxy],
            capture_output=True, check=False, timeout=20)
        self.assertIn(b"x-checksum: 17", done.stdout, done.stdout)

    def test_an_agent_finds_it_inside_of_an_interception_too(self):
        for _ in range(2):
            about, body = self.curl("https://inner.gatehouse/say", intercepted=True)
            self.assertEqual((about, json.loads(body)["version"]), ("2 200", "2.0"))

    def test_events_come_as_they_are_said(self):
        _, headers, body = self.house.request("GET", URL + "/events")
        self.assertEqual(body, b"data: 1\n\ndata: 2\n\ndata: 3\n\n")
        self.assertEqual(headers[""], "HTTP/1.1 200 OK")

    def test_a_head_and_an_empty_answer_have_no_body(self):
        status, _, body = self.house.request("HEAD", URL + "/say")
        self.assertEqual((status, body), (200, b""))

    def test_a_service_may_want_http1_alone(self):
        self.assertEqual(self.say(url="http://plain.gatehouse")["version"], "1.1")

    def test_another_ca_is_no_more_trusted_than_before(self):
        status, _, body = self.house.request("GET", "http://other.gatehouse/say")
        self.assertEqual(status, 502, body)


class Ends(Http2UpstreamTest):
    def test_what_was_refused_goes_again_whatever_its_method(self):
        before = self.say()["requests"]
        said = self.say("/refuse-once?post", "POST", b'{"a":1}')
        self.assertEqual(said["body"]["size"], 7)
        self.assertEqual(said["requests"], before + 2)

    def test_what_a_goaway_says_was_not_begun_goes_again_on_another_connection(self):
        before = self.say()
        said = self.say("/go-once")
        self.assertNotEqual(said["session"], before["session"])

    def test_an_answer_that_is_cut_is_no_whole_one(self):
        with self.assertRaises((EOFError, ConnectionResetError)):
            self.house.request("GET", URL + "/cut")
        _, settled = self.house.exchange(path="/cut")
        self.assertEqual(settled["tags"]["state"], "failed")
        self.assertIn("INTERNAL_ERROR", settled["tags"]["reason"])

    def test_an_agent_that_leaves_cancels_its_exchange_alone(self):
        session, before = self.say()["session"], self.left()
        with self.house.connect() as sock:
            sock.sendall(request_bytes("GET", URL + "/endless"))
            self.assertTrue(sock.recv(1000))
        for _ in range(500):
            if self.left() > before:
                break
            time.sleep(0.02)
        else:
            self.fail("the upstream was not told")
        self.assertEqual(self.say()["session"], session, "the connection goes on")

    def left(self):
        return json.loads(self.house.request("GET", URL + "/left")[2]).count("/endless")

    def test_a_kill_cuts_the_exchange(self):
        before = self.left()
        port = self.house.second_proxy
        with self.house.connect(port) as sock:
            sock.settimeout(10)
            sock.sendall(request_bytes("GET", URL + "/endless"))
            self.assertTrue(sock.recv(1000))
            self.house.kill(self.house.second_run)
            try:
                while sock.recv(65536):
                    pass
            except ConnectionResetError:
                pass
        for _ in range(500):
            if self.left() > before:
                return
            time.sleep(0.02)
        self.fail("the upstream was not told")


if __name__ == "__main__":
    if shutil.which("node") is None:
        print("skipped: there is no node")
        sys.exit(77)
    unittest.main(verbosity=2)
