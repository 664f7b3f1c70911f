# SPDX-License-Identifier: Apache-2.0
"""What mixed_load.py's agents ask: an upstream that answers so that each answer can be checked."""
import gzip
import json
import os
import socket
import struct
import time

import corridor_house
from corridor_house import event
from mixed_load import EVENTS
from websocket_test import accept_of, frame


class Upstream(corridor_house.Upstream):
    """Answers what mixed_load.py holds the answers against; keeps nothing."""

    def handle_any(self):
        body = self.body()
        path = self.path.split("?")[0].split("/")[1:]
        getattr(self, "say_" + path[0])(body, path[1:])

    do_GET = do_POST = handle_any

    def say_v1(self, body, path):
        if path == ["traces"]:
            return self.answer(200, b"{}")
        asked = json.loads(body)
        text = asked["messages"][0]["content"]
        if asked["stream"]:
            return self.say_stream(text)
        choice = {"index": 0, "message": {"role": "assistant", "content": text},
                  "finish_reason": "stop"}
        usage = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
        return self.answer(200, json.dumps(
            {"id": "c1", "model": "m", "choices": [choice], "usage": usage}).encode())

    def say_stream(self, text):
        self.begin()
        try:
            for i in range(10_000 if text == "slowly" else EVENTS):
                self.chunk(event({"content": f"{text} {i};"}))
                time.sleep(0.05 if text == "slowly" else 0.002)
            self.chunk(event({}, "stop"))
            self.chunk(b"data: [DONE]\n\n")
            self.end()
        except OSError:
            self.close_connection = True

    def say_echo(self, body, _):
        self.answer(200, body, "application/octet-stream")

    def say_said(self, _, path):
        text = json.dumps({"you_said": self.headers["authorization"], "and": "x" * 3000}).encode()
        if path == ["gzip"]:
            return self.answer(200, gzip.compress(text), headers=[("content-encoding", "gzip")])
        if path == ["plain"]:
            return self.answer(200, text)
        self.begin(kind="application/json")
        for at in range(0, len(text), 7):
            self.chunk(text[at:at + 7])
        return self.end()

    def say_mcp(self, body, _):
        asked = json.loads(body)
        content = [{"type": "text", "text": asked["params"]["arguments"]["text"]}]
        self.answer(200, json.dumps(
            {"jsonrpc": "2.0", "id": asked["id"], "result": {"content": content}}).encode())

    def say_(self, body, _):
        asked = json.loads(body)
        artifact = {"artifactId": "a", "parts": asked["params"]["message"]["parts"]}
        task = {"kind": "task", "id": "t-1", "contextId": "c-1", "status": {"state": "completed"},
                "artifacts": [artifact]}
        self.answer(200, json.dumps(
            {"jsonrpc": "2.0", "id": asked["id"], "result": task}).encode())

    def say_token(self, _body, _):
        self.answer(200, json.dumps({
            "access_token": "at-" + os.urandom(8).hex(), "token_type": "Bearer", "expires_in": 2,
            "refresh_token": "rt-" + os.urandom(8).hex()}).encode())

    def say_inbox(self, _body, _):
        good = self.headers["authorization"].startswith("Bearer at-")
        self.answer(200 if good else 401, b"no mail" if good else b"who are you")

    def say_reset(self, _, path):
        whole = b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n" + b"x" * 500
        self.wfile.write(whole[:int(path[0])])
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def say_socket(self, _body, _):
        key = self.headers["sec-websocket-key"]
        lines = ["HTTP/1.1 101 Switching Protocols", "upgrade: websocket", "connection: Upgrade",
                 "sec-websocket-accept: " + accept_of(key), "", ""]
        self.wfile.write("\r\n".join(lines).encode())
        self.close_connection = True
        try:
            while True:
                opcode, payload, final = self.read_frame()
                if opcode == 8:
                    self.wfile.write(frame(8, payload))
                    return
                self.wfile.write(frame(opcode, payload, final))
        except (OSError, EOFError):
            pass

    def read_frame(self):
        start = self.rfile.read(2)
        if len(start) < 2:
            raise EOFError
        size = start[1] & 0x7f
        if size > 125:
            size = int.from_bytes(self.rfile.read(2 if size == 126 else 8), "big")
        mask = self.rfile.read(4)
        payload = self.rfile.read(size)
        if len(payload) < size:
            raise EOFError
        stretched = (mask * (size // 4 + 1))[:size]
        plain = int.from_bytes(payload, "big") ^ int.from_bytes(stretched, "big")
        return start[0] & 15, plain.to_bytes(size, "big"), bool(start[0] & 0x80)
