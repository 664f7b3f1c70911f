#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What fetches sources and packages, unmodified, from a sandbox: git with its 401 dance, npm, pip
and apt, through the proxy that their environment names, over TLS that the gateway ends, at an
index that wants a password. They hold a placeholder; the index sees the password."""
import base64
import functools
import hashlib
import http.server
import io
import json
import subprocess
import tarfile
import threading
import unittest
import zipfile

from house import House, main

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
"""


class Index(http.server.SimpleHTTPRequestHandler):
    """Static files, for who knows the password."""

    protocol_version = "HTTP/1.1"
    seen = []

    def log_message(self, *args):
        pass

    def do_GET(self):
        given = self.headers.get("authorization", "")
        Index.seen.append((self.headers.get("user-agent", ""), self.path, given))
        if given == BASIC:
            return super().do_GET()
        self.send_response(401)
        self.send_header("www-authenticate", 'Basic realm="index"')
        self.send_header("content-length", "0")
        self.end_headers()
        return None


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
    run("git", "clone", "-q", "--bare", str(work), str(root / "repo.git"))
    run("git", "-C", str(root / "repo.git"), "update-server-info")


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

    def test_git_answers_a_401_with_its_credentials(self):
        said = self.fetch(f'git clone -q "https://{PLACE}/repo.git" out; cat out/README', "git/")
        self.assertEqual(said, "from git\n")
        self.assertEqual(Index.seen[0][2], "", "the first time without")

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
