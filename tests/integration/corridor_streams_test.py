#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What streams through the corridor: a model's events byte for byte and as they come, what they
cost, and MCP's transport."""
import json
import threading
import unittest

from corridor_house import (CHAT, KEY, MCP, HouseTest, Upstream, chat, event, read_chunk,
                            read_response, request_bytes, tool_call)

# All that a parser might be tempted to tidy up: a byte order mark, the three line ends, comments,
# fields nobody knows, events without data, JSON with odd spaces, characters of several bytes.
ODD_STREAM = (
    b"\xef\xbb\xbf: a comment first\r\n\r\n"
    b"retry: 10\r\nid: 1\r\nevent: message\r\n"
    b'data: {"id":"c" , "choices":[{"index":0,"delta":{"content":"caf\xc3\xa9 \\u00e9"}}]}\r\n\r\n'
    b": keep-alive\n\n"
    b'data:{"choices":[{"index":0,\ndata:"delta":{"content":"\xf0\x9f\x8f\xb0"}}]}\n\n'
    b"unknown: field\rdata: not json\r\r"
    b"event: ping\n\n"
    b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    b"data: [DONE]\n\n"
    b"data: after the end\r\n\r\n: no empty line after this")

PROVIDER = "http://provider.gatehouse/v1/chat/completions"


def in_pieces(data, sizes):
    at = turn = 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        yield data[at:at + size]
        at += size
        turn += 1


class Events(HouseTest):
    def told(self, request):
        """The body of a chunked answer, as far as it came, and whether it ended in order."""
        with self.house.connect() as sock:
            sock.sendall(request)
            stream = sock.makefile("rb")
            status, _, _ = read_response(stream, head_only=True)
            self.assertEqual(status, 200)
            body = b""
            try:
                while piece := read_chunk(stream):
                    body += piece
                return body, True
            except (EOFError, ConnectionResetError):
                return body, False

    def ask(self, place=CHAT, model="m"):
        headers = [self.house.bearer("openai")] if place == CHAT else []
        return self.house.request("POST", place, chat("hi", True, model), headers)

    def test_a_stream_comes_through_event_by_event(self):
        status, headers, body = self.ask()
        self.assertEqual(status, 200)
        self.assertTrue(headers["content-type"].startswith("text/event-stream"))
        events = [line for line in body.decode().split("\n\n") if line]
        self.assertEqual(len(events), 8)
        self.assertEqual(events[-1], "data: [DONE]")

    def test_no_byte_of_a_stream_is_changed_however_it_is_split(self):
        for sizes in [(1,), (2, 3), (7, 1, 40), (1000,)]:
            def in_chunks(upstream, _, sizes=sizes):
                upstream.begin(kind="text/event-stream; charset=utf-8")
                for piece in in_pieces(ODD_STREAM, sizes):
                    upstream.chunk(piece)
                upstream.end()
            for place in (CHAT, PROVIDER):  # with a credential to look for, and without
                Upstream.script = in_chunks
                status, headers, body = self.ask(place)
                self.assertEqual(status, 200)
                self.assertEqual(body, ODD_STREAM, sizes)
                self.assertEqual(headers["content-type"], "text/event-stream; charset=utf-8")

    def test_a_stream_of_known_length_or_until_the_close_is_the_same(self):
        def with_length(upstream, _):
            upstream.answer(200, ODD_STREAM, "text/event-stream")

        def until_the_close(upstream, _):
            upstream.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
            for piece in in_pieces(ODD_STREAM, (5,)):
                upstream.wfile.write(piece)
            upstream.close_connection = True
        for script in (with_length, until_the_close):
            for place in (CHAT, PROVIDER):
                Upstream.script = script
                status, _, body = self.ask(place)
                self.assertEqual((status, body), (200, ODD_STREAM), script.__name__)

    def test_the_first_token_is_what_the_model_says_and_not_what_comes_before_it(self):
        def counted():
            counters = self.house.counters()
            return [sum(value for name, value in counters.items()
                        if name.startswith(f"time.llm_first_{what}.") and not name.endswith("_ns"))
                    for what in ("chunk", "token")]
        go_on = threading.Semaphore(0)

        def haltingly(upstream, _):
            upstream.begin()
            upstream.chunk(b": a comment\n\n" + event({"role": "assistant", "content": ""}))
            go_on.acquire(timeout=20)
            upstream.chunk(event({"content": "word"}) + b"data: [DONE]\n\n")
            upstream.end()
        Upstream.script = haltingly
        chunks, tokens = counted()
        with self.house.connect() as sock:
            sock.sendall(request_bytes("POST", CHAT, chat("hi", True),
                                       [self.house.bearer("openai")]))
            stream = sock.makefile("rb")
            read_response(stream, head_only=True)
            self.assertIn(b"comment", read_chunk(stream))
            self.assertEqual(counted(), [chunks + 1, tokens])
            go_on.release()
            while read_chunk(stream):
                pass
        self.assertEqual(counted(), [chunks + 1, tokens + 1])
        Upstream.script = lambda upstream, _: upstream.answer(200, b'{"choices":[]}')
        self.ask()
        self.assertEqual(counted(), [chunks + 2, tokens + 1], "a whole answer has no first token")

    def test_an_event_arrives_while_the_upstream_has_yet_to_send_the_next(self):
        arrived = threading.Semaphore(0)
        sent = [event({"content": "word%d" % i}) for i in range(5)] + [b"data: [DONE]\n\n"]

        def in_step(upstream, _):
            upstream.begin()
            for one in sent:
                upstream.chunk(one)
                if not arrived.acquire(timeout=20):
                    return
            upstream.end()
        Upstream.script = in_step
        with self.house.connect() as sock:
            sock.sendall(request_bytes("POST", CHAT, chat("hi", True),
                                       [self.house.bearer("openai")]))
            stream = sock.makefile("rb")
            self.assertEqual(read_response(stream, head_only=True)[0], 200)
            for one in sent:
                got = b""
                while len(got) < len(one):
                    got += read_chunk(stream)
                self.assertEqual(got, one)
                arrived.release()
            self.assertEqual(read_chunk(stream), b"")

    def test_a_stream_that_the_upstream_breaks_off_is_not_dressed_up_as_ended(self):
        def broken(upstream, _):
            upstream.begin()
            upstream.chunk(event({"content": "half"}))
            upstream.close_connection = True
        Upstream.script = broken
        told, clean = self.told(request_bytes("POST", CHAT, chat("hi", True, "broken"),
                                              [self.house.bearer("openai")]))
        self.assertFalse(clean)
        first, last, rest = told.split(b"\n\n")
        self.assertEqual((first + b"\n\n", rest), (event({"content": "half"}), b""))
        self.assertEqual(json.loads(last[6:])["error"]["type"], "gatehouse_upstream")
        _, settled = self.house.exchange(llm__model="broken")
        self.assertEqual(settled["tags"]["state"], "failed")
        self.assertEqual(settled["tags"]["llm.complete"], "false")
        self.assertEqual(settled["bodies"]["llm.text"], "half")

    def test_a_break_is_told_in_each_dialect_wherever_it_comes(self):
        """However much of an event had come: the agent gets whole events, then the error."""
        hi = [{"role": "user", "content": "hi"}]
        parts = [{"role": "user", "parts": [{"text": "hi"}]}]
        begun = {"type": "response.queued", "sequence_number": 3}
        gemini = "http://gemini.gatehouse/v1beta/models/g:streamGenerateContent"
        for url, request, kind, first in (
                (PROVIDER, {"model": "m", "messages": hi, "stream": True}, "text/event-stream",
                 event({"content": "half"})),
                ("http://provider.gatehouse/v1/responses",
                 {"model": "m", "input": "hi", "stream": True}, "text/event-stream",
                 b"data: %s\n\n" % json.dumps(begun).encode()),
                ("http://searching.gatehouse/v1/messages",
                 {"model": "m", "messages": hi, "stream": True}, "text/event-stream",
                 b'event: ping\ndata: {"type": "ping"}\n\n'),
                (gemini + "?alt=sse", {"contents": parts}, "text/event-stream",
                 b"data: {}\r\n\r\n"),
                (gemini, {"contents": parts}, "application/json", b'[{"candidates":[]}')):
            sent = request_bytes("POST", url, json.dumps(request).encode())
            halves = (b"", b"d", b'data: {"cho', b"event: message_stop\n")
            for half in (b"", b",\n{") if kind == "application/json" else halves:
                def broken(upstream, _, more=first + half, kind=kind):
                    upstream.begin(kind=kind)
                    upstream.chunk(more)
                    upstream.close_connection = True
                Upstream.script = broken
                told, clean = self.told(sent)
                with self.subTest(url=url, half=half):
                    self.assertFalse(clean)
                    self.assertTrue(told.startswith(first), told)
                    self.check_error(url, told[len(first):])

    def check_error(self, url, told):
        data = told[told.index(b"{"):]
        error = json.loads(data)
        if "responses" in url:
            self.assertTrue(told.startswith(b"event: error\ndata: "), told)
            self.assertEqual((error["type"], error["code"], error["sequence_number"]),
                             ("error", "gatehouse_upstream", 4))
        elif "messages" in url:
            self.assertTrue(told.startswith(b"event: error\ndata: "), told)
            self.assertEqual((error["type"], error["error"]["type"]), ("error", "api_error"))
        elif "gemini" in url:
            self.assertEqual(error["error"]["code"], 502)
        else:
            self.assertEqual(error["error"]["type"], "gatehouse_upstream")

    def test_an_answer_whose_agent_left_is_cancelled_or_drained_as_the_service_says(self):
        usage = b'data: {"choices":[],"usage":{"prompt_tokens":21,"completion_tokens":8}}\n\n'
        for place, drained in (("provider", False), ("drained", True)):
            left = threading.Event()

            def slow(upstream, _, left=left):
                upstream.begin()
                upstream.chunk(event({"content": "three words here"}))
                left.wait(20)
                try:
                    for _ in range(400):
                        upstream.chunk(event({"content": "and more of them, long enough"}) * 40)
                    upstream.chunk(usage + b"data: [DONE]\n\n")
                    upstream.end()
                except OSError:
                    upstream.close_connection = True
            Upstream.script = slow
            with self.house.connect() as sock:
                sock.sendall(request_bytes("POST", PROVIDER.replace("provider", place),
                                           chat("hi", True, "left-" + place)))
                stream = sock.makefile("rb")
                self.assertEqual(read_response(stream, head_only=True)[0], 200)
                self.assertTrue(read_chunk(stream))
                stream.close()
            left.set()
            _, settled = self.house.exchange(llm__model="left-" + place)
            tags = settled["tags"]
            self.assertEqual(tags["state"], "cut")
            self.assertEqual("tokens.estimated" not in tags, drained, tags)
            if drained:
                self.assertEqual((tags["tokens.input"], tags["tokens.output"]), ("21", "8"))

    def test_an_upstream_that_answers_nonsense_is_told_as_a_502(self):
        for nonsense in [b"", b"hello\r\n\r\n", b"HTTP/1.1 200 OK\n\n", b"HTTP/1.1 200",
                         b"HTTP/1.1 200 OK\r\na: " + b"x" * 70_000 + b"\r\n\r\n",
                         b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
                         b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked"
                         b"\r\n\r\n2\r\nok\r\n0\r\n\r\n"]:
            def answer(upstream, _, said=nonsense):
                upstream.wfile.write(said)
                upstream.close_connection = True
            with self.subTest(nonsense=nonsense[:80]):
                Upstream.script = answer
                status, headers, body = self.ask()
                self.assertEqual((status, headers["x-gatehouse-error"]), (502, "upstream"))
                self.assertEqual(json.loads(body)["error"]["type"], "gatehouse_upstream")


class Trailers(HouseTest):
    """Fields behind a body pass both ways, but for those that frame or authorize."""

    def send(self, size, trailer):
        piece = b"%x\r\n%s\r\n" % (size, b"x" * size)
        return self.house.raw(b"POST http://web.gatehouse/up HTTP/1.1\r\nhost: web.gatehouse\r\n"
                              b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n"
                              + piece + b"0\r\n" + trailer + b"\r\n\r\n")

    def test_of_a_request_whether_it_is_short_or_streamed(self):
        for size in (5, 300_000):
            Upstream.trailers = []
            answer = self.send(size, b"x-checksum: 17")
            self.assertTrue(answer.startswith(b"HTTP/1.1 200"), answer)
            self.assertEqual(Upstream.trailers, [b"x-checksum: 17\r\n"])
            self.assertEqual(Upstream.seen[-1][3], b"x" * size)

    def test_of_an_answer(self):
        def trailing(upstream, _):
            upstream.begin(kind="text/plain")
            upstream.chunk(b"ok")
            upstream.wfile.write(b"0\r\nx-checksum: 17\r\n\r\n")
        Upstream.script = trailing
        answer = self.house.raw(b"GET http://web.gatehouse/down HTTP/1.1\r\nhost: web.gatehouse\r\n"
                                b"connection: close\r\n\r\n")
        self.assertTrue(answer.endswith(b"ok\r\n0\r\nx-checksum: 17\r\n\r\n"), answer)

    def test_one_that_authorizes_does_not_pass(self):
        seen = len(Upstream.seen)
        answer = self.send(5, b"authorization: Bearer x")
        self.assertTrue(answer.startswith(b"HTTP/1.1 400"), answer)
        self.assertEqual(len(Upstream.seen), seen)

    def test_one_that_holds_a_placeholder_is_misuse(self):
        mine = self.house.placeholders["openai"].encode()
        for size in (5, 300_000):
            Upstream.trailers = []
            self.assertIn(b"placeholder-binding", self.send(size, b"x-key: " + mine))
            self.assertEqual(Upstream.trailers, [])
        self.house.entry(kind="alarm", alarm="placeholder-misused", path="/up")


class Usage(HouseTest):
    """Tokens, as the log has them."""

    def tokens(self, model):
        _, settled = self.house.exchange(llm__model=model)
        return {name: value for name, value in settled["tags"].items()
                if name.startswith("tokens.")}

    def test_it_is_counted_where_the_stream_carries_it(self):
        def counted(upstream, _):
            upstream.begin()
            upstream.chunk(event({"content": "three words here"}, "stop"))
            usage = {"prompt_tokens": 21, "completion_tokens": 8, "total_tokens": 29,
                     "prompt_tokens_details": {"cached_tokens": 5},
                     "completion_tokens_details": {"reasoning_tokens": 2}}
            upstream.chunk(b"data: %s\n\ndata: [DONE]\n\n" % json.dumps(
                {"id": "c", "choices": [], "usage": usage}).encode())
            upstream.end()
        Upstream.script = counted
        self.house.chat("hi", True, "counted")
        self.assertEqual(self.tokens("counted"), {
            "tokens.input": "21", "tokens.output": "8", "tokens.cached": "5",
            "tokens.reasoning": "2"})

    def test_it_is_asked_for_where_the_agent_does_not_and_kept_from_it(self):
        usage = b'data: {"choices":[],"usage":{"prompt_tokens":21,"completion_tokens":8}}\n\n'
        words = event({"content": "three words here"}, "stop")

        def counted(upstream, body):
            asked = json.loads(body).get("stream_options", {}).get("include_usage")
            stream = words + (usage if asked else b"") + b"data: [DONE]\n\n"
            if by_length:
                return upstream.answer(200, stream, "text/event-stream")
            upstream.begin()
            for piece in in_pieces(stream, (9,)):
                upstream.chunk(piece)
            return upstream.end()
        for by_length in (False, True):
            for options, shown in ((None, b""), ({"include_usage": True}, usage)):
                model = "asked-%s-%s" % (by_length, bool(options))
                request = json.loads(chat("hi", True, model))
                if options:
                    request["stream_options"] = options
                sent = json.dumps(request).encode()
                Upstream.script = counted
                status, _, body = self.house.request("POST", PROVIDER, sent)
                self.assertEqual((status, body), (200, words + shown + b"data: [DONE]\n\n"))
                self.assertEqual(json.loads(Upstream.seen[-1][3]),
                                 dict(request, stream_options={"include_usage": True}))
                self.assertEqual(self.tokens(model)["tokens.output"], "8")
                self.assertNotIn("tokens.estimated", self.tokens(model))
                intent, _ = self.house.exchange(llm__model=model)
                self.assertEqual(intent["bodies"]["request"].encode(), sent, "as the agent has it")

    def test_it_is_counted_in_a_unary_answer(self):
        self.house.chat("hi", False, "unary")
        self.assertEqual(self.tokens("unary"), {
            "tokens.input": "11", "tokens.output": "3", "tokens.cached": "0",
            "tokens.reasoning": "0"})

    def test_it_is_estimated_and_marked_so_where_nobody_says(self):
        self.house.chat("hi", True, "estimated")
        tokens = self.tokens("estimated")
        self.assertEqual(tokens["tokens.estimated"], "true")
        self.assertGreater(int(tokens["tokens.input"]), 0)
        self.assertGreater(int(tokens["tokens.output"]), 0)

    def test_an_upstreams_error_costs_no_tokens(self):
        for status in (400, 429, 500):
            Upstream.script = lambda upstream, _, s=status: upstream.answer(
                s, b'{"error":{"message":"no"}}')
            got, _, body = self.house.chat("hi", False, "error%d" % status)
            self.assertEqual((got, body), (status, b'{"error":{"message":"no"}}'))
            self.assertEqual(self.tokens("error%d" % status), {})


class Mcp(HouseTest):
    """Streamable HTTP, revision 2025-11-25, to one server."""

    SESSION = [("mcp-session-id", "s-1"), ("mcp-protocol-version", "2025-11-25")]

    def post(self, body, headers=()):
        return self.house.request("POST", MCP, body, [
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"), *headers])

    def refused(self, status, answer, identity):
        """The JSON-RPC error that an answer is; it carries the caller's id."""
        self.assertIn(status, (400, 403, 501), answer)
        error = json.loads(answer)
        self.assertEqual((error["jsonrpc"], error["id"]), ("2.0", identity), answer)
        self.assertEqual(Upstream.seen, [])
        return error["error"]

    def test_a_session_and_the_protocols_version_pass_both_ways(self):
        Upstream.script = lambda upstream, _: upstream.answer(
            200, b'{"jsonrpc":"2.0","id":1,"result":{}}', headers=[
                ("Mcp-Session-Id", "s-1"), ("MCP-Protocol-Version", "2025-11-25")])
        status, headers, _ = self.post(
            b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}')
        self.assertEqual(status, 200)
        self.assertEqual((headers["mcp-session-id"], headers["mcp-protocol-version"]),
                         ("s-1", "2025-11-25"))
        Upstream.script = lambda upstream, _: upstream.answer(202, b"")
        status, _, _ = self.post(b'{"jsonrpc":"2.0","method":"notifications/initialized"}',
                                 self.SESSION)
        self.assertEqual(status, 202)
        sent = Upstream.seen[-1][2]
        self.assertEqual((sent["mcp-session-id"], sent["mcp-protocol-version"]),
                         ("s-1", "2025-11-25"))

    def test_a_tools_answer_may_be_a_stream_of_events(self):
        stream = (b': hello\n\nid: 1\ndata: {"jsonrpc":"2.0","method":"notifications/progress",'
                  b'"params":{"progress":1}}\r\n\r\nevent: message\ndata: {"jsonrpc":"2.0","id":7,'
                  b'"result":{"content":[{"type":"text","text":"told in a stream"}],'
                  b'"isError":true}}\n\n')

        def in_chunks(upstream, _):
            upstream.begin()
            for piece in in_pieces(stream, (9, 1)):
                upstream.chunk(piece)
            upstream.end()
        Upstream.script = in_chunks
        own = "00-33333333333333333333333333333333-4444444444444444-01"
        call = tool_call("echo", _meta={"traceparent": own})
        status, headers, body = self.post(call, self.SESSION)
        self.assertEqual((status, body), (200, stream))
        self.assertEqual(headers["content-type"], "text/event-stream")
        span = Upstream.seen[0][2]["traceparent"]
        self.assertEqual(Upstream.seen[0][3], call.replace(own.encode(), span.encode()),
                         "the body is byte for byte the agent's, but for the trace in _meta")
        def linked(entry):
            return entry["kind"] == "settled" and entry["linked_trace"] == own
        settled = next(filter(linked, self.house.entries(lambda all_of_it: any(
            map(linked, all_of_it)))))
        self.assertEqual(settled["tags"]["tool"], "echo")
        self.assertEqual(settled["tags"]["tool.is_error"], "true")
        self.assertEqual(settled["bodies"]["tool.result"], "told in a stream")

    def test_the_servers_own_stream_and_the_sessions_end_pass(self):
        def listening(upstream, _):
            upstream.begin()
            upstream.chunk(b'data: {"jsonrpc":"2.0","id":9,"method":"ping"}\n\n')
            upstream.end()
        Upstream.script = listening
        status, headers, body = self.house.request(
            "GET", MCP, b"", [("accept", "text/event-stream"), ("last-event-id", "3"),
                              *self.SESSION])
        self.assertEqual((status, headers["content-type"]), (200, "text/event-stream"))
        self.assertEqual(body, b'data: {"jsonrpc":"2.0","id":9,"method":"ping"}\n\n')
        status, _, _ = self.house.request("DELETE", MCP, b"", self.SESSION)
        self.assertEqual(status, 200)
        self.assertEqual([item[0] for item in Upstream.seen], ["GET", "DELETE"])
        for _, _, sent, _ in Upstream.seen:
            self.assertEqual(sent["mcp-session-id"], "s-1")
        self.assertEqual(Upstream.seen[0][2]["last-event-id"], "3")
        for method in ("GET", "DELETE"):
            settled = self.house.entry(kind="settled", method=method, path="/mcp")
            self.assertEqual(settled["tags"]["call"], "mcp")

    def test_what_cannot_be_read_is_a_json_rpc_error(self):
        for body in [b"{", b"", b"null", b'"x"', b"\xff", b'{"jsonrpc":"1.0","id":7}',
                     b'[{"jsonrpc":"2.0","id":7,"method":"ping"}]',
                     b'{"jsonrpc":"2.0","id":7,"method":"ping","method":"tools/call"}',
                     b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":'
                     b'{"name":"echo","name":"printEnv"}}',
                     b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":'
                     b'{"name":"echo","n\\u0061me":"printEnv"}}',
                     b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":'
                     b'{"name":"echo\xff","arguments":{}}}',
                     b'{"jsonrpc":"2.0","id":{"a":1},"method":"ping"}']:
            with self.subTest(body=body):
                status, headers, answer = self.post(body)
                self.refused(status, answer, None)
                self.assertEqual(headers["content-type"], "application/json")

    def test_an_error_repeats_the_callers_id_where_it_could_be_read(self):
        for identity in (7, "seven", 0, "\u00e9"):
            for params in [{}, {"name": 3}, {"name": ""}, {"name": "echo", "arguments": []}]:
                body = json.dumps({"jsonrpc": "2.0", "id": identity, "method": "tools/call",
                                   "params": params}).encode()
                status, _, answer = self.post(body)
                self.assertEqual(status, 400)
                self.refused(status, answer, identity)
        status, _, answer = self.post(b'{"jsonrpc":"2.0","id":7,"method":"tools/call"}')
        self.refused(status, answer, 7)

    def test_the_id_of_one_message_is_not_told_for_the_next(self):
        with self.house.connect() as sock:
            stream = sock.makefile("rb")
            sock.sendall(request_bytes("POST", MCP, tool_call("printEnv", 41)))
            self.assertEqual(json.loads(read_response(stream)[2])["id"], 41)
            sock.sendall(request_bytes("POST", MCP, b"{"))
            self.assertIsNone(json.loads(read_response(stream)[2])["id"])

    def test_what_is_not_the_transport_is_refused_unread(self):
        call = tool_call("printEnv")
        for method, body in [("PUT", call), ("PATCH", call), ("post", call), ("GET", call),
                             ("DELETE", call), ("HEAD", b""), ("OPTIONS", b"")]:
            with self.subTest(method=method):
                status, _, answer = self.house.request(method, MCP, body)
                self.assertEqual(status, 403)
                if method != "HEAD":
                    error = self.refused(status, answer, None)
                    self.assertEqual(error["data"]["rule"], "mcp-transport")
                self.house.entry(kind="refused", method=method, rule="mcp-transport")
        self.assertEqual(Upstream.seen, [])

    def test_a_refused_tool_is_on_record_by_its_name(self):
        status, _, answer = self.post(tool_call("printEnv", "x"))
        self.assertEqual(self.refused(status, answer, "x")["data"]["rule"], "default-deny")
        self.house.entry(kind="refused", tool="printEnv", rule="default-deny")
        self.assertNotIn(KEY, self.house.logged())


if __name__ == "__main__":
    unittest.main(verbosity=2)
