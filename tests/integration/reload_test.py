#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The config is read again while the house works: what is good is in force at the next exchange,
what is bad is refused whole, and nothing that is under way is dropped."""
import json
import signal
import subprocess
import threading
import time
import unittest

from busy_house import CONFIG, BusyHouse
from corridor_house import Upstream, event
from house import GATEHOUSE, main, send_signal

RELOADS = 20  # a tenth of a second apart
STREAM = ("curl -sSN http://openai.gatehouse/v1/chat/completions -d '{\"model\":\"m\","
          "\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}' "
          "-H 'content-type: application/json' -H \"authorization: Bearer $OPENAI_API_KEY\"")
ASK = "curl -sS -o /dev/null -w '%{http_code}\\n' http://api.gatehouse/things"


def setUpModule():
    global HOUSE
    HOUSE = BusyHouse()
    HOUSE.begin()


def tearDownModule():
    HOUSE.down()
    HOUSE.remove()


def written(text):
    HOUSE.config.write_text(text.format(data=HOUSE.data, port=HOUSE.server.server_port))


def with_users(count):
    return CONFIG.replace("{{name: alice}}", "{{name: alice}}" + "".join(
        f", {{{{name: extra{i}}}}}" for i in range(count)))


def goes_on_until(enough, handler, sent):
    handler.begin()
    while not enough.is_set():
        handler.chunk(event({"content": f"word{len(sent)} "}))
        sent.append(1)
        enough.wait(0.02)
    handler.chunk(event({}, "stop"))
    handler.chunk(b"data: [DONE]\n\n")
    handler.end()


def entries_logged(what):
    return HOUSE.log.read_text().count(what)


class Reload(unittest.TestCase):
    def setUp(self):
        written(CONFIG)
        self.reloaded()

    def reloaded(self):
        done = HOUSE.ask("reload", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def start(self, script):
        run = HOUSE.start("/bin/sh", "-c", script, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.clean, run)
        run.stderr.readline()
        return run

    def clean(self, run):
        run.kill()
        run.wait(10)
        for stream in (run.stdin, run.stdout, run.stderr):
            stream.close()

    def is_on_record(self, text):
        deadline = time.monotonic() + 10
        while not any(text.encode() in segment.read_bytes()
                      for segment in (HOUSE.data / "audit").glob("*.seg")):
            self.assertLess(time.monotonic(), deadline, text)
            time.sleep(0.02)

    def asked(self, run):
        run.stdin.write("go\n")
        run.stdin.flush()
        return run.stdout.readline().strip()

    def test_ten_times_a_second_under_load_drops_nothing(self):
        enough = threading.Event()
        self.addCleanup(enough.set)
        sent = []
        Upstream.script = lambda handler, _: goes_on_until(enough, handler, sent)
        stream = self.start(STREAM)
        self.assertIn("word", stream.stdout.readline())
        load = self.start(f"while [ ! -e stop ]; do {ASK}; done & read line; touch stop; wait")
        for i in range(RELOADS):
            written(with_users(i % 2))
            self.reloaded()
            time.sleep(0.1)
        said, errors = load.communicate("enough\n", timeout=30)
        statuses = said.split()
        self.assertGreater(len(statuses), RELOADS)
        self.assertEqual(set(statuses), {"200"}, errors)
        enough.set()
        text = stream.stdout.read()
        self.assertGreater(len(sent), RELOADS)
        self.assertEqual(text.count("word"), len(sent) - 1, "the first was read above")
        self.assertIn("[DONE]", text)
        self.assertEqual(HOUSE.ask("audit", "verify").returncode, 0)

    def test_the_next_exchange_is_ruled_by_what_is_new(self):
        run = self.start(f"while read line; do {ASK}; done")
        self.assertEqual(self.asked(run), "200")
        written(CONFIG.replace('methods: [GET, POST], paths: ["/**"]',
                               'methods: [POST], paths: ["/**"]'))
        changes = self.reloaded()["changes"]
        self.assertEqual([(c["change"], c["what"]) for c in changes],
                         [("changed", "rule shell/api")])
        self.assertEqual(self.asked(run), "403")
        written(CONFIG)
        self.reloaded()
        self.assertEqual(self.asked(run), "200")

    def test_a_service_that_is_gone_is_denied_at_once(self):
        run = self.start(f"while read line; do {ASK}; done")
        self.assertEqual(self.asked(run), "200")
        kept = [line for line in CONFIG.split("\n") if "id: api" not in line]
        text = "\n".join(kept)
        begin = text.index("  - {{name: api,")
        end = text.index("agents:")
        written(text[:begin] + text[end:])
        removed = {c["what"] for c in self.reloaded()["changes"] if c["change"] == "removed"}
        self.assertEqual(removed, {"service api", "rule shell/api"})
        self.assertEqual(self.asked(run), "403")

    def test_a_bad_file_is_refused_whole_and_the_one_before_stays(self):
        run = self.start(f"while read line; do {ASK}; done")
        for bad, why in ((with_users(1).replace("methods: [GET, POST]", "methodz: [GET]"),
                          "methodz"),
                         (with_users(1) + "  - [\n", "gatehouse.yaml"),
                         (with_users(1).replace("data: {data}", "data: /elsewhere"),
                          "data directory")):
            written(bad)
            # Where its data is, the command would look up in the file.
            done = HOUSE.ask("reload", "--data", str(HOUSE.data))
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(why, done.stderr)
            self.assertIn(why, HOUSE.log.read_text())
            self.assertEqual(self.asked(run), "200")
            self.is_on_record(why)
            users = json.loads(HOUSE.ask("objects", "user", "--json", "--data",
                                         str(HOUSE.data)).stdout)
            self.assertEqual([user["name"] for user in users], ["alice"])

    def test_settings_of_the_start_are_named_as_such(self):
        written(CONFIG + "host: {{landlock: optional}}\n")
        changes = self.reloaded()["changes"]
        self.assertEqual([(c["change"], c["what"]) for c in changes],
                         [("at the next start", "host")])

    def test_who_asks_and_goes_away_holds_up_nobody_after(self):
        gateway = next(role["pid"] for role in HOUSE.roles() if role["role"] == "gateway")
        send_signal(gateway, signal.SIGSTOP)  # control waits for it
        try:
            written(with_users(1))
            asking = subprocess.Popen([GATEHOUSE, "reload", "--config", str(HOUSE.config)],
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            deadline = time.monotonic() + 10
            while b"extra0" not in HOUSE.ask("objects", "user").stdout.encode():
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.02)
            asking.kill()
            asking.communicate(timeout=10)
            self.assertEqual(HOUSE.ask("status").returncode, 0)
        finally:
            send_signal(gateway, signal.SIGCONT)
        written(CONFIG)
        removed = {c["what"] for c in self.reloaded()["changes"]}
        self.assertEqual(removed, {"user extra0"})

    def test_a_hangup_reloads_and_says_what_came_of_it(self):
        said = "the configuration was read again"
        before = entries_logged(said)
        written(with_users(1))
        HOUSE.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 10
        while entries_logged(said) == before:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)
        self.assertIn("SIGHUP of uid", HOUSE.log.read_text())
        self.is_on_record("SIGHUP of uid")
        users = json.loads(HOUSE.ask("objects", "user", "--json").stdout)
        self.assertEqual(sorted(user["name"] for user in users), ["alice", "extra0"])
        self.assertEqual(HOUSE.ask("audit", "verify").returncode, 0)


if __name__ == "__main__":
    main()
