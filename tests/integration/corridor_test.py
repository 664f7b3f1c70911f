#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The corridor with real processes and a scripted client: what an agent sees, what the upstream
sees, what is logged. Beside this: corridor_streams_test.py, corridor_keys_test.py,
corridor_bad_input_test.py, corridor_hosts_test.py and corridor_kill_test.py.
"""
import json
import re
import socket
import time
import unittest

from corridor_house import (CHAT, KEY, MCP, TRACE, HouseTest, Upstream, chat, connect_bytes,
                            read_response, request_bytes, tool_call)


WEB = "http://web.gatehouse"


class Corridor(HouseTest):
    def test_a_model_call_gets_the_key_and_the_agent_never_does(self):
        status, headers, body = self.house.chat("hi")
        self.assertEqual(status, 200, body)
        self.assertEqual(json.loads(body)["choices"][0]["message"]["content"], "Hello!")
        sent = Upstream.seen[0][2]
        self.assertEqual(sent["authorization"], "Bearer " + KEY)
        self.assertEqual(Upstream.seen[0][3], chat("hi"), "the body is byte for byte the agent's")
        self.assertTrue(sent["traceparent"].startswith("00-" + TRACE + "-"), sent["traceparent"])
        self.assertEqual(headers["x-gatehouse-trace"], TRACE)
        self.assertEqual(headers["x-gatehouse-run"], self.house.run)
        self.assertNotIn(KEY, str(headers) + str(body))

    def test_an_answer_says_where_its_time_went(self):
        began = time.monotonic()
        headers = self.house.chat("hi")[1]
        whole_ms = (time.monotonic() - began) * 1000
        said = re.findall(r"([a-z]+);dur=([0-9]+\.[0-9]{3})(?:, |$)", headers["server-timing"])
        self.assertEqual([name for name, _ in said], ["gatehouse", "request", "lease", "upstream"])
        times = [float(dur) for _, dur in said]
        self.assertGreater(times[2], 0, "the vault was asked")
        self.assertGreater(times[3], 0, "the upstream was asked")
        self.assertLess(sum(times), whole_ms)

    def test_what_no_rule_allows_is_a_403_that_names_the_rule_and_reaches_nobody(self):
        for method, url in [("GET", CHAT), ("POST", "http://openai.gatehouse/v1/files"),
                            ("GET", "http://169.254.169.254/latest/meta-data/"),
                            ("GET", "http://evil.test/")]:
            status, headers, body = self.house.request(method, url)
            self.assertEqual(status, 403, url)
            self.assertIn("default-deny", body.decode())
            self.assertEqual(headers["x-gatehouse-trace"], TRACE)
        self.assertEqual(Upstream.seen, [])

    def test_a_tool_is_allowed_or_refused_by_name_in_its_own_dialect(self):
        def call(name):
            return self.house.request("POST", MCP, tool_call(name))
        status, _, body = call("echo")
        self.assertEqual((status, json.loads(body)["id"]), (200, 7))
        self.assertEqual(len(Upstream.seen), 1)
        status, _, body = call("printEnv")
        error = json.loads(body)
        self.assertEqual((status, error["id"]), (403, 7))
        self.assertIn("printEnv", error["error"]["message"])
        self.assertEqual(len(Upstream.seen), 1)

    def test_the_agents_own_authorization_never_passes_for_a_service_with_a_credential(self):
        status, _, _ = self.house.request("POST", CHAT, chat("hi"),
                                          [("authorization", "Bearer mine")])
        self.assertEqual(status, 200)
        self.assertNotIn("authorization", Upstream.seen[0][2])

    def test_connect_to_where_no_rule_leads_is_a_403(self):
        for target in ["evil.test:443", "169.254.169.254:80", "web.gatehouse:22"]:
            answer = self.house.raw(connect_bytes(target))
            self.assertTrue(answer.startswith(b"HTTP/1.1 403"), answer[:200])

    def test_uploads_stream_through_chunked(self):
        with self.house.connect() as sock:
            sock.sendall(b"PUT http://web.gatehouse/up HTTP/1.1\r\nhost: web.gatehouse\r\n"
                         b"transfer-encoding: chunked\r\n\r\n")
            for _ in range(100):
                sock.sendall(b"2710\r\n" + b"z" * 10000 + b"\r\n")
            sock.sendall(b"0\r\n\r\n")
            status, _, _ = read_response(sock.makefile("rb"))
        self.assertEqual(status, 200)
        self.assertEqual(Upstream.seen[0][3], b"z" * 1000000)

    def test_one_connection_carries_many_exchanges(self):
        with self.house.connect() as sock:
            stream = sock.makefile("rb")
            for _ in range(20):
                sock.sendall(b"GET http://web.gatehouse/x HTTP/1.1\r\nhost: web.gatehouse\r\n\r\n")
                self.assertEqual(read_response(stream)[0], 200)

    def test_only_what_is_safe_goes_again_when_a_kept_connection_turns_out_dead(self):
        """An upstream that closes a connection which was kept, without a word, just when it is used
        again: whether it acted on what it had read, nobody knows."""
        def close(times):
            def script(handler, body):
                handler.close_connection = True
                if times > 1:
                    Upstream.script = close(times - 1)
            return script

        def asked(method, times, body=b""):
            Upstream.script = None
            url = WEB + "/kept"
            self.assertEqual(self.house.request("GET", url)[0], 200, "the connection is kept")
            Upstream.seen.clear()
            Upstream.script = close(times)
            status, _, answer = self.house.request(method, url, body)
            return status, len(Upstream.seen), answer

        self.assertEqual(asked("GET", 1)[:2], (200, 2), "a safe one goes once more")
        status, count, answer = asked("GET", 2)
        self.assertEqual((status, count), (502, 2), "and only once")
        for body in (b"", b"{}"):
            status, count, answer = asked("POST", 1, body)
            self.assertEqual((status, count), (502, 1), "what may have had an effect does not")
        intent, settled = self.house.exchange(method="POST", path="/kept")
        self.assertNotEqual(settled["tags"]["state"], "done")

        def half(handler, body):
            handler.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-le")
            handler.close_connection = True
        self.assertEqual(self.house.request("GET", WEB + "/kept")[0], 200)
        Upstream.seen.clear()
        Upstream.script = half
        self.assertEqual(self.house.request("GET", WEB + "/kept")[0], 502)
        self.assertEqual(len(Upstream.seen), 1, "it had begun to answer")

    def test_names_are_answered_only_where_a_rule_leads(self):
        def ask(name, kind=1):
            labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
            head = b"\x12\x34\x01\x00\x00\x01\0\0\0\0\0\0"
            query = head + labels + b"\0" + bytes([0, kind, 0, 1])
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.settimeout(5)
                sock.sendto(query, ("127.0.0.1", self.house.dns))
                return sock.recv(512)
        answer = ask("web.gatehouse")
        self.assertEqual(answer[3] & 15, 0)
        self.assertEqual(answer[-4:-2], bytes([198, 18]))
        self.assertEqual(ask("c2VjcmV0.evil.test")[3] & 15, 3, "NXDOMAIN, and no query leaves")
        empty = ask("web.gatehouse", 16)
        self.assertEqual((empty[3] & 15, empty[7]), (0, 0), "other types are empty")

    def test_a_flood_of_names_is_on_record_and_does_not_fill_the_log(self):
        """A name is a message to whoever is asked for it: the first are told, all are counted."""
        head = b"\x12\x34\x01\x00\x00\x01\0\0\0\0\0\0"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(5)
            for i in range(400):
                label = b"chunk%d" % i
                query = head + bytes([len(label)]) + label + b"\4evil\4test\0\0\1\0\1"
                sock.sendto(query, ("127.0.0.1", self.house.dns))
                self.assertEqual(sock.recv(512)[3] & 15, 3)
        self.house.entry(kind="refused", method="DNS", host="chunk0.evil.test", rule="default-deny")
        told = [entry for entry in self.house.entries() if entry["tags"].get("method") == "DNS"
                and entry["tags"]["host"].startswith("chunk")]
        self.assertGreaterEqual(len(told), 20)
        self.assertLess(len(told), 400)

    def test_a_client_that_leaves_ends_the_upstream_too(self):
        with self.house.connect() as sock:
            sock.sendall(request_bytes("POST", CHAT, chat("slowly", True),
                                       [self.house.bearer("openai")]))
            sock.recv(1000)
        for _ in range(300):
            if any(item[0] == "CUT" for item in Upstream.seen):
                return
            time.sleep(0.01)
        self.fail("the upstream went on for an agent that had left")

    def test_a_provider_is_more_than_completions_only_where_a_rule_names_the_path(self):
        place = "http://provider.gatehouse"
        status, _, body = self.house.request("POST", place + "/v1/chat/completions", chat("hi"))
        self.assertEqual(status, 200, body)
        status, _, body = self.house.request("GET", place + "/v1/models")
        self.assertEqual((status, body), (200, b'{"ok":true}'))
        Upstream.seen.clear()
        for method, path in [("POST", "/v1/threads"), ("GET", "/v1/files"),
                             ("POST", "/v1/models"), ("DELETE", "/v1/files/1")]:
            status, _, body = self.house.request(method, place + path)
            self.assertEqual(status, 403, path)
            self.assertEqual(json.loads(body)["error"]["code"], "unnamed-endpoint")
            self.house.entry(kind="refused", method=method, path=path, rule="unnamed-endpoint")
        status, _, body = self.house.request("GET", place + "/v1/chat/completions")
        self.assertEqual((status, json.loads(body)["error"]["code"]),
                         (403, "completion-transport"))
        self.assertEqual(Upstream.seen, [])

    def test_tools_that_would_run_at_the_provider_are_refused(self):
        request = json.loads(chat("hi"))
        request["tools"] = [{"type": "web_search"}]
        status, _, body = self.house.request("POST", CHAT, json.dumps(request).encode(),
                                             [self.house.bearer("openai")])
        self.assertEqual((status, json.loads(body)["error"]["code"]),
                         (403, "provider-side-tools"))
        self.assertEqual(Upstream.seen, [])

    def test_the_door_is_the_identity_whatever_a_request_says_of_itself(self):
        claims = [("x-gatehouse-run", self.house.run), ("x-gatehouse-trace", TRACE),
                  ("x-forwarded-for", "10.0.0.1")]
        status, headers, _ = self.house.request("GET", "http://web.gatehouse/second", b"", claims,
                                                port=self.house.second_proxy)
        self.assertEqual((status, headers["x-gatehouse-run"]), (200, self.house.second_run))
        self.assertNotEqual(headers["x-gatehouse-trace"], TRACE)
        entry = self.house.entry(run=self.house.second_run, kind="intent", path="/second")
        self.assertEqual(entry["trace"], headers["x-gatehouse-trace"])
        self.assertNotIn("/second", [e["tags"].get("path") for e in self.house.entries()])

    def test_an_exchange_is_intended_and_then_settled_on_the_record(self):
        status, _, _ = self.house.request("POST", "http://web.gatehouse/recorded", b"what I said")
        self.assertEqual(status, 200)
        intent, settled = self.house.exchange(path="/recorded")
        self.assertEqual(intent["tags"]["rule"], "web")
        self.assertEqual(intent["bodies"], {"request": "what I said"})
        self.assertEqual((settled["tags"]["state"], settled["tags"]["status"]), ("done", "200"))
        self.assertEqual(settled["bodies"], {"response": '{"ok":true}'})
        self.assertEqual({intent["trace"], settled["trace"]}, {TRACE})

    def test_the_agents_own_trace_is_kept_as_a_link(self):
        own = "00-11111111111111111111111111111111-2222222222222222-01"
        status, headers, _ = self.house.request("GET", "http://web.gatehouse/linked", b"",
                                                [("traceparent", own), ("tracestate", "a=b")])
        self.assertEqual((status, headers["x-gatehouse-trace"]), (200, TRACE))
        sent = Upstream.seen[0][2]
        self.assertTrue(sent["traceparent"].startswith("00-" + TRACE + "-"), sent)
        self.assertNotIn("tracestate", sent)
        self.assertEqual(self.house.entry(kind="intent", path="/linked")["linked_trace"], own)

    def test_a_trace_that_is_the_runs_goes_on_with_its_state(self):
        own = "00-" + TRACE + "-2222222222222222-01"
        for state, goes_on in [([("tracestate", "a=b"), ("tracestate", "c@d=e")], "a=b,c@d=e"),
                               ([("tracestate", "a=b,a=c")], None)]:
            self.house.request("GET", "http://web.gatehouse/mine", b"",
                               [("traceparent", own), *state])
            sent = Upstream.seen[-1][2]
            self.assertTrue(sent["traceparent"].startswith("00-" + TRACE + "-"), sent)
            self.assertNotEqual(sent["traceparent"], own)
            self.assertEqual(sent.get("tracestate"), goes_on)

    def test_a_request_of_mcp_carries_its_span_to_the_tool(self):
        for body in (tool_call("echo"), b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}'):
            self.house.request("POST", MCP, body)
            _, _, headers, sent = Upstream.seen[-1]
            meta = json.loads(sent)["params"]["_meta"]
            self.assertEqual(meta, {"traceparent": headers["traceparent"]})
            self.assertEqual(int(headers["content-length"]), len(sent))

    def test_a_foreign_trace_in_mcp_is_a_link_whatever_the_method_and_goes_no_further(self):
        own = "00-55555555555555555555555555555555-6666666666666666-01"
        meta = {"traceparent": own, "tracestate": "a=b"}
        for message in ({"method": "notifications/roots/list_changed"},
                        {"id": 3, "method": "prompts/list"}):
            body = json.dumps({"jsonrpc": "2.0", **message, "params": {"_meta": meta}}).encode()
            self.house.request("POST", MCP, body)
            _, _, headers, sent = Upstream.seen[-1]
            self.assertEqual(json.loads(sent)["params"]["_meta"],
                             {"traceparent": headers["traceparent"], "tracestate": ""})
            self.assertEqual(sent, body.replace(own.encode(), headers["traceparent"].encode())
                             .replace(b'"a=b"', b'""'))
            linked = self.house.entry(kind="intent", **{"mcp.method": message["method"]})
            self.assertEqual(linked["linked_trace"], own)


if __name__ == "__main__":
    unittest.main(verbosity=2)
