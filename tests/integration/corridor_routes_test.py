#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long an upstream may take, how much it is given at a time, and where else a request goes when
one fails: never twice where something may have come of it, never where its agent may not."""
import email.utils
import json
import threading
import time
import unittest

from corridor_house import (KEY, HouseTest, Upstream, chat, drain, event, read_chunk,
                            read_response, request_bytes)

ROUTER = "http://router.gatehouse/v1/chat/completions"


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


class Routes(HouseTest):
    """Models that are names of the house's own."""

    def ask(self, model, stream=False, headers=(), url=ROUTER, **more):
        body = dict(json.loads(chat("hi", stream, model)), **more)
        headers = [self.house.bearer("router"), *headers]
        return self.house.request("POST", url, json.dumps(body).encode(), headers)

    def answering(self, first):
        """`first` answers what goes to the first provider; the other one is well."""
        def either(upstream, body):
            if upstream.path.startswith("/first/"):
                return first(upstream, body)
            return upstream.answer(200, b'{"model":"two","choices":[],"usage":{"prompt_tokens":5,'
                                        b'"completion_tokens":7}}')
        Upstream.always = either

    def settled(self, route):
        return self.house.exchange(route=route)[1]["tags"]

    def paths(self):
        return [path for _, path, _, _ in Upstream.seen]

    def test_a_request_goes_to_the_target_as_one_for_it_with_its_own_credential(self):
        sent = (b'{ "messages":[{"role":"user","content":"plain"}],  "model" : "plain",'
                b' "top_p":1.50 }')
        status, _, _ = self.house.request("POST", ROUTER + "?key=secret", sent, [
            self.house.bearer("router"), ("cookie", "a=b"), ("x-mine", "secret"),
            ("openai-organization", "org"), ("user-agent", "mine/1")])
        self.assertEqual(status, 200)
        (_, path, headers, body), = Upstream.seen
        self.assertEqual(path, "/first/v1/chat/completions")
        self.assertEqual(body, sent.replace(b'"model" : "plain"', b'"model" : "one-plain"'))
        self.assertEqual(headers["authorization"], "Bearer " + KEY + "-of-first")
        self.assertEqual(headers["user-agent"], "mine/1")
        for name in ("cookie", "x-mine", "openai-organization"):
            self.assertNotIn(name, headers)
        self.assertNotIn(self.house.placeholders["router"], str(headers))
        intent, settled = self.house.exchange(route="plain")
        self.assertEqual((intent["tags"]["service"], intent["tags"]["llm.model"],
                          intent["tags"]["route.target"]), ("router", "plain", "first/one-plain"))
        self.assertEqual(intent["bodies"]["request"], sent.decode())
        self.assertEqual(settled["tags"]["route.attempts"], "first/one-plain 200")

    def test_a_model_that_is_no_route_goes_where_the_agent_said(self):
        self.assertEqual(self.ask("any")[0], 200)
        (_, path, headers, body), = Upstream.seen
        self.assertEqual((path, json.loads(body)["model"]), ("/router/v1/chat/completions", "any"))
        self.assertEqual(headers["authorization"], "Bearer " + KEY + "-of-router")

    def test_one_that_fails_is_followed_by_the_next_tier(self):
        self.answering(lambda upstream, _: upstream.answer(503, b'{"error":"down"}'))
        status, _, body = self.ask("failing")
        self.assertEqual((status, json.loads(body)["model"]), (200, "two"))
        self.assertEqual(self.paths(), ["/first/v1/chat/completions",
                                        "/second/api/v2/chat/completions"])
        _, _, headers, body = Upstream.seen[1]
        self.assertEqual(headers["api-key"], KEY + "-of-second")
        self.assertNotIn("authorization", headers)
        self.assertEqual(json.loads(body)["model"], "two-failing")
        tags = self.settled("failing")
        self.assertEqual(tags["route.attempts"], "first/one-failing 503, second/two-failing 200")
        self.assertEqual(tags["route.answered_by"], "second/two-failing")
        self.assertEqual((tags["tokens.input"], tags["tokens.output"]), ("5", "7"))

    def test_one_that_cannot_be_reached_is_followed_by_the_next(self):
        self.assertEqual(self.ask("house/down")[0], 200)
        self.assertEqual(self.paths(), ["/second/v1/chat/completions"])
        self.assertEqual(self.settled("house/down")["route.attempts"],
                         "gone/x unreachable, second/y 200")

    def test_the_names_are_listed_for_who_may_ask_for_them(self):
        theirs = b'{"object":"list","data":[{"id":"gpt-x","object":"model"}]}'
        Upstream.script = lambda upstream, _: upstream.answer(200, theirs, headers=[("etag", "x")])
        place = "http://router.gatehouse/v1/models"
        status, headers, body = self.house.request("GET", place, headers=[
            ("accept-encoding", "gzip"), ("if-none-match", "x"), self.house.bearer("router")])
        self.assertEqual(status, 200, body)
        self.assertNotIn("etag", headers)
        self.assertEqual(Upstream.seen[-1][2]["accept-encoding"], "identity")
        names = [model["id"] for model in json.loads(body)["data"]]
        self.assertEqual(names[-1], "gpt-x")
        for name in ("plain", "thinker", "partly", "house/down"):
            self.assertEqual(names.count(name), 1, name)
        self.assertNotIn("forbidden", names, "no rule lets the agent ask its target")
        Upstream.seen.clear()
        for name in ("plain", "house/down"):
            status, _, body = self.house.request("GET", f"{place}/{name}",
                                                 headers=[self.house.bearer("router")])
            self.assertEqual((status, json.loads(body)["id"]), (200, name))
        self.assertEqual(Upstream.seen, [], "answered here")
        _, settled = self.house.exchange(path="/v1/models/plain")
        self.assertEqual(settled["tags"]["answered_by"], "gateway")
        for name in ("forbidden", "gpt-y"):
            Upstream.script = lambda upstream, _: upstream.answer(404, b"{}")
            self.assertEqual(self.house.request("GET", f"{place}/{name}")[0], 404)
        self.assertEqual(len(Upstream.seen), 2)

    def test_one_that_closes_without_an_answer_is_followed_by_the_next(self):
        def silent(upstream, _):
            upstream.close_connection = True
        self.answering(silent)
        self.assertEqual(self.ask("silent", stream=True)[0], 200)
        tags = self.settled("silent")
        self.assertIn("first/one-silent upstream, second", tags["route.attempts"])
        self.assertEqual(tags["unanswered.attempts"], "1")
        sent = len(Upstream.seen[0][3])
        self.assertEqual(int(tags["unanswered.tokens.input"]), (sent + 1) // 2)
        self.assertNotIn("unanswered.cost.micro_usd", tags, "nobody says the price")

    def test_one_that_wants_to_be_left_alone_is(self):
        until = email.utils.formatdate(time.time() + 600, usegmt=True)
        self.answering(lambda upstream, _: upstream.answer(
            429, b'{"error":"slow down"}', headers=[("retry-after", until)]))
        for _ in range(3):
            self.assertEqual(self.ask("asking")[0], 200)
        self.assertEqual([path.split("/")[1] for path in self.paths()],
                         ["first", "second", "second", "second"])

    def test_when_all_want_to_be_left_alone_the_agent_is_told_for_how_long(self):
        Upstream.always = lambda upstream, _: upstream.answer(
            429, b'{"error":"slow down"}', headers=[("retry-after", "600"), ("x-limit", "7")])
        status, headers, body = self.ask("busy")
        self.assertEqual((status, headers["retry-after"], headers["x-limit"], body),
                         (429, "600", "7", b'{"error":"slow down"}'), "the last one's own answer")
        self.assertEqual(len(Upstream.seen), 2)
        status, headers, body = self.ask("busy")
        self.assertEqual((status, json.loads(body)["error"]["code"]), (503, "model-route"))
        self.assertTrue(500 < int(headers["retry-after"]) <= 600, headers)
        self.assertEqual(len(Upstream.seen), 2)

    def test_one_that_fails_in_a_row_is_set_aside(self):
        self.answering(lambda upstream, _: upstream.answer(502, b"{}"))
        before = self.house.counters()["routes.targets_set_aside"]
        for _ in range(6):
            self.assertEqual(self.ask("tired")[0], 200)
        self.assertEqual([path.split("/")[1] for path in self.paths()],
                         ["first", "second"] * 3 + ["second"] * 3)
        self.assertEqual(self.house.counters()["routes.targets_set_aside"], before + 1)

    def test_an_answer_that_is_an_error_of_the_requests_own_is_the_agents(self):
        for status in (400, 401, 404, 500):
            self.answering(lambda upstream, _, status=status: upstream.answer(status, b"{}"))
            self.assertEqual(self.ask("erring")[0], status)
        self.assertTrue(all(path.startswith("/first/") for path in self.paths()))

    def test_after_a_byte_has_reached_the_agent_there_is_no_other_attempt(self):
        def breaking(upstream, _):
            upstream.begin()
            upstream.chunk(event({"content": "half "}))
            upstream.close_connection = True
        self.answering(breaking)
        with self.house.connect() as sock:
            sock.sendall(request_bytes("POST", ROUTER, chat("hi", True, "breaking"),
                                       [self.house.bearer("router")]))
            said = drain(sock)
        self.assertIn(b"half ", said)
        self.assertIn(b"gatehouse_upstream", said)
        self.assertNotIn(b"[DONE]", said)
        self.assertEqual(len(Upstream.seen), 1)
        self.assertEqual(self.settled("breaking")["route.attempts"], "first/one-breaking 200")

    def test_where_a_tool_may_have_run_at_the_provider_there_is_no_other_attempt(self):
        self.answering(lambda upstream, _: upstream.answer(503, b"{}"))
        self.assertEqual(self.ask("acting", web_search_options={})[0], 503)
        self.assertEqual(len(Upstream.seen), 1)
        intent, _ = self.house.exchange(route="acting")
        self.assertEqual(intent["tags"]["llm.provider_tools"], "web_search")

    def test_the_usage_of_a_stream_is_asked_for_and_hidden(self):
        usage = (b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}'
                 b"\n\n")

        def counting(upstream, _):
            upstream.begin()
            upstream.chunk(event({"content": "x"}, "stop"))
            upstream.chunk(usage + b"data: [DONE]\n\n")
            upstream.end()
        self.answering(counting)
        _, _, body = self.ask("both", stream=True)
        self.assertTrue(json.loads(Upstream.seen[0][3])["stream_options"]["include_usage"])
        self.assertNotIn(b"prompt_tokens", body)
        self.assertIn(b"[DONE]", body)
        self.assertEqual(self.settled("both")["tokens.output"], "4")

    def test_what_the_target_echoes_of_its_credential_is_replaced(self):
        self.answering(lambda upstream, _: upstream.answer(
            200, upstream.headers["authorization"].encode()))
        _, _, body = self.ask("mixed")
        self.assertEqual(body, b"Bearer [credential removed by gatehouse]")

    def test_a_target_that_is_busy_is_passed_over(self):
        release, began = threading.Event(), threading.Event()
        self.addCleanup(release.set)

        def hold(upstream, _):
            began.set()
            release.wait(30)
            upstream.answer(200, b"{}")
        Upstream.script = hold
        with self.house.connect() as sock:
            sock.sendall(request_bytes("POST", "http://narrow.gatehouse/v1/chat/completions",
                                       chat("first")))
            self.assertTrue(began.wait(20))
            self.assertEqual(self.ask("narrow")[0], 200)
            self.assertEqual(self.settled("narrow")["route.attempts"],
                             "narrow/x busy, second/wide 200")
            release.set()
            read_response(sock.makefile("rb"))

    def test_a_kill_ends_an_exchange_between_two_attempts(self):
        second = self.house.second_run
        started = threading.Event()

        def failing(upstream, _):
            started.set()
            self.house.kill(second)
            upstream.answer(503, b"{}")
        self.answering(failing)
        with self.house.connect(self.house.second_proxy) as sock:
            sock.sendall(request_bytes("POST", ROUTER, chat("hi", model="killed"), [
                ("authorization", "Bearer " + self.house.second_placeholders["router"])]))
            self.assertNotIn(b"HTTP/1.1 200", drain(sock))
        self.assertTrue(started.is_set())
        self.assertEqual(self.paths(), ["/first/v1/chat/completions"])

    # --- what a route does not open

    def test_a_target_that_the_agent_may_not_use_is_not_asked(self):
        status, headers, body = self.ask("forbidden")
        self.assertEqual((status, headers["x-gatehouse-error"]), (403, "denied"))
        self.assertIn("model forbidden: POST forbidden.gatehouse/v1/chat/completions",
                      json.loads(body)["error"]["message"])
        self.assertEqual(Upstream.seen, [])
        self.house.entry(kind="alarm", route="forbidden", ruling="deny", rule="default-deny")
        self.assertEqual(self.ask("partly")[0], 200)
        self.assertEqual(self.paths(), ["/second/v1/chat/completions"])

    def test_a_placeholder_opens_its_own_service_only_with_or_without_a_route(self):
        def alarmed(shown, url, model):
            status, _, _ = self.house.request("POST", url, chat("x", model=model),
                                              [self.house.bearer(shown)])
            self.assertEqual(status, 403, (shown, url, model))
        first = ROUTER.replace("router", "first")
        alarmed("router", first, "one-alone")     # the target's own service
        alarmed("first", ROUTER, "alone")         # the target's placeholder
        alarmed("second", ROUTER, "any")          # no route at all
        alarmed("openai", ROUTER, "alone")        # one that has nothing to do with it
        self.assertEqual(Upstream.seen, [])
        found = self.house.entries(lambda every: sum(
            entry["tags"].get("alarm") == "placeholder-misused" for entry in every) >= 4)
        alarms = {entry["exchange"] for entry in found if entry["kind"] == "alarm"}
        lent = {entry["exchange"] for entry in found if entry["kind"] == "vault_use"}
        self.assertEqual(alarms & lent, set(), "the vault was not even asked")

    def test_without_a_placeholder_no_credential_is_lent_to_the_target(self):
        self.assertEqual(self.house.request("POST", ROUTER, chat("x", model="alone"), [
            ("authorization", "Bearer sk-of-my-own"), ("api-key", "mine")])[0], 200)
        (_, path, headers, _), = Upstream.seen
        self.assertTrue(path.startswith("/first/"))
        self.assertNotIn("authorization", headers)
        self.assertNotIn("api-key", headers)

    # --- where the path says the model

    def test_a_model_in_the_path_is_exchanged_there(self):
        body = json.dumps({"contents": [{"role": "user", "parts": [{"text": "x"}]}]}).encode()
        url = "http://gemini.gatehouse/v1beta/models/house:generateContent?alt=json"
        self.assertEqual(self.house.request("POST", url, body)[0], 200)
        self.assertEqual((Upstream.seen[-1][1], Upstream.seen[-1][3]),
                         ("/v1beta/models/gemini-3:generateContent?alt=json", body))
        body = json.dumps({"messages": [{"role": "user", "content": [{"text": "x"}]}]}).encode()
        self.assertEqual(self.house.request(
            "POST", "http://bedrock.gatehouse/model/house/converse", body,
            [("authorization", "AWS4-HMAC-SHA256 Credential=%s/20200101/us-east-1/bedrock/"
              "aws4_request, SignedHeaders=host, Signature=00" % self.house.placeholders["bedrock"])
             ])[0], 200)
        _, path, headers, _ = Upstream.seen[-1]
        self.assertEqual(path, "/model/anthropic.claude-v1%3A0/converse")
        self.assertIn("Credential=AKIDEXAMPLE/", headers["authorization"])


def sse(*events):
    return b"".join(b"event: %s\ndata: %s\n\n" % (each["type"].encode(), json.dumps(each).encode())
                    for each in events)


def chunks_of(body):
    return [json.loads(line[6:]) for line in body.decode().splitlines()
            if line.startswith("data: {")]


class OtherDialects(HouseTest):
    """An OpenAI client at a route that leads to a provider of another dialect."""

    USAGE = {"input_tokens": 10, "cache_read_input_tokens": 5, "output_tokens": 4}
    START = {"type": "message_start", "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-1-now",
        "content": [], "usage": dict(USAGE, output_tokens=1)}}
    SAYS = [{"type": "content_block_start", "index": 0,
             "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0,
             "delta": {"type": "text_delta", "text": "Hel"}},
            {"type": "content_block_delta", "index": 0,
             "delta": {"type": "text_delta", "text": "lo"}}]
    ENDS = [{"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None},
             "usage": USAGE}, {"type": "message_stop"}]

    def ask(self, model, stream=False, **more):
        body = dict(json.loads(chat("hi", stream, model)), **more)
        return self.house.request("POST", ROUTER, json.dumps(body).encode(),
                                  [self.house.bearer("router"), ("x-mine", "secret")])

    def settled(self, route):
        return self.house.exchange(route=route)[1]

    def test_a_chat_goes_to_anthropic_and_its_answer_back(self):
        answer = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-1-now",
                  "content": [{"type": "text", "text": "Hello"}], "stop_reason": "end_turn",
                  "usage": self.USAGE}
        Upstream.script = lambda upstream, _: upstream.answer(200, json.dumps(answer).encode(),
                                                              headers=[("x-inner", "y")])
        status, headers, body = self.ask("thinker")
        (_, path, sent, asked), = Upstream.seen
        self.assertEqual((path, sent["x-api-key"], sent["anthropic-version"]),
                         ("/v1/messages", KEY, "2023-06-01"))
        self.assertNotIn("authorization", sent)
        self.assertNotIn("x-mine", sent)
        asked = json.loads(asked)
        self.assertEqual((asked["model"], asked["max_tokens"]), ("claude-1", 4096))
        self.assertEqual((status, headers["content-type"]), (200, "application/json"))
        self.assertNotIn("x-inner", headers)
        said = json.loads(body)
        choice = said["choices"][0]
        self.assertEqual((said["object"], choice["message"]["content"], choice["finish_reason"]),
                         ("chat.completion", "Hello", "stop"))
        self.assertEqual(said["usage"]["prompt_tokens"], 15)
        settled = self.settled("thinker")
        tags = settled["tags"]
        self.assertEqual((tags["tokens.input"], tags["tokens.cached"], tags["tokens.output"],
                          tags["llm.response_model"]), ("15", "5", "4", "claude-1-now"))
        self.assertEqual(settled["bodies"]["llm.text"], "Hello")
        self.assertEqual(tags["route.attempts"], "claude/claude-1 200")

    def stream(self, *events, model="thinker", **more):
        def begin(upstream, _):
            upstream.begin()
            for each in events:
                upstream.chunk(sse(each))
            upstream.end()
        Upstream.script = begin
        return self.ask(model, stream=True, **more)

    def test_a_stream_comes_back_event_by_event(self):
        _, headers, body = self.stream(self.START, *self.SAYS, *self.ENDS)
        self.assertEqual(headers["content-type"], "text/event-stream")
        self.assertTrue(body.endswith(b"data: [DONE]\n\n"))
        chunks = chunks_of(body)
        self.assertEqual("".join(chunk["choices"][0]["delta"].get("content") or ""
                                 for chunk in chunks), "Hello")
        self.assertFalse(any(chunk.get("usage") for chunk in chunks), "the agent did not ask")
        _, settled = self.house.exchange(route="thinker", llm__stream="true")
        tags = settled["tags"]
        self.assertEqual((tags["tokens.input"], tags["tokens.output"], tags["llm.complete"]),
                         ("15", "4", "true"))
        _, _, body = self.stream(self.START, *self.SAYS, *self.ENDS,
                                 stream_options={"include_usage": True})
        self.assertEqual(chunks_of(body)[-1]["usage"]["completion_tokens"], 4)

    def broken(self, *events, cut=False):
        def begin(upstream, _):
            upstream.begin()
            upstream.chunk(sse(*events))
            if not cut:
                upstream.end()
            upstream.close_connection = True
        Upstream.script = begin
        with self.house.connect() as sock:
            sock.sendall(request_bytes("POST", ROUTER, chat("hi", True, "thinker"),
                                       [self.house.bearer("router")]))
            return drain(sock)

    def test_a_stream_that_ends_badly_ends_honestly(self):
        overloaded = {"type": "error", "error": {"type": "overloaded_error", "message": "Too busy"}}
        for events, cut, why in (((self.START, *self.SAYS), True, b"gatehouse_upstream"),
                                 ((self.START, *self.SAYS), False, b"broke off before its end"),
                                 ((self.START, *self.SAYS, overloaded), False, b"Too busy")):
            said = self.broken(*events, cut=cut)
            self.assertIn(b"Hel", said)
            self.assertIn(b'"error"', said)
            self.assertIn(why, said)
            self.assertNotIn(b"[DONE]", said)
            self.assertFalse(said.endswith(b"\r\n0\r\n\r\n"), "cut, not ended")

    def test_what_cannot_be_carried_over_is_refused_before_anybody_is_dialled(self):
        for more, named in (({"n": 2}, "n"), ({"seed": 7}, "seed"),
                            ({"logprobs": True}, "logprobs")):
            status, headers, body = self.ask("thinker", **more)
            self.assertEqual((status, headers["x-gatehouse-error"]), (400, "invalid_request"))
            self.assertIn(named, json.loads(body)["error"]["message"])
        status, _, body = self.house.request(
            "POST", "http://router.gatehouse/v1/embeddings", b'{"model":"thinker","input":"x"}',
            [self.house.bearer("router")])
        self.assertEqual(status, 400)
        self.assertIn("chats alone", json.loads(body)["error"]["message"])
        self.assertEqual(Upstream.seen, [])

    def test_what_cannot_be_carried_over_is_not_where_another_can_take_it(self):
        Upstream.always = lambda upstream, _: upstream.answer(503, b'{"error":{"message":"no"}}')
        self.assertEqual(self.ask("crossing", n=2)[0], 503)
        self.assertEqual([path for _, path, _, _ in Upstream.seen], ["/first/v1/chat/completions"])

    def test_another_dialect_is_a_fallback_too(self):
        def either(upstream, _):
            if upstream.path.startswith("/first/"):
                return upstream.answer(503, b"{}")
            return upstream.answer(200, json.dumps({
                "id": "m", "type": "message", "role": "assistant", "model": "claude-2",
                "content": [{"type": "text", "text": "Here"}], "stop_reason": "end_turn",
                "usage": self.USAGE}).encode())
        Upstream.always = either
        _, _, body = self.ask("crossing")
        self.assertEqual(json.loads(body)["choices"][0]["message"]["content"], "Here")

    def test_an_error_of_the_providers_is_told_in_the_agents_dialect(self):
        error = {"type": "error", "error": {"type": "rate_limit_error", "message": "Slow down"}}
        Upstream.script = lambda upstream, _: upstream.answer(
            400, json.dumps(error).encode(), headers=[("retry-after", "3")])
        status, headers, body = self.ask("thinker", stream=True)
        self.assertEqual((status, headers["retry-after"]), (400, "3"))
        self.assertEqual(json.loads(body)["error"]["message"], "Slow down")
        for nonsense in (b"<html>", b'{"type":"message"}', b""):
            Upstream.script = lambda upstream, _, said=nonsense: upstream.answer(200, said)
            status, headers, _ = self.ask("thinker")
            self.assertEqual((status, headers["x-gatehouse-error"]), (502, "upstream"))

    def test_what_the_provider_echoes_of_its_credential_is_replaced(self):
        says = dict(self.SAYS[1], delta={"type": "text_delta", "text": "It is " + KEY + "!"})
        _, _, body = self.stream(self.START, self.SAYS[0], says, *self.ENDS)
        self.assertNotIn(KEY.encode(), body)
        self.assertIn(b"credential removed by gatehouse", body)

    def test_a_chat_goes_to_gemini_and_its_answer_back(self):
        usage = {"promptTokenCount": 9, "candidatesTokenCount": 2, "totalTokenCount": 11}
        answer = {"candidates": [{"content": {"role": "model", "parts": [{"text": "Hello"}]},
                                  "finishReason": "STOP", "index": 0}], "usageMetadata": usage,
                  "modelVersion": "gemini-2-now", "responseId": "r1"}
        Upstream.script = lambda upstream, _: upstream.answer(200, json.dumps(answer).encode())
        _, _, body = self.ask("gem", temperature=0.5)
        self.assertEqual(Upstream.seen[-1][1], "/v1beta/models/gemini-2:generateContent")
        self.assertEqual(json.loads(body)["choices"][0]["message"]["content"], "Hello")

        def begin(upstream, _):
            upstream.begin()
            upstream.chunk(b"data: " + json.dumps(answer).encode() + b"\r\n\r\n")
            upstream.end()
        Upstream.script = begin
        _, _, body = self.ask("gem", stream=True)
        self.assertEqual(Upstream.seen[-1][1],
                         "/v1beta/models/gemini-2:streamGenerateContent?alt=sse")
        self.assertEqual(chunks_of(body)[0]["choices"][0]["delta"]["content"], "Hello")
        self.assertTrue(body.endswith(b"data: [DONE]\n\n"))
        self.assertEqual(self.settled("gem")["tags"]["tokens.input"], "9")


if __name__ == "__main__":
    unittest.main(verbosity=2)
