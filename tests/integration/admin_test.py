#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""People, agents and rules by the command and by the admin API of a running house: what is made is
in force, outlives a restart, is on record, and is asked for by nobody without a right."""
import http.client
import json
import os
import shutil
import socket
import subprocess
import unittest

from house import GATEHOUSE, House, main

STRANGER = 65_534


def setUpModule():
    global HOUSE, COMMAND
    HOUSE = House()
    HOUSE.folder.chmod(0o755)
    HOUSE.data.chmod(0o755)
    COMMAND = shutil.copy(GATEHOUSE, HOUSE.folder)
    HOUSE.up()


def tearDownModule():
    HOUSE.down()
    HOUSE.remove()


class Connection(http.client.HTTPConnection):
    def __init__(self):
        super().__init__("localhost", timeout=20)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(str(HOUSE.data / "run/admin.sock"))


def ask(method, path, body=None, headers=None, connection=None):
    """Status, headers, and the JSON of an answer."""
    at = connection or Connection()
    at.request(method, path, body, headers or {})
    answer = at.getresponse()
    text = answer.read()
    if connection is None:
        at.close()
    return answer.status, answer.headers, json.loads(text) if text else None


def object_of(*words):
    done = HOUSE.ask(*words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Commands(unittest.TestCase):
    def test_each_noun_has_its_verbs(self):
        """In an order in which each names what is there."""
        wanted = [
            ("tenant", "branch", ["--set", "title=A branch"], ["--set", "title=The branch"], []),
            ("issuer", "corp", ["--set", "url=https://login.example.com"],
             ["--set", "client_id=gatehouse"], []),
            ("user", "carol", [], ["--set", "login.issuer=corp", "--set", "login.subject=c-1"], []),
            ("group", "ops", ["--set", 'members=["carol"]'], ["--set", "members="], []),
            ("account", "ci", ["--set", "issuer=corp", "--set", "audience=gh",
                               "--set", "subject=x"], ["--set", "subject=y"], []),
            ("service", "web", ["--set", "kind=http", "--set", "url=https://web.example.com",
                                "--set", "upstream=https://web.example.com"],
             ["--set", "scope=tenant"], []),
            ("agent", "bot", ["--set", 'command=["/bin/true"]'], ["--set", "pids=64"], []),
            ("rule", "read", ["--set", "service=web", "--set", 'methods=["GET"]',
                              "--set", 'paths=["/**"]'],
             ["--set", 'methods=["GET","HEAD"]'], ["--agent", "bot"]),
        ]
        tenant = ["--tenant", "default"]
        for noun, name, making, changing, where in wanted:
            at = where if noun == "tenant" else where + tenant
            made = object_of(noun, "create", name, *making, *at)
            self.assertEqual((made["kind"], made["name"], made["from"]), (noun, name, "api"))
            changed = object_of(noun, "set", name, *changing, *at)
            self.assertGreater(changed["version"], made["version"])
            self.assertEqual(object_of(noun, "show", name, *at), changed)
            self.assertIn(name, [item["name"] for item in object_of(noun, "list", *at)])
            self.assertIn(name, HOUSE.ask(noun, "list", *at).stdout)
            again = HOUSE.ask(noun, "create", name, *making, *at)
            self.assertEqual(again.returncode, 73, again.stderr)
        made = object_of("binding", "create", "--role", "auditor", "--user", "carol", *tenant)
        self.assertEqual(made["name"], "auditor.user.carol")
        needed = HOUSE.ask("user", "rm", "carol", *tenant)
        self.assertEqual(needed.returncode, 73)
        self.assertIn("binding auditor.user.carol", needed.stderr)
        self.assertEqual(HOUSE.ask("binding", "rm", "auditor.user.carol", *tenant).returncode, 0)
        for noun, name, _, _, where in reversed(wanted):
            at = where if noun == "tenant" else where + tenant
            done = HOUSE.ask(noun, "rm", name, *at)
            self.assertEqual(done.returncode, 0, noun + done.stderr)
            self.assertEqual(HOUSE.ask(noun, "show", name, *at).returncode, 66, noun)

    def test_a_spec_is_read_from_a_file(self):
        spec = HOUSE.folder / "agent.yaml"
        spec.write_text("command: [/bin/sh, -c, 'exit 3']\nmemory: 64MiB\n")
        made = object_of("agent", "create", "filed", "-f", str(spec))
        self.assertEqual(made["spec"]["memory"], 64 << 20)
        self.assertEqual(HOUSE.ask("agent", "rm", "filed").returncode, 0)
        spec.write_text("comand: []\n")
        wrong = HOUSE.ask("agent", "create", "filed", "-f", str(spec))
        self.assertEqual(wrong.returncode, 65)
        self.assertIn('did you mean "command"', wrong.stderr)

    def test_what_the_file_names_is_changed_there(self):
        for words in (["user", "rm", "alice"], ["agent", "set", "shell", "--set", "pids=9"],
                      ["binding", "rm", "owner.user.alice"]):
            done = HOUSE.ask(*words)
            self.assertEqual(done.returncode, 73, words)
            self.assertIn("gatehouse.yaml", done.stderr)

    def test_what_is_made_runs_at_once_and_outlives_a_restart(self):
        object_of("user", "create", "dora")
        object_of("agent", "create", "seven", "--set", 'command=["/bin/sh","-c","exit 7"]')
        run = ["run", "-a", "seven", "-u", "dora", "--no-pty"]
        self.assertEqual(HOUSE.ask(*run).returncode, 7)
        HOUSE.down()
        HOUSE.up()
        self.assertEqual(HOUSE.ask(*run).returncode, 7)
        object_of("agent", "set", "seven", "--set", 'command=["/bin/sh","-c","exit 8"]')
        self.assertEqual(HOUSE.ask(*run).returncode, 8)
        self.assertEqual(HOUSE.ask("agent", "rm", "seven").returncode, 0)
        self.assertEqual(HOUSE.ask(*run).returncode, 66)


class Api(unittest.TestCase):
    def test_a_stranger_is_told_what_there_is_and_nothing_else(self):
        script = ("import http.client, socket, sys\n"
                  "for path in ('/v1/openapi.json', '/v1/whoami', '/v1/tenants',\n"
                  "             '/v1/tenants/default/users'):\n"
                  "    c = http.client.HTTPConnection('localhost')\n"
                  "    c.sock = socket.socket(socket.AF_UNIX)\n"
                  "    c.sock.connect(sys.argv[1])\n"
                  "    c.request('GET', path)\n"
                  "    print(c.getresponse().status)\n")
        done = subprocess.run(["/usr/bin/python3", "-c", script, HOUSE.data / "run/admin.sock"],
                              capture_output=True, text=True, user=STRANGER, group=STRANGER,
                              extra_groups=[], check=True)
        self.assertEqual(done.stdout.split(), ["200", "401", "401", "401"])
        asked = subprocess.run([COMMAND, "user", "list", "--config", str(HOUSE.config)],
                               capture_output=True, text=True, user=STRANGER, group=STRANGER,
                               extra_groups=[])
        self.assertEqual(asked.returncode, 77, asked.stderr)

    def test_requests_follow_each_other_on_one_connection(self):
        connection = Connection()
        for _ in range(3):
            status, headers, me = ask("GET", "/v1/whoami", connection=connection)
            self.assertEqual((status, me["who"], me["house"]), (200, "uid 0", True))
            self.assertEqual(headers["cache-control"], "no-store")
        connection.close()

    def test_a_problem_is_told_in_its_own_type(self):
        status, headers, problem = ask("GET", "/v1/tenants/default/users/nobody")
        self.assertEqual((status, headers["content-type"]), (404, "application/problem+json"))
        self.assertEqual(problem["type"], "urn:gatehouse:error:not_found")
        status, headers, _ = ask("DELETE", "/v1/tenants")
        self.assertEqual(status, 405)

    def test_what_is_too_large_or_no_request_is_refused(self):
        users = "/v1/tenants/default/users"
        status, _, _ = ask("POST", users, b" " * (256 * 1024) + b"{}")
        self.assertEqual(status, 413)
        self.assertEqual(ask("POST", users, b"{" * 200)[0], 400)
        for raw in (b"GET / HTTP/1.1\nHost: x\n\n", b"\x16\x03\x01\x02\x00",
                    b"GET //v1 HTTP/1.1\r\nHost: x\r\n\r\n",
                    b"POST /v1/tenants HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
                    b"Transfer-Encoding: chunked\r\n\r\n"):
            at = Connection()
            at.connect()
            at.sock.sendall(raw)
            at.sock.shutdown(socket.SHUT_WR)
            self.assertRegex(at.sock.recv(65536), b"^HTTP/1.1 400 ", raw)
            at.close()

    def test_what_was_done_is_on_record(self):
        object_of("user", "create", "recorded")
        self.assertEqual(HOUSE.ask("user", "rm", "recorded").returncode, 0)
        acts, token = [], ""
        while True:
            status, _, page = ask("GET", f"/v1/tenants/default/acts?limit=2{token}")
            self.assertEqual(status, 200)
            acts += page["items"]
            if "next_page_token" not in page:
                break
            token = "&page_token=" + page["next_page_token"]
        mine = [act["tags"] for act in acts if act["tags"]["object"] == "user recorded"]
        self.assertEqual([(tags["who"], tags["act"], tags["outcome"]) for tags in mine],
                         [("uid 0", "create", "done"), ("uid 0", "remove", "done")])
        sequences = [act["sequence"] for act in acts]
        self.assertEqual(sequences, sorted(set(sequences)))


if __name__ == "__main__":
    main()
