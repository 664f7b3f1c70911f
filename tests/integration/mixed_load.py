#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What agents do, all of it at once, from inside of a run: questions, streams that are left in the
middle, large bodies, tools, other agents, WebSockets, HTTP/2, interception, upstreams that break
off. Each answer is held against what it should be.

  mixed_load.py NAME      until its input ends

It says how each kind went, a line each: `well KIND BEGAN ENDED`, ten a second at most;
`refused KIND BEGAN ENDED WHY`, for what got no answer or one of the house's own that says why;
`wrong KIND BEGAN ENDED WHY`, for an answer that is not right; `total KIND COUNT` at the end."""
import base64
import hashlib
import http.client
import json
import os
import random
import re
import select
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import urllib.parse

PROXY = urllib.parse.urlsplit(os.environ.get("http_proxy", ""))
EVENTS = 12
REMOVED = "[credential removed by gatehouse]"
REFUSALS = {407, 429, 502, 503, 504}  # in words, while something is away
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Refused(Exception):
    """No answer, or one that says that none is to be had now."""


class Wrong(Exception):
    pass


def proxy_headers():
    if PROXY.username is None:
        return {}
    said = f"{PROXY.username}:{PROXY.password}".encode()
    return {"Proxy-Authorization": "Basic " + base64.b64encode(said).decode()}


def bearer(name):
    return {"authorization": "Bearer " + os.environ[name]}


class Client:
    """One connection to the gateway, made again when it breaks."""

    def __init__(self, worker, intercepted=None):
        self.random = random.Random(worker)
        self.count = 0
        self.worker = worker
        self.intercepted = intercepted
        self.line = None

    def next(self):
        self.count += 1
        return f"{self.worker}-{self.count}"

    def connect(self):
        line = http.client.HTTPConnection(PROXY.hostname, PROXY.port, timeout=30)
        if self.intercepted:
            context = ssl.create_default_context()
            line = http.client.HTTPSConnection(PROXY.hostname, PROXY.port, timeout=30,
                                               context=context)
            line.set_tunnel(self.intercepted, 443, proxy_headers())
        return line

    def leave(self):
        if self.line is not None:
            self.line.close()
        self.line = None

    def ask(self, method, url, body=None, headers=()):
        """The answer, its body unread."""
        parts = urllib.parse.urlsplit(url)
        sent = dict(headers)
        if self.intercepted:
            url = parts.path
        else:
            sent |= {"host": parts.netloc, **proxy_headers()}
        if self.line is None:
            self.line = self.connect()
        self.line.request(method, url, body, sent,
                          encode_chunked=sent.get("transfer-encoding") == "chunked")
        answer = self.line.getresponse()
        if answer.status in REFUSALS:
            raise Refused(f"{answer.status} {answer.read()[:200]}")
        return answer

    def whole(self, method, url, body=None, headers=(), status=200):
        answer = self.ask(method, url, body, headers)
        said = answer.read()
        if answer.status != status:
            raise Wrong(f"{answer.status} {said[:300]}")
        return said

    def json(self, url, value, headers=()):
        return json.loads(self.whole("POST", url, json.dumps(value).encode(),
                                     {"content-type": "application/json", **dict(headers)}))


def must(holds, *told):
    if not holds:
        raise Wrong(" ".join(map(repr, told))[:400])


def question(text, stream=False):
    return {"model": "m", "stream": stream, "messages": [{"role": "user", "content": text}]}


# --- the kinds

def chat(client, url="http://openai.gatehouse/v1/chat/completions", key="OPENAI_API_KEY"):
    text = client.next() + "x" * client.random.randrange(2000)
    answer = client.json(url, question(text), bearer(key))
    must(answer["choices"][0]["message"]["content"] == text, answer)


def intercepted(client):
    chat(client, "https://secure.gatehouse/v1/chat/completions", "SECURE_API_KEY")


def sealed(client):
    """To an upstream that speaks TLS."""
    said = client.next().encode()
    must(client.whole("POST", "http://sealed.gatehouse/echo", said) == said)


def stream(client):
    """Every other one is left in the middle."""
    text = client.next()
    answer = client.ask("POST", "http://openai.gatehouse/v1/chat/completions",
                        json.dumps(question(text, True)).encode(),
                        {"content-type": "application/json", **bearer("OPENAI_API_KEY")})
    must(answer.status == 200, answer.status)
    if client.count % 2 == 0:
        for _ in range(1 + client.random.randrange(2 * EVENTS)):
            answer.readline()
        client.leave()
        return
    lines = [line[6:] for line in answer.read().split(b"\n") if line.startswith(b"data: ")]
    if lines and b'"error"' in lines[-1]:
        raise Refused(lines[-1].decode())
    must(lines and lines.pop() == b"[DONE]", lines)
    said = "".join(json.loads(line)["choices"][0]["delta"].get("content", "") for line in lines)
    must(said == "".join(f"{text} {i};" for i in range(EVENTS)), said)


def big(client):
    """Up and down again, in chunks every other time."""
    body = client.random.randbytes(client.random.randrange(200_000, 3_000_000))
    headers = {"content-type": "application/octet-stream"}
    sent = body
    if client.count % 2:
        headers["transfer-encoding"] = "chunked"
        sent = (body[at:at + 50_000] for at in range(0, len(body), 50_000))
    client.next()
    got = client.whole("POST", "http://api.gatehouse/echo", sent, headers)
    must(hashlib.sha256(got).digest() == hashlib.sha256(body).digest(), len(got), len(body))


def echoed(client):
    """What a service says of its credential is taken out, from gzip too."""
    way = ("plain", "gzip", "chunked")[client.count % 3]
    client.next()
    said = client.whole("GET", f"https://secure.gatehouse/said/{way}",
                        headers=bearer("SECURE_API_KEY")).decode()
    must(REMOVED in said and "sk-" not in said, said)


def tool(client):
    text = client.next()
    answer = client.json("http://tools.gatehouse/mcp", {
        "jsonrpc": "2.0", "id": client.count, "method": "tools/call",
        "params": {"name": "echo", "arguments": {"text": text}}},
        {"accept": "application/json, text/event-stream"})
    if "error" in answer and answer.get("error", {}).get("data"):
        raise Refused(answer)
    must(answer.get("id") == client.count, answer)
    must(answer["result"]["content"][0]["text"] == text, answer)


def other_agent(client):
    text = client.next()
    answer = client.json("http://helper.gatehouse/", {
        "jsonrpc": "2.0", "id": client.count, "method": "message/send", "params": {"message": {
            "messageId": text, "role": "user", "parts": [{"kind": "text", "text": text}]}}})
    must(answer["result"]["artifacts"][0]["parts"][0]["text"] == text, answer)


def mail(client):
    """By OAuth, whose tokens last for seconds."""
    said = client.whole("GET", "http://mail.gatehouse/inbox", headers=bearer("MAIL_TOKEN"))
    must(said == b"no mail", said)


def broken_off(client):
    """The upstream resets after so many bytes: nobody takes that for an answer."""
    try:
        answer = client.ask("GET", f"http://api.gatehouse/reset/{client.random.randrange(400)}")
        said = answer.read()
    except (Refused, OSError, http.client.HTTPException):
        client.leave()
        return
    must(answer.status == 502, answer.status, said[:200])


def denied(client):
    said = client.whole("GET", "http://nowhere.example/", status=403)
    must(b"default-deny" in said, said)


def malformed(client):
    head = client.random.choice([
        b"GET / HTTP/1.1\r\n\r\n", b"GET http://api.gatehouse/ HTTP/9\r\n\r\n",
        b"\x16\x03\x01zzz\r\n",
        b"POST http://api.gatehouse/ HTTP/1.1\r\nhost: api.gatehouse\r\ncontent-length: 3\r\n"
        b"transfer-encoding: chunked\r\n\r\nabc",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 60])
    with socket.create_connection((PROXY.hostname, PROXY.port), 20) as sock:
        sock.sendall(head)
        sock.shutdown(socket.SHUT_WR)
        said = b""
        while piece := sock.recv(4096):
            said += piece
    must(not said.startswith(b"HTTP/1.1 2"), said)


def socket_frame(opcode, payload):
    size = len(payload)
    length = bytes([size | 0x80]) if size < 126 else (
        b"\xfe" + struct.pack(">H", size) if size < 65536 else b"\xff" + struct.pack(">Q", size))
    return bytes([0x80 | opcode]) + length + b"\0\0\0\0" + payload


def read_exactly(file, size):
    said = file.read(size)
    if len(said) < size:
        raise Refused("the WebSocket is cut")
    return said


def read_frame(file):
    start = read_exactly(file, 2)
    size = start[1]
    if size > 125:
        size = int.from_bytes(read_exactly(file, 2 if size == 126 else 8), "big")
    return start[0] & 15, read_exactly(file, size), start[0] >> 7


def read_message(file):
    """The next one of text or binary, or a Close."""
    whole = b""
    while True:
        opcode, payload, final = read_frame(file)
        if opcode in (9, 10):
            continue
        whole += payload
        if final:
            return opcode, whole


def web_socket(client):
    """Messages come back as they were; every third one is left without a word."""
    client.next()
    client.leave()
    with socket.create_connection((PROXY.hostname, PROXY.port), 30) as sock:
        key = base64.b64encode(client.random.randbytes(16)).decode()
        lines = ["GET http://api.gatehouse/socket HTTP/1.1", "host: api.gatehouse",
                 "upgrade: websocket", "connection: Upgrade", "sec-websocket-version: 13",
                 "sec-websocket-key: " + key,
                 *(f"{name}: {value}" for name, value in proxy_headers().items())]
        sock.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        file = sock.makefile("rb")
        head = []
        while (line := file.readline().strip()):
            head.append(line.lower())
        if not head or int(head[0].split()[1]) in REFUSALS:
            raise Refused(head)
        accept = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).lower()
        must(b"sec-websocket-accept: " + accept in head, head)
        for _ in range(5):
            message = client.random.randbytes(client.random.choice([3, 300, 90_000]))
            sock.sendall(socket_frame(2, message))
            opcode, said = read_message(file)
            if opcode == 8:
                raise Refused(said)
            must(said == message, len(said), len(message))
        if client.count % 3 == 0:
            return
        sock.sendall(socket_frame(8, struct.pack(">H", 1000)))
        opcode, said = read_message(file)
        must(opcode == 8 and said[:2] == struct.pack(">H", 1000), opcode, said)


def loaded(*shape):
    """By h2load, caught on its way: how many requests, all of which were answered well."""
    def run(client):
        number = 200
        headers = ["-H", "authorization: " + bearer("OPENAI_API_KEY")["authorization"],
                   "-H", "content-type: application/json"]
        with open(f"/tmp/{client.worker}", "w", encoding="ascii") as body:
            json.dump(question(client.next()), body)
        done = subprocess.run(
            ["h2load", *shape, "-n", str(number), "-t", "1", "-d", body.name, *headers,
             "http://openai.gatehouse/v1/chat/completions"],
            capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, check=False)
        codes = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", done.stdout)
        if not codes or done.returncode != 0:
            raise Refused(done.stderr or done.stdout[-300:])
        good, *bad = map(int, codes.groups())
        must(bad[:2] == [0, 0], codes[0])
        if good != number:
            raise Refused(codes[0])
        return number
    return run


# kind -> what it does, how many at once, to whom in TLS
KINDS = {"chat": (chat, 3, None), "stream": (stream, 3, None), "big": (big, 1, None),
         "tool": (tool, 1, None), "other_agent": (other_agent, 1, None), "mail": (mail, 1, None),
         "web_socket": (web_socket, 2, None), "broken_off": (broken_off, 1, None),
         "denied": (denied, 1, None), "intercepted": (intercepted, 2, "secure.gatehouse"),
         "echoed": (echoed, 1, "secure.gatehouse"), "sealed": (sealed, 1, None)}
if PROXY.username is None:  # else the agent is outside of a sandbox, behind its forwarder
    KINDS["malformed"] = (malformed, 1, None)
    if shutil.which("h2load"):
        KINDS["many"] = (loaded("--h1", "-c", "50"), 1, None)
        KINDS["http2"] = (loaded("-c", "4", "-m", "20"), 1, None)


class Worker(threading.Thread):
    said = threading.Lock()

    def __init__(self, name, kind, number, over):
        super().__init__(daemon=True)
        self.kind = kind
        self.does, _, host = KINDS[kind]
        self.client = Client(f"{name}-{kind}-{number}", host)
        self.over = over
        self.total = 0
        self.told = 0.0

    def run(self):
        while not self.over.is_set():
            began = time.monotonic()
            try:
                count = self.does(self.client) or 1
                self.total += count
                if time.monotonic() - self.told > 0.1:
                    self.told = time.monotonic()
                    self.tell("well", began)
            except (Refused, OSError, http.client.HTTPException) as error:
                self.client.leave()
                self.tell("refused", began, f"{type(error).__name__}: {error}")
                self.over.wait(0.05)
            except Exception as error:  # whatever it is, it is not what should come
                self.client.leave()
                self.tell("wrong", began, f"{type(error).__name__}: {error}")
                self.over.wait(0.05)
        self.client.leave()

    def tell(self, what, began, why=""):
        with Worker.said:
            print(what, self.kind, began, time.monotonic(), *why.split()[:60], flush=True)


def main():
    over = threading.Event()
    workers = [Worker(sys.argv[1], kind, number, over)
               for kind, (_, count, _) in KINDS.items() for number in range(count)]
    for worker in workers:
        worker.start()
    while select.select([sys.stdin], [], [])[0] and sys.stdin.readline():
        pass
    over.set()
    for worker in workers:
        worker.join(60)
    totals = {}
    for worker in workers:
        totals[worker.kind] = totals.get(worker.kind, 0) + worker.total
    for kind, count in totals.items():
        print("total", kind, count, flush=True)


if __name__ == "__main__":
    main()
