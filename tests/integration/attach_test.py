#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Agents outside of sandboxes, as people start them: unmodified programs behind the forwarder of
`gatehouse attach`, and clients that show run tokens which are not theirs."""
import base64
import hashlib
import http.client
import http.server
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
import time
import unittest

from busy_house import KEY, BusyHouse, Listener
from corridor_house import Upstream, read_response
from house import GATEHOUSE, gatehouse, main, send_signal
from http2_test import HEADERS, PREFACE, SETTINGS, frame, head

LIFE_S = 4  # of a run token
SERVICES = """services:
  - {{name: secure, kind: openai, url: "https://secure.gatehouse",
     upstream: "http://127.0.0.1:{port}", allow_private: true,
     credential: {{kind: static, header: authorization, prefix: "Bearer "}}}}
"""
AGENT_RULES = """    rules:
      - {id: secure, service: secure, methods: [GET, POST],
         paths: ["/v1/chat/completions", "/echo"]}
"""
MORE = """attach: {{listen: "127.0.0.1:{attach}", tls_certificate: attach.pem, tls_key: attach.key,
  token_seconds: {life}}}
admin: {{listen: "127.0.0.1:{admin}", tls_certificate: gate.pem, tls_key: gate.key}}
issuers:
  - {{name: forge, url: "http://127.0.0.1:{issuer}", client_id: gatehouse, allow_private: true}}
accounts:
  - {{name: ci, issuer: forge, audience: "urn:gatehouse:ci", subject: "repo:acme/app",
     runs_for: [alice]}}
bindings:
  - {{role: developer, account: ci}}
"""
STREAM = ('curl -sSN --fail https://secure.gatehouse/v1/chat/completions -d '
          '\'{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}\' '
          '-H "content-type: application/json" -H "authorization: Bearer $SECURE_API_KEY"')
ECHO = 'curl -sS --fail https://secure.gatehouse/echo -H "authorization: Bearer $SECURE_API_KEY"'
NOBODY = 65_534


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def is_open(address):
    host, port = address.split(":")
    try:
        socket.create_connection((host, int(port)), 20).close()
    except ConnectionRefusedError:
        return False
    return True


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(*words, given=None):
    return subprocess.run(["openssl", *words], input=given, check=True, capture_output=True).stdout


def make_certificate(stem, subject="/CN=gate", names="subjectAltName=IP:127.0.0.1"):
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-subj", subject, "-days", "1", "-addext", names, "-keyout", f"{stem}.key",
            "-out", f"{stem}.pem")


class Forge(http.server.BaseHTTPRequestHandler):
    """An issuer that says who a CI job is."""
    def log_message(self, *args):
        pass

    def do_GET(self):
        here = f"http://127.0.0.1:{self.server.server_port}"
        about = {"issuer": here, "jwks_uri": here + "/keys"}
        documents = {"/.well-known/openid-configuration": about,
                     "/keys": {"keys": [{"kty": "RSA", "kid": "1", "use": "sig", "alg": "RS256",
                                         "n": base64url(self.server.modulus), "e": "AQAB"}]}}
        body = json.dumps(documents[self.path]).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Issuer(Listener):
    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), Forge)
        self.key = str(folder / "forge.key")
        openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out",
                self.key)
        said = openssl("rsa", "-in", self.key, "-noout", "-modulus").decode().strip()
        self.modulus = bytes.fromhex(said.partition("=")[2])
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def token(self, **claims):
        now = int(time.time())
        claims = {"iss": f"http://127.0.0.1:{self.server_port}", "iat": now, "exp": now + 600,
                  **claims}
        parts = [base64url(json.dumps(part).encode())
                 for part in ({"alg": "RS256", "kid": "1", "typ": "JWT"}, claims)]
        signed = openssl("dgst", "-sha256", "-sign", self.key, given=".".join(parts).encode())
        return ".".join([*parts, base64url(signed)])


def setUpModule():
    global HOUSE, ISSUER, ATTACH, ADMIN, ABANDONED
    HOUSE = BusyHouse()
    HOUSE.folder.chmod(0o755)
    ISSUER = Issuer(HOUSE.folder)
    ATTACH, ADMIN = free_port(), free_port()
    for stem in ("gate", "attach"):
        make_certificate(HOUSE.folder / stem)
    text = HOUSE.config.read_text()
    text = text.replace("services:\n", SERVICES.format(port=HOUSE.server.server_port))
    text = text.replace('    rules:\n', AGENT_RULES)
    text = text.replace("OPENAI_API_KEY",
                        'SECURE_API_KEY: "{{placeholder:secure}}", OPENAI_API_KEY')
    HOUSE.config.write_text(text + MORE.format(attach=ATTACH, admin=ADMIN, life=LIFE_S,
                                               issuer=ISSUER.server_port))
    HOUSE.up()
    HOUSE.connect(KEY)
    key = HOUSE.folder / "key"
    done = HOUSE.ask("connect", "secure", "--user", "alice", "--from-file", str(key))
    assert done.returncode == 0, done.stderr
    key.unlink()
    ABANDONED = Attached("read line")
    send_signal(ABANDONED.process.pid, signal.SIGKILL)


def tearDownModule():
    HOUSE.down()
    said = HOUSE.log.read_text()
    assert "CHECK failed" not in said, said
    HOUSE.server.shutdown()
    HOUSE.server.server_close()
    ISSUER.shutdown()
    ISSUER.server_close()
    HOUSE.remove()


def words(script):
    return ["attach", "-a", "shell", "-u", "alice", "--config", str(HOUSE.config), "--", "/bin/sh",
            "-c", script]


def attach(script, **more):
    return gatehouse(*words(script), **more)


class Attached:
    """A run under way."""
    def __init__(self, script, **more):
        self.process = subprocess.Popen([GATEHOUSE, *words(script)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        **more)
        self.run = self.process.stderr.readline().split()[2]

    def line(self):
        return self.process.stdout.readline().strip()

    def say(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def end(self):
        out, error = self.process.communicate(timeout=60)
        return self.process.returncode, out, error


def ask_api(method, path, body=None, expected=(200, 201, 204)):
    at = http.client.HTTPConnection("localhost")
    at.sock = socket.socket(socket.AF_UNIX)
    at.sock.connect(str(HOUSE.data / "run/admin.sock"))
    at.request(method, f"/v1/tenants/default{path}", None if body is None else json.dumps(body))
    answer = at.getresponse()
    text = answer.read()
    at.close()
    assert answer.status in expected, (answer.status, text)
    return json.loads(text) if text else {}


def eventually(question, what):
    for _ in range(600):
        if found := question():
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what}; the house says:\n{HOUSE.log.read_text()}")


class Client:
    """Somebody at the port for agents outside of sandboxes, with a key of their own."""
    def __init__(self, name):
        self.stem = HOUSE.folder / name
        make_certificate(self.stem, f"/CN={name}", "subjectAltName=DNS:anything")
        der = ssl.PEM_cert_to_DER_cert((HOUSE.folder / f"{name}.pem").read_text())
        self.thumbprint = base64url(hashlib.sha256(der).digest())

    def begin(self):
        return ask_api("POST", "/runs", {"agent": "shell", "user": "alice",
                                         "cnf": {"x5t#S256": self.thumbprint}})

    def connect(self, with_key=True, protocols=()):
        context = ssl.create_default_context(cafile=str(HOUSE.folder / "attach.pem"))
        if with_key:
            context.load_cert_chain(f"{self.stem}.pem", f"{self.stem}.key")
        if protocols:
            context.set_alpn_protocols(protocols)
        return context.wrap_socket(socket.create_connection(("127.0.0.1", ATTACH), 10),
                                   server_hostname="127.0.0.1")

    @staticmethod
    def ask(sock, token, url="http://api.gatehouse/x"):
        header = f"Proxy-Authorization: Bearer {token}\r\n" if token else ""
        host = url.split("/")[2]
        sock.sendall(f"GET {url} HTTP/1.1\r\nHost: {host}\r\n{header}\r\n".encode())
        return read_response(sock.makefile("rb"))

    def status(self, token):
        with self.connect() as sock:
            return self.ask(sock, token)

    def answers_of_http2(self, *asked):
        """The heads of the answers to requests (method, token), one after another."""
        with self.connect(protocols=["h2"]) as sock:
            assert sock.selected_alpn_protocol() == "h2"
            file, heads = sock.makefile("rb"), []
            sock.sendall(PREFACE + frame(SETTINGS, 0, 0))
            for number, (method, token) in enumerate(asked):
                shown = [("proxy-authorization", "Bearer " + token)] if token else []
                place = [(":scheme", "http"), (":path", "/x")] if method != "CONNECT" else []
                authority = "api.gatehouse:80" if method == "CONNECT" else "api.gatehouse"
                sock.sendall(head(2 * number + 1, [(":method", method), *place,
                                                   (":authority", authority), *shown]))
                while len(heads) <= number:
                    start = file.read(9)
                    payload = file.read(int.from_bytes(start[:3], "big"))
                    if start[3] == HEADERS:
                        heads.append(payload)
            return heads


def refusals():
    """Why tokens were refused, and how often: of all gateways since they began."""
    counters = json.loads(HOUSE.ask("status", "--json").stdout)["gateway_counters"]
    return {name.rsplit(".", 1)[1]: count for name, count in counters.items()
            if name.startswith("attach.refused.")}


def run_named(name):
    return next(run for run in HOUSE.runs() if run["run"] == name)


def kill_role(name):
    """Until another is in its place and does what it is there for."""
    before = next(role for role in HOUSE.roles() if role["role"].split(".")[0] == name)
    send_signal(before["pid"], signal.SIGKILL)
    eventually(lambda: any(role["role"] == before["role"] and role["state"] == "ready"
                           and role["pid"] != before["pid"] for role in HOUSE.roles()),
               f"{name} is away")
    eventually(lambda: HOUSE.ask("runs", "--json").returncode == 0, "control does not answer")
    eventually(is_api_there, "the admin API does not answer")


def is_api_there():
    try:
        return bool(ask_api("GET", "/runs?limit=1"))
    except OSError:
        return False


class Agents(unittest.TestCase):
    def test_unmodified_programs_go_through_and_hold_nothing_that_is_worth_something(self):
        Upstream.seen.clear()
        done = attach(f"""
            env > {HOUSE.folder}/environment
            {ECHO} && {STREAM} | tail -n 2
            /usr/bin/python3 -c '
import os, urllib.request
asked = urllib.request.Request("https://secure.gatehouse/echo",
    headers={{"authorization": "Bearer " + os.environ["SECURE_API_KEY"]}})
print(urllib.request.urlopen(asked).status)
print(urllib.request.urlopen("http://api.gatehouse/plain").status)'
            curl -sS -o /dev/null -w "%{{http_code}} " http://elsewhere.gatehouse/
            curl -sS -o /dev/null -w "%{{http_connect}}\\n" https://elsewhere.gatehouse/
            exit 7""")
        self.assertEqual(done.returncode, 7, done.stderr)
        self.assertIn("[credential removed by gatehouse]", done.stdout)
        self.assertTrue(done.stdout.endswith("data: [DONE]\n\n200\n200\n403 403\n"), done.stdout)
        self.assertEqual([headers.get("authorization") for _, path, headers, _ in Upstream.seen
                          if path != "/plain"], ["Bearer " + KEY] * 3)
        for _, _, headers, _ in Upstream.seen:
            self.assertNotIn("proxy-authorization", headers)
        environment = (HOUSE.folder / "environment").read_text()
        self.assertIn("SECURE_API_KEY=ghph_", environment)
        for secret in (KEY, "eyJ", "PRIVATE KEY"):
            self.assertNotIn(secret, environment)
        folder = re.search(r"(?m)^SSL_CERT_FILE=(.*)/ca.pem$", environment)[1]
        self.assertFalse(os.path.exists(folder), "it is gone with the run")
        name = done.stderr.split()[2]
        run = run_named(name)
        self.assertEqual((run["where"], run["outcome"]), ("attached", "exit 7"))
        told = HOUSE.ask("transcript", name)
        self.assertIn("/echo", told.stdout)
        steps = json.loads(HOUSE.ask("transcript", name, "--json").stdout)["steps"]
        began = next(step["entry"]["tags"] for step in steps
                     if step["entry"]["kind"] == "run_started")
        self.assertEqual((began["sandbox"], began["by"]), ("none", "uid 0"))

    def test_the_loopback_port_is_its_agents_alone(self):
        run = Attached("echo $HTTP_PROXY; read line")
        proxy = run.line()
        port = int(proxy.rsplit(":", 1)[1])
        password = proxy.split("@")[0].rsplit(":", 1)[1]
        for said in ("", "Proxy-Authorization: Basic " + base64.b64encode(b"run:wrong").decode(),
                     f"Proxy-Authorization: Bearer {password}"):
            with socket.create_connection(("127.0.0.1", port), 10) as sock:
                lines = ["GET http://api.gatehouse/ HTTP/1.1", "Host: api.gatehouse", said]
                sock.sendall("\r\n".join(filter(None, lines)).encode() + b"\r\n\r\n")
                status, headers, _ = read_response(sock.makefile("rb"))
            self.assertEqual(status, 407, said)
            self.assertIn("Basic", headers["proxy-authenticate"])
        run.say("")
        self.assertEqual(run.end()[0], 0)

    def test_it_ends_as_its_command_does_and_passes_signals_on(self):
        run = Attached("trap 'echo caught; exit 3' TERM; echo ready; while :; do sleep 0.05; done")
        self.assertEqual(run.line(), "ready")
        send_signal(run.process.pid, signal.SIGTERM)
        code, out, _ = run.end()
        self.assertEqual((code, out), (3, "caught\n"))
        self.assertEqual(run_named(run.run)["outcome"], "exit 3")
        self.assertEqual(attach("kill -KILL $$").returncode, 137)
        done = gatehouse(*words("")[:-3], "/no/such/program")
        self.assertEqual(done.returncode, 127)
        self.assertIn("cannot be run", done.stderr)

    def test_a_kill_cuts_it_in_the_middle_and_a_revival_lets_it_go_on(self):
        held = threading.Event()

        def slowly(upstream, _):
            upstream.begin()
            upstream.chunk(b'data: {"choices":[{"index":0,"delta":{"content":"one"}}]}\n\n')
            held.wait(30)
        Upstream.script = slowly
        run = Attached(f"{STREAM}; echo \"ended $?\"; read line; {ECHO}; echo \"killed $?\"; "
                       f"read line; until {ECHO}; do sleep 0.1; done")
        self.assertIn("one", run.line())
        self.assertEqual(HOUSE.ask("kill", run.run).returncode, 0)
        self.assertEqual(run.line(), "")
        self.assertNotEqual(run.line(), "ended 0")
        held.set()
        run.say("")
        self.assertNotEqual(run.line(), "killed 0")
        self.assertEqual(HOUSE.ask("revive", run.run).returncode, 0)
        run.say("")
        code, out, error = run.end()
        self.assertEqual(code, 0, error)
        self.assertIn("you_said", out)


class Tokens(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.owner, cls.thief = Client("owner"), Client("thief")

    def test_a_token_of_another_key_of_another_kind_or_of_nobody_is_refused_and_on_record(self):
        begun, before = self.owner.begin(), refusals()
        token = begun["access_token"]
        self.assertEqual(self.owner.status(token)[0], 200)
        header, claims, signature = token.split(".")

        def headed(**changed):
            head = json.loads(base64.urlsafe_b64decode(header + "=="))
            return base64url(json.dumps({**head, **changed}).encode())
        tries = {"other_key": (self.thief, token), "none": (self.owner, ""),
                 "malformed": (self.owner, "ghs_" + "a" * 40),
                 "signature": (self.owner, f"{headed(alg='none')}.{claims}.")}
        for why, (client, shown) in tries.items():
            status, headers, body = client.status(shown)
            self.assertEqual(status, 407, why)
            self.assertIn("Bearer", headers["proxy-authenticate"])
            self.assertNotIn(token[:40], body.decode())
        for algorithm in ("HS256", "ES256"):
            shown = f"{headed(alg=algorithm)}.{claims}.{signature}"
            self.assertEqual(self.owner.status(shown)[0], 407)
        other = self.thief.begin()
        self.assertEqual(self.thief.status(other["access_token"])[0], 200)
        self.assertEqual(self.owner.status(other["access_token"])[0], 407, "another's run")
        with self.owner.connect() as sock:
            self.assertEqual(Client.ask(sock, token)[0], 200)
            self.assertEqual(Client.ask(sock, other["access_token"])[0], 407)
        with self.assertRaises((ssl.SSLError, ConnectionResetError)):  # no certificate, no word
            with self.owner.connect(with_key=False) as sock:
                Client.ask(sock, token)
        counted = {why: count - before.get(why, 0) for why, count in refusals().items()}
        counted = {why: count for why, count in counted.items() if count}
        self.assertEqual(counted, {"other_key": 3, "none": 1, "malformed": 1, "signature": 3})
        stolen = [step["entry"]["tags"] for step in json.loads(
            HOUSE.ask("transcript", begun["run"], "--json").stdout)["steps"]
                  if step["entry"]["kind"] == "refused"]
        self.assertEqual([tags["rule"] for tags in stolen], ["run-token.other_key"])
        for place in (HOUSE.log.read_text(), HOUSE.ask("transcript", begun["run"]).stdout):
            self.assertNotIn(signature, place)
        self.assertEqual(HOUSE.files_with(signature), [])
        for run in (begun, other):
            ask_api("POST", f"/runs/{run['run']}/end", {"exit_status": 0})
        self.assertEqual(self.owner.status(token)[0], 407, "the run is over")

    def test_who_speaks_http2_alone_comes_in_by_it(self):
        with self.owner.connect(protocols=["h2", "http/1.1"]) as sock:
            self.assertEqual(sock.selected_alpn_protocol(), "http/1.1")
        begun, before = self.owner.begin(), refusals()
        token = begun["access_token"]
        first, second, third = self.owner.answers_of_http2(("GET", token), ("GET", ""),
                                                           ("GET", token[:-4] + "AAAA"))
        self.assertEqual((first[:1], second[:1]), (b"\x88", b"\x88"), "200, indexed")
        self.assertTrue(third.startswith(b"H\x82h\x01"), "401, in Huffman's code")
        for asked in (("GET", ""), ("GET", token[:-4] + "AAAA"), ("CONNECT", "")):
            self.assertIn(b"407", self.owner.answers_of_http2(asked)[0])
        self.assertEqual([answer[:1] for answer in self.owner.answers_of_http2(
            ("CONNECT", token), ("CONNECT", ""))], [b"\x88"] * 2, "tunnels")
        counted = {why: count - before.get(why, 0) for why, count in refusals().items()}
        self.assertEqual({why: count for why, count in counted.items() if count},
                         {"signature": 2, "none": 2})
        ask_api("POST", f"/runs/{begun['run']}/end", {"exit_status": 0})

    def test_a_stream_outlives_its_token_and_nothing_new_begins_with_one_that_is_over(self):
        rotated = threading.Event()

        def until_rotated(upstream, _):
            upstream.begin()
            event = b'data: {"choices":[{"index":0,"delta":{"content":"word"}}]}\n\n'
            upstream.chunk(event)
            while not rotated.wait(0.1):
                upstream.chunk(event)
            upstream.chunk(b"data: [DONE]\n\n")
            upstream.end()
        begun = self.owner.begin()
        over = time.monotonic() + LIFE_S + 1  # tokens live for whole seconds
        first = begun["access_token"]
        kept = self.owner.connect()
        self.assertEqual(Client.ask(kept, first)[0], 200)
        Upstream.script = until_rotated
        run = Attached(f"{STREAM} > {HOUSE.folder}/stream & echo started; read line; {ECHO} && "
                       f"echo; read line; wait $!; echo \"ended $?\"")
        self.assertEqual(run.line(), "started")
        stream = HOUSE.folder / "stream"
        eventually(lambda: stream.exists() and stream.stat().st_size, "the stream does not begin")
        second = first
        while time.monotonic() < over:
            time.sleep(0.5)
            second = ask_api("POST", f"/runs/{begun['run']}/token")["access_token"]
        self.assertNotEqual(second, first)
        status, _, body = self.owner.status(first)
        self.assertEqual(status, 407)
        self.assertIn(b"expired", body)
        self.assertEqual(self.owner.status(second)[0], 200)
        self.assertEqual(kept.recv(100), b"", "a connection of then ends between two requests")
        kept.close()
        run.say("")
        self.assertIn("you_said", run.line(), "the forwarder has another by now")
        rotated.set()
        run.say("")
        code, out, error = run.end()
        self.assertEqual((code, out), (0, "ended 0\n"), error)
        self.assertTrue(stream.read_text().endswith("data: [DONE]\n\n"))

    def test_one_whose_forwarder_is_gone_is_ended_and_the_record_says_why(self):
        ABANDONED.process.communicate(timeout=10)
        ended = eventually(lambda: run_named(ABANDONED.run)["ended"] and run_named(ABANDONED.run),
                           "the run does not end")
        self.assertEqual(ended["outcome"], "SIGHUP")
        self.assertIn("was not heard of", HOUSE.ask("transcript", ABANDONED.run).stdout)


class Trouble(unittest.TestCase):
    def test_it_outlives_every_role_that_it_needs(self):
        run = Attached(f"while read line; do until {ECHO}; do sleep 0.1; done; echo; done")
        for role in ("gateway", "control", "vault", "audit"):
            killing = threading.Thread(target=kill_role, args=[role])
            killing.start()
            run.say("")
            self.assertIn("you_said", run.line(), role)
            killing.join()
        self.assertEqual(run_named(run.run)["outcome"], "running")
        code, _, error = run.end()
        self.assertEqual(code, 0, error)

    def test_a_token_is_good_after_control_began_anew(self):
        client = Client("patient")
        begun = client.begin()
        kill_role("control")
        self.assertEqual(client.status(begun["access_token"])[0], 200)
        self.assertTrue(ask_api("POST", f"/runs/{begun['run']}/token")["access_token"])
        ask_api("POST", f"/runs/{begun['run']}/end", {})


    def test_a_renewed_certificate_is_taken_up_by_who_is_there(self):
        run = Attached(f"while read line; do {ECHO}; echo; done")
        run.say("")
        self.assertIn("you_said", run.line())
        make_certificate(HOUSE.folder / "attach")
        done = HOUSE.ask("reload")
        self.assertIn("attach.tls_certificate", done.stdout, done.stderr)
        run.say("")
        self.assertIn("you_said", run.line())
        self.assertEqual(run.end()[0], 0)
        (HOUSE.folder / "attach.pem").write_text("no certificate")
        done = HOUSE.ask("reload")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("attach.pem", done.stderr)
        make_certificate(HOUSE.folder / "attach")
        self.assertEqual(HOUSE.ask("reload").returncode, 0)

    def test_the_port_moves_and_who_is_there_follows(self):
        go_on = HOUSE.folder / "go-on"
        self.addCleanup(go_on.unlink, True)
        go_on.touch()
        run = Attached(f"while [ -e {go_on} ]; do {ECHO} || echo FAILED; echo; done; echo over")
        text = HOUSE.config.read_text()
        before, fresh = f"127.0.0.1:{ATTACH}", f"127.0.0.1:{free_port()}"
        for old, new in ((before, fresh), (fresh, before)):
            self.assertIn("you_said", run.line())
            HOUSE.config.write_text(text.replace(before, new))
            done = HOUSE.ask("reload")
            self.assertIn("attach.listen", done.stdout, done.stderr)
            self.assertNotIn("at the next start", done.stdout)
            eventually(lambda at=old: not is_open(at), "the one before is closed")
            for _ in range(3):
                self.assertIn("you_said", run.line())
        self.assertEqual(HOUSE.config.read_text(), text)
        go_on.unlink()
        code, out, error = run.end()
        self.assertEqual(code, 0, error)
        self.assertNotIn("FAILED", out)
        self.assertTrue(out.endswith("over\n"))

    def test_strangers_at_the_port_hold_up_nobody_for_long(self):
        held = []
        self.addCleanup(lambda: [sock.close() for sock in held])

        def come():
            try:
                held.append(socket.create_connection(("127.0.0.1", ATTACH), 10))
            except ConnectionResetError:
                pass  # it was not heard

        def turned_away():
            come()
            counters = json.loads(HOUSE.ask("status", "--json").stdout)["gateway_counters"]
            return counters.get("attach.turned_away", 0)
        for _ in range(600):  # more than both gateways hear at a time
            come()
        eventually(turned_away, "as many as come are heard")
        for sock in held:
            sock.close()
        held.clear()
        client = Client("late")
        begun = client.begin()
        eventually(lambda: self.is_let_in(client, begun["access_token"]), "nobody is let in")
        ask_api("POST", f"/runs/{begun['run']}/end", {})

    @staticmethod
    def is_let_in(client, token):
        try:
            return client.status(token)[0] == 200
        except OSError:
            return False


class Workloads(unittest.TestCase):
    """A CI job: nobody on the host, known by its issuer's token."""
    @classmethod
    def setUpClass(cls):
        cls.state = HOUSE.folder / "state-of-ci"
        cls.state.mkdir()
        os.chown(cls.state, NOBODY, NOBODY)
        cls.more = {"user": NOBODY, "group": NOBODY, "extra_groups": [],
                    "env": {"PATH": os.environ["PATH"], "XDG_STATE_HOME": str(cls.state),
                            "GATEHOUSE_SERVER": f"https://127.0.0.1:{ADMIN}",
                            "GATEHOUSE_SERVER_CA": str(HOUSE.folder / "gate.pem")}}
        cls.token = HOUSE.folder / "job-token"
        cls.token.write_text(ISSUER.token(aud="urn:gatehouse:ci", sub="repo:acme/app"))
        cls.token.chmod(0o644)

    def ask(self, *said):
        return gatehouse(*said, **self.more)

    def test_a_job_runs_for_whom_it_may_until_it_may_no_more(self):
        done = self.ask("login", "--tenant", "default", "--token-file", str(self.token))
        self.assertEqual(done.returncode, 0, done.stderr)
        done = self.ask("attach", "-a", "shell", "-u", "alice", "--", "/bin/sh", "-c",
                        f"cat /proc/$PPID/environ || echo closed; {ECHO}")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(done.stdout.startswith("closed\n"), "the forwarder is looked into")
        self.assertIn("you_said", done.stdout)
        done = self.ask("attach", "-a", "shell", "-u", "bob", "--", "/bin/true")
        self.assertEqual(done.returncode, 77, done.stderr)
        self.assertIn("runs_for", done.stderr)
        with subprocess.Popen([GATEHOUSE, "attach", "-a", "shell", "-u", "alice", "--", "/bin/sh",
                               "-c", "echo ready; read line"], stdin=subprocess.PIPE, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, **self.more) as job:
            self.assertEqual(job.stdout.readline(), "ready\n")
            name = job.stderr.readline().split()[2]
            text = HOUSE.config.read_text()
            HOUSE.config.write_text(text.replace("runs_for: [alice]", "runs_for: []"))
            changed = HOUSE.ask("reload")
            self.assertEqual(changed.returncode, 0, changed.stderr)
            self.assertIn("not renewed", job.stderr.readline())
            self.assertEqual(run_named(name)["outcome"], "running", "until a token's life is over")
            self.assertIn("ends it by itself", job.communicate("\n", timeout=30)[1])
        HOUSE.config.write_text(text)
        self.assertEqual(HOUSE.ask("reload").returncode, 0)


if __name__ == "__main__":
    main()
