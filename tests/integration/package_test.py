# SPDX-License-Identifier: Apache-2.0
"""The Debian package: what is in it, and what dpkg makes of it in a tree of the test's own.

The maintainer scripts run with $DPKG_ROOT, outside of the tree (dpkg --force-script-chrootless);
tests/image/debian_test.py, of `make soak`, installs the package into a whole Debian.
"""
import gzip
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

BUILD = Path(os.environ["GATEHOUSE_BIN"]).parent
POSTINST = Path(__file__).resolve().parents[2] / "packaging/debian/postinst"
CONFIG = "etc/gatehouse/gatehouse.yaml"
OURS = "# changed by the administrator\nversion: 1\ndata: /var/lib/gatehouse\n"


def run(*words, **more):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True,
                          check=False, **more)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def build(folder, epoch="1700000000"):
    run("cpack", "--config", BUILD / "CPackConfig.cmake", "-B", folder, "-D",
        "CPACK_DEBIAN_COMPRESSION_TYPE=gzip", env={**os.environ, "SOURCE_DATE_EPOCH": epoch})
    return next(folder.glob("*.deb"))


def older(package, folder, version="0.0.9"):
    """The same package as an earlier version would have been: another default configuration, and a
    file that has gone since."""
    tree = folder / "tree"
    run("dpkg-deb", "-R", package, tree)
    control = tree / "DEBIAN/control"
    control.write_text(control.read_text().replace("Version: 0.1.0", f"Version: {version}"))
    (tree / CONFIG).write_text("# an earlier default\nversion: 1\ndata: /var/lib/gatehouse\n")
    (tree / "usr/share/doc/gatehouse/gone.md").write_text("of the earlier version only\n")
    result = folder / f"gatehouse_{version}.deb"
    run("dpkg-deb", "-b", "-Zgzip", "-z1", "--root-owner-group", tree, result)
    return result


def fields(package):
    lines = run("dpkg-deb", "-f", package).rstrip("\n").splitlines()
    return dict(line.split(": ", 1) for line in lines if not line.startswith(" "))


class Contents(unittest.TestCase):
    """What lintian would look at first."""

    @classmethod
    def setUpClass(cls):
        cls.entries = {}
        for line in run("dpkg-deb", "-c", package).splitlines():
            mode, owner, size, _, _, path = line.split(None, 5)
            cls.entries[path.removeprefix("./")] = (mode, owner, int(size))
        cls.tree = folder / "contents"
        run("dpkg-deb", "-R", package, cls.tree)

    def test_everything_belongs_to_root_and_nobody_else_may_write(self):
        for path, (mode, owner, _) in self.entries.items():
            self.assertEqual(owner, "root/root", path)
            self.assertIn(mode, ("drwxr-xr-x", "-rwxr-xr-x", "-rw-r--r--"), path)

    def test_only_the_command_is_on_the_path_and_the_roles_are_in_libexec(self):
        on_path = [path for path in self.entries if "bin/" in path and not path.endswith("/")]
        self.assertEqual(on_path, ["usr/bin/gatehouse"])
        roles = {Path(path).name for path in self.entries if path.startswith("usr/libexec/")}
        for role in ("audit", "vault", "courier", "exporter", "gateway", "control", "sandboxd",
                     "warden", "init"):
            self.assertIn(f"gatehouse-{role}", roles)

    def test_executables_are_stripped_and_keep_their_hardening(self):
        for path, (mode, _, _) in self.entries.items():
            if mode != "-rwxr-xr-x":
                continue
            about = run("readelf", "--wide", "-S", "-d", "-h", self.tree / path)
            self.assertNotIn(".debug_info", about, path)
            self.assertNotIn(".symtab", about, path)
            if "(NEEDED)" in about:  # the sandbox's init is static
                self.assertIn("DYN (Position-Independent Executable file)", about, path)
                self.assertRegex(about, r"\(FLAGS_1\).*NOW", path)
            self.assertNotIn("RPATH", about, path)
            self.assertNotIn("RUNPATH", about, path)

    def test_the_control_file_says_what_policy_wants(self):
        about = fields(package)
        for name in ("Package", "Version", "Architecture", "Maintainer", "Section", "Priority",
                     "Installed-Size", "Description", "Depends"):
            self.assertTrue(about.get(name), name)
        for needed in ("libssl3", "libc6", "libseccomp2", "nftables", "iproute2"):
            self.assertRegex(about["Depends"], rf"(^|, ){needed}( |,|$)")
        self.assertLess(len(about["Description"]), 80)

    def test_policys_files_are_there(self):
        doc = "usr/share/doc/gatehouse/"
        self.assertIn("Apache-2.0", (self.tree / doc / "copyright").read_text())
        changelog = gzip.decompress((self.tree / doc / "changelog.gz").read_bytes()).decode()
        self.assertTrue(changelog.startswith(f"gatehouse ({fields(package)['Version']}) "))
        self.assertIn(b"GATEHOUSE", gzip.decompress(
            (self.tree / "usr/share/man/man1/gatehouse.1.gz").read_bytes()))
        for place in ("bash-completion/completions/gatehouse",
                      "zsh/vendor-completions/_gatehouse",
                      "fish/vendor_completions.d/gatehouse.fish"):
            self.assertIn("gatehouse", (self.tree / "usr/share" / place).read_text())
        self.assertTrue((self.tree / doc / "gatehouse.schema.json").exists())
        self.assertTrue((self.tree / doc / "examples/one-model.yaml").exists())
        self.assertTrue((self.tree / "usr/share/man/man5/gatehouse.yaml.5.gz").exists())
        self.assertEqual((self.tree / "DEBIAN/conffiles").read_text(), f"/{CONFIG}\n")

    def test_maintainer_scripts_are_sound_shell(self):
        for script in ("postinst", "prerm", "postrm"):
            path = self.tree / "DEBIAN" / script
            self.assertTrue(os.access(path, os.X_OK))
            run("sh", "-n", path)
            self.assertIn("\nset -e\n", path.read_text())

    def test_the_same_sources_and_time_give_the_same_package(self):
        again = folder / "again"
        again.mkdir()
        self.assertEqual(build(again).read_bytes(), package.read_bytes())


class Restart(unittest.TestCase):
    """What postinst asks of a service manager, which here only writes down what it was asked."""

    def configured(self, previous, check_status, active=True):
        place = Path(tempfile.mkdtemp(dir=folder))
        asked = place / "asked"
        for name in ("systemd-sysusers", "systemd-tmpfiles", "deb-systemd-helper",
                     "deb-systemd-invoke", "systemctl", "gatehouse"):
            status = {"gatehouse": check_status, "systemctl": 0 if active else 3}.get(name, 0)
            (place / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {asked}\nexit {status}\n')
            (place / name).chmod(0o755)
        script = ("mount -t tmpfs none /run && mkdir -p /run/systemd/system && "
                  "mount -t tmpfs none /etc && mkdir /etc/gatehouse && "
                  "touch /etc/gatehouse/gatehouse.yaml && exec sh \"$1\" configure $2")
        environment = {"PATH": f"{place}:/usr/bin:/bin"}
        done = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh",
                               POSTINST, previous], capture_output=True, text=True, check=False,
                              env=environment)
        self.assertEqual(done.returncode, 0, done.stderr)
        return asked.read_text(), done.stderr

    def test_an_upgrade_restarts_what_its_check_has_nothing_against(self):
        asked, _ = self.configured("0.0.9", 0)
        self.assertIn("gatehouse upgrade --check --config /etc/gatehouse/gatehouse.yaml", asked)
        self.assertIn("deb-systemd-invoke restart gatehouse.service", asked)

    def test_an_upgrade_that_its_check_is_against_leaves_the_earlier_one_running(self):
        asked, said = self.configured("0.0.9", 69)
        self.assertNotIn("deb-systemd-invoke", asked)
        self.assertIn("systemctl restart gatehouse", said)

    def test_what_does_not_run_is_not_asked_about(self):
        for previous, active in (("", True), ("0.0.9", False)):
            asked, _ = self.configured(previous, 69, active)
            self.assertNotIn("upgrade --check", asked)
            self.assertIn("deb-systemd-invoke", asked)


class Lifetime(unittest.TestCase):
    def setUp(self):
        self.root = Path(tempfile.mkdtemp(prefix="root-", dir=folder))
        for place in ("info", "updates", "triggers"):
            (self.root / "var/lib/dpkg" / place).mkdir(parents=True)
        (self.root / "var/lib/dpkg/status").touch()
        (self.root / "etc").mkdir()
        self.data = self.root / "var/lib/gatehouse"

    def dpkg(self, *words):
        return run("dpkg", f"--root={self.root}", f"--log={folder}/dpkg.log", "--force-depends",
                   "--force-script-chrootless", "--force-not-root", "--force-confold", *words,
                   stdin=subprocess.DEVNULL)

    def state(self):
        listed = subprocess.run(["dpkg-query", f"--admindir={self.root}/var/lib/dpkg", "-W", "-f",
                                 "${db:Status-Status} ${Version}", "gatehouse"],
                                capture_output=True, text=True, check=False)
        return listed.stdout

    def test_installing_makes_the_users_and_the_data_directory(self):
        self.dpkg("-i", package)
        self.assertEqual(self.state(), "installed 0.1.0")
        passwd = (self.root / "etc/passwd").read_text()
        self.assertIn("gatehouse-vault:x:58101:58101:", passwd)
        self.assertEqual(self.data.stat().st_mode & 0o7777, 0o711)
        wanted = self.root / "etc/systemd/system/multi-user.target.wants/gatehouse.service"
        self.assertTrue(wanted.is_symlink())

    def test_an_upgrade_keeps_the_administrators_configuration_and_takes_what_is_gone(self):
        self.dpkg("-i", earlier)
        gone = self.root / "usr/share/doc/gatehouse/gone.md"
        self.assertTrue(gone.exists())
        (self.root / CONFIG).write_text(OURS)
        (self.data / "vault").mkdir()
        self.dpkg("-i", package)
        self.assertEqual(self.state(), "installed 0.1.0")
        self.assertEqual((self.root / CONFIG).read_text(), OURS)
        self.assertTrue((self.root / f"{CONFIG}.dpkg-dist").exists())
        self.assertFalse(gone.exists())
        self.assertTrue((self.data / "vault").exists())

    def test_an_upgrade_renews_a_configuration_that_nobody_changed(self):
        self.dpkg("-i", earlier)
        self.dpkg("-i", package)
        self.assertIn("who may do what", (self.root / CONFIG).read_text())

    def test_a_unit_that_was_disabled_stays_so_over_an_upgrade(self):
        self.dpkg("-i", earlier)
        wanted = self.root / "etc/systemd/system/multi-user.target.wants/gatehouse.service"
        wanted.unlink()
        self.dpkg("-i", package)
        self.assertFalse(wanted.is_symlink())

    def test_removing_keeps_configuration_and_data_and_a_purge_the_data_alone(self):
        self.dpkg("-i", package)
        (self.root / CONFIG).write_text(OURS)
        (self.data / "audit").mkdir()
        (self.data / "audit/segment").write_text("evidence")
        self.dpkg("-r", "gatehouse")
        self.assertEqual(self.state(), "config-files 0.1.0")
        self.assertEqual((self.root / CONFIG).read_text(), OURS)
        self.assertFalse((self.root / "usr/bin/gatehouse").exists())
        said = self.dpkg("-P", "gatehouse")
        self.assertEqual(self.state(), "")
        self.assertFalse((self.root / "etc/gatehouse").exists())
        self.assertEqual((self.data / "audit/segment").read_text(), "evidence")
        self.assertIn("are kept", said)

    def test_a_purge_of_a_house_that_never_was_leaves_nothing(self):
        self.dpkg("-i", package)
        self.dpkg("-P", "gatehouse")
        left = [path for path in self.root.rglob("*gatehouse*")
                if "etc/passwd" not in str(path) and "etc/group" not in str(path)]
        self.assertEqual(left, [])


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("skipped: dpkg installs as root")
        sys.exit(77)
    folder = Path(tempfile.mkdtemp(prefix="gatehouse-package-", dir="/var/tmp"))
    try:
        (folder / "first").mkdir()
        package = build(folder / "first")
        earlier = older(package, folder)
        unittest.main(verbosity=2)
    finally:
        shutil.rmtree(folder)
