#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A receiver of OTLP that is not ours, Genkit's telemetry server, takes the spans of a house and
gives them back as it has read them."""
import json
import sys
import time
import unittest
import urllib.error
import urllib.request
from pathlib import Path

import exporting_test as exporting
from house import main

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "demo"))
from story import world as worlds  # noqa: E402

setUpModule = exporting.setUpModule
tearDownModule = exporting.tearDownModule


class Receiver(unittest.TestCase):
    def setUp(self):
        (exporting.HOUSE.folder / "receiver").mkdir()
        self.world = worlds.World(exporting.HOUSE.folder / "receiver")
        url = self.world.start("collector", [
            str(worlds.NODE), str(worlds.FIXTURES / "receiver/collector.mjs"), "--folder",
            str(exporting.HOUSE.folder / "receiver" / "traces")])["url"]
        self.url = url
        self.before = exporting.HOUSE.config.read_text()
        exporting.HOUSE.config.write_text(self.before.replace(
            f"http://127.0.0.1:{exporting.SERVERS[0].server_port}\n",
            f"{url}/api/otlp/v1/traces\n"))
        self.assertEqual(exporting.HOUSE.ask("reload").returncode, 0)

    def tearDown(self):
        exporting.HOUSE.config.write_text(self.before)
        exporting.HOUSE.ask("reload")
        self.world.stop()

    def test_a_receiver_that_is_not_ours_reads_what_was_meant(self):
        exporting.HOUSE.run("/bin/sh", "-c", "; ".join(
            (exporting.CHAT, exporting.TOOL, exporting.REFUSED)))
        run = exporting.HOUSE.last_run()

        def stored():
            try:
                with urllib.request.urlopen(f"{self.url}/api/traces/{run['trace']}") as answer:
                    spans = json.load(answer)["spans"]
            except (urllib.error.HTTPError, ValueError):
                return None  # nothing has come yet
            return {span["displayName"]: span for span in spans.values()} \
                if len(spans) == 4 else None
        spans = exporting.wait_for(stored)
        self.assertEqual(sorted(spans), ["GET", "chat gpt-test", "invoke_agent shell",
                                         "tools/call echo"])
        root = spans["invoke_agent shell"]
        self.assertEqual(root["spanKind"], "INTERNAL")
        chat = spans["chat gpt-test"]
        self.assertEqual((chat["parentSpanId"], chat["spanKind"], chat["traceId"]),
                         (root["spanId"], "CLIENT", run["trace"]))
        self.assertEqual(chat["attributes"]["gen_ai.request.model"], "gpt-test")
        self.assertEqual(int(chat["attributes"]["gen_ai.usage.input_tokens"]), 7)
        self.assertEqual(chat["instrumentationLibrary"]["name"], "gatehouse")
        self.assertLessEqual(chat["startTime"], chat["endTime"])
        self.assertLess(abs(chat["endTime"] / 1000 - time.time()), 600)
        self.assertEqual(spans["tools/call echo"]["status"]["code"], 2)


if __name__ == "__main__":
    if not (worlds.FIXTURES / "receiver/node_modules/@genkit-ai/telemetry-server").exists():
        print("skipped: npm's packages are not there; demo/setup-npm.sh brings them")
        sys.exit(77)
    main()
