#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A role that dies in a house that works is back at once: what it kept is there, who runs goes on
or is told, and what comes next works."""
import json
import signal
import subprocess
import time
import unittest

from house import House, main, send_signal


def setUpModule():
    global HOUSE
    HOUSE = House()
    HOUSE.up()
    HOUSE.connect("sk-roles-test-0123456789abcdef")


def tearDownModule():
    HOUSE.down()
    HOUSE.remove()


def role(name):
    return next((role for role in HOUSE.roles() if role["role"] == name),
                {"state": "away", "pid": "-1", "restarts": "-1"})


def asked(run):
    run.stdin.write("go\n")
    run.stdin.flush()
    return run.stdout.readline()


class Roles(unittest.TestCase):
    def kill(self, name):
        """Kills it, and waits until it is back with everything that it needs."""
        before = role(name)
        self.assertEqual(before["state"], "ready")
        send_signal(before["pid"], signal.SIGKILL)
        self.comes_back(name, before)

    def comes_back(self, name, before):
        deadline = time.monotonic() + 15
        while True:
            now = role(name)
            if now["state"] == "ready" and now["pid"] != before["pid"]:
                break
            self.assertLess(time.monotonic(), deadline, now)
            time.sleep(0.02)
        self.assertEqual(int(now["restarts"]), int(before["restarts"]) + 1, name)

    def next_run_works(self, name):
        """What it has to be told reaches it a moment after it is ready: a run may be refused until
        then, in words, but not for long."""
        deadline = time.monotonic() + 10
        while True:
            done = HOUSE.run("/bin/sh", "-c", "curl -sS http://nowhere.example/; exit 7")
            if done.returncode == 7 or time.monotonic() > deadline:
                break
            self.assertIn("gatehouse:", done.stderr)
            time.sleep(0.1)
        self.assertEqual(done.returncode, 7, f"{name}: {done.stderr}")
        self.assertIn("default-deny", done.stdout, f"the gateway answers after {name}'s end")
        told = HOUSE.ask("transcript", HOUSE.last_run()["run"])
        self.assertIn("nowhere.example", told.stdout, f"and is on record after {name}'s end")

    def house_is_well(self):
        self.assertEqual(HOUSE.complaints(), [])
        verified = HOUSE.ask("audit", "verify")
        self.assertEqual(verified.returncode, 0, verified.stderr)

    def dies_during_a_run(self, name):
        run = HOUSE.start("/bin/sh", "-c", "read line; curl -sS http://nowhere.example/; "
                          "echo; echo got=$line; exit 5", stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            run_id = run.stderr.readline().split()[2]
            self.kill(name)
            self.next_run_works(name)
            said, _ = run.communicate("words\n", timeout=30)
        finally:
            run.kill()
            run.wait(10)
        self.assertIn("got=words", said, f"the run goes on without {name}")
        self.assertIn("default-deny", said, f"its Door is open again after {name}'s end")
        self.assertEqual(run.returncode, 5)
        self.has_ended(run_id, "exit 5")
        self.house_is_well()

    def has_ended(self, run_id, outcome):
        deadline = time.monotonic() + 10
        while True:
            told = next(r["outcome"] for r in HOUSE.runs() if r["run"] == run_id)
            if told != "running" or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        self.assertEqual(told, outcome)

    def test_the_gateway(self):
        self.dies_during_a_run("gateway")

    def test_every_gateway_accepts_at_every_door(self):
        """One that hangs or dies is not missed: whichever is free takes what comes."""
        gateways = [each["role"] for each in HOUSE.roles()
                    if each["role"].split(".")[0] == "gateway"]
        if len(gateways) < 2:
            self.skipTest("one core, so one gateway")
        run = HOUSE.start("/bin/sh", "-c", "while read line; do curl -sS -m 5 "
                          "http://nowhere.example/; done", stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            run.stderr.readline()
            for name in gateways:
                send_signal(role(name)["pid"], signal.SIGSTOP)
                try:
                    for _ in range(4):
                        self.assertIn("default-deny", asked(run), f"{name} hangs")
                finally:
                    send_signal(role(name)["pid"], signal.SIGCONT)
            for name in gateways:
                before = role(name)
                send_signal(before["pid"], signal.SIGKILL)
                self.assertIn("default-deny", asked(run), f"{name} has just died")
                self.comes_back(name, before)
        finally:
            run.stdin.close()
            self.assertEqual(run.wait(10), 0)
            run.stdout.close()
            run.stderr.close()
        self.house_is_well()

    def test_the_vault(self):
        self.dies_during_a_run("vault")

    def test_audit(self):
        self.dies_during_a_run("audit")

    def test_control(self):
        self.dies_during_a_run("control")

    def test_the_courier(self):
        self.dies_during_a_run("courier")

    def test_the_vault_still_has_the_key(self):
        self.kill("vault")
        self.next_run_works("vault")
        linked = json.loads(HOUSE.ask("connections", "--json").stdout)
        self.assertEqual([(link["service"], link["user"]) for link in linked],
                         [("openai", "alice")])

    def test_what_is_killed_stays_killed_without_the_gateway(self):
        run = HOUSE.start("/bin/sleep", "100", stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          text=True)
        name = run.stderr.readline().split()[2]
        self.assertEqual(HOUSE.ask("kill", name).returncode, 0)
        try:
            self.kill("gateway")
            self.assertIn(name, json.loads(HOUSE.ask("status", "--json").stdout)["killed"])
        finally:
            HOUSE.ask("kill", name, "--destroy")
            self.assertEqual(run.wait(10), 137)
            HOUSE.ask("revive", name)
            run.stderr.close()

    def test_sandboxd(self):
        self.dies_during_a_run("sandboxd")


if __name__ == "__main__":
    main()
