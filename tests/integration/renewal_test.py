#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Certificates and settings are read again while the house works: what is good is in force for who
comes next, what is bad is refused whole, and nobody who is there is dropped."""
import contextlib
import http.client
import json
import socket
import ssl
import subprocess
import threading
import time
import unittest

from busy_house import CONFIG, BusyHouse
from house import main

RENEWALS = 10
EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
ADMIN = 'admin: {{listen: "127.0.0.1:{admin}", tls_certificate: admin.pem, tls_key: admin.key}}\n'


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def certify(name, *words, key=EC):
    """A certificate of that name and its key, in one file each."""
    subprocess.run(["openssl", "req", "-x509", *key, "-nodes", "-subj", f"/CN={name}", "-addext",
                    "subjectAltName=IP:127.0.0.1", "-keyout", f"{name}.key", "-out", f"{name}.pem",
                    *(words or ("-days", "1"))], check=True, capture_output=True, cwd=HOUSE.folder)
    return HOUSE.folder / f"{name}.pem", HOUSE.folder / f"{name}.key"


def put(certificate, key):
    (HOUSE.folder / "admin.pem").write_bytes(certificate.read_bytes())
    (HOUSE.folder / "admin.key").touch(mode=0o600)
    (HOUSE.folder / "admin.key").write_bytes(key.read_bytes())


def written(text):
    HOUSE.config.write_text(text.format(data=HOUSE.data, port=HOUSE.server.server_port,
                                        admin=PORT))


def setUpModule():
    global HOUSE, PORT
    HOUSE = BusyHouse()
    PORT = free_port()
    put(*certify("first"))
    written(CONFIG + ADMIN)
    HOUSE.begin()


def tearDownModule():
    HOUSE.down()
    HOUSE.remove()


class Person:
    """One connection to the admin port, with what it was shown."""

    def __init__(self, port=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.connection = http.client.HTTPSConnection("127.0.0.1", port or PORT, context=context,
                                                      timeout=20)
        self.connection.connect()
        self.shown = self.connection.sock.getpeercert(binary_form=True)

    def ask(self):
        self.connection.request("GET", "/v1/tenants")
        answer = self.connection.getresponse()
        answer.read()
        return answer.status

    def close(self):
        self.connection.close()


def shown(port=None):
    with contextlib.closing(Person(port)) as person:
        return person.shown


def der(certificate):
    return ssl.PEM_cert_to_DER_cert(certificate.read_text())


def asked(port, path="/healthz"):
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as person:
        person.request("GET", path)
        return person.getresponse().status


def metrics_at(port):
    return f'metrics: {{{{listen: "127.0.0.1:{port}"}}}}\n'


class Reloading(unittest.TestCase):
    def reloaded(self):
        done = HOUSE.ask("reload", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        return [(c["change"], c["what"]) for c in json.loads(done.stdout)["changes"]]

    def is_closed(self, port):
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 20).close()
            except ConnectionRefusedError:
                return
            self.assertLess(time.monotonic(), deadline, "nobody listens there any more")
            time.sleep(0.02)


class Ports(Reloading):
    def setUp(self):
        written(CONFIG)
        self.reloaded()

    def test_they_open_move_and_close_while_the_house_works(self):
        first, second = free_port(), free_port()
        written(CONFIG + ADMIN + metrics_at(first))
        self.assertEqual(sorted(self.reloaded()), [
            ("changed", "admin.listen"), ("changed", "admin.tls_certificate"),
            ("changed", "metrics.listen")])
        self.assertEqual(asked(first), 200)
        with contextlib.closing(Person()) as person:
            self.assertEqual(person.ask(), 401)
            written(CONFIG + ADMIN.replace("{admin}", str(second)) + metrics_at(first))
            self.assertEqual(self.reloaded(), [("changed", "admin.listen")])
            self.is_closed(PORT)
            self.assertEqual(person.ask(), 401, "who is there stays")
        self.assertTrue(shown(second))
        HOUSE.kill("control")
        self.assertTrue(shown(second), "the next control is given what is in force")
        self.assertEqual(asked(first), 200)
        written(CONFIG)
        self.assertEqual(sorted(self.reloaded()), [
            ("changed", "admin.listen"), ("changed", "admin.tls_certificate"),
            ("changed", "metrics.listen")])
        self.is_closed(first)
        self.is_closed(second)

    def test_moved_under_load_drops_nobody(self):
        now = [free_port()]
        written(CONFIG + metrics_at(now[0]))
        self.reloaded()
        enough = threading.Event()
        statuses, faults = [], []

        def load():
            while not enough.is_set():
                try:
                    statuses.append(asked(now[0]))
                except ConnectionRefusedError:
                    pass  # on its way to the one before for too long; nobody had let it in
                except OSError as error:
                    faults.append(repr(error))

        crowd = [threading.Thread(target=load) for _ in range(4)]
        for each in crowd:
            each.start()
        for _ in range(RENEWALS):
            fresh = free_port()
            written(CONFIG + metrics_at(fresh))
            self.assertEqual(self.reloaded(), [("changed", "metrics.listen")])
            self.assertEqual(asked(fresh), 200)
            now[0] = fresh
        enough.set()
        for each in crowd:
            each.join(30)
        self.assertEqual(faults, [])
        self.assertGreater(len(statuses), RENEWALS)
        self.assertEqual(set(statuses), {200})

    def test_one_that_cannot_be_listened_at_refuses_the_file_whole(self):
        port = free_port()
        written(CONFIG + metrics_at(port))
        self.reloaded()
        users = CONFIG.replace("{{name: alice}}", "{{name: alice}}, {{name: extra}}")
        with socket.create_server(("127.0.0.1", 0)) as other:
            taken = other.getsockname()[1]
            written(users + metrics_at(taken) + ADMIN)
            done = HOUSE.ask("reload")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("metrics.listen", done.stderr)
        self.assertIn(f"another program listens at 127.0.0.1:{taken}", done.stderr)
        self.assertEqual(asked(port), 200, "the one before stays")
        self.is_closed(PORT)
        known = json.loads(HOUSE.ask("objects", "user", "--json").stdout)
        self.assertEqual([user["name"] for user in known], ["alice"], "all of it is refused")


class Certificate(Reloading):
    def setUp(self):
        self.good = certify("good")
        put(*self.good)
        written(CONFIG + ADMIN)
        self.reloaded()
        self.assertEqual(shown(), der(self.good[0]))

    def test_renewed_under_load_drops_nobody(self):
        pairs = [certify("even"), certify("odd")]
        enough = threading.Event()
        statuses, faults = [], []

        def load(stays):
            person = Person() if stays else None
            while not enough.is_set():
                try:
                    one = person or Person()
                    statuses.append(one.ask())
                    if not stays:
                        one.close()
                except OSError as error:
                    faults.append(repr(error))
            if person:
                person.close()

        old = Person()
        self.addCleanup(old.close)
        crowd = [threading.Thread(target=load, args=(i % 2 == 0,)) for i in range(4)]
        for each in crowd:
            each.start()
        for i in range(RENEWALS):
            put(*pairs[i % 2])
            self.assertEqual(self.reloaded(), [("changed", "admin.tls_certificate")])
            self.assertEqual(shown(), der(pairs[i % 2][0]))
        enough.set()
        for each in crowd:
            each.join(30)
        self.assertEqual(faults, [])
        self.assertGreater(len(statuses), RENEWALS)
        self.assertEqual(set(statuses), {401})
        self.assertEqual(old.ask(), 401, "who was there keeps what they came by")
        self.assertEqual(old.shown, der(self.good[0]))

    def test_a_bad_pair_is_refused_whole_and_the_one_before_stays(self):
        other = certify("other")
        rsa = certify("rsa", key=["-newkey", "rsa:2048"])
        over = certify("over", "-not_before", "20200101000000Z", "-not_after", "20200102000000Z") \
            if self.openssl_sets_times() else self.over()
        empty = HOUSE.folder / "empty.pem"
        empty.write_text("")
        users = CONFIG.replace("{{name: alice}}", "{{name: alice}}, {{name: extra}}")
        for what, pair, why in (("a key of another", (self.good[0], other[1]), "fit its"),
                                ("a key of another kind", (self.good[0], rsa[1]), "fit its"),
                                ("one that is over", over, "ended at 2020-01-02"),
                                ("no certificate", (empty, self.good[1]), "does not parse"),
                                ("no key", (self.good[0], empty), "does not parse")):
            with self.subTest(what):
                put(*pair)
                self.is_refused(users + ADMIN, why)
        put(*self.good)
        (HOUSE.folder / "admin.key").chmod(0o644)
        self.is_refused(users + ADMIN, "may be read by everyone")
        (HOUSE.folder / "admin.key").unlink()
        self.is_refused(users + ADMIN, "admin.key")
        self.assertNotIn("PRIVATE KEY", HOUSE.log.read_text())

    def is_refused(self, config, why):
        written(config)
        done = HOUSE.ask("reload")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(why, done.stderr)
        self.assertIn("admin.", done.stderr, "it names the file")
        self.assertEqual(shown(), der(self.good[0]))
        users = json.loads(HOUSE.ask("objects", "user", "--json").stdout)
        self.assertEqual([user["name"] for user in users], ["alice"], "all of it is refused")
        self.assertIn(why, HOUSE.log.read_text())

    @staticmethod
    def openssl_sets_times():
        text = subprocess.run(["openssl", "req", "-help"], capture_output=True, text=True)
        return "-not_after" in text.stderr + text.stdout

    @staticmethod
    def over():
        """OpenSSL 3.0's `req` knows no such time; its `ca` does."""
        folder = HOUSE.folder
        (folder / "ca.conf").write_text(
            "[ca]\ndefault_ca = c\n[c]\ndatabase = index\nserial = serial\nnew_certs_dir = .\n"
            "default_md = sha256\npolicy = p\nrand_serial = yes\n[p]\ncommonName = supplied\n")
        (folder / "index").write_text("")
        subprocess.run(["openssl", "req", "-new", *EC, "-nodes", "-subj", "/CN=over", "-keyout",
                        "over.key", "-out", "over.csr"], check=True, capture_output=True,
                       cwd=folder)
        subprocess.run(["openssl", "ca", "-batch", "-selfsign", "-config", "ca.conf", "-in",
                        "over.csr", "-keyfile", "over.key", "-startdate", "20200101000000Z",
                        "-enddate", "20200102000000Z", "-notext", "-out", "over.pem"], check=True,
                       capture_output=True, cwd=folder)
        return folder / "over.pem", folder / "over.key"

    def test_what_is_of_the_start_alone_is_named_key_by_key(self):
        written(CONFIG + ADMIN + f'attach: {{{{listen: "127.0.0.1:{free_port()}", '
                'tls_certificate: admin.pem, tls_key: admin.key, token_seconds: 60}}\n')
        changes = self.reloaded()
        for key in ("attach.listen", "attach.token_seconds"):
            self.assertIn(("at the next start", key), changes)
        self.assertEqual(shown(), der(self.good[0]))

    def test_tls_comes_and_goes(self):
        old = Person()
        self.addCleanup(old.close)
        written(CONFIG + 'admin: {{listen: "127.0.0.1:{admin}"}}\n')
        self.assertEqual(self.reloaded(), [("changed", "admin.tls_certificate")])
        self.assertEqual(asked(PORT, "/v1/tenants"), 401, "in the clear, at loopback")
        self.assertEqual(old.ask(), 401, "who was there keeps what they came by")
        written(CONFIG + ADMIN)
        self.assertEqual(self.reloaded(), [("changed", "admin.tls_certificate")])
        self.assertEqual(shown(), der(self.good[0]))
        self.assertEqual(old.ask(), 401)

    def test_control_that_comes_again_has_the_new_pair(self):
        later = certify("later")
        put(*later)
        self.reloaded()
        HOUSE.kill("control")
        self.assertEqual(shown(), der(later[0]))


class Log(unittest.TestCase):
    def setUp(self):
        put(*certify("log"))
        written(CONFIG + ADMIN)
        self.assertEqual(HOUSE.ask("reload").returncode, 0)

    def lines_of(self, begin, role):
        return [line for line in HOUSE.log.read_text()[begin:].splitlines() if role in line]

    def test_takes_another_form_in_every_role(self):
        for form, change in (("json", '{"time"'), ("text", "20")):
            written(CONFIG + ADMIN + f"log: {{{{format: {form}}}}}\n")
            done = HOUSE.ask("reload", "--json")
            changes = [(c["change"], c["what"]) for c in json.loads(done.stdout)["changes"]]
            self.assertIn(("changed", "log.format"), changes)
            begin = len(HOUSE.log.read_text())
            written(CONFIG.replace("{{name: alice}}", "{{name: alice}}, {{name: %s}}" % form)
                    + ADMIN + f"log: {{{{format: {form}}}}}\n")
            self.assertEqual(HOUSE.ask("reload").returncode, 0)
            for role in ("gateway", "supervisor"):
                lines = self.lines_of(begin, role)
                self.assertTrue(lines, role)
                for line in lines:
                    self.assertTrue(line.startswith(change), line)
            HOUSE.kill("courier")
            lines = self.lines_of(begin, "courier")
            self.assertTrue(all(line.startswith(change) for line in lines), lines)

    def test_what_the_command_said_stays(self):
        HOUSE.down()
        with open(HOUSE.log, "ab") as log:
            HOUSE.process = subprocess.Popen(
                [HOUSE.executable, "up", "--log", "text", "--config", str(HOUSE.config)],
                stdout=log, stderr=log)
        HOUSE.wait_until_ready()
        written(CONFIG + ADMIN + "log: {{format: json}}\n")
        done = HOUSE.ask("reload", "--json")
        self.assertNotIn("log.format", done.stdout)
        self.assertNotIn("log", [c["what"] for c in json.loads(done.stdout)["changes"]])


if __name__ == "__main__":
    main()
