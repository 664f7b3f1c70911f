#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Hosts that are no services: the plain forward proxy, opaque tunnels, and connections that are
captured on their way. In network and mount namespaces of the test's own, in which it owns public,
private and metadata addresses, so that a leak would be seen."""
import os
import signal
import socket
import ssl
import struct
import time
import unittest

from corridor_house import (KEY, METADATA, PRIVATE, PUBLIC, TRACE, HouseTest, Server, Upstream,
                            connect_bytes, drain, live_in_own_network, read_response,
                            request_bytes)


def client_hello(name):
    """The first flight of a TLS client that asks for that name."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname=name)
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


class Forwarded(HouseTest):
    """By a rule's `hosts`: public addresses only, at ports 80 and 443."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for address, port in [(PUBLIC, 80), (PUBLIC, 443), (PUBLIC, 8080), (PRIVATE, 80),
                              (PRIVATE, 443), (METADATA, 80), (METADATA, 443), ("127.0.0.1", 80)]:
            cls.addClassCleanup(Server(address, port).stop)

    def test_a_plain_request_passes_to_a_host_that_a_rule_names(self):
        status, headers, body = self.house.request("GET", "http://public.test/plain?a=b", b"",
                                                   [("authorization", "Bearer the-agents-own")])
        self.assertEqual((status, body), (200, b'{"ok":true}'))
        self.assertEqual(headers["x-gatehouse-trace"], TRACE)
        method, path, sent, _ = Upstream.seen[0]
        self.assertEqual((method, path, sent["host"]), ("GET", "/plain?a=b", "public.test"))
        self.assertEqual(sent["authorization"], "Bearer the-agents-own")
        intent, settled = self.house.exchange(path="/plain")
        self.assertEqual((intent["tags"]["rule"], intent["tags"]["host"]), ("hosts", "public.test"))
        self.assertEqual(settled["tags"]["state"], "done")

    def test_a_tunnel_passes_unseen_and_is_recorded_as_such(self):
        with self.house.connect() as sock:
            sock.sendall(connect_bytes("public.test:443"))
            stream = sock.makefile("rb")
            self.assertEqual(read_response(stream, head_only=True)[0], 200)
            sock.sendall(b"GET /through HTTP/1.1\r\nhost: anything\r\nconnection: close\r\n\r\n")
            status, headers, body = read_response(stream)
            self.assertEqual((status, body), (200, b'{"ok":true}'))
            self.assertNotIn("x-gatehouse-trace", headers)
            self.assertEqual(stream.read(), b"", "the end passes too")
        intent, settled = self.house.exchange(call="tunnel")
        self.assertEqual(intent["tags"]["host"], "public.test:443")
        self.assertEqual((intent["tags"]["inspected"], intent["tags"]["rule"]), ("false", "hosts"))
        self.assertEqual(settled["tags"]["state"], "done")
        self.assertGreater(int(settled["tags"]["bytes.request"]), 0)
        self.assertGreater(int(settled["tags"]["bytes.response"]), 0)

    def test_no_rule_leads_to_addresses_that_are_not_public(self):
        for host in ("private.test", "mixed.test", "metadata.test", "127.0.0.1"):
            with self.subTest(host):
                status, _, body = self.house.request("GET", "http://%s/private" % host)
                self.assertEqual(status, 403, body)
                self.assertIn('"rule":"private-address"', body.decode())
                for port in (80, 443):
                    answer = self.house.raw(connect_bytes("%s:%d" % (host, port)))
                    self.assertTrue(answer.startswith(b"HTTP/1.1 403"), answer)
                    self.assertIn(b'"rule":"private-address"', answer)
        self.assertEqual(Upstream.seen, [])
        _, settled = self.house.exchange(path="/private", host="private.test")
        self.assertEqual(settled["tags"]["state"], "failed")
        self.assertIn(PRIVATE, settled["tags"]["reason"])

    def test_nor_to_other_ports_and_names(self):
        for host in ("public.test:8080", "public.test:81", "other.test", PUBLIC, "public.test.evil",
                     "evilpublic.test"):
            with self.subTest(host):
                status, _, body = self.house.request("GET", "http://%s/" % host)
                self.assertEqual(status, 403, body)
                self.assertIn("default-deny", body.decode())
                answer = self.house.raw(connect_bytes(host if ":" in host else host + ":443"))
                self.assertTrue(answer.startswith(b"HTTP/1.1 403"), answer)
                self.assertIn(b'"rule":"default-deny"', answer)
        self.assertEqual(Upstream.seen, [])

    def test_a_name_that_leads_nowhere_is_told(self):
        status, headers, body = self.house.request("GET", "http://nowhere.public.test/")
        self.assertIn(status, (502, 504), body)
        self.assertIn(headers["x-gatehouse-error"], ("unreachable", "timeout"))


class Captured(HouseTest):
    """Connections that ignore the proxy: caught whatever their address, and ruled by it."""

    @classmethod
    def before(cls, data):
        with open(data + "/capture", "w", encoding="ascii") as file:
            file.write("80 443")

    def address_of(self, name):
        labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(5)
            sock.sendto(b"\x12\x34\x01\x00\x00\x01\0\0\0\0\0\0" + labels + b"\0\0\1\0\1",
                        ("127.0.0.1", self.house.dns))
            return socket.inet_ntoa(sock.recv(512)[-4:])

    def ask(self, address, data, port=80):
        with self.house.connect(port, address) as sock:
            sock.sendall(data)
            return read_response(sock.makefile("rb"))

    def test_plain_http_is_ruled_on_by_the_name_that_was_dialled(self):
        status, headers, body = self.ask(self.address_of("web.gatehouse"),
                                         b"GET /caught HTTP/1.1\r\nhost: web.gatehouse\r\n\r\n")
        self.assertEqual((status, body), (200, b'{"ok":true}'))
        self.assertEqual(headers["x-gatehouse-run"], self.house.run)
        self.house.exchange(path="/caught", rule="web")
        status, _, body = self.ask(self.address_of("openai.gatehouse"),
                                   b"GET /v1/models HTTP/1.1\r\nhost: openai.gatehouse\r\n\r\n")
        self.assertEqual(status, 403)
        self.assertIn("default-deny", body.decode())
        self.assertEqual(len(Upstream.seen), 1)

    def test_a_host_that_is_not_the_one_dialled_is_refused(self):
        for host in ("tools.gatehouse", "evil.test", METADATA):
            status, _, body = self.ask(self.address_of("web.gatehouse"), (
                "GET / HTTP/1.1\r\nhost: %s\r\n\r\n" % host).encode())
            self.assertEqual(status, 400, body)
        with self.house.connect(80, self.address_of("web.gatehouse")) as sock:
            sock.sendall(connect_bytes("web.gatehouse:80"))
            self.assertEqual(read_response(sock.makefile("rb"))[0], 400)
        self.assertEqual(Upstream.seen, [])

    def test_tls_is_intercepted_for_a_service_that_asks_for_it(self):
        context = ssl.create_default_context(cafile=self.house.data + "/ca.pem")
        with self.house.connect(443, self.address_of("secure.gatehouse")) as sock:
            with context.wrap_socket(sock, server_hostname="secure.gatehouse") as tls:
                text = "GET /inside HTTP/1.1\r\nhost: secure.gatehouse\r\n%s: %s\r\n\r\n"
                tls.sendall((text % self.house.bearer("secure")).encode())
                status, _, _ = read_response(tls.makefile("rb"))
        self.assertEqual(status, 200)
        self.assertEqual(Upstream.seen[0][2]["authorization"], "Bearer " + KEY)
        self.house.exchange(path="/inside", rule="secure")

    def test_another_name_inside_tls_ends_it(self):
        context = ssl.create_default_context(cafile=self.house.data + "/ca.pem")
        context.check_hostname = False
        with self.house.connect(443, self.address_of("secure.gatehouse")) as sock:
            with self.assertRaises((OSError, EOFError)):
                with context.wrap_socket(sock, server_hostname="web.gatehouse") as tls:
                    tls.sendall(b"GET / HTTP/1.1\r\nhost: secure.gatehouse\r\n\r\n")
                    read_response(tls.makefile("rb"))
        self.assertEqual(Upstream.seen, [])
        entry = self.house.entry(kind="refused", method="TLS", rule="interception")
        self.assertIn("web.gatehouse", entry["tags"]["reason"])

    def test_what_no_rule_leads_to_is_refused_with_its_address_on_record(self):
        for address in (METADATA, PRIVATE, PUBLIC):
            with self.subTest(address):
                status, _, body = self.ask(
                    address, ("GET /caught HTTP/1.1\r\nhost: %s\r\n\r\n" % address).encode())
                self.assertEqual(status, 403, body)
                self.assertIn("default-deny", body.decode())
                self.house.entry(kind="refused", host=address, rule="default-deny")
                with self.house.connect(443, address) as sock:
                    with self.assertRaises((ConnectionResetError, ssl.SSLError)):
                        ssl.create_default_context().wrap_socket(sock, server_hostname=address)
                self.house.entry(kind="refused", method="TCP", host=address + ":443")
        self.assertEqual(Upstream.seen, [])

    def test_an_address_that_no_name_was_given_for_leads_nowhere(self):
        for host in ("198.18.77.77", "web.gatehouse", "a.public.test"):
            status, _, body = self.ask(
                "198.18.77.77", ("GET / HTTP/1.1\r\nhost: %s\r\n\r\n" % host).encode())
            self.assertEqual(status, 400, body)
            self.assertIn("not given for that name", body.decode())
            self.house.entry(kind="refused", host="198.18.77.77", rule="malformed")
        for name in ("secure.gatehouse", "a.public.test", None):
            with self.house.connect(443, "198.18.77.77") as sock:
                with self.assertRaises((ConnectionResetError, ssl.SSLError)):
                    context = ssl.create_default_context()
                    context.check_hostname = name is not None
                    context.wrap_socket(sock, server_hostname=name)
        self.house.entry(kind="refused", method="TCP", host="198.18.77.77:443")
        self.assertEqual(Upstream.seen, [])

    def test_what_another_gateway_answered_with_is_understood(self):
        """As when one of several gateways takes a connection to an address that another gave."""
        exact = self.address_of("web.gatehouse")
        secure = self.address_of("secure.gatehouse")
        pattern = self.address_of("a.public.test")
        second = self.address_of("b.public.test")
        before = self.house.pid_of("gateway")
        os.kill(before, signal.SIGKILL)
        self.house.settle()
        self.assertNotEqual(self.house.pid_of("gateway"), before)
        status, _, _ = self.ask(exact, b"GET /again HTTP/1.1\r\nhost: web.gatehouse\r\n\r\n")
        self.assertEqual(status, 200)
        # What is dialled for it is caught here too, and refused then: the Door catches everything.
        self.ask(pattern, b"GET /p HTTP/1.1\r\nhost: a.public.test\r\n\r\n")
        self.house.exchange(path="/p", host="a.public.test", rule="hosts")
        status, _, body = self.ask(second, b"GET /p HTTP/1.1\r\nhost: a.public.test\r\n\r\n")
        self.assertEqual(status, 400, body)
        self.assertIn("not given for that name", body.decode())
        context = ssl.create_default_context(cafile=self.house.data + "/ca.pem")
        with self.house.connect(443, secure) as sock:
            with context.wrap_socket(sock, server_hostname="secure.gatehouse") as tls:
                text = "GET /tls HTTP/1.1\r\nhost: secure.gatehouse\r\n%s: %s\r\n\r\n"
                tls.sendall((text % self.house.bearer("secure")).encode())
                self.assertEqual(read_response(tls.makefile("rb"))[0], 200)
        # A host that only a pattern names: by what the client asks for, passed unseen.
        with self.house.connect(443, pattern) as sock:
            hello = client_hello("a.public.test")
            sock.sendall(hello[:40])
            time.sleep(0.05)
            sock.sendall(hello[40:])
            self.house.entry(kind="intent", call="tunnel", host="a.public.test:443")
        with self.house.connect(443, pattern) as sock:
            sock.sendall(client_hello("b.public.test"))
            with self.assertRaises(ConnectionResetError):
                sock.recv(1)

    def test_what_is_neither_http_nor_tls_ends(self):
        address = self.address_of("web.gatehouse")
        with self.house.connect(80, address) as sock:
            sock.sendall(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
            answer = drain(sock)
        self.assertTrue(answer.startswith(b"HTTP/1.1 400"), answer)
        with self.house.connect(443, address) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
            sock.shutdown(socket.SHUT_WR)  # it says nothing at all
            self.assertEqual(drain(sock), b"")
        self.house.entry(kind="refused", method="TCP", host="web.gatehouse:443")

    def test_the_second_run_cannot_be_reached_through_the_first_ones_door(self):
        status, headers, _ = self.ask(
            self.address_of("web.gatehouse"), b"GET / HTTP/1.1\r\nhost: web.gatehouse\r\n"
            b"x-gatehouse-run: %s\r\n\r\n" % self.house.second_run.encode())
        self.assertEqual((status, headers["x-gatehouse-run"]), (200, self.house.run))


if __name__ == "__main__":
    live_in_own_network()
    unittest.main(verbosity=2)
