# SPDX-License-Identifier: Apache-2.0
"""Debian's Prometheus, scraping a house."""
import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Prometheus:
    def __init__(self, scraped_port):
        self.folder = Path(tempfile.mkdtemp(prefix="gatehouse-prometheus-"))
        (self.folder / "prometheus.yml").write_text(
            "scrape_configs: [{job_name: house, scrape_interval: 500ms, scrape_timeout: 500ms, "
            f"static_configs: [{{targets: ['127.0.0.1:{scraped_port}']}}]}}]\n")
        self.port = free_port()
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen(
                ["prometheus", f"--config.file={self.folder}/prometheus.yml",
                 f"--storage.tsdb.path={self.folder}/data",
                 f"--web.listen-address=127.0.0.1:{self.port}"], stdout=log, stderr=log)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(20)
        shutil.rmtree(self.folder)

    def ask(self, query):
        """What a query gives now; nothing while it starts."""
        url = f"http://127.0.0.1:{self.port}/api/v1/query?" + urllib.parse.urlencode(
            {"query": query})
        try:
            with urllib.request.urlopen(url, timeout=20) as answer:
                return json.load(answer)["data"]["result"]
        except (urllib.error.URLError, ConnectionError):
            return []

    def wait_for(self, query):
        for _ in range(400):
            if found := self.ask(query):
                return found
            time.sleep(0.05)
        raise AssertionError(f"{query}: {(self.folder / 'log').read_text()}")
