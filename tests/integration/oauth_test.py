#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An OAuth connection through the whole house: connected by a person's code, used, revoked early
by its server, removed. The authorization server and the API are this test's, and behave: codes and
refresh tokens are good once, PKCE is checked, a revoked access token is answered 401."""
import base64
import hashlib
import http.server
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse
import urllib.request
from pathlib import Path

from house import GATEHOUSE, files_with, main

CONFIG = """version: 1
data: {data}
users: [{{name: alice}}, {{name: bob}}]
services:
  - name: calendar
    kind: http
    url: https://calendar.gatehouse
    upstream: http://127.0.0.1:{port}
    allow_private: true
    credential:
      kind: oauth
      authorization_endpoint: http://127.0.0.1:{port}/auth
      token_endpoint: http://127.0.0.1:{port}/token
      revocation_endpoint: http://127.0.0.1:{port}/revoke
      client_id: gatehouse
      scopes: [calendar]
agents:
  - name: shell
    command: ["/bin/sh"]
    environment: {{TOKEN: "{{{{placeholder:calendar}}}}"}}
    rules: [{{id: calendar, service: calendar, methods: [GET, POST], paths: ["/api/**"]}}]
"""


class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    codes, access, refresh = {}, set(), set()
    refreshes = 0
    secrets = set()  # all that were ever given out or taken in
    revoked = []
    bodies = []

    def log_message(self, *args):
        pass

    def answer(self, status, value, headers=()):
        self.send(status, "application/json", json.dumps(value).encode(), headers)

    def send(self, status, kind, body, headers=()):
        self.send_response(status)
        for name, text in (("content-type", kind),
                           ("content-length", str(len(body))), *headers):
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)

    def body(self):
        if self.headers.get("transfer-encoding") == "chunked":
            out = b""
            while size := int(self.rfile.readline(), 16):
                out += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return out
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        if url.path == "/auth":
            asked = dict(urllib.parse.parse_qsl(url.query))
            code = secrets.token_urlsafe(16)
            Server.codes[code] = asked["code_challenge"]
            Server.secrets.add(code)
            to = asked["redirect_uri"] + "?" + urllib.parse.urlencode(
                {"code": code, "state": asked["state"]})
            return self.answer(302, {}, [("location", to)])
        return self.api(b"")

    def do_POST(self):
        body = self.body()
        if self.path == "/token":
            return self.token(dict(urllib.parse.parse_qsl(body.decode())))
        if self.path == "/revoke":
            Server.revoked.append(dict(urllib.parse.parse_qsl(body.decode()))["token"])
            return self.answer(200, {})
        return self.api(body)

    def token(self, form):
        if form["grant_type"] == "authorization_code":
            challenge = Server.codes.pop(form["code"], None)
            Server.secrets.add(form["code_verifier"])
            digest = hashlib.sha256(form["code_verifier"].encode()).digest()
            good = challenge == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        else:
            good = form["refresh_token"] in Server.refresh
            Server.refresh.discard(form["refresh_token"])
            Server.refreshes += 1
        if not good:
            return self.answer(400, {"error": "invalid_grant"})
        access, refresh = "at-" + secrets.token_hex(16), "rt-" + secrets.token_hex(16)
        Server.access.add(access)
        Server.refresh.add(refresh)
        Server.secrets |= {access, refresh}
        return self.answer(200, {"access_token": access, "refresh_token": refresh,
                                 "token_type": "Bearer", "expires_in": 3600})

    def api(self, body):
        token = self.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in Server.access or self.path == "/api/never":
            return self.answer(401, {"error": "invalid_token", "given": token},
                               [("www-authenticate", 'Bearer error="invalid_token"')])
        Server.bodies.append(body)
        if "/info/refs" in self.path:  # git's dumb protocol
            return self.send(200, "text/plain", b"0" * 39 + b"1\trefs/heads/main\n")
        return self.answer(200, {"got": len(body)})


class Listener(http.server.ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Connection(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Listener(("127.0.0.1", 0), Server)
        threading.Thread(target=cls.server.serve_forever, daemon=True).start()
        cls.folder = Path(tempfile.mkdtemp(prefix="gatehouse-oauth-"))
        cls.config = cls.folder / "gatehouse.yaml"
        (cls.folder / "data").mkdir(mode=0o700)
        cls.config.write_text(CONFIG.format(data=cls.folder / "data", port=cls.server.server_port))
        cls.log = open(cls.folder / "log", "wb")
        cls.house = subprocess.Popen([GATEHOUSE, "up", "--config", str(cls.config)],
                                     stdout=cls.log, stderr=cls.log)
        for _ in range(200):
            status = cls.ask("status", "--json")
            if status.returncode == 0 and all(
                    role["state"] == "ready" for role in json.loads(status.stdout)["roles"]):
                break
            time.sleep(0.05)
        cls.connect("alice")

    @classmethod
    def tearDownClass(cls):
        cls.house.terminate()
        cls.house.wait(10)
        cls.log.close()
        cls.server.shutdown()
        cls.server.server_close()
        shutil.rmtree(cls.folder)

    @classmethod
    def ask(cls, *words):
        at = words.index("--") if "--" in words else len(words)
        return subprocess.run([GATEHOUSE, *words[:at], "--config", str(cls.config), *words[at:]],
                              capture_output=True, text=True, timeout=60,
                              stdin=subprocess.DEVNULL)

    @classmethod
    def connect(cls, user):
        with subprocess.Popen([GATEHOUSE, "connect", "calendar", "--user", user, "--json",
                               "--config", str(cls.config)], stdout=subprocess.PIPE,
                              text=True) as link:
            url = json.loads(link.stdout.readline())["authorize"]
            with urllib.request.urlopen(url, timeout=10) as page:
                assert page.status == 200
            link.stdout.read()
            assert link.wait(20) == 0

    def curl(self, arguments, path="/api/events"):
        """The status that a program in a sandbox gets, and what it is told."""
        script = ("curl -sS -w '\\n%{http_code}' -H \"authorization: Bearer $TOKEN\" "
                  f"{arguments} https://calendar.gatehouse{path}")
        done = self.ask("run", "-a", "shell", "-u", "alice", "--", "/bin/sh", "-c", script)
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        said, _, status = done.stdout.rpartition("\n")
        for token in Server.access | Server.refresh:
            self.assertNotIn(token, done.stdout + done.stderr)
        return int(status), said

    def rest(self):
        """The vault renews at most once in a while because of a 401: a fresh connection may."""
        self.connect("alice")
        Server.refreshes = 0
        Server.bodies.clear()

    def test_a_token_revoked_early_is_renewed_and_the_request_goes_once_more(self):
        self.rest()
        self.assertEqual(self.curl("")[0], 200)
        Server.access.clear()
        self.assertEqual(self.curl("")[0], 200)
        self.assertEqual(Server.refreshes, 1)

    def test_a_body_that_was_streamed_goes_once_more_whole(self):
        for how in ("-d 'a small body'", "-H 'transfer-encoding: chunked' -d 'a small body'"):
            self.rest()
            Server.access.clear()
            self.assertEqual(self.curl(how)[0], 200, how)
            self.assertEqual(Server.bodies, [b"a small body"], how)

    def test_what_is_too_big_to_keep_is_answered_as_the_upstream_did(self):
        self.rest()
        Server.access.clear()
        status, said = self.curl("-H 'expect:' --data-binary @/usr/bin/curl")
        self.assertEqual(status, 401)
        self.assertEqual(Server.refreshes, 0)
        self.assertIn("invalid_token", said)

    def test_what_is_always_refused_does_not_make_it_renew_in_a_loop(self):
        self.rest()
        for _ in range(3):
            self.assertEqual(self.curl("", "/api/never")[0], 401)
        self.assertEqual(Server.refreshes, 1)

    def test_the_transcript_says_that_it_was_renewed(self):
        self.rest()
        Server.access.clear()
        self.curl("")
        run = json.loads(self.ask("runs", "--json").stdout)[0]["run"]
        self.assertIn("renewed", self.ask("transcript", run, "--json").stdout)

    def test_real_clients_reach_it_unmodified(self):
        """Each trusts the interception by its own CA variable; old Node obeys no proxy variable
        and is captured."""
        self.rest()
        url = "https://calendar.gatehouse/api"
        clients = {
            "curl": f'curl -sS -H "authorization: Bearer $TOKEN" {url}/events',
            "git": "git -c http.extraHeader=\"authorization: Bearer $TOKEN\" ls-remote "
                   f"{url}/repository.git",
            "python": "/usr/bin/python3 -c 'import os, urllib.request as r; print(r.urlopen("
                      f'r.Request("{url}/events", headers={{"authorization": "Bearer " + '
                      'os.environ["TOKEN"]})).read())\'',
            "node": f'node -e \'fetch("{url}/events", {{headers: {{authorization: "Bearer " + '
                    'process.env.TOKEN}}).then(async a => console.log(await a.text()))\'',
            "captured": "env -u https_proxy -u HTTPS_PROXY -u ALL_PROXY -u all_proxy curl -sS "
                        f'-H "authorization: Bearer $TOKEN" {url}/events',
        }
        if not os.path.exists("/usr/bin/node"):
            del clients["node"]
        for name, command in clients.items():
            done = self.ask("run", "-a", "shell", "-u", "alice", "--", "/bin/sh", "-c", command)
            self.assertEqual(done.returncode, 0, name + ": " + done.stderr + done.stdout)
            wanted = "refs/heads/main" if name == "git" else "got"
            self.assertIn(wanted, done.stdout, name)

    def test_no_secret_lies_in_a_log_or_the_data(self):
        """The vault has them sealed; nobody else has them at all, not even the code that was good
        once."""
        self.rest()
        Server.access.clear()
        self.assertEqual(self.curl("-d 'a body of canaries'")[0], 200)
        self.curl("", "/api/never")  # whose answer holds the token
        self.assertGreaterEqual(len(Server.secrets), 6)
        self.assertNotEqual(files_with(self.folder, "a body of canaries"), [],
                            "what is there is found")
        for secret in Server.secrets:
            self.assertEqual(files_with(self.folder, secret), [], secret[:3])

    def test_zz_a_removed_connection_is_revoked_and_gone(self):
        done = self.ask("connect", "calendar", "--user", "alice", "--remove")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(set(Server.revoked) & Server.refresh), 1)
        self.assertEqual(json.loads(self.ask("connections", "--json").stdout), [])
        refused = self.ask("run", "-a", "shell", "-u", "alice", "--", "/bin/true")
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("gatehouse connect calendar --user alice", refused.stderr)
        self.connect("alice")


if __name__ == "__main__":
    main()
