#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What fetches sources and packages, unmodified, from a sandbox: git with its 401 dance, npm, pip
and apt, through the proxy that their environment names, over TLS that the gateway ends, at an
index that wants a password. They hold a placeholder; the index sees the password. Of git, which
clones from and pushes to its own server (git http-backend), what is sent and what is answered is
held against the same without a gateway."""
import base64
import functools
import hashlib
import http.server
import io
import json
import os
import subprocess
import tarfile
import threading
import unittest
import zipfile
from pathlib import Path

from house import House, main

LISTED = Path(__file__).resolve().parents[1] / "fixtures/clients-headers.txt"

PASSWORD = "password-0123456789abcdefghij"
BASIC = "Basic " + base64.b64encode(b"alice:" + PASSWORD.encode()).decode()

CONFIG = """version: 1
data: {data}
users: [{{name: alice}}]
services:
  - name: index
    kind: http
    url: https://index.example.com
    upstream: http://127.0.0.1:{port}
    allow_private: true
    credential: {{kind: static, header: authorization, prefix: "Bearer "}}
    scope: user
agents:
  - name: shell
    environment:
      PASSWORD: "{{{{placeholder:index}}}}"
    rules:
      - {{id: index, service: index, methods: [GET]}}
      - {{id: git, service: index, methods: [POST],
         paths: ["/git/*/git-upload-pack", "/git/*/git-receive-pack"]}}
"""


class Index(http.server.SimpleHTTPRequestHandler):
    """Static files, and git's own server below /git, for who knows the password."""

    protocol_version = "HTTP/1.1"
    seen = []
    gits = []  # exchanges below /git, whole

    def log_message(self, *args):
        pass

    def is_let_in(self):
        given = self.headers.get("authorization", "")
        Index.seen.append((self.headers.get("user-agent", ""), self.path, given))
        if given == BASIC:
            return True
        self.send_response(401)
        self.send_header("www-authenticate", 'Basic realm="index"')
        self.send_header("content-length", "0")
        self.end_headers()
        return False

    def do_GET(self):
        if not self.is_let_in():
            return None
        return self.git(b"") if self.path.startswith("/git/") else super().do_GET()

    def do_POST(self):
        body = self.whole_body()
        if self.is_let_in():
            self.git(body)

    def whole_body(self):
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers["content-length"]))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def git(self, body):
        """As a web server runs it (git-http-backend(1))."""
        path, _, query = self.path.removeprefix("/git").partition("?")
        done = subprocess.run(["git", "http-backend"], input=body, capture_output=True, check=True,
                              env={
            "PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": self.directory, "PATH_INFO": path,
            "GIT_HTTP_EXPORT_ALL": "1", "REMOTE_USER": "alice", "QUERY_STRING": query,
            "REQUEST_METHOD": self.command, "CONTENT_TYPE": self.headers.get("content-type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("content-encoding", ""),
            "GIT_PROTOCOL": self.headers.get("git-protocol", "")})
        head, _, answer = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        status = int(fields.pop("Status", "200").split()[0])
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
        Index.gits.append((self.command, path, query, dict(self.headers), body, status, answer))


def run(*words, **more):
    return subprocess.run(words, check=True, capture_output=True, **more).stdout


def make_git(root):
    work = root / "work"
    work.mkdir()
    (work / "README").write_text("from git\n")
    git = ["git", "-C", str(work), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    run(*git, "init", "-q", "-b", "main")
    run(*git, "add", "README")
    run(*git, "commit", "-q", "-m", "one")
    for name in ("direct.git", "inside.git"):
        run("git", "clone", "-q", "--bare", str(work), str(root / name))


def make_npm(root):
    manifest = {"name": "gate-test", "version": "1.0.0"}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        text = json.dumps(manifest).encode()
        about = tarfile.TarInfo("package/package.json")
        about.size = len(text)
        archive.addfile(about, io.BytesIO(text))
    (root / "npm").mkdir()
    (root / "npm/gate-test.tgz").write_bytes(packed.getvalue())
    digest = base64.b64encode(hashlib.sha512(packed.getvalue()).digest()).decode()
    dist = {"tarball": "https://index.example.com/npm/gate-test.tgz",
            "integrity": "sha512-" + digest}
    (root / "npm/gate-test").write_text(json.dumps({
        "name": "gate-test", "dist-tags": {"latest": "1.0.0"},
        "versions": {"1.0.0": {**manifest, "dist": dist}}}))


def make_pip(root):
    folder = root / "pip/gate-test"
    folder.mkdir(parents=True)
    name = "gate_test-1.0-py3-none-any.whl"
    with zipfile.ZipFile(folder / name, "w") as wheel:
        wheel.writestr("gate_test.py", "SAID = 'from pip'\n")
        wheel.writestr("gate_test-1.0.dist-info/METADATA",
                       "Metadata-Version: 2.1\nName: gate-test\nVersion: 1.0\n")
        wheel.writestr("gate_test-1.0.dist-info/WHEEL",
                       "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("gate_test-1.0.dist-info/RECORD", "")
    (folder / "index.html").write_text(f'<html><body><a href="{name}">{name}</a></body></html>')


def make_apt(root):
    folder = root / "apt"
    tree = folder / "tree/DEBIAN"
    tree.mkdir(parents=True)
    (tree / "control").write_text("Package: gate-test\nVersion: 1.0\nArchitecture: all\n"
                                  "Maintainer: t <t@example.com>\nDescription: from apt\n")
    run("dpkg-deb", "--build", str(folder / "tree"), str(folder / "gate-test.deb"))
    content = (folder / "gate-test.deb").read_bytes()
    (folder / "Packages").write_text(
        (tree / "control").read_text() + f"Filename: ./gate-test.deb\nSize: {len(content)}\n"
        f"SHA256: {hashlib.sha256(content).hexdigest()}\n")


def setUpModule():
    global HOUSE, SERVER
    HOUSE = House()
    root = HOUSE.folder / "index"
    root.mkdir()
    for make in (make_git, make_npm, make_pip, make_apt):
        make(root)
    handler = functools.partial(Index, directory=str(root))
    SERVER = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=SERVER.serve_forever, daemon=True).start()
    HOUSE.config.write_text(CONFIG.format(data=HOUSE.data, port=SERVER.server_port))
    HOUSE.up()
    file = HOUSE.folder / "password"
    file.write_text(PASSWORD + "\n")
    done = HOUSE.ask("connect", "index", "--user", "alice", "--from-file", str(file))
    assert done.returncode == 0, done.stderr


def tearDownModule():
    HOUSE.down()
    SERVER.shutdown()
    SERVER.server_close()
    HOUSE.remove()


PLACE = "alice:$PASSWORD@index.example.com"
# Nothing of it is of a clock or of chance. What is pushed is longer than git's buffer.
CLONE_AND_PUSH = """
export GIT_AUTHOR_DATE="2026-01-01T00:00Z" GIT_COMMITTER_DATE="2026-01-01T00:00Z"
git clone -q "$0" out; cd out; cat README
seq 400000 |
  openssl enc -aes-256-ctr -k k -nosalt -md md5 >four 2>/dev/null
git add .; git -c user.name=t -c user.email=t@example.com commit -q -m two
git -c pack.threads=1 push -q origin main; git status -sb | head -1
"""


def comparable(headers):
    """But for what the gateway may change, and the password, which Index has looked at."""
    words = [line.split("#")[0].split() for line in LISTED.read_text().splitlines()]
    listed = {pair[1] for pair in words if len(pair) == 2 and pair[0] == "request"}
    return {name.lower(): value for name, value in headers.items() if name.lower() not in listed}


def in_words(answer):
    """What git's server answered, in lines (gitprotocol-common(5)), and the pack in it: that comes
    in pieces as they are ready, with progress between them, which is of a clock."""
    lines, pack, at = [], b"", 0
    while at < len(answer):
        size = int(answer[at:at + 4], 16)
        line = answer[at + 4:at + size]
        at += max(size, 4)
        if line[:1] == b"\1":
            pack += line[1:]
        elif line[:1] != b"\2":
            lines.append((size, line))
    return lines, pack


class Fetchers(unittest.TestCase):
    def fetch(self, script, agent):
        Index.seen.clear()
        done = HOUSE.run("sh", "-c", "set -e; cd $(mktemp -d)\n" + script)
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        self.assertTrue(Index.seen)
        for user_agent, _, _ in Index.seen:
            self.assertIn(agent, user_agent)
        self.assertEqual({given for _, _, given in Index.seen} - {""}, {BASIC})
        return done.stdout

    def test_git_clones_and_pushes_as_it_does_without_a_gateway(self):
        direct = f"http://alice:{PASSWORD}@127.0.0.1:{SERVER.server_port}/git/direct.git"
        done = subprocess.run(["sh", "-ec", CLONE_AND_PUSH, direct], capture_output=True,
                              text=True, check=False, cwd=HOUSE.folder, env={
                                  "PATH": os.environ["PATH"], "LANG": "C.UTF-8",
                                  "HOME": str(HOUSE.folder)})
        self.assertEqual(done.returncode, 0, done.stderr)
        ways = [self.gits()]
        said = self.fetch(f'set -- "https://{PLACE}/git/inside.git"\n'
                          + CLONE_AND_PUSH.replace("$0", "$1"), "git/")
        self.assertEqual(said, done.stdout)
        self.assertEqual(Index.seen[0][2], "", "the first time without")
        ways.append(self.gits())
        pushed = [path for _, path, *_ in ways[1] if path.endswith("git-receive-pack")]
        self.assertGreaterEqual(len(pushed), 2, "a probe, and what is too long for one buffer")
        self.assertEqual(*([one[:3] for one in way] for way in ways))
        for one, through in zip(*ways):
            with self.subTest(asked=one[:3]):
                self.assertEqual(comparable(one[3]), comparable(through[3]))
                self.assertTrue(one[4] == through[4], "the bodies sent differ")
                self.assertEqual(one[5], through[5])
                answers = [in_words(way[6]) if way[1] == "git-upload-pack" and way[0] == "POST"
                           else way[6] for way in (one, through)]
                self.assertTrue(answers[0] == answers[1], "the answers differ")
        log = ("git", "--git-dir", str(HOUSE.folder / "index/inside.git"), "log", "--format=%s")
        self.assertEqual(run(*log), b"two\none\n")

    def gits(self):
        """What git asked since the last time, the repository's name left out."""
        gone = [(method, path.split("/", 2)[2], *rest) for method, path, *rest in Index.gits]
        Index.gits.clear()
        return gone

    def test_npm_installs(self):
        said = self.fetch("""
            secret=$(printf 'alice:%s' "$PASSWORD" | base64 -w0)
            echo "//index.example.com/npm/:_auth=$secret" >.npmrc
            echo '{"private":true}' >package.json
            npm install --registry https://index.example.com/npm/ --no-audit --no-fund \\
              --no-update-notifier --cache ./cache gate-test >&2
            cat node_modules/gate-test/package.json""", "npm/")
        self.assertEqual(json.loads(said)["version"], "1.0.0")

    def test_pip_installs(self):
        said = self.fetch(f"""
            /usr/bin/python3 -m pip install -q --disable-pip-version-check --no-cache-dir \\
              --index-url "https://{PLACE}/pip/" --target out gate-test >&2
            PYTHONPATH=out /usr/bin/python3 -c 'import gate_test; print(gate_test.SAID)'""", "pip/")
        self.assertEqual(said, "from pip\n")

    def test_apt_updates_and_downloads(self):
        said = self.fetch(f"""
            mkdir -p state/lists/partial cache/archives/partial etc; : >status
            echo "deb [trusted=yes] https://{PLACE}/apt ./" >sources
            apt() {{
              apt-get -q -o Dir::Etc::SourceList=$PWD/sources -o Dir::Etc::SourceParts=/dev/null \\
                -o Dir::State=$PWD/state -o Dir::State::status=$PWD/status \\
                -o Dir::Cache=$PWD/cache -o Debug::NoLocking=1 "$@" >&2
            }}
            apt update; apt download gate-test; dpkg-deb -f gate-test*.deb Description""", "APT")
        self.assertEqual(said, "from apt\n")


if __name__ == "__main__":
    main()
