#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who the gateways are to upstreams, and upstreams to them, in a house as a person makes one:
client certificates, renewed in place, and SPIFFE IDs in the place of host names."""
import http.server
import json
import shutil
import ssl
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

import house

CONFIG = """version: 1
data: {data}
users: [{{name: alice}}]
services:
  - {{name: mutual, kind: http, url: "http://mutual.gatehouse",
     upstream: "https://127.0.0.1:{port}", allow_private: true, upstream_ca: {pems}/host.ca,
     client_certificate: {{certificate: {pems}/client.crt, key: {pems}/client.key}}}}
  - {{name: nobody, kind: http, url: "http://nobody.gatehouse",
     upstream: "https://127.0.0.1:{port}", allow_private: true, upstream_ca: {pems}/host.ca}}
  - {{name: workload, kind: http, url: "http://workload.gatehouse",
     upstream: "https://127.0.0.1:{workload}", allow_private: true, upstream_ca: {pems}/td.ca,
     spiffe_id: "spiffe://td.test/web"}}
  - {{name: domain, kind: http, url: "http://domain.gatehouse",
     upstream: "https://127.0.0.1:{workload}", allow_private: true, upstream_ca: {pems}/td.ca,
     spiffe_id: "spiffe://td.test"}}
  - {{name: impostor, kind: http, url: "http://impostor.gatehouse",
     upstream: "https://127.0.0.1:{workload}", allow_private: true, upstream_ca: {pems}/td.ca,
     spiffe_id: "spiffe://td.test/other"}}
  - {{name: byhost, kind: http, url: "http://byhost.gatehouse",
     upstream: "https://127.0.0.1:{workload}", allow_private: true, upstream_ca: {pems}/td.ca}}
agents:
  - name: shell
    command: [/bin/sh]
    toolbox: [/usr]
    rules:
      - {{id: mutual, service: mutual}}
      - {{id: nobody, service: nobody}}
      - {{id: workload, service: workload}}
      - {{id: domain, service: domain}}
      - {{id: impostor, service: impostor}}
      - {{id: byhost, service: byhost}}
"""


class Pems:
    """Authorities and what they sign, as files of a folder."""

    KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="gatehouse-pems-"))
        self.folder.chmod(0o755)

    def openssl(self, *words):
        subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True)

    def authority(self, name):
        self.openssl("req", "-x509", *self.KEY, "-keyout", name + ".cakey", "-out", name + ".ca",
                     "-days", "2", "-subj", "/CN=" + name)

    def leaf(self, name, by, subject, names):
        self.openssl("req", *self.KEY, "-keyout", name + ".key", "-out", name + ".csr", "-subj",
                     "/CN=" + subject)
        (self.folder / "extensions").write_text(
            "subjectAltName=%s\nbasicConstraints=critical,CA:FALSE\n"
            "keyUsage=critical,digitalSignature\n" % names)
        self.openssl("x509", "-req", "-in", name + ".csr", "-CA", by + ".ca", "-CAkey",
                     by + ".cakey", "-CAcreateserial", "-days", "2", "-extfile", "extensions",
                     "-out", name + ".crt")

    def of(self, name):
        return str(self.folder / name)


class Whoever(http.server.BaseHTTPRequestHandler):
    """Says who asks."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        shown = self.connection.getpeercert() or {}
        subject = dict(pair for part in shown.get("subject", ()) for pair in part)
        body = json.dumps({"who": subject.get("commonName", "")}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(http.server.ThreadingHTTPServer):
    def __init__(self, pems, name, clients=None):
        super().__init__(("127.0.0.1", 0), Whoever)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pems.of(name + ".crt"), pems.of(name + ".key"))
        if clients:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(pems.of(clients + ".ca"))
        self.socket = context.wrap_socket(self.socket, server_side=True)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        pass


class UpstreamIdentity(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.pems = Pems()
        cls.addClassCleanup(shutil.rmtree, cls.pems.folder)
        for name in ("host", "clients", "td"):
            cls.pems.authority(name)
        cls.pems.leaf("server", "host", "server", "IP:127.0.0.1")
        cls.pems.leaf("workload", "td", "workload", "URI:spiffe://td.test/web")
        cls.pems.leaf("client", "clients", "first", "DNS:gatehouse.test")
        (cls.pems.folder / "client.key").chmod(0o600)
        mutual = Server(cls.pems, "server", "clients")
        workload = Server(cls.pems, "workload")
        for server in (mutual, workload):
            cls.addClassCleanup(server.server_close)
            cls.addClassCleanup(server.shutdown)
        cls.house = house.House()
        cls.addClassCleanup(cls.house.remove)
        cls.house.config.write_text(CONFIG.format(
            data=cls.house.data, pems=cls.pems.folder, port=mutual.server_port,
            workload=workload.server_port))
        cls.house.up()
        cls.addClassCleanup(lambda: cls.house.down())

    def fetch(self, *services):
        """Status and body of what an agent gets of each."""
        script = ("for s in %s; do echo $(curl -sS -m 20 -w ' %%{http_code}' "
                  "http://$s.gatehouse/); done")
        done = self.house.run("/bin/sh", "-c", script % " ".join(services))
        self.assertEqual(done.returncode, 0, done.stderr)
        answers = [line.rpartition(" ") for line in done.stdout.splitlines()]
        return [(int(status), body) for body, _, status in answers]

    def test_1_the_gateways_say_who_they_are_where_a_service_says_so(self):
        (status, body), (refused, why) = self.fetch("mutual", "nobody")
        self.assertEqual((status, json.loads(body)), (200, {"who": "first"}))
        # Whether its word is heard, or what is sent meanwhile fails, is a matter of time.
        self.assertRegex(why, "wants a client certificate|the peer is gone|the stream was cut")
        self.assertIn(refused, (499, 502), why)

    def test_2_a_pair_that_is_renewed_in_place_is_in_force_with_a_reload(self):
        self.pems.leaf("client", "clients", "second", "DNS:gatehouse.test")
        done = self.house.ask("reload", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("client_certificate", str(json.loads(done.stdout)["changes"]))
        self.assertEqual(json.loads(self.fetch("mutual")[0][1]), {"who": "second"})

    def test_3_a_pair_that_does_not_fit_is_a_bad_file_and_the_one_before_stays(self):
        key = (self.pems.folder / "client.key").read_text()
        self.addCleanup((self.pems.folder / "client.key").write_text, key)
        (self.pems.folder / "client.key").write_text(
            (self.pems.folder / "server.key").read_text())
        done = self.house.ask("reload")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("client certificate of service mutual", done.stderr)
        self.assertEqual(json.loads(self.fetch("mutual")[0][1]), {"who": "second"})

    def test_4_the_key_is_in_no_file_of_the_house(self):
        key = "".join((self.pems.folder / "client.key").read_text().splitlines()[1:-1])[:60]
        self.assertEqual(self.house.files_with(key), [])

    def test_5_an_upstream_is_known_by_its_spiffe_id_in_the_place_of_its_host(self):
        answers = self.fetch("workload", "domain", "impostor", "byhost")
        self.assertEqual([status for status, _ in answers], [200, 200, 502, 502])
        self.assertIn("spiffe://td.test/web and not of spiffe://td.test/other", answers[2][1])


if __name__ == "__main__":
    house.main()
