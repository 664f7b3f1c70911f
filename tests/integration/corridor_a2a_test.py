#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Other agents through the corridor, by A2A 0.3 and 1.0: what is asked is ruled on by its
operation, passes unharmed and is on record; cards lead through the house; streams end honestly."""
import json
import threading
import unittest

from corridor_house import KEY, HouseTest, Upstream, read_chunk, read_response, request_bytes

HELPER = "http://helper.gatehouse"  # its rule lists operations
FREE = "http://free.gatehouse"  # its rule does not; its upstream has a base path
JSON = ("content-type", "application/json")
WEBHOOK = {"url": "https://hook.example/x", "token": "t"}


def rpc(method, params, identity=7):
    return {"jsonrpc": "2.0", "id": identity, "method": method, "params": params}


def message(text, version="0.3", **more):
    part = {"kind": "text", "text": text} if version == "0.3" else {"text": text}
    role = "user" if version == "0.3" else "ROLE_USER"
    return {"message": {"messageId": "m", "role": role, "parts": [part]}, **more}


def task(text, version="0.3"):
    if version == "0.3":
        return {"kind": "task", "id": "t-1", "contextId": "c-1", "status": {"state": "completed"},
                "artifacts": [{"artifactId": "a", "parts": [{"kind": "text", "text": text}]}]}
    return {"task": {"id": "t-1", "contextId": "c-1", "status": {"state": "TASK_STATE_COMPLETED"},
                     "artifacts": [{"artifactId": "a", "parts": [{"text": text}]}]}}


def events(version, identity=7, rest=False):
    if version == "0.3":
        results = [{"kind": "task", "id": "t-1", "contextId": "c-1",
                    "status": {"state": "working"}},
                   {"kind": "artifact-update", "taskId": "t-1", "contextId": "c-1",
                    "artifact": {"artifactId": "a", "parts": [{"kind": "text", "text": "one "}]}},
                   {"kind": "artifact-update", "taskId": "t-1", "contextId": "c-1", "append": True,
                    "artifact": {"artifactId": "a", "parts": [{"kind": "text", "text": "two"}]}},
                   {"kind": "status-update", "taskId": "t-1", "contextId": "c-1", "final": True,
                    "status": {"state": "completed"}}]
    else:
        artifact = {"taskId": "t-1", "contextId": "c-1"}
        results = [{"task": {"id": "t-1", "contextId": "c-1",
                             "status": {"state": "TASK_STATE_WORKING"}}},
                   {"artifactUpdate": {**artifact, "artifact": {
                       "artifactId": "a", "parts": [{"text": "one "}]}}},
                   {"artifactUpdate": {**artifact, "append": True, "artifact": {
                       "artifactId": "a", "parts": [{"text": "two"}]}}},
                   {"statusUpdate": {**artifact, "status": {"state": "TASK_STATE_COMPLETED"}}}]
    return [b"data: " + json.dumps(result if rest else {
        "jsonrpc": "2.0", "id": identity, "result": result}).encode() + b"\n\n"
            for result in results]


def says(body, kind="application/json", status=200, headers=()):
    answer = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda upstream, _: upstream.answer(status, answer, kind, headers)


class Agents(HouseTest):
    def ask(self, url, body, answer=None, method="POST", headers=(), kind="application/json",
            lent=True):
        if answer is not None:
            Upstream.script = says(answer, kind)
        sent = json.dumps(body).encode() if body is not None else b""
        headers = [*([JSON] if sent else []), *headers]
        if lent and url.startswith(HELPER):
            headers.append(self.house.bearer("helper"))
        status, got, raw = self.house.request(method, url, sent, headers)
        return status, got, raw, sent

    def refused(self, url, body, rule, method="POST", headers=()):
        """It is, by that rule, and nothing goes anywhere; what the agent is told."""
        before = len(Upstream.seen)
        status, _, raw, _ = self.ask(url, body, None, method, headers, lent=False)
        self.assertEqual(status, 403, raw)
        self.assertEqual(len(Upstream.seen), before)
        told = json.loads(raw)
        if isinstance(body, dict) and "jsonrpc" in body:
            self.assertEqual((told["jsonrpc"], told["id"]), ("2.0", body["id"]))
            error, details = told["error"], told["error"]["data"]
            self.assertEqual(error["code"], -32000)
        else:
            error, details = told["error"], told["error"]["details"]
            self.assertEqual((error["code"], error["status"]), (403, "PERMISSION_DENIED"))
            self.assertEqual((told["code"], told["message"]), (-32000, error["message"]))
        self.assertEqual(details[0]["reason"], "denied")
        self.assertEqual(details[0]["metadata"]["rule"], rule)
        return error["message"]

    def test_what_is_said_and_answered_passes_and_is_on_record(self):
        for version, method in (("0.3", "message/send"), ("1.0", "SendMessage")):
            for rest in (False, True):
                with self.subTest(version=version, rest=rest):
                    said = "hello %s %s" % (version, rest)
                    result = task("a joke " + said, version)
                    if rest:
                        url, body = HELPER + "/v1/message:send", message(said, version)
                    else:
                        url, body = HELPER + "/said", rpc(method, message(said, version))
                        result = {"jsonrpc": "2.0", "id": 7, "result": result}
                    status, _, raw, sent = self.ask(url, body, result,
                                                    headers=[("a2a-version", version)])
                    self.assertEqual((status, raw), (200, json.dumps(result).encode()))
                    _, path, headers, received = Upstream.seen[-1]
                    self.assertEqual(received, sent)
                    self.assertEqual(headers["authorization"], "Bearer " + KEY)
                    self.assertEqual(headers["a2a-version"], version)
                    intent, settled = self.house.exchange(path=path, a2a__version=version)
                    self.assertEqual(intent["tags"]["call"], "a2a")
                    self.assertEqual(intent["tags"]["a2a.operation"], "SendMessage")
                    self.assertEqual(intent["tags"]["a2a.effect"], "true")
                    self.assertEqual(intent["bodies"]["a2a.said"], said)
                    self.assertEqual(settled["bodies"]["a2a.answer"], "a joke " + said)
                    self.assertEqual({name: settled["tags"].get("a2a." + name)
                                      for name in ("task", "context", "state")},
                                     {"task": "t-1", "context": "c-1", "state": "completed"})

    def test_an_error_of_the_agent_passes_and_is_on_record(self):
        error = {"jsonrpc": "2.0", "id": 7, "error": {"code": -32001, "message": "no such task"}}
        status, _, raw, _ = self.ask(HELPER + "/error", rpc("tasks/get", {"id": "t-9"}), error)
        self.assertEqual((status, json.loads(raw)), (200, error))
        intent, settled = self.house.exchange(path="/error")
        self.assertEqual(intent["tags"]["a2a.task"], "t-9")
        self.assertNotIn("a2a.effect", intent["tags"])
        self.assertEqual(settled["tags"]["a2a.error"], "no such task")

    def test_a_stream_passes_as_it_is_and_its_text_is_on_record(self):
        for version, method in (("0.3", "message/stream"), ("1.0", "SendStreamingMessage")):
            for rest in (False, True):
                with self.subTest(version=version, rest=rest):
                    stream = b": hi\n\n" + b"".join(events(version, rest=rest))
                    url = "%s/%s%s" % (HELPER, "v" + version, "/message:stream" if rest else "")
                    body = message("go", version)
                    status, _, raw, _ = self.ask(
                        url, body if rest else rpc(method, body), stream,
                        headers=[("a2a-version", version)], kind="text/event-stream")
                    self.assertEqual((status, raw), (200, stream))
                    _, settled = self.house.exchange(path=url[len(HELPER):])
                    self.assertEqual(settled["bodies"]["a2a.answer"], "one two")
                    self.assertEqual(settled["tags"]["a2a.state"], "completed")

    def test_a_credential_that_the_agent_echoes_does_not_come_back(self):
        body = {"jsonrpc": "2.0", "id": 7, "result": task("you sent " + KEY)}
        _, _, raw, _ = self.ask(HELPER + "/echo-key", rpc("message/send", message("x")), body)
        self.assertNotIn(KEY.encode(), raw)
        stream = b"".join(events("0.3")).replace(b"two", KEY.encode())
        _, _, raw, _ = self.ask(HELPER + "/echo-stream", rpc("message/stream", message("x")),
                                stream, kind="text/event-stream")
        self.assertNotIn(KEY.encode(), raw)
        self.assertEqual(raw.count(b"data: "), 4)
        _, settled = self.house.exchange(path="/echo-stream")
        self.assertNotIn(KEY, json.dumps(settled))

    def test_what_its_rule_does_not_list_is_refused(self):
        for method in ("tasks/cancel", "CancelTask"):
            told = self.refused(HELPER + "/rpc", rpc(method, {"id": "t"}, "a"), "default-deny")
            self.assertIn("CancelTask", told)
        self.refused(HELPER + "/v1/tasks/t:cancel", {}, "default-deny")
        self.refused(HELPER + "/tasks", None, "default-deny", "GET")
        self.refused(HELPER + "/tasks/t:subscribe", None, "default-deny", "GET")
        refused = self.house.entry(kind="refused", a2a__operation="SubscribeToTask")
        self.assertEqual(refused["tags"]["rule"], "default-deny")

    def test_an_address_for_the_agent_to_send_to_needs_its_name_in_a_rule(self):
        for url, rule in ((HELPER, "a2a-webhook"), (FREE, "a2a-webhook")):
            for method, key in (("message/send", "pushNotificationConfig"),
                                ("SendMessage", "taskPushNotificationConfig"),
                                ("SendMessage", "task_push_notification_config")):
                body = message("x", configuration={key: WEBHOOK})
                told = self.refused(url + "/rpc", rpc(method, body), rule)
                self.assertIn("CreateTaskPushNotificationConfig", told)
            self.refused(url + "/message:send", message("x", configuration={
                "pushNotification": WEBHOOK}), rule)
        refused = self.house.entry(kind="refused", rule="a2a-webhook")
        self.assertEqual(refused["tags"]["a2a.webhook"], WEBHOOK["url"])
        self.refused(FREE + "/rpc", rpc("tasks/pushNotificationConfig/set", {
            "taskId": "t", "pushNotificationConfig": WEBHOOK}), "a2a-webhook")
        self.refused(FREE + "/tasks/t/pushNotificationConfigs", WEBHOOK, "a2a-webhook")

    def test_a_method_that_is_not_known_needs_its_name_in_a_rule(self):
        answer = {"jsonrpc": "2.0", "id": 7, "result": {}}
        status, _, _, _ = self.ask(HELPER + "/rpc", rpc("acme/undo", {}), answer)
        self.assertEqual(status, 200)
        self.assertEqual(self.house.exchange(a2a__operation="acme/undo")[0]["tags"]["a2a.effect"],
                         "true")
        self.refused(HELPER + "/rpc", rpc("acme/redo", {}), "default-deny")
        for method in ("acme/undo", "tasks/send", "sendMessage", "message/Send"):
            self.refused(FREE + "/rpc", rpc(method, {}), "a2a-method")
        self.house.entry(kind="refused", rule="a2a-method", a2a__operation="tasks/send")

    def test_only_a2as_own_transports_are_relayed(self):
        body = message("x")
        for method, path in (("GET", "/"), ("GET", "/message:send"), ("PUT", "/rpc"),
                             ("POST", "/Message:Send"), ("POST", "/message:send/"),
                             ("DELETE", "/tasks/t"), ("GET", "/TASKS/t")):
            sent = body if method in ("POST", "PUT") else None
            self.refused(FREE + path, sent, "a2a-transport", method)
        self.refused(FREE + "/tasks/t", {"id": "t"}, "a2a-transport", "GET")
        before = len(Upstream.seen)
        status, _, raw = self.house.request(
            "POST", FREE + "/lf.a2a.v1.A2AService/SendMessage", b"\0\0\0\0\2hi",
            [("content-type", "application/grpc")])
        self.assertEqual((status, len(Upstream.seen)), (403, before))
        self.assertIn("gRPC is not relayed", json.loads(raw)["error"]["message"])
        self.house.entry(kind="refused", rule="a2a-transport", path="/message:send/")

    def test_what_cannot_be_read_in_one_way_is_refused(self):
        before = len(Upstream.seen)
        both = dict(rpc("tasks/get", {"id": "t"}), Method="tasks/cancel")
        for url, body in ((FREE + "/rpc", both), (FREE + "/rpc", rpc("GetTask", [])),
                          (FREE + "/message:send", rpc("GetTask", {"id": "t"})),
                          (FREE + "/message:send", {"message": {}, "Message": {}})):
            status, _, raw, _ = self.ask(url, body)
            self.assertEqual(status, 400, raw)
            self.assertIn("error", json.loads(raw))
        status, _, raw, _ = self.ask(FREE + "/rpc", rpc("GetTask", {"id": "t"}),
                                     headers=[("a2a-version", "2.0")])
        self.assertEqual(status, 501)
        self.assertEqual(json.loads(raw)["error"]["code"], -32004)
        self.assertEqual(len(Upstream.seen), before)

    def origin(self):
        return "http://127.0.0.1:%d" % self.house.server.server_port

    def card(self):
        origin = self.origin()
        return {"name": "helper \u00e9", "version": "1", "skills": [{"id": "s"}],
                "url": origin + "/rpc", "preferredTransport": "JSONRPC",
                "additionalInterfaces": [{"url": origin + "/grpc", "transport": "GRPC"},
                                         {"url": origin, "transport": "HTTP+JSON"}],
                "supportedInterfaces": [
                    {"url": origin + "/free/rpc", "protocolBinding": "JSONRPC",
                     "protocolVersion": "1.0"},
                    {"url": "https://public.example/rpc", "protocolBinding": "HTTP+JSON"},
                    {"url": "https://public.example/grpc", "protocolBinding": "GRPC"}],
                "provider": {"url": "https://provider.example"},
                "signatures": [{"protected": "e30", "signature": "x"}]}

    def test_a_card_leads_through_the_house(self):
        path = "/.well-known/agent-card.json"
        Upstream.script = says(self.card(), headers=[("etag", '"1"'),
                                                     ("cache-control", "no-cache")])
        status, headers, raw, _ = self.ask(HELPER + path, None, None, "GET", [
            ("if-none-match", '"1"'), ("range", "bytes=0-10")])
        self.assertEqual(status, 200)
        self.assertNotIn("etag", headers)
        self.assertEqual(headers["cache-control"], "no-cache")
        self.assertFalse({"if-none-match", "range"} & set(Upstream.seen[-1][2]))
        card = json.loads(raw)
        self.assertEqual(card, {
            "name": "helper \u00e9", "version": "1", "skills": [{"id": "s"}],
            "url": HELPER + "/rpc", "preferredTransport": "JSONRPC",
            "additionalInterfaces": [{"url": HELPER + "/", "transport": "HTTP+JSON"}],
            "supportedInterfaces": [
                {"url": HELPER + "/free/rpc", "protocolBinding": "JSONRPC",
                 "protocolVersion": "1.0"},
                {"url": HELPER + "/rpc", "protocolBinding": "HTTP+JSON"}],
            "provider": {"url": "https://provider.example"}})
        _, settled = self.house.exchange(path=path)
        self.assertEqual(settled["tags"]["a2a.signatures"], "dropped")
        self.assertEqual(settled["tags"]["a2a.left_out"], "GRPC GRPC")
        self.assertEqual(json.loads(settled["bodies"]["a2a.card"]), self.card())
        self.assertEqual(settled["bodies"]["response"], raw.decode())

    def test_a_cards_addresses_are_below_the_services_base_path(self):
        interfaces = [{"url": self.origin() + "/free/rpc", "protocolBinding": "JSONRPC"},
                      {"url": self.origin() + "/helper", "protocolBinding": "HTTP+JSON"},
                      {"url": "https://public.example/else", "protocolBinding": "JSONRPC"}]
        _, _, raw, _ = self.ask(FREE + "/extendedAgentCard", None,
                                {"supportedInterfaces": interfaces}, "GET")
        self.assertEqual(Upstream.seen[-1][1], "/free/extendedAgentCard")
        self.assertEqual([each["url"] for each in json.loads(raw)["supportedInterfaces"]],
                         [FREE + "/rpc", HELPER + "/helper"])
        for method in ("agent/getAuthenticatedExtendedCard", "GetExtendedAgentCard"):
            answer = {"jsonrpc": "2.0", "id": 7, "result": {"url": self.origin() + "/free/"}}
            _, _, raw, _ = self.ask(FREE + "/card", rpc(method, {}), answer)
            self.assertEqual(json.loads(raw)["result"], {"url": FREE + "/"})

    def test_a_card_that_leads_nowhere_is_refused_in_words(self):
        path = "/.well-known/agent-card.json"
        for card, why in (({"url": self.origin(), "preferredTransport": "GRPC"}, "no interface"),
                          (b"<html>", "cannot be read"), ({}, "no interface"),
                          (b'{"x":"' + b"y" * 1024 * 1024 + b'"}', "more than 1048576 bytes")):
            status, _, raw, _ = self.ask(HELPER + path, None, card, "GET")
            self.assertIn(status, (413, 502))
            self.assertIn(why, json.loads(raw)["error"]["message"])
        Upstream.script = says(b"none", "text/plain", 404)
        status, _, raw, _ = self.ask(HELPER + path, None, None, "GET")
        self.assertEqual((status, raw), (404, b"none"))

    def hanging(self, version, over, left=None):
        def script(upstream, _):
            upstream.begin()
            parts = events(version)
            upstream.chunk(parts[0] + parts[1] + parts[2][:40])
            over.wait(30)
            try:
                for _ in range(1000):
                    upstream.chunk(b": x\n\n")
            except OSError:
                if left:
                    left.set()
            upstream.close_connection = True
        return script

    def begin_stream(self, port=None, placeholders=None):
        headers = [JSON, ("authorization", "Bearer "
                          + (placeholders or self.house.placeholders)["helper"])]
        sock = self.house.connect(port)
        self.addCleanup(sock.close)
        body = json.dumps(rpc("SendStreamingMessage", message("go", "1.0"), "x-1")).encode()
        sock.sendall(request_bytes("POST", HELPER + "/hang", body, headers))
        stream = sock.makefile("rb")
        self.assertEqual(read_response(stream, head_only=True)[0], 200)
        return sock, stream

    def test_an_agent_that_leaves_ends_the_stream_upstream(self):
        over, left = threading.Event(), threading.Event()
        Upstream.script = self.hanging("1.0", over, left)
        sock, stream = self.begin_stream()
        self.assertIn(b"one ", read_chunk(stream))
        stream.close()
        sock.close()
        intent = self.house.entry(kind="intent", path="/hang")
        settled = self.house.entry(kind="settled", path="/hang", state="cut")
        self.assertEqual(settled["exchange"], intent["exchange"])
        self.assertEqual(settled["bodies"]["a2a.answer"], "one ")
        over.set()
        self.assertTrue(left.wait(20))

    def test_a_kill_ends_a_stream_with_the_error_of_its_request(self):
        over = threading.Event()
        self.addCleanup(over.set)
        Upstream.script = self.hanging("1.0", over)
        _, stream = self.begin_stream(self.house.second_proxy, self.house.second_placeholders)
        got = read_chunk(stream)
        self.assertTrue(got.endswith(b"}\n\n"), "an event goes on when it is whole")
        self.house.kill(self.house.second_run)
        with self.assertRaises(EOFError):
            while piece := read_chunk(stream):
                got += piece
            self.fail("it ended in order")
        last = json.loads(got.split(b"\n\n")[-2].removeprefix(b"data: "))
        self.assertEqual((last["jsonrpc"], last["id"]), ("2.0", "x-1"))
        self.assertEqual(last["error"]["code"], -32000)
        self.assertEqual(last["error"]["data"][0]["reason"], "killed")


if __name__ == "__main__":
    unittest.main()
