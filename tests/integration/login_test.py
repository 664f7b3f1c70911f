#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""People and programs sign in at a real OpenID Connect issuer (npm's oidc-provider), by the
browser, by a device code, by a token; what they may do is what their roles and groups give them."""
import http.cookiejar
import json
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import unittest
import urllib.parse
import urllib.request
from pathlib import Path

from house import GATEHOUSE, House, main

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
NODE = FIXTURES / "node_modules/.bin/node"
NOBODY = 65_534
CI_SECRET = "ci-secret-0123456789abcdef"
PEOPLE = """
issuers:
  - {{name: corp, url: "{issuer}", client_id: gatehouse, scopes: [groups], groups_claim: groups,
     allow_private: true}}
groups:
  - {{name: responders, issuer: corp, claim: SRE}}
  - {{name: auditors, issuer: corp, claim: Audit}}
accounts:
  - {{name: ci, issuer: corp, audience: "urn:gatehouse:ci", subject: ci}}
admin: {{listen: "127.0.0.1:{port}", tls_certificate: admin.pem, tls_key: admin.key}}
bindings:
  - {{role: owner, user: alice}}
  - {{role: auditor, group: auditors}}
  - {{role: security, group: responders}}
  - {{role: developer, account: ci}}
"""


def setUpModule():
    global HOUSE, ISSUER, PROVIDER, COMMAND, PORT
    HOUSE = House()
    HOUSE.folder.chmod(0o755)  # but not its data: who is elsewhere needs nothing of it
    COMMAND = shutil.copy(GATEHOUSE, HOUSE.folder)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        PORT = listener.getsockname()[1]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=admin", "-days", "1",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout",
                    HOUSE.folder / "admin.key", "-out", HOUSE.folder / "admin.pem"], check=True,
                   capture_output=True)
    secret = HOUSE.folder / "ci-secret"
    secret.write_text(CI_SECRET + "\n")
    PROVIDER = subprocess.Popen(
        [NODE, FIXTURES / "issuer.mjs", "--users", "alice:;bob:SRE,Staff;eve:SRE;ann:Audit",
         "--ci-secret-file", secret], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    ISSUER = json.loads(PROVIDER.stdout.readline())["issuer"]
    text = HOUSE.config.read_text()
    text = re.sub(r"(?m)^bindings:\n  - .*\n", PEOPLE.format(issuer=ISSUER, port=PORT), text)
    text = text.replace("  - name: alice\n", "  - name: alice\n"
                        "    login: {issuer: corp, subject: alice}\n"
                        "  - {name: bob, login: {issuer: corp, subject: bob}}\n"
                        "  - {name: ann, login: {issuer: corp, subject: ann}}\n")
    HOUSE.config.write_text(text)
    HOUSE.up()
    HOUSE.connect("sk-login-test-0123456789abcdef")


def tearDownModule():
    HOUSE.down()
    PROVIDER.terminate()
    PROVIDER.wait(10)
    HOUSE.remove()


class Browser:
    """A person at pages of one form each."""
    def __init__(self, user):
        self.user = user
        self.opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))

    def visit(self, url):
        """The last page, when there is nothing left to fill in."""
        page = self.opener.open(url, timeout=20)
        for _ in range(8):
            text = page.read().decode()
            form = re.search(r'<form[^>]*action="([^"]+)"', text)
            if not form:
                return text
            fields = {"login": self.user, "allow": "yes", "confirm": "yes"}
            for tag in re.findall(r"<input[^>]*>", text):
                values = dict(re.findall(r'(\w+)="([^"]*)"', tag))
                if values.get("type") == "hidden":
                    fields[values["name"]] = values.get("value", "")
            to = urllib.parse.urljoin(page.geturl(), form[1])
            page = self.opener.open(to, urllib.parse.urlencode(fields).encode(), timeout=20)
        raise AssertionError("the pages do not end")


class Person:
    """Somebody with a terminal of their own: their sessions lie in their own folder."""
    def __init__(self, name):
        self.name = name
        self.state = HOUSE.folder / ("state-of-" + name)
        self.environment = {**os.environ, "XDG_STATE_HOME": str(self.state)}

    def ask(self, *words):
        return HOUSE.ask(*words, env=self.environment)

    def json(self, *words):
        done = self.ask(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def log_in(self, *words):
        with subprocess.Popen([GATEHOUSE, "login", "--json", "--config", str(HOUSE.config), *words],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              env=self.environment) as login:
            page = Browser(self.name).visit(json.loads(login.stdout.readline())["open"])
            said, wrong = login.communicate(timeout=30)
            return login.returncode, page, said, wrong

    def file(self):
        return self.state / "gatehouse/sessions.json"


class Elsewhere(Person):
    """Somebody who is nobody on the host, and comes by TLS."""
    def __init__(self, name):
        super().__init__(name + "-elsewhere")
        self.name = name
        self.state.mkdir()
        os.chown(self.state, NOBODY, NOBODY)
        self.environment |= {"GATEHOUSE_SERVER": f"https://127.0.0.1:{PORT}",
                             "GATEHOUSE_SERVER_CA": str(HOUSE.folder / "admin.pem")}
        self.more = {"env": self.environment, "user": NOBODY, "group": NOBODY, "extra_groups": [],
                     "cwd": "/"}

    def ask(self, *words):
        return subprocess.run([COMMAND, *words], capture_output=True, text=True, timeout=60,
                              stdin=subprocess.DEVNULL, **self.more)

    def log_in(self, *words):
        with subprocess.Popen([COMMAND, "login", "--json", *words], stdout=subprocess.PIPE,
                              text=True, **self.more) as login:
            Browser(self.name).visit(json.loads(login.stdout.readline())["open"])
            login.communicate(timeout=30)
            return login.returncode


class Remote(unittest.TestCase):
    def test_who_is_elsewhere_does_by_tls_what_their_role_gives_them(self):
        bob, ann = Elsewhere("bob"), Elsewhere("ann")
        self.assertEqual(bob.ask("whoami").returncode, 77, "a port makes nobody anybody")
        self.assertEqual((bob.log_in(), ann.log_in()), (0, 0))
        with HOUSE.start("/bin/sleep", "100", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                         stderr=subprocess.PIPE, text=True) as run:
            name = re.search(r"run_\w+", run.stderr.readline())[0]
            listed = bob.json("runs")
            self.assertEqual((listed[0]["run"], listed[0]["outcome"]), (name, "running"))
            self.assertEqual(bob.ask("transcript", name).returncode, 77)
            self.assertEqual(ann.ask("kill", name).returncode, 77)
            self.assertEqual(bob.ask("kill", "--all").returncode, 77)
            killed = bob.json("kill", name, "--reason", "it ran wild")
            self.assertEqual(killed, {"killed": name, "sandboxes": 1, "ended": 0})
            self.assertEqual(bob.json("revive", name), {"revived": name})
            self.assertEqual(bob.ask("kill", name, "--destroy").returncode, 0)
            self.assertEqual(run.wait(10), 137)
        said = ann.ask("transcript", name).stdout
        self.assertIn("user default/bob: it ran wild", said)
        self.assertIn(f"run    {name}", said)
        story = ann.json("transcript", name)
        kinds = [step["entry"]["kind"] for step in story["steps"]]
        self.assertIn("administered", kinds)
        self.assertEqual(bob.ask("logout").returncode, 0)
        self.assertEqual(bob.ask("runs").returncode, 77)

    def test_nothing_goes_there_in_the_clear_or_to_who_is_not_trusted(self):
        bob = Elsewhere("bob-elsewhere")
        del bob.environment["GATEHOUSE_SERVER_CA"]
        self.assertNotIn(bob.ask("whoami").returncode, (0, 77))
        bob.environment["GATEHOUSE_SERVER"] = "http://192.0.2.1:80"
        refused = bob.ask("whoami")
        self.assertEqual(refused.returncode, 65)
        self.assertIn("https://", refused.stderr)
        with socket.create_connection(("127.0.0.1", PORT), timeout=10) as plain:
            plain.sendall(b"GET /v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n")
            try:
                self.assertNotIn(b"openapi", plain.recv(65536))
            except ConnectionResetError:
                pass

    def test_a_kill_is_not_held_up_by_a_session_that_is_over(self):
        owner = Person("owner")
        owner.file().parent.mkdir(parents=True)
        owner.file().write_text(json.dumps({str(HOUSE.data / "run/admin.sock"): {
            "session": "ghs_x", "tenant": "default", "who": "x",
            "ends": "2020-01-01T00:00:00.000Z"}}))
        owner.file().chmod(0o600)
        self.assertEqual(owner.ask("runs").returncode, 77)
        name = "run_" + "0" * 25 + "1"
        self.assertEqual(owner.ask("kill", name).returncode, 0)
        owner.file().chmod(0o644)
        self.assertEqual(owner.ask("kill", name).returncode, 0)
        self.assertEqual(HOUSE.ask("revive", name).returncode, 0)


class Login(unittest.TestCase):
    def test_the_browser_signs_somebody_in_with_the_roles_of_their_groups(self):
        bob = Person("bob")
        status, page, said, wrong = bob.log_in()
        self.assertEqual(status, 0, wrong)
        self.assertIn("close this page", page)
        self.assertEqual(json.loads(said)["who"], "user default/bob")
        self.assertEqual(bob.json("whoami")["roles"], ["security"])
        self.assertEqual(stat.S_IMODE(bob.file().stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(bob.file().parent.stat().st_mode), 0o700)
        denied = bob.ask("user", "create", "zoe")
        self.assertEqual(denied.returncode, 77)
        self.assertIn("right people", denied.stderr)
        rule = bob.json("rule", "create", "read", "--agent", "shell", "--set", "service=openai",
                        "--set", 'methods=["GET"]', "--set", 'paths=["/v1/models"]')
        self.assertEqual(rule["from"], "api")
        self.assertEqual(bob.ask("rule", "rm", "read", "--agent", "shell").returncode, 0)
        self.assertEqual(bob.ask("logout").returncode, 0)
        self.assertEqual(bob.json("whoami")["house"], True, "root at its own socket again")

    def test_a_device_code_signs_somebody_in(self):
        alice = Person("alice")
        status, page, said, wrong = alice.log_in("--device")
        self.assertEqual(status, 0, wrong)
        self.assertIn("Signed in", page)
        self.assertEqual(json.loads(said)["who"], "user default/alice")
        self.assertEqual(alice.json("user", "create", "yara")["from"], "api")
        self.assertEqual(alice.ask("user", "rm", "yara").returncode, 0)
        other = Person("alice-elsewhere")
        other.name = "alice"
        self.assertEqual(other.log_in()[0], 0)
        host = alice.ask("agent", "create", "deep", "--set", 'toolbox=["/root"]')
        self.assertEqual(host.returncode, 77, "the tenant's owner is not the host's")
        self.assertEqual(alice.json("user", "sign-out", "alice")["ended"], 2)
        self.assertEqual((alice.ask("whoami").returncode, other.ask("whoami").returncode), (77, 77))

    def test_whom_the_tenant_does_not_know_is_nobody(self):
        status, _, _, wrong = Person("eve").log_in()
        self.assertEqual(status, 77)
        self.assertIn("subject eve", wrong)

    def test_a_program_signs_in_by_a_token_of_its_own(self):
        form = urllib.parse.urlencode({
            "grant_type": "client_credentials", "client_id": "ci", "client_secret": CI_SECRET,
            "resource": "urn:gatehouse:ci"}).encode()
        with urllib.request.urlopen(ISSUER + "/token", form, timeout=10) as answer:
            token = json.loads(answer.read())["access_token"]
        ci = Person("ci")
        file = HOUSE.folder / "ci-token"
        file.write_text(token)
        done = ci.ask("login", "--token-file", str(file))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(ci.json("whoami"), {"who": "account default/ci", "tenant": "default",
                                             "name": "ci", "roles": ["developer"], "house": False})
        self.assertEqual(ci.json("agent", "create", "built")["from"], "api")
        self.assertEqual(ci.ask("agent", "rm", "built").returncode, 0)
        file.write_text(token[:-8] + "AAAAAAAA")
        wrong = ci.ask("login", "--token-file", str(file))
        self.assertEqual(wrong.returncode, 77)
        self.assertNotIn(token[-40:-8], wrong.stderr)
        sessions = json.loads(ci.file().read_text())["sessions"]
        for secret in (token, sessions.popitem()[1]["session"]):
            self.assertEqual(HOUSE.files_with(secret), [], "neither is in the data")
            self.assertNotIn(secret, HOUSE.log.read_text())

    def test_a_session_that_is_over_makes_nobody_somebody_else(self):
        bob = Person("bob-before")
        bob.file().parent.mkdir(parents=True)
        at = str(HOUSE.data / "run/admin.sock")
        for ends, code, words in (("2020-01-01T00:00:00.000Z", 77, "ended"),
                                  ("2999-01-01T00:00:00.000Z", 77, "over, or never was")):
            bob.file().write_text(json.dumps({at: {"session": "ghs_x", "tenant": "default",
                                                   "who": "user default/bob", "ends": ends}}))
            bob.file().chmod(0o600)
            done = bob.ask("whoami")
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertIn(words, done.stderr)
        bob.file().chmod(0o644)
        self.assertIn("chmod 600", bob.ask("whoami").stderr)


if __name__ == "__main__":
    if not NODE.exists():
        print("skipped: npm's packages are not there; demo/setup-npm.sh installs them")
        sys.exit(77)
    main()
