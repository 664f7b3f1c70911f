#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The image and the package in a whole Debian: minutes, and packages from a mirror, so only in
`make soak`.

An image is made of an earlier version of the package; its layout is checked and unpacked; in what
was unpacked a house runs, the package is upgraded, a house runs again, and the package is purged.
"""
import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / "tests/integration"))
import package_test  # noqa: E402

CONFIG = "# ours\nversion: 1\ndata: /var/lib/gatehouse\nusers: [{name: alice}]\nagents:\n" \
         "  - {name: shell, command: [sh], toolbox: [/usr]}\n"


def made(package, path):
    done = subprocess.run([str(TREE / "tools/oci"), str(package), str(path)], text=True,
                          capture_output=True, check=False,
                          env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"})
    assert done.returncode == 0, done.stderr
    return path.read_bytes()


class Layout(unittest.TestCase):
    def blob(self, described):
        name = described["digest"].replace(":", "/")
        content = members["blobs/" + name]
        self.assertEqual(len(content), described["size"])
        self.assertEqual("sha256:" + hashlib.sha256(content).hexdigest(), described["digest"])
        return content

    def test_every_blob_is_what_its_digest_says(self):
        self.assertEqual(json.loads(members["oci-layout"]), {"imageLayoutVersion": "1.0.0"})
        index = json.loads(members["index.json"])
        self.assertEqual(index["schemaVersion"], 2)
        manifest = json.loads(self.blob(index["manifests"][0]))
        config = json.loads(self.blob(manifest["config"]))
        layer = self.blob(manifest["layers"][0])
        plain = "sha256:" + hashlib.sha256(gzip.decompress(layer)).hexdigest()
        self.assertEqual(config["rootfs"]["diff_ids"], [plain])
        self.assertEqual((config["os"], config["config"]["StopSignal"]), ("linux", "SIGTERM"))
        command = config["config"]["Entrypoint"] + config["config"]["Cmd"]
        # In the layer: what was unpacked of it is lived in, and purged, by the other tests.
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(layer))) as tar:
            names = {"/" + name.removeprefix("./") for name in tar.getnames()}
        self.assertLessEqual({command[0], command[-1]}, names)

    def test_the_same_packages_and_time_give_the_same_image(self):
        self.assertEqual(hashlib.sha256(made(earlier, folder / "again.tar")).hexdigest(),
                         hashlib.sha256(image).hexdigest())


class Debian(unittest.TestCase):
    def inside(self, *words, **more):
        enter = 'root=$1 && shift && mount -t proc proc "$root/proc" && exec chroot "$root" "$@"'
        return subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", enter,
                               "sh", str(root), *words], capture_output=True, text=True,
                              timeout=120, check=False, stdin=subprocess.DEVNULL, **more)

    def works(self):
        """A house there: ready, runs an agent, stops."""
        # As a container engine enters it: in a mere chroot the kernel makes no user namespaces.
        enter = ('mount --rbind "$1" "$1" && cd "$1" && mount -t proc proc proc && '
                 "mount --rbind /dev dev && mount --rbind /sys sys && pivot_root . mnt && "
                 "cd / && exec gatehouse up --config /etc/gatehouse/gatehouse.yaml")
        with open(folder / "log", "wb") as log:
            house = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "sh", "-c",
                                      enter, "sh", str(root)], stdout=log, stderr=log)
        try:
            for _ in range(200):
                status = self.inside("gatehouse", "status", "--json")
                if status.returncode == 0 and all(
                        role["state"] == "ready" for role in json.loads(status.stdout)["roles"]):
                    break
                time.sleep(0.1)
            else:
                self.fail((folder / "log").read_text())
            ran = self.inside("gatehouse", "run", "-a", "shell", "-u", "alice", "--", "echo",
                              "hello")
            self.assertEqual((ran.returncode, ran.stdout), (0, "hello\n"), ran.stderr)
        finally:
            house.terminate()
            self.assertEqual(house.wait(20), 0, (folder / "log").read_text())

    def test_it_runs_upgrades_keeps_and_is_purged(self):
        version = self.inside("dpkg-query", "-W", "-f", "${Version} ${Status}", "gatehouse").stdout
        self.assertEqual(version, "0.0.9 install ok installed")
        config = root / "etc/gatehouse/gatehouse.yaml"
        config.write_text(CONFIG)
        self.works()
        log = set((root / "var/lib/gatehouse/audit").iterdir())
        self.assertTrue(log)
        shutil.copy(package, root / "new.deb")
        done = self.inside("dpkg", "--force-confold", "-i", "/new.deb")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(config.read_text(), CONFIG)
        self.works()
        self.assertEqual(self.inside("gatehouse", "audit", "verify").returncode, 0)
        done = self.inside("dpkg", "-P", "gatehouse")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertFalse((root / "etc/gatehouse").exists() and config.exists())
        self.assertTrue(log <= set((root / "var/lib/gatehouse/audit").iterdir()))
        self.assertFalse((root / "usr/bin/gatehouse").exists())


if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit("the image is made as root")
    folder = Path(tempfile.mkdtemp(prefix="gatehouse-image-", dir="/var/tmp"))
    try:
        (folder / "built").mkdir()
        package = package_test.build(folder / "built")
        earlier = package_test.older(package, folder)
        image = made(earlier, folder / "image.tar")
        with tarfile.open(fileobj=io.BytesIO(image)) as layout:
            members = {entry.name: layout.extractfile(entry).read()
                       for entry in layout if entry.isfile()}
        described = json.loads(members["index.json"])["manifests"][0]["digest"]
        manifest = json.loads(members["blobs/" + described.replace(":", "/")])
        name = "blobs/" + manifest["layers"][0]["digest"].replace(":", "/")
        root = folder / "root"
        root.mkdir()
        subprocess.run(["tar", "-xzp", "--numeric-owner", "-C", str(root)], input=members[name],
                       check=True)
        unittest.main(verbosity=2)
    finally:
        shutil.rmtree(folder)
