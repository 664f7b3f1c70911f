# SPDX-License-Identifier: Apache-2.0
"""A house of real roles with a scripted client, for the tests of the corridor.

Everything is on loopback of the network namespace that the test runs in; the upstream is a server
of this file, which keeps what it was sent and answers as a test tells it to.
"""
import base64
import http.server
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest

BIN = os.environ.get("GATEHOUSE_BIN", "build/dev/bin")
KEY = "sk-canary-0123456789abcdef"
TRACE = "0123456789abcdef0123456789abcdef"
CHAT = "http://openai.gatehouse/v1/chat/completions"
MCP = "http://tools.gatehouse/mcp"
PUBLIC = "93.184.216.34"  # in the test's own network namespace it is the test's own
PRIVATE = "10.1.2.3"
METADATA = "169.254.169.254"


def in_memory(needed=512 * 1024 * 1024):
    """A folder in memory that has room, so that these tests do not wait for a disk that others
    load; None where there is none."""
    try:
        about = os.statvfs("/dev/shm")
    except OSError:
        return None
    return "/dev/shm" if about.f_bavail * about.f_frsize >= needed else None


MEMORY = in_memory()


class Upstream(http.server.BaseHTTPRequestHandler):
    """A model, a tool server and a web service in one; remembers every request."""

    protocol_version = "HTTP/1.1"
    seen = []
    trailers = []  # lines behind the last body that came in chunks
    script = None  # answers the next request instead: called with the handler and the body
    always = None  # the same, of every request

    def log_message(self, *args):
        pass

    def answer(self, status, body, kind="application/json", headers=()):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def begin(self, status=200, kind="text/event-stream", headers=()):
        """The head of an answer that goes on in chunks."""
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("transfer-encoding", "chunked")
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def end(self):
        self.wfile.write(b"0\r\n\r\n")

    def body(self):
        if self.headers.get("transfer-encoding") == "chunked":
            out = b""
            while True:
                line = self.rfile.readline()
                if not line:
                    return out  # cut
                size = int(line, 16)
                if size == 0:
                    Upstream.trailers = list(iter(self.rfile.readline, b"\r\n"))
                    return out
                out += self.rfile.read(size)
                self.rfile.readline()
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def handle_any(self):
        body = self.body()
        headers = {name.lower(): value for name, value in self.headers.items()}
        Upstream.seen.append((self.command, self.path, headers, body))
        script, Upstream.script = Upstream.script, None
        if script is not None:
            return script(self, body)
        if Upstream.always is not None:
            return Upstream.always(self, body)
        if self.path.startswith("/echo"):
            said = self.headers.get("authorization", "")
            encoded = base64.b64encode(said.encode()).decode()
            text = json.dumps({"you_said": said, "base64": encoded}).encode()
            return self.answer(200, text, headers=[("x-echo", said)])
        if self.path == "/v1/chat/completions":
            request = json.loads(body)
            if request.get("stream"):
                return self.stream(request)
            usage = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
            message = {"role": "assistant", "content": "Hello!"}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            return self.answer(200, json.dumps(
                {"id": "c1", "model": "m", "choices": [choice], "usage": usage}).encode())
        if self.path == "/mcp":
            identity = json.loads(body).get("id") if body else None
            content = [{"type": "text", "text": "echoed"}]
            reply = {"jsonrpc": "2.0", "id": identity, "result": {"content": content}}
            return self.answer(200, json.dumps(reply).encode())
        return self.answer(200, b'{"ok":true}')

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = handle_any

    def stream(self, request):
        self.begin()
        slow = "slowly" in json.dumps(request)
        try:
            self.chunk(event({"role": "assistant", "reasoning_content": "I think. "}))
            for i in range(200 if slow else 5):
                self.chunk(event({"content": "word%d " % i}))
                if slow:
                    time.sleep(0.05)
            self.chunk(event({}, "stop"))
            self.chunk(b"data: [DONE]\n\n")
            self.end()
        except OSError:
            Upstream.seen.append(("CUT", self.path, {}, b""))
            self.close_connection = True


def event(delta, finish=None):
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({"id": "c", "choices": [choice]}).encode() + b"\n\n"


class Server(http.server.ThreadingHTTPServer):
    """An upstream that listens; with a certificate it speaks TLS."""

    request_queue_size = 512

    def __init__(self, address="127.0.0.1", port=0, certificate=None):
        super().__init__((address, port), Upstream)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        pass  # a client that leaves is what these tests are about

    def stop(self):
        self.shutdown()
        self.server_close()


class House:
    """The roles. `before` may put something into the data folder ahead of the start."""

    def __init__(self, before=lambda data: None):
        self.data = tempfile.mkdtemp(prefix="gatehouse-corridor-", dir=MEMORY)
        before(self.data)
        self.kept = {}  # of the log, by run: it only grows
        self.server = Server()
        self.log = open(os.path.join(self.data, "log"), "wb")
        self.process = subprocess.Popen(
            [BIN + "/fixture_house", "supervise", self.data, str(self.server.server_port), BIN],
            stdin=subprocess.DEVNULL, stderr=self.log)
        try:
            self.proxy, *self.capture, self.dns = self.read_door("")
            self.run = self.run_of("")
            self.second_proxy = self.read_door(".second")[0]
            self.second_run = self.run_of(".second")
            self.placeholders = self.read_pairs("placeholders")
            self.second_placeholders = self.read_pairs("placeholders.second")
            self.settle()
        except BaseException:
            self.stop()
            raise

    def told(self, name):
        path = os.path.join(self.data, name)
        for _ in range(1000):
            if os.path.exists(path):
                with open(path, encoding="ascii") as file:
                    return file.read()
            time.sleep(0.02)
        raise RuntimeError("the house does not tell its " + name + ":\n" + self.logged())

    def read_door(self, suffix):
        return [int(word) for word in self.told("door" + suffix).split()[:4]]

    def run_of(self, suffix):
        return self.told("door" + suffix).split()[4]

    def read_pairs(self, name):
        return dict(line.split() for line in self.told(name).splitlines())

    def settle(self):
        for _ in range(500):
            status, _, _ = self.request("GET", "http://web.gatehouse/ready")
            if status == 200:
                return
            time.sleep(0.02)
        raise RuntimeError("nothing passes:\n" + self.logged())

    def logged(self):
        with open(os.path.join(self.data, "log"), errors="replace") as file:
            return file.read()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        for _ in range(500):  # the roles go when their supervisor has
            if not any(self.data.encode() in words for _, words in processes()):
                break
            time.sleep(0.02)
        self.log.close()
        self.server.stop()
        shutil.rmtree(self.data)

    # --- the agent's side

    def connect(self, port=None, address="127.0.0.1"):
        return socket.create_connection((address, port or self.proxy), 10)

    def request(self, method, url, body=b"", headers=(), port=None):
        with self.connect(port) as sock:
            sock.sendall(request_bytes(method, url, body, headers))
            return read_response(sock.makefile("rb"), method == "HEAD")

    def raw(self, data, end=False):
        """What comes back for these bytes, until the end; `end`: no more bytes come from here."""
        with self.connect() as sock:
            sock.settimeout(10)
            out = b""
            try:
                sock.sendall(data)
                if end:
                    sock.shutdown(socket.SHUT_WR)
                while piece := sock.recv(65536):
                    out += piece
            except (ConnectionResetError, BrokenPipeError):
                pass
            except TimeoutError:
                raise AssertionError("no answer to %r" % data[:200]) from None
            return out

    def intercepted(self, sock, host, name=None):
        """TLS inside CONNECT, as an agent that trusts the house's CA sees it."""
        target = "%s:443" % host
        sock.sendall(("CONNECT %s HTTP/1.1\r\nhost: %s\r\n\r\n" % (target, target)).encode())
        status, _, _ = read_response(sock.makefile("rb", buffering=0), head_only=True)
        if status != 200:
            raise AssertionError("CONNECT was answered %d" % status)
        context = ssl.create_default_context(cafile=os.path.join(self.data, "ca.pem"))
        return context.wrap_socket(sock, server_hostname=name or host)

    def bearer(self, service):
        return ("authorization", "Bearer " + self.placeholders[service])

    def chat(self, text, stream=False, model="m"):
        """Asks the model with the key's placeholder."""
        return self.request("POST", CHAT, chat(text, stream, model), [self.bearer("openai")])

    # --- the people's side

    def ask(self, verb, run, data=None):
        return subprocess.run([BIN + "/fixture_ask", verb, data or self.data, run],
                              capture_output=True, text=True, timeout=20)

    def kill(self, run):
        done = self.ask("kill", run)
        if done.returncode != 0:
            raise AssertionError(done.stderr)

    def read_log(self, run):
        """Whether a copy of the log as it is now is intact, and the run's Entries."""
        with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
            shutil.copytree(os.path.join(self.data, "audit"), os.path.join(folder, "audit"))
            done = self.ask("entries", run, folder)
        report, *lines = done.stdout.splitlines() or [done.stderr]
        return report, [json.loads(line) for line in lines]

    def entries(self, until=None, run=None):
        """The run's Entries as they are now; or, once `until` is content with them, as they were
        then. The log must be intact."""
        run = run or self.run
        report, found = "", self.kept.get(run, [])
        if until and found and until(found):
            return found
        for _ in range(100):
            report, found = self.read_log(run)
            if report.startswith("intact") and found and (until is None or until(found)):
                self.kept[run] = found
                return found
            time.sleep(0.05)
        raise AssertionError("not in the log: %s\n%s" % (report, "\n".join(map(str, found))))

    def entry(self, run=None, **tags):
        """The newest Entry with these tags (`kind` is the Entry's own)."""
        def fits(entry):
            return all(dict(entry["tags"], kind=entry["kind"]).get(name.replace("__", ".")) == value
                       for name, value in tags.items())
        found = self.entries(lambda all_of_it: any(map(fits, all_of_it)), run)
        return [entry for entry in found if fits(entry)][-1]

    def exchange(self, **tags):
        """The Intent with these tags, and the Entry that settled it."""
        intent = self.entry(kind="intent", **tags)
        def ends(entry):
            return entry["kind"] == "settled" and entry["exchange"] == intent["exchange"]
        found = self.entries(lambda all_of_it: any(map(ends, all_of_it)))
        return intent, next(filter(ends, found))

    def counters(self):
        path = os.path.join(self.data, "counters")
        if os.path.exists(path):
            os.remove(path)
        with open(os.path.join(self.data, "want-counters"), "wb"):
            pass
        return {name: int(value) for name, value in self.read_pairs("counters").items()}

    def pid_of(self, role):
        """0 while that role is away."""
        for pid, words in processes():
            if words[0].endswith(b"/gatehouse-" + role.encode()) and self.data.encode() in words:
                return pid
        return 0


def processes():
    """Each that lives, with the words of its command."""
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cmdline" % name, "rb") as file:
                yield int(name), file.read().split(b"\0")
        except OSError:
            continue


def read_response(stream, head_only=False):
    line = stream.readline()
    if not line:
        raise EOFError("closed without an answer")
    status = int(line.split()[1])
    headers = {"": line.decode("latin-1").rstrip("\r\n")}
    while True:
        line = stream.readline().decode("latin-1").rstrip("\r\n")
        if not line:
            break
        name, value = line.split(":", 1)
        headers[name.lower()] = value.strip()
    if head_only:
        return status, headers, b""
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while (piece := read_chunk(stream)) != b"":
            body += piece
        return status, headers, body
    return status, headers, stream.read(int(headers.get("content-length", 0)))


def read_chunk(stream):
    """The next chunk; b"" is the last one. EOFError: the body was cut."""
    line = stream.readline()
    if not line:
        raise EOFError("the body was cut")
    piece = stream.read(int(line, 16))
    stream.readline()
    return piece


def request_bytes(method, url, body=b"", headers=()):
    lines = ["%s %s HTTP/1.1" % (method, url), "host: " + url.split("/")[2]]
    lines += ["%s: %s" % header for header in headers]
    if body:
        lines.append("content-length: %d" % len(body))
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def chat(text, stream=False, model="m"):
    return json.dumps({"model": model, "stream": stream,
                       "messages": [{"role": "user", "content": text}]}).encode()


def connect_bytes(target, headers=()):
    lines = ["CONNECT %s HTTP/1.1" % target, "host: " + target]
    lines += ["%s: %s" % header for header in headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def tool_call(name, identity=7, **params):
    return json.dumps({"jsonrpc": "2.0", "id": identity, "method": "tools/call",
                       "params": {"name": name, "arguments": {"message": "x"}, **params}}).encode()


def drain(sock):
    """What still comes until the connection ends, in order or not."""
    out = b""
    try:
        while piece := sock.recv(65536):
            out += piece
    except (ConnectionResetError, ssl.SSLError):
        pass
    return out


class HouseTest(unittest.TestCase):
    """A class of tests with a house of its own."""

    @classmethod
    def before(cls, data):
        """Puts into the data folder what the house shall find there."""

    @classmethod
    def setUpClass(cls):
        cls.house = House(cls.before)
        cls.addClassCleanup(cls.house.stop)

    def setUp(self):
        Upstream.seen.clear()
        Upstream.script = Upstream.always = None
        self.addCleanup(setattr, Upstream, "always", None)

    def curl(self, *words, intercepted=False):
        """What curl is answered by HTTP/2; before it, its version and status."""
        command = ["curl", "-sS", "--max-time", "20", "-w", "\n%{http_version} %{http_code}"]
        if intercepted:
            command += ["--http2", "-x", "http://127.0.0.1:%d" % self.house.proxy, "--cacert",
                        os.path.join(self.house.data, "ca.pem")]
        else:
            command += ["--http2-prior-knowledge", "--connect-to",
                        "::127.0.0.1:%d" % self.house.proxy, "--noproxy", "*"]
        done = subprocess.run(command + list(words), capture_output=True, check=False, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        body, _, about = done.stdout.rpartition(b"\n")
        return about.decode(), body


def make_certificates(folder, *names):
    """A CA of each name, NAME.pem, and server.pem: key and certificate for 127.0.0.1 by the
    first."""
    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    for name in names:
        openssl("req", "-x509", *key, "-keyout", name + ".key", "-out", name + ".pem", "-days", "2",
                "-subj", "/CN=" + name)
    openssl("req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=server")
    with open(os.path.join(folder, "extensions"), "w", encoding="ascii") as file:
        file.write("subjectAltName=IP:127.0.0.1\n")
    openssl("x509", "-req", "-in", "server.csr", "-CA", names[0] + ".pem", "-CAkey",
            names[0] + ".key", "-CAcreateserial", "-days", "2", "-extfile", "extensions", "-out",
            "server.crt")
    with open(os.path.join(folder, "server.pem"), "wb") as out:
        for part in ("server.key", "server.crt"):
            with open(os.path.join(folder, part), "rb") as file:
                out.write(file.read())


HOSTS = f"""127.0.0.1 localhost
{PUBLIC} public.test
{PUBLIC} a.public.test
{PUBLIC} b.public.test
{PRIVATE} private.test
{PUBLIC} mixed.test
{PRIVATE} mixed.test
{METADATA} metadata.test
"""


def live_in_own_network():
    """Starts this program again in network and mount namespaces of its own, in which it owns the
    addresses above and /etc/hosts names them; nothing leads out."""
    if "GATEHOUSE_OWN_NETWORK" not in os.environ:
        words = ["unshare", "--net", "--mount"] + ([] if os.geteuid() == 0 else ["--map-root-user"])
        if subprocess.run([*words, "true"], capture_output=True).returncode != 0:
            print("skipped: no network namespace can be made here")
            sys.exit(77)
        os.environ["GATEHOUSE_OWN_NETWORK"] = "yes"
        os.execvp(words[0], [*words, sys.executable, *sys.argv])
    with tempfile.NamedTemporaryFile("w", delete=False) as hosts:
        hosts.write(HOSTS)
    os.chmod(hosts.name, 0o644)
    for words in (["ip", "link", "set", "lo", "up"],
                  *(["ip", "address", "add", address, "dev", "lo"] for address in
                    ("198.18.0.1/15", PUBLIC + "/32", PRIVATE + "/32", METADATA + "/32")),
                  ["mount", "--bind", hosts.name, "/etc/hosts"]):
        subprocess.run(words, check=True)
    os.remove(hosts.name)
