#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Model providers' protocols through the corridor: each is read, ruled on and recorded in the same
words, and passes unharmed."""
import binascii
import hashlib
import hmac
import json
import struct
import unittest
import urllib.parse
from pathlib import Path

from corridor_house import KEY, HouseTest, Upstream

PROVIDER = "http://provider.gatehouse"
CLAUDE = "http://claude.gatehouse"


def sse(*events):
    return "".join("event: %s\ndata: %s\n\n" % (event["type"], json.dumps(event))
                   for event in events).encode()


RESPONSE = {
    "id": "resp_1", "object": "response", "status": "completed", "model": "r-1",
    "output": [{"type": "message", "role": "assistant",
                "content": [{"type": "output_text", "text": "Hello!"}]},
               {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}],
    "usage": {"input_tokens": 36, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 87,
              "output_tokens_details": {"reasoning_tokens": 20}, "total_tokens": 123}}
RESPONSE_STREAM = sse(
    {"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}},
    {"type": "response.output_text.delta", "output_index": 0, "delta": "Hello!"},
    {"type": "response.completed", "response": RESPONSE})
MESSAGE = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-1",
    "content": [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Hello!"},
                {"type": "tool_use", "id": "t1", "name": "f", "input": {"x": 1}}],
    "stop_reason": "tool_use",
    "usage": {"input_tokens": 10, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 3,
              "cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 2},
              "output_tokens": 7}}
MESSAGE_STREAM = sse(
    {"type": "message_start", "message": dict(MESSAGE, content=[], stop_reason=None)},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello!"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}},
    {"type": "message_stop"})

GEMINI = {
    "responseId": "r1", "modelVersion": "gemini-x",
    "candidates": [{"content": {"role": "model", "parts": [{"text": "Hello!"}]},
                    "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 8, "cachedContentTokenCount": 3,
                      "candidatesTokenCount": 5, "thoughtsTokenCount": 4, "totalTokenCount": 17}}
GEMINI_BEGUN = {"candidates": [{"content": {"parts": [{"text": "Hel"}]}}],
                "usageMetadata": {"promptTokenCount": 8}}


def frame(kind, event):
    """Of AWS's event stream."""
    headers = b"".join(bytes([len(name)]) + name + b"\7" + struct.pack(">H", len(value)) + value
                       for name, value in ((b":event-type", kind.encode()),
                                           (b":message-type", b"event")))
    payload = json.dumps(event).encode()
    out = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    out += struct.pack(">I", binascii.crc32(out)) + headers + payload
    return out + struct.pack(">I", binascii.crc32(out))


def says(body, kind="application/json", status=200):
    answer = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda upstream, _: upstream.answer(status, answer, kind)


class Dialects(HouseTest):
    def ask(self, url, request, answer, kind="application/json"):
        """Asks; the answer must come through as it is."""
        Upstream.script = says(answer, kind)
        headers = [("x-api-key", self.house.placeholders["claude"])] if CLAUDE in url else []
        sent = json.dumps(request).encode()
        status, _, body = self.house.request("POST", url, sent, headers)
        self.assertEqual(status, 200, body)
        self.assertEqual(body, answer if isinstance(answer, bytes) else json.dumps(answer).encode())
        self.assertEqual(Upstream.seen[-1][3], sent)

    def settled(self, model):
        intent, settled = self.house.exchange(llm__model=model)
        return intent, settled["tags"], settled["bodies"]

    def tokens(self, tags):
        return {name[7:]: int(value) for name, value in tags.items() if name.startswith("tokens.")}

    def test_openai_responses_are_read(self):
        for stream in (False, True):
            model = "responses-%s" % stream
            self.ask(PROVIDER + "/v1/responses",
                     {"model": model, "stream": stream, "input": "hi"},
                     RESPONSE_STREAM if stream else RESPONSE,
                     "text/event-stream" if stream else "application/json")
            intent, tags, bodies = self.settled(model)
            self.assertEqual(json.loads(intent["bodies"]["llm.input"]),
                             [{"role": "user", "text": "hi"}])
            self.assertEqual(bodies["llm.text"], "Hello!")
            self.assertEqual(tags["llm.finish_reason"], "completed")
            self.assertEqual(tags["llm.response_id"], "resp_1")
            self.assertEqual(self.tokens(tags),
                             {"input": 36, "cached": 4, "output": 87, "reasoning": 20})
            if not stream:
                self.assertEqual(json.loads(bodies["llm.tool_calls"])[0]["name"], "f")

    def test_embeddings_cost_what_they_read(self):
        self.ask(PROVIDER + "/v1/embeddings", {"model": "embed", "input": ["one", "two"]},
                 {"object": "list", "model": "embed", "data": [{"embedding": [1]}],
                  "usage": {"prompt_tokens": 8, "total_tokens": 8}})
        intent, tags, _ = self.settled("embed")
        self.assertEqual(intent["tags"]["llm.operation"], "embeddings")
        self.assertEqual(self.tokens(tags), {"input": 8, "cached": 0, "output": 0, "reasoning": 0})

    def test_a_key_may_come_as_a_bearer_token_and_the_agents_own_never_passes(self):
        placeholder = self.house.placeholders["claude"]
        body = json.dumps({"model": "bearer", "max_tokens": 9, "messages": []}).encode()
        bearer, own = ("authorization", "Bearer " + placeholder), ("x-api-key", placeholder)
        for sent, filled in (([bearer], "authorization"), ([own], "x-api-key"),
                             ([bearer, ("x-api-key", "mine")], "authorization"),
                             ([("authorization", "Bearer mine"), own], "x-api-key"),
                             ([bearer, own], None)):
            Upstream.seen.clear()
            status, _, _ = self.house.request("POST", CLAUDE + "/v1/messages", body, sent)
            if filled is None:
                self.assertEqual((status, Upstream.seen), (403, []))
                continue
            self.assertEqual(status, 200)
            headers = Upstream.seen[-1][2]
            given = {name: headers[name] for name in ("authorization", "x-api-key")
                     if name in headers}
            self.assertEqual(given, {filled: KEY if filled == "x-api-key" else "Bearer " + KEY})

    def test_a_conversation_that_goes_on_is_stored_once_and_on_record_whole(self):
        turns, gateways = 8, 2
        said, sent = [], []
        system = "".join("system %d " % number for number in range(1800))
        for turn in range(turns):
            if said:
                del said[-1]["content"][0]["cache_control"]  # as agents do, it moves to the last
                said.append({"role": "assistant", "content":
                             "turn %d is answered %s" % (turn - 1, "." * 300)})
            text = "turn %d begins %s" % (turn, "~%d " % turn * 500)
            said.append({"role": "user", "content": [
                {"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]})
            request = {"model": "talk-%d" % turn, "messages": said, "max_tokens": 9,
                       "system": system}
            sent.append(json.dumps(request))
            self.ask(CLAUDE + "/v1/messages", request, MESSAGE)
        for turn in range(turns):
            intent, _, _ = self.settled("talk-%d" % turn)
            self.assertEqual(intent["bodies"]["request"], sent[turn])
            told = json.loads(intent["bodies"]["llm.input"])
            self.assertTrue(told[-1]["text"].startswith("turn %d begins" % turn), told)
            self.assertEqual(len(told), 1 if turn else 2, told)  # the system's first
        stored = b"".join(path.read_bytes() for path in Path(self.house.data, "audit").iterdir())
        for once in ("system 1799 ", "turn 0 begins ", "turn 0 is answered"):
            # By each gateway once, and what was new in words.
            self.assertIn(stored.count(once.encode()), range(1, 3 * gateways + 1), once)

    def test_what_one_dialect_finds_nothing_in_is_read_anew_by_another(self):
        """Nobody makes a tool known as a message by saying it to somebody to whom it is none."""
        tool = {"type": "tool_addition", "tool": {"type": "web_search_20250305", "name": "s"}}
        text = {"type": "text", "text": "~" * 20000}
        request = {"model": "alike", "max_tokens": 9, "messages": [
            {"role": "user", "content": [text, tool]}, {"role": "user", "content": "go on"}]}
        for _ in range(4):  # at each gateway
            self.ask(PROVIDER + "/v1/chat/completions", request, {"id": "x", "choices": []})
            status, _, body = self.house.request("POST", CLAUDE + "/v1/messages",
                                                 json.dumps(request).encode())
            self.assertEqual(status, 403, body)
            self.assertIn("provider-side-tools", body.decode())

    def test_anthropic_messages_are_read_and_get_the_key(self):
        for stream in (False, True):
            model = "messages-%s" % stream
            self.ask(CLAUDE + "/v1/messages?beta=true",
                     {"model": model, "max_tokens": 9, "stream": stream,
                      "messages": [{"role": "user", "content": "hi"}]},
                     MESSAGE_STREAM if stream else MESSAGE,
                     "text/event-stream" if stream else "application/json")
            self.assertEqual(Upstream.seen[-1][2]["x-api-key"], KEY)
            intent, tags, bodies = self.settled(model)
            self.assertEqual(intent["tags"]["llm.operation"], "chat")
            self.assertEqual(bodies["llm.text"], "Hello!")
            self.assertEqual(self.tokens(tags), {
                "input": 18, "cached": 5, "cache_write_5m": 1, "cache_write_1h": 2,
                "output": 9 if stream else 7, "reasoning": 0})
            if not stream:
                self.assertEqual(bodies["llm.reasoning"], "Hm.")
                self.assertEqual(json.loads(bodies["llm.tool_calls"]),
                                 [{"id": "t1", "name": "f", "arguments": '{"x": 1}'}])

    def test_gemini_is_read_whole_and_in_both_of_its_streams(self):
        last = dict(GEMINI, candidates=[
            {"content": {"parts": [{"text": "lo!"}]}, "finishReason": "STOP"}])
        whole, *parts = (json.dumps(one).encode() for one in (GEMINI, GEMINI_BEGUN, last))
        for model, verb, kind, answer in (
                ("g-whole", "generateContent", "application/json", whole),
                ("g-events", "streamGenerateContent?alt=sse", "text/event-stream",
                 b"data: %s\r\n\r\ndata: %s\r\n\r\n" % tuple(parts)),
                ("g-array", "streamGenerateContent", "application/json; charset=UTF-8",
                 b"[%s\n,\r\n%s\n]" % tuple(parts))):
            self.ask("http://gemini.gatehouse/v1beta/models/%s:%s" % (model, verb),
                     {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}, answer, kind)
            intent, tags, bodies = self.settled(model)
            self.assertEqual(intent["tags"]["llm.stream"], str("stream" in verb).lower())
            self.assertEqual(json.loads(intent["bodies"]["llm.input"]),
                             [{"role": "user", "text": "hi"}])
            self.assertEqual(bodies["llm.text"], "Hello!")
            self.assertEqual(self.tokens(tags),
                             {"input": 8, "cached": 3, "output": 9, "reasoning": 4})

    def test_an_azure_deployment_is_the_model(self):
        self.ask("http://azure.gatehouse/openai/deployments/mine/chat/completions?api-version=1",
                 {"messages": [{"role": "user", "content": "hi"}]},
                 {"id": "c", "choices": [{"index": 0, "message": {"content": "Hello!"}}]})
        self.assertEqual(Upstream.seen[-1][1],
                         "/openai/deployments/mine/chat/completions?api-version=1")
        self.assertEqual(self.settled("mine")[2]["llm.text"], "Hello!")

    def converse(self, model, stream, answer, kind):
        """As an AWS client asks: signed with the placeholder for an access key id, and with a
        secret that opens nothing."""
        Upstream.script = says(answer, kind)
        url = "http://bedrock.gatehouse/model/%s/converse%s" % (model, "-stream" if stream else "")
        scope = self.house.placeholders["bedrock"] + "/20200101/eu-west-9/bedrock/aws4_request"
        headers = [("content-type", "application/json"), ("x-amz-date", "20200101T000000Z"),
                   ("x-amz-security-token", "of the agent's"),
                   ("authorization", "AWS4-HMAC-SHA256 Credential=%s, SignedHeaders=host, "
                                     "Signature=00" % scope)]
        sent = json.dumps({"messages": [{"role": "user", "content": [{"text": "hi"}]}]}).encode()
        status, _, body = self.house.request("POST", url, sent, headers)
        self.assertEqual((status, body), (200, answer))
        self.check_signature(sent)

    def check_signature(self, body):
        """Done by hand, as AWS documents it."""
        method, target, headers, seen = Upstream.seen[-1]
        self.assertEqual(seen, body)
        self.assertNotIn("x-amz-security-token", headers)
        date = headers["x-amz-date"]
        scope = date[:8] + "/us-east-1/bedrock/aws4_request"
        names = ["content-type", "host", "x-amz-date"]
        canonical = "\n".join(
            [method, urllib.parse.quote(target), ""] + [n + ":" + headers[n] for n in names]
            + ["", ";".join(names), hashlib.sha256(body).hexdigest()])
        key = b"AWS4" + KEY.encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        text = "\n".join(["AWS4-HMAC-SHA256", date, scope,
                          hashlib.sha256(canonical.encode()).hexdigest()])
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        self.assertEqual(headers["authorization"], "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/%s, "
                         "SignedHeaders=%s, Signature=%s" % (scope, ";".join(names), signature))

    def test_bedrock_is_read_and_signed_with_a_key_that_nobody_sends(self):
        usage = {"inputTokens": 8, "outputTokens": 9, "cacheReadInputTokens": 3}
        self.converse("amazon.nova%3A0", False, json.dumps(
            {"output": {"message": {"content": [{"text": "Hello!"}]}}, "usage": usage,
             "stopReason": "end_turn"}).encode(), "application/json")
        self.converse("amazon.nova-stream-v1:0", True, b"".join([
            frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Hel"}}),
            frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "lo!"}}),
            frame("messageStop", {"stopReason": "end_turn"}),
            frame("metadata", {"usage": usage})]), "application/vnd.amazon.eventstream")
        for model in ("amazon.nova:0", "amazon.nova-stream-v1:0"):
            intent, tags, bodies = self.settled(model)
            self.assertEqual(intent["tags"]["llm.stream"], str("stream" in model).lower())
            self.assertEqual(bodies["llm.text"], "Hello!")
            self.assertEqual(tags["llm.finish_reason"], "end_turn")
            self.assertEqual(self.tokens(tags),
                             {"input": 11, "cached": 3, "output": 9, "reasoning": 0})
        self.assertNotIn(KEY, str(self.house.entries()))

    def test_gemini_is_refused_in_its_own_words(self):
        place = "http://gemini.gatehouse/v1beta/"
        hi = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
        for path, request in [
                ("models/g:generateContent", dict(hi, tools=[{"google_search": {}}])),
                ("models/g:GenerateContent", hi), ("cachedContents", hi)]:
            status, _, body = self.house.request("POST", place + path, json.dumps(request).encode())
            error = json.loads(body)["error"]
            self.assertEqual((status, error["code"], error["status"]),
                             (403, 403, "PERMISSION_DENIED"), path)
        self.assertEqual(Upstream.seen, [])

    def form(self, *parts):
        """A form, and its content type."""
        body = b"".join(b"--x\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n" % part
                        for part in parts)
        return body + b"--x--\r\n", ("content-type", "multipart/form-data; boundary=x")

    def test_images_are_read_and_cost_what_they_say(self):
        usage = {"input_tokens": 50, "output_tokens": 50, "total_tokens": 100,
                 "input_tokens_details": {"text_tokens": 10, "image_tokens": 40}}
        self.ask(PROVIDER + "/v1/images/generations", {"model": "painter", "prompt": "a cat"},
                 {"created": 1, "data": [{"b64_json": "AAAA"}], "usage": usage})
        intent, tags, _ = self.settled("painter")
        self.assertEqual(intent["tags"]["llm.operation"], "images")
        self.assertEqual(json.loads(intent["bodies"]["llm.input"]),
                         [{"role": "user", "text": "a cat"}])
        self.assertEqual(self.tokens(tags),
                         {"input": 50, "cached": 0, "output": 50, "reasoning": 0})
        stream = sse({"type": "image_generation.partial_image", "b64_json": "AA"},
                     {"type": "image_generation.completed", "b64_json": "AAAA", "usage": usage})
        self.ask(PROVIDER + "/v1/images/generations",
                 {"model": "streaming-painter", "prompt": "a cat", "stream": True}, stream,
                 "text/event-stream")
        _, tags, _ = self.settled("streaming-painter")
        self.assertEqual(self.tokens(tags)["output"], 50)
        self.assertEqual(tags["llm.complete"], "true")

    def test_a_form_passes_byte_for_byte_and_its_model_is_known(self):
        place = "http://media.gatehouse/v1/audio/transcriptions"
        sound = bytes(range(256)) * 40
        for model, answer, told in [
                ("hears", {"text": "Hello!", "usage": {
                    "type": "tokens", "input_tokens": 14, "output_tokens": 45,
                    "input_token_details": {"text_tokens": 4, "audio_tokens": 10}}},
                 {"input": 14, "cached": 0, "input_audio": 10, "output": 45, "reasoning": 0}),
                ("listens", {"text": "Hello!", "usage": {"type": "duration", "seconds": 8.2}}, {})]:
            body, kind = self.form((b'name="file"; filename="a.wav"', sound),
                                   (b'name="model"', model.encode()))
            Upstream.script = says(answer)
            status, _, got = self.house.request("POST", place, body, [kind])
            self.assertEqual((status, json.loads(got)), (200, answer))
            self.assertEqual(Upstream.seen[-1][3], body)
            self.assertEqual(Upstream.seen[-1][2]["content-type"], kind[1])
            intent, tags, bodies = self.settled(model)
            self.assertEqual(intent["tags"]["llm.operation"], "transcription")
            self.assertEqual(bodies["llm.text"], "Hello!")
            self.assertEqual(self.tokens(tags), told)
            self.assertEqual((tags.get("audio.seconds"), tags["cost.unknown"]),
                             ("9" if not told else None, "true"))

    def test_a_form_that_is_too_long_to_be_read_streams_with_its_model_unknown(self):
        body, kind = self.form((b'name="model"', b"long"), (b'name="file"; filename="a"',
                                                            b"\0" * (17 * 1024 * 1024)))
        Upstream.script = says({"text": "long"})
        status, _, got = self.house.request(
            "POST", "http://media.gatehouse/v1/audio/transcriptions", body, [kind])
        self.assertEqual(status, 200, got)
        self.assertEqual(Upstream.seen[-1][3], body)
        intent, settled = self.house.exchange(service="media", llm__model="")
        self.assertEqual(settled["tags"]["request.truncated"], "true")

    def test_a_form_that_two_readers_could_take_differently_is_refused(self):
        Upstream.seen.clear()
        body, kind = self.form((b'name="model"', b"a"), (b'name="model"', b"b"))
        status, _, got = self.house.request(
            "POST", "http://media.gatehouse/v1/images/edits", body, [kind])
        self.assertEqual(status, 400, got)
        self.assertIn("several fields 'model'", json.loads(got)["error"]["message"])
        self.assertEqual(Upstream.seen, [])

    def test_a_form_of_two_content_types_is_refused(self):
        Upstream.seen.clear()
        hidden, other = self.form((b'name="model"', b"forbidden"))
        body, kind = self.form((b'name="model"', b"a"), (b'name="file"; filename="a"', hidden))
        for kinds in ([kind, other], [("content-type", "application/json"), kind]):
            status, _, got = self.house.request(
                "POST", "http://media.gatehouse/v1/images/edits", body, kinds)
            self.assertEqual(status, 400, got)
            self.assertIn("more than once", json.loads(got)["error"]["message"])
        self.assertEqual(Upstream.seen, [])

    def test_sound_passes_as_it_is_and_what_it_cost_is_unknown(self):
        sound = bytes(range(256)) * 400
        self.ask(PROVIDER + "/v1/audio/speech",
                 {"model": "speaks", "input": "Hello!", "voice": "alloy"}, sound, "audio/mpeg")
        _, tags, _ = self.settled("speaks")
        self.assertEqual(self.tokens(tags), {})
        self.assertEqual((tags["cost.unknown"], tags["bytes.response"]), ("true", "102400"))

    def test_files_and_batches_pass_only_where_a_rule_names_the_operation(self):
        place = "http://media.gatehouse/v1/"
        body, kind = self.form((b'name="purpose"', b"user_data"),
                               (b'name="file"; filename="a"', b"\0\1\2"))
        self.assertEqual(self.house.request("POST", place + "files", body, [kind])[0], 200)
        self.assertEqual(Upstream.seen[-1][3], body)
        intent, _ = self.house.exchange(service="media", llm__endpoint="files.create")
        self.assertEqual(intent["tags"]["call"], "http")
        Upstream.script = says(b"\0\xff", "application/octet-stream")
        self.assertEqual(self.house.request("GET", place + "files/f/content")[2], b"\0\xff")
        Upstream.seen.clear()
        for method, path in [("GET", "files"), ("GET", "files/f"), ("DELETE", "files/f"),
                             ("POST", "batches"), ("POST", "images/generations"),
                             ("POST", "chat/completions")]:
            status, _, got = self.house.request(method, place + path,
                                                b'{"model":"m"}' if method == "POST" else b"")
            self.assertEqual(status, 400 if "chat" in path else 403, (path, got))
        self.assertEqual(Upstream.seen, [])

    def test_counting_tokens_is_read_and_costs_nothing(self):
        self.ask(CLAUDE + "/v1/messages/count_tokens",
                 {"model": "counted", "messages": [{"role": "user", "content": "hi"}]},
                 {"input_tokens": 14})
        intent, tags, _ = self.settled("counted")
        self.assertEqual(intent["tags"]["llm.operation"], "count_tokens")
        self.assertEqual(self.tokens(tags), {})

    def test_models_may_be_listed_and_nothing_else_of_the_account(self):
        self.assertEqual(self.house.request("GET", CLAUDE + "/v1/models")[0], 200)
        Upstream.seen.clear()
        for method, path, rule in [("GET", "/v1/files", "unnamed-endpoint"),
                                   ("GET", "/v1/organizations/users", "unnamed-endpoint"),
                                   ("GET", "/v1/messages", "completion-transport"),
                                   ("POST", "/v1/Messages", "completion-transport")]:
            status, _, body = self.house.request(method, CLAUDE + path)
            error = json.loads(body)
            self.assertEqual((status, error["type"], error["error"]["type"]),
                             (403, "error", "permission_error"), path)
            self.assertEqual(error["error"]["rule"], rule, path)
        self.assertEqual(Upstream.seen, [])

    def test_tools_that_would_run_at_the_provider_are_refused_in_every_dialect(self):
        user = [{"role": "user", "content": "hi"}]
        for url, request in [
                (PROVIDER + "/v1/responses",
                 {"model": "m", "input": "hi", "tools": [{"type": "code_interpreter"}]}),
                (PROVIDER + "/v1/chat/completions",
                 {"model": "m", "messages": user, "web_search_options": {}}),
                (CLAUDE + "/v1/messages",
                 {"model": "m", "messages": user, "tools": [{"type": "web_search_20250305"}]}),
                (CLAUDE + "/v1/messages",
                 {"model": "m", "messages": user,
                  "mcp_servers": [{"type": "url", "name": "x", "url": "https://mcp.test"}]})]:
            status, _, body = self.house.request("POST", url, json.dumps(request).encode())
            self.assertEqual(status, 403, body)
            self.assertIn("provider-side-tools", body.decode())
        self.assertEqual(Upstream.seen, [])

    def test_a_tool_at_the_provider_that_a_rule_names_is_let_through_and_recorded_first(self):
        durable = []

        def look(upstream, _):
            durable.extend(entry["tags"].get("llm.provider_tools") for entry in
                           self.house.entries() if entry["kind"] == "intent")
            upstream.answer(200, json.dumps(MESSAGE).encode())
        Upstream.script = look
        request = {"model": "searches", "messages": [{"role": "user", "content": "hi"}],
                   "tools": [{"type": "web_search_20250305", "name": "web_search"}]}
        url = "http://searching.gatehouse/v1/messages"
        status, _, body = self.house.request("POST", url, json.dumps(request).encode())
        self.assertEqual(status, 200, body)
        self.assertIn("web_search", durable, "on disk before the upstream was asked")
        request["mcp_servers"] = [{"type": "url", "name": "x", "url": "https://mcp.test"}]
        status, _, body = self.house.request("POST", url, json.dumps(request).encode())
        self.assertEqual((status, json.loads(body)["error"]["rule"]), (403, "provider-side-tools"))
        self.assertIn("mcp:mcp.test", json.loads(body)["error"]["message"])

    def test_what_a_call_cost_is_on_record_or_that_nobody_knows(self):
        before = self.house.counters()
        for model, said in (("priced-1", {"cost.micro_usd": "%d" % (13 * 3 + 2 + 7 * 15),
                                          "cost.prices": "config"}),
                            ("other-1", {"cost.unknown": "true"})):
            self.ask(CLAUDE + "/v1/messages",
                     {"model": model, "messages": [{"role": "user", "content": "hi"}]},
                     dict(MESSAGE, model=model, usage={
                         "input_tokens": 13, "cache_read_input_tokens": 5, "output_tokens": 7}))
            _, tags, _ = self.settled(model)
            self.assertEqual({name: value for name, value in tags.items()
                              if name.startswith("cost.")}, said)
        after = self.house.counters()
        self.assertEqual(
            {name: after[f"llm.{name}.anthropic"] - before.get(f"llm.{name}.anthropic", 0)
             for name in ("calls", "tokens.input", "tokens.cache_read", "tokens.cache_write",
                          "tokens.output", "tokens.reasoning", "cost_micro_usd", "unpriced")},
            {"calls": 2, "tokens.input": 2 * 18, "tokens.cache_read": 2 * 5,
             "tokens.cache_write": 0, "tokens.output": 2 * 7, "tokens.reasoning": 0,
             "cost_micro_usd": 13 * 3 + 2 + 7 * 15, "unpriced": 1})

    def test_a_request_that_cannot_be_read_is_refused_in_its_dialect(self):
        for url in (PROVIDER + "/v1/responses", CLAUDE + "/v1/messages"):
            status, _, body = self.house.request("POST", url, b'{"model":"a","model":"b"}')
            self.assertEqual(status, 400, body)
            self.assertIn("twice", json.loads(body)["error"]["message"])
        self.assertEqual(Upstream.seen, [])


if __name__ == "__main__":
    unittest.main()
