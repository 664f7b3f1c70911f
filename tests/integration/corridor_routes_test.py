#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long an upstream may take, and how much it is given at a time."""
import json
import threading
import unittest

from corridor_house import HouseTest, Upstream, chat, event, read_response, request_bytes


class Limits(HouseTest):
    def setUp(self):
        super().setUp()
        self.released = threading.Event()
        self.addCleanup(self.released.set)

    def slow(self, upstream, body):
        """Silent, then stalling, then dripping, as it is asked to."""
        try:
            if b"silent" in body:
                self.released.wait(30)
                return
            upstream.begin()
            upstream.chunk(event({"content": "well "}))
            if b"stall" in body:
                self.released.wait(30)
                return
            while not self.released.wait(0.2):
                upstream.chunk(event({"content": "and "}))
        except OSError:
            pass
        finally:
            upstream.close_connection = True

    def ask(self, text, stream, out):
        body = chat(text, stream)
        with self.house.connect() as sock:
            sock.sendall(request_bytes("POST", "http://brisk.gatehouse/v1/chat/completions", body))
            sock.settimeout(20)
            data = b""
            while piece := sock.recv(65536):
                data += piece
                if b"\r\n\r\n" in data and not stream:
                    break
            out[text] = data

    def test_an_upstream_that_takes_longer_than_its_service_lets_it_is_given_up(self):
        Upstream.always = self.slow
        said = {}
        asking = [threading.Thread(target=self.ask, args=(text, stream, said))
                  for text, stream in (("silent", False), ("stall", True), ("drip", True))]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join(20)
        head, _, body = said["silent"].partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 504 "), head)
        self.assertIn(b"x-gatehouse-error: timeout", head)
        self.assertIn("did not answer within 1 s", json.loads(body)["error"]["message"])
        for text, why in (("stall", "sent nothing more within 1 s"),
                          ("drip", "took more than 2 s in all")):
            self.assertIn(b"well ", said[text])
            self.assertIn(why.encode(), said[text])
            self.assertNotIn(b"[DONE]", said[text])
            self.assertFalse(said[text].endswith(b"0\r\n\r\n"), "cut, not ended")
        reasons = [entry["tags"].get("reason", "") for entry in self.house.entries(
            lambda all_of_it: sum("within 1 s" in entry["tags"].get("reason", "") or
                                  "2 s in all" in entry["tags"].get("reason", "")
                                  for entry in all_of_it) >= 3)]
        for why in ("did not answer within 1 s", "sent nothing more within 1 s",
                    "took more than 2 s in all"):
            self.assertTrue(any(why in reason for reason in reasons), why)

    def test_above_its_concurrency_a_service_is_busy_and_the_agent_comes_again(self):
        began = threading.Event()

        def hold(upstream, _):
            began.set()
            self.released.wait(30)
            upstream.answer(200, b"{}")
        Upstream.script = hold
        url = "http://narrow.gatehouse/v1/chat/completions"
        before = self.house.counters()["busy"]
        with self.house.connect() as sock:
            sock.sendall(request_bytes("POST", url, chat("first")))
            self.assertTrue(began.wait(20))
            status, headers, body = self.house.request("POST", url, chat("second"))
            self.assertEqual((status, headers["retry-after"]), (503, "1"))
            self.assertEqual(headers["x-gatehouse-error"], "unavailable")
            error = json.loads(body)["error"]
            self.assertIn("service narrow is busy", error["message"])
            self.assertEqual(error["code"], "concurrency")
            self.assertEqual(len(Upstream.seen), 1, "the second was not dialled")
            self.assertEqual(self.house.counters()["busy"], before + 1)
            _, settled = self.house.exchange(service="narrow")
            self.assertIn("is busy", settled["tags"]["reason"])
            self.assertEqual(self.house.chat("another service")[0], 200)
            self.released.set()
            self.assertEqual(read_response(sock.makefile("rb"))[0], 200)
        self.assertEqual(self.house.request("POST", url, chat("third"))[0], 200)


if __name__ == "__main__":
    unittest.main(verbosity=2)
