#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The support bundle: canaries are wherever a name, a text or a secret can be, and none is in it;
what helps is."""
import json
import os
import stat
import unittest

from house import House, gatehouse, main

# Each is a name, a host or a word that the config takes; all are looked for by their stem.
STEM = "canary"
KEY = "sk-canary-0123456789abcdef"
CONFIG = """version: 1
data: {data}
log: {{format: {form}}}
users: [{{name: canaryuser}}]
groups: [{{name: canarygroup, members: [canaryuser]}}]
services:
  - name: canaryservice
    kind: openai
    url: http://canaryplace.gatehouse
    upstream: https://canaryupstream.example/canarybase
    credential: {{kind: static, header: x-canary-header, prefix: "Canary "}}
    intent: ["/canaryintent/**"]
  - name: canarycalendar
    kind: http
    url: https://canarycalendar.example
    upstream: https://canarycalendar.example
    credential:
      kind: oauth
      authorization_endpoint: https://canarylogin.example/a
      token_endpoint: https://canarylogin.example/t
      client_id: canaryclient
      scopes: [canaryscope]
agents:
  - name: canaryagent
    command: [/bin/sh, -c, "true canarycommand"]
    volume: canaryvolume
    environment: {{CANARY_VARIABLE: canaryvalue, CANARY_KEY: "{{{{placeholder:canaryservice}}}}"}}
    memory: 777MiB
    rules:
      - {{id: canaryrule, hosts: ["canaryhost.example"], methods: [GET], paths: ["/canarypath"]}}
      - {{id: canarychat, service: canaryservice, methods: [POST], paths: ["/canarychat"]}}
"""


class CanaryHouse(House):
    def __init__(self, form):
        super().__init__()
        self.data = self.folder / "canary-data"
        self.data.mkdir()
        self.config.write_text(CONFIG.format(data=self.data, form=form))

    def bundle(self, name="bundle.json", *more):
        path = self.folder / name
        done = self.ask("support-bundle", str(path), "--log", str(self.log), *more)
        return done, path


class Bundle(unittest.TestCase):
    def assert_silent(self, path):
        text = path.read_text().lower()
        at = text.find(STEM)
        self.assertEqual(at, -1, text[max(0, at - 200):at + 100])
        self.assertNotIn("run_0", text)

    def test_no_canary_is_in_it_and_what_helps_is(self):
        for form in ("json", "text"):
            with self.subTest(form):
                house = CanaryHouse(form)
                self.addCleanup(house.remove)
                house.up()
                try:
                    self.live(house)
                    done, path = house.bundle()
                finally:
                    house.down()
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assert_silent(path)
                self.assert_helpful(json.loads(path.read_text()))
                self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
                again = house.bundle()[0]
                self.assertEqual(again.returncode, 73, again.stderr)

    def live(self, house):
        key = house.folder / "key"
        key.write_text(KEY)
        done = house.ask("connect", "canaryservice", "--user", "canaryuser",
                         "--from-file", str(key))
        self.assertEqual(done.returncode, 0, done.stderr)
        done = gatehouse("run", "-a", "canaryagent", "-u", "canaryuser", "--config",
                         str(house.config), "--", "/bin/sh", "-c",
                         "curl -sS http://canaryelse.example/canarytold?canary=$CANARY_KEY; "
                         "curl -sS http://canaryplace.gatehouse/canarymodel")
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(house.log, "a", encoding="utf-8") as log:
            log.write("a canary sings in a line that is not ours\n"
                      '{"time":"canary","level":"info","role":"vault","message":"x"}\n'
                      '{"time":"2026-01-01T00:00:00.000Z","level":"info","role":"vault",'
                      '"message":"said","canary_key":"x"}\n'.replace("canary_key", "why")
                      .replace('"x"', '"canary \\"quoted\\" canary"')
                      + "2026-01-01T00:00:00.000Z info    vault     canary=canary\n")

    def assert_helpful(self, bundle):
        self.assertRegex(bundle["gatehouse"], r"^\d+\.\d+\.\d+")
        self.assertGreater(bundle["host"]["memory_bytes"], 1 << 20)
        service = bundle["config"]["file"]["services"][0]
        self.assertEqual((service["kind"], service["credential"]["kind"]), ("openai", "static"))
        agent = bundle["config"]["file"]["agents"][0]
        self.assertEqual((agent["memory"], agent["rules"][0]["methods"]), ("777MiB", ["GET"]))
        member = bundle["config"]["file"]["groups"][0]["members"][0]
        self.assertEqual(member, bundle["config"]["file"]["users"][0]["name"], "the same text")
        self.assertTrue(all(role["ready"] for role in bundle["status"]["roles"]))
        self.assertEqual(bundle["doctor"]["mode"], "root")
        self.assertIn("gatehouse_audit_entries_total", bundle["metrics"])
        self.assertTrue(bundle["audit"]["intact"])
        self.assertGreater(bundle["audit"]["entries"], 3)
        said = {line["message"] for line in bundle["log"]["last"]}
        self.assertLessEqual({"a role is ready", "a sandbox runs", "refused"}, said)
        ready = next(line for line in bundle["log"]["last"] if line["message"] == "a role is ready")
        self.assertRegex(ready["pid"], r"^\d+$")
        self.assertGreaterEqual(bundle["log"]["left_out"], 2)

    def test_of_a_house_that_cannot_start(self):
        house = CanaryHouse("text")
        self.addCleanup(house.remove)
        house.config.write_text(house.config.read_text() + "canarykey: canaryvalue\n")
        house.log.write_text("")
        done, path = house.bundle("broken.json", "--data", str(house.data))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_silent(path)
        bundle = json.loads(path.read_text())
        self.assertEqual(bundle["config"]["problems"][0]["code"], "config_unknown_key")
        self.assertEqual(bundle["status"], {"unavailable": "unavailable"})


if __name__ == "__main__":
    main()
