#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What an operator sees of a house that runs: the example configurations in force, logs."""
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from house import GATEHOUSE, House, gatehouse, main

ROOT = Path(__file__).resolve().parents[2]
KEY = "sk-observed-test-0123456789abcdef"
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def setUpModule():
    global HOUSE
    HOUSE = House()
    HOUSE.config.write_text(HOUSE.config.read_text() + "log: {format: json}\n")
    HOUSE.up()
    HOUSE.connect(KEY)


def tearDownModule():
    HOUSE.down()
    HOUSE.remove()


def logged():
    """Every line, as JSON: one that is not fails here."""
    return [json.loads(line) for line in HOUSE.log.read_text().splitlines()]


class Examples(unittest.TestCase):
    def test_a_house_runs_with_each(self):
        folder = tempfile.mkdtemp(prefix="gatehouse-examples-")
        self.addCleanup(shutil.rmtree, folder)
        houses = []
        for example in sorted((ROOT / "docs/examples").glob("*.yaml")):
            data = Path(folder) / example.stem
            data.mkdir()
            with open(Path(folder) / f"{example.stem}.log", "wb") as log:
                houses.append((example, data, subprocess.Popen(
                    [GATEHOUSE, "up", "--config", str(example), "--data", str(data)],
                    stdout=log, stderr=log)))
        try:
            for example, data, _ in houses:
                wanted = json.loads(gatehouse("config", "check", "--json",
                                              str(example)).stdout)["files"][0]
                self.assertTrue(wanted["valid"])
                objects = self.objects(data)
                text = example.read_text()
                for name in re.findall(r"\b(?:name|id): ([\w-]+)", text):
                    self.assertIn(name, [item["name"].split("/")[-1] for item in objects], example)
        finally:
            for _, _, process in houses:
                process.send_signal(signal.SIGINT)
            self.assertEqual([process.wait(20) for _, _, process in houses], [0] * len(houses))

    def objects(self, data):
        for _ in range(200):
            done = gatehouse("objects", "--json", "--data", str(data))
            if done.returncode == 0:
                return json.loads(done.stdout)
            time.sleep(0.05)
        raise AssertionError(Path(f"{data}.log").read_text())


class Logs(unittest.TestCase):
    def test_every_line_of_every_role_is_json_with_time_level_role_and_message(self):
        HOUSE.run("/bin/sh", "-c", "curl -sS http://example.com/")
        lines = logged()
        for line in lines:
            self.assertRegex(line["time"], RFC3339)
            self.assertIn(line["level"], ("info", "warning", "error"))
            self.assertTrue(line["message"])
            self.assertTrue(all(isinstance(value, str) for value in line.values()), line)
        roles = {line["role"] for line in lines}
        self.assertLessEqual({"supervisor", "audit", "control", "gateway", "vault", "sandboxd"},
                             roles)

    def test_what_concerns_a_run_carries_its_trace(self):
        HOUSE.run("/bin/sh", "-c", "curl -sS http://example.com/")
        run = HOUSE.last_run()
        of_run = [line for line in logged() if line.get("run") == run["run"]]
        self.assertGreater(len(of_run), 2)
        for line in of_run:
            self.assertEqual(line.get("trace"), run["trace"], line)
        refused = [line for line in of_run if line["message"] == "refused"]
        self.assertTrue(refused, of_run)

    def test_a_gateway_says_which_one_it_is(self):
        said = {line["role"] for line in logged() if line["message"] == "rules are in force"}
        cores = min(len(os.sched_getaffinity(0)), 16)
        self.assertEqual(said, {"gateway"} | {f"gateway.{i}" for i in range(1, cores)})

    def test_a_flag_stands_above_the_file(self):
        with tempfile.TemporaryDirectory() as folder:
            with subprocess.Popen([GATEHOUSE, "up", "--config", str(HOUSE.config), "--data", folder,
                                   "--log", "text"], stderr=subprocess.PIPE, text=True) as house:
                first = house.stderr.readline()
                house.send_signal(signal.SIGINT)
                house.stderr.read()
        self.assertRegex(first, r"^\S+Z info +supervisor +the house starts ")
        self.assertEqual(gatehouse("up", "--log", "xml").returncode, 64)

    def test_no_key_is_in_it(self):
        HOUSE.run("/bin/sh", "-c", f"curl -sS 'http://openai.gatehouse/v1/models?key={KEY}'")
        self.assertNotIn(KEY, HOUSE.log.read_text())


if __name__ == "__main__":
    main()
