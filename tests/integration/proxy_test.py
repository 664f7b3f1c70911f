#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A house behind a corporate proxy: CONNECT with credentials, TLS that the proxy opens with its own
CA, hosts that need no proxy, IPv6. In a network of the test's own, in which it owns the addresses
of every upstream, so that what goes around the proxy would arrive and be seen."""
import base64
import contextlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

import corridor_house
import house
from corridor_house import METADATA, PRIVATE, PUBLIC, Server, Upstream

V6 = "2606:4700::1111"
CREDENTIALS = "gatehouse:canary-of-the-proxy"
NAMES = f"""127.0.0.1 localhost
127.0.0.1 proxy.corp.test
{PUBLIC} public.test
{V6} six.test
{PRIVATE} near.test
{METADATA} metadata.test
"""

CONFIG = """version: 1
data: {data}
extra_ca: {ca}
upstream_proxy:
  url: http://proxy.corp.test:{port}
  credentials_file: {credentials}
  resolve: {resolve}
  no_proxy: [near.test]
users: [{{name: alice}}]
services:
  - {{name: web, kind: http, url: "http://web.gatehouse", upstream: "https://public.test"}}
  - {{name: six, kind: http, url: "http://six.gatehouse", upstream: "https://six.test"}}
  - {{name: near, kind: http, url: "http://near.gatehouse", upstream: "http://near.test:8080",
     allow_private: true}}
  - {{name: other, kind: http, url: "http://other.gatehouse", upstream: "http://near.test:8081"}}
  - {{name: metadata, kind: http, url: "http://metadata.gatehouse",
     upstream: "http://metadata.test", allow_private: true}}
agents:
  - name: shell
    command: [/bin/sh]
    toolbox: [/usr]
    rules:
      - {{id: web, service: web}}
      - {{id: six, service: six}}
      - {{id: near, service: near}}
      - {{id: other, service: other}}
      - {{id: metadata, service: metadata}}
"""


class Proxy:
    """What large companies run: it wants to know who asks, opens TLS with certificates of its own
    CA, and hands the plain text on to whoever the name in the handshake is."""

    def __init__(self, folder, credentials=CREDENTIALS):
        self.folder = folder
        self.credentials = credentials
        self.asked = []  # (place, credentials)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.upstream = Server()
        if not (folder / "ca.pem").exists():
            self.make_certificates()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(folder / "leaf.pem", folder / "leaf.key")
        threading.Thread(target=self.accept, daemon=True).start()

    def make_certificates(self):
        def openssl(*words):
            subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True)
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2",
                "-subj", "/CN=corporate CA")
        openssl("req", *key, "-keyout", "leaf.key", "-out", "leaf.csr", "-subj", "/CN=leaf")
        (self.folder / "names").write_text("subjectAltName=DNS:public.test,DNS:six.test\n")
        openssl("x509", "-req", "-in", "leaf.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days",
                "2", "-extfile", "names", "-out", "leaf.pem")

    def accept(self):
        while True:
            sock, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        with sock, contextlib.suppress(OSError):
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                piece = sock.recv(1)
                if not piece:
                    return
                head += piece
            lines = head.decode().split("\r\n")
            fields = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
            given = [line.split(": ", 1)[1] for line in lines
                     if line.lower().startswith("proxy-authorization: ")]
            method, place, _ = lines[0].split(" ")
            self.asked.append((place, given))
            wanted = "Basic " + base64.b64encode(self.credentials.encode()).decode()
            if method != "CONNECT" or fields["host"] != place:
                sock.sendall(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
            elif given != [wanted]:
                sock.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n"
                             b"proxy-authenticate: Basic realm=x\r\ncontent-length: 0\r\n\r\n")
            else:
                sock.sendall(b"HTTP/1.1 200 Connection established\r\nvia: 1.1 corp\r\n\r\n")
                self.open_up(self.context.wrap_socket(sock, server_side=True))

    def open_up(self, inside):
        address = ("127.0.0.1", self.upstream.server_port)
        with inside, socket.create_connection(address) as onward:
            threading.Thread(target=self.copy, args=(onward, inside), daemon=True).start()
            self.copy(inside, onward)

    @staticmethod
    def copy(source, target):
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)


class BehindAProxy(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="gatehouse-proxy-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.proxy = Proxy(cls.folder)
        cls.around = [Server(*place) for place in
                      ((PUBLIC, 80), (METADATA, 80), (PRIVATE, 8080), (PRIVATE, 8081))]
        cls.house = house.House()
        cls.addClassCleanup(cls.house.remove)
        cls.start("here", CREDENTIALS)
        cls.addClassCleanup(lambda: cls.house.down())

    @classmethod
    def start(cls, resolve, credentials):
        file = cls.folder / "credentials"
        file.write_text(credentials + "\n")
        file.chmod(0o600)
        cls.house.config.write_text(CONFIG.format(
            data=cls.house.data, ca=cls.folder / "ca.pem", port=cls.proxy.port, resolve=resolve,
            credentials=file))
        cls.house.up()

    def restart(self, resolve="here", credentials=CREDENTIALS):
        self.house.down()
        self.start(resolve, credentials)

    def setUp(self):
        self.proxy.asked.clear()
        Upstream.seen.clear()

    def fetch(self, url, *options):
        """Status and body of what an agent gets."""
        done = self.house.run("curl", "-sS", "-m", "20", "-w", "\\n%{http_code}", *options, url)
        self.assertEqual(done.returncode, 0, done.stderr)
        body, _, status = done.stdout.rstrip().rpartition("\n")
        return int(status), body

    def places(self):
        return [place for place, _ in self.proxy.asked]

    def test_1_an_upstream_is_reached_through_the_proxy_at_the_address_that_was_checked(self):
        status, body = self.fetch("http://web.gatehouse/through")
        self.assertEqual((status, body), (200, '{"ok":true}'))
        self.assertEqual(self.places(), [f"{PUBLIC}:443"])
        method, path, headers, _ = Upstream.seen[0]
        self.assertEqual((method, path, headers["host"]), ("GET", "/through", "public.test"))
        self.assertNotIn("proxy-authorization", headers)

    def test_2_an_upstream_of_ipv6_is_reached_from_an_agent_that_speaks_nothing_else(self):
        # Captured at the Door's IPv6 side: the agent asks for the name's AAAA and dials it.
        status, body = self.fetch("http://six.gatehouse/six", "-6", "--noproxy", "*")
        self.assertEqual((status, body), (200, '{"ok":true}'))
        self.assertEqual(self.places(), [f"[{V6}]:443"])

    def test_3_what_is_named_goes_around_the_proxy(self):
        status, _ = self.fetch("http://near.gatehouse/near")
        self.assertEqual((status, self.places()), (200, []))
        self.assertEqual(Upstream.seen[0][1], "/near")

    def test_4_addresses_are_checked_with_a_proxy_too(self):
        for service in ("other", "metadata"):
            status, body = self.fetch(f"http://{service}.gatehouse/")
            self.assertEqual(status, 403, body)
            self.assertIn("private-address", body)
        self.assertEqual((self.places(), Upstream.seen), ([], []))

    def test_5_a_proxy_that_refuses_is_told_with_what_to_do(self):
        self.restart(credentials="gatehouse:canary-of-another")
        status, body = self.fetch("http://web.gatehouse/through")
        self.assertEqual(status, 502, body)
        self.assertIn("credentials_file", body)
        self.assertEqual(Upstream.seen, [])
        for secret in (CREDENTIALS, "gatehouse:canary-of-another"):
            self.assertEqual(house.files_with(self.house.data, secret), [])
            self.assertNotIn(secret, self.house.log.read_text())
            encoded = base64.b64encode(secret.encode()).decode()
            self.assertNotIn(encoded, self.house.log.read_text() + body)

    def test_6_names_go_to_a_proxy_that_resolves(self):
        self.restart(resolve="proxy")
        status, body = self.fetch("http://web.gatehouse/by-name")
        self.assertEqual((status, body), (200, '{"ok":true}'))
        self.assertEqual(self.places(), ["public.test:443"])

    def test_7_a_secret_that_everyone_may_read_is_refused_at_the_start(self):
        self.house.down()
        (self.folder / "credentials").chmod(0o644)
        done = self.house.ask("up")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("chmod 600", done.stderr)
        self.start("here", CREDENTIALS)
        # And what the proxy's certificates rest on is the house's own anchor alone.
        self.house.down()
        text = self.house.config.read_text()
        self.house.config.write_text("".join(
            line for line in text.splitlines(True) if not line.startswith("extra_ca")))
        self.house.up()
        status, body = self.fetch("http://web.gatehouse/untrusted")
        self.assertEqual((status, Upstream.seen), (502, []), body)
        self.assertIn("certificate", body)

    def test_8_another_proxy_another_anchor_while_agents_work(self):
        self.restart()
        credentials = "gatehouse:canary-of-the-next"
        second = Proxy(self.folder, credentials)
        load = self.house.start(
            "/bin/sh", "-c", "while [ ! -e stop ]; do curl -sS -o /dev/null -w '%{http_code}\\n' "
            "http://web.gatehouse/load; done & read line; touch stop; wait; rm stop",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        load.stderr.readline()
        text = self.house.config.read_text()
        mine = f"http://proxy.corp.test:{self.proxy.port}"
        for proxy in (second, self.proxy, second):
            (self.folder / "credentials").write_text(proxy.credentials + "\n")
            self.house.config.write_text(
                text.replace(mine, f"http://proxy.corp.test:{proxy.port}"))
            proxy.asked.clear()
            self.assertEqual(self.reloaded(), ["upstream_proxy"])
            self.assertEqual(self.fetch("http://web.gatehouse/next")[0], 200)
            self.assertNotEqual(proxy.asked, [])
            self.assertEqual(self.reloaded(), [], "nothing is another")
        said, errors = load.communicate("enough\n", timeout=30)
        self.assertEqual(set(said.split()), {"200"}, errors)
        for proxy in (second, self.proxy):
            wanted = "Basic " + base64.b64encode(proxy.credentials.encode()).decode()
            self.assertEqual({given for _, all in proxy.asked for given in all}, {wanted},
                             "each has seen its own credentials alone")
        text = self.house.config.read_text()
        self.house.config.write_text("".join(
            line for line in text.splitlines(True) if not line.startswith("extra_ca")))
        self.assertEqual(self.reloaded(), ["extra_ca"])
        self.assertEqual(self.fetch("http://web.gatehouse/untrusted")[0], 502)
        self.house.config.write_text(text)
        (self.folder / "credentials").chmod(0o644)
        refused = self.house.ask("reload")
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("chmod 600", refused.stderr)
        self.assertEqual(self.fetch("http://web.gatehouse/untrusted")[0], 502, "nothing of it")
        (self.folder / "credentials").chmod(0o600)
        self.assertEqual(self.reloaded(), ["extra_ca"])
        self.assertEqual(self.fetch("http://web.gatehouse/trusted")[0], 200)
        self.assertEqual(house.files_with(self.house.data, credentials), [])

    def reloaded(self):
        done = self.house.ask("reload", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        return [change["what"] for change in json.loads(done.stdout)["changes"]]


if __name__ == "__main__":
    if os.geteuid() != 0:
        house.main()
    corridor_house.HOSTS = NAMES
    corridor_house.live_in_own_network()
    subprocess.run(["ip", "-6", "address", "add", V6 + "/128", "dev", "lo", "nodad"], check=True)
    house.main()
