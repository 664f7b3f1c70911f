# SPDX-License-Identifier: Apache-2.0
"""The bill of materials: the form that SPDX 2.3 requires, and that nothing linked is left out."""
import hashlib
import json
import os
import re
import subprocess
import unittest
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ["GATEHOUSE_BIN"]).parent

# The schema's `required`, and its types and enumerations where the bill uses them
# (https://spdx.github.io/spdx-spec/v2.3/, clauses 6 to 11).
REQUIRED = {
    "document": ("SPDXID", "creationInfo", "dataLicense", "name", "spdxVersion",
                 "documentNamespace"),
    "creationInfo": ("created", "creators"),
    "package": ("SPDXID", "downloadLocation", "name"),
    "file": ("SPDXID", "checksums", "fileName"),
    "relationship": ("spdxElementId", "relatedSpdxElement", "relationshipType"),
    "checksum": ("algorithm", "checksumValue"),
    "externalRef": ("referenceCategory", "referenceLocator", "referenceType"),
}
RELATIONS = {"DESCRIBES", "CONTAINS", "DYNAMIC_LINK", "DEPENDS_ON", "BUILD_DEPENDENCY_OF",
             "BUILD_TOOL_OF"}
LENGTH = {"SHA1": 40, "SHA256": 64}
LICENCE = re.compile(r"NOASSERTION|NONE|[A-Za-z0-9.+-]+( (WITH|OR|AND) [A-Za-z0-9.+-]+)*")


def made(**environment):
    done = subprocess.run([str(TREE / "tools/sbom"), str(BUILD)], capture_output=True, text=True,
                          check=False, env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr
    return done.stdout


class Form(unittest.TestCase):
    def has(self, kind, item):
        for key in REQUIRED[kind]:
            self.assertTrue(item.get(key), f"{kind} without {key}: {item}")

    def test_the_document_is_complete(self):
        self.has("document", bill)
        self.has("creationInfo", bill["creationInfo"])
        self.assertEqual((bill["spdxVersion"], bill["dataLicense"], bill["SPDXID"]),
                         ("SPDX-2.3", "CC0-1.0", "SPDXRef-DOCUMENT"))
        self.assertEqual(bill["creationInfo"]["created"], "2023-11-14T22:13:20Z")
        self.assertRegex(bill["creationInfo"]["creators"][0], r"^(Tool|Organization|Person): \S")
        self.assertRegex(bill["documentNamespace"], r"^[a-z]+:[^#\s]+$")

    def test_packages_and_files_are_complete(self):
        for package in bill["packages"]:
            self.has("package", package)
            self.assertTrue(LICENCE.fullmatch(package["licenseDeclared"]), package["name"])
            self.assertEqual("packageVerificationCode" in package, package["filesAnalyzed"])
            for reference in package.get("externalRefs", []):
                self.has("externalRef", reference)
                self.assertRegex(reference["referenceLocator"],
                                 r"^pkg:deb/debian/[a-z0-9.+-]+@\S+\?arch=[a-z0-9]+$")
        for file in bill["files"]:
            self.has("file", file)
            self.assertTrue(file["fileName"].startswith("./"))
            self.assertIn(file["fileTypes"], (["SOURCE"], ["BINARY"]))
            for checksum in file["checksums"]:
                self.has("checksum", checksum)
                self.assertRegex(checksum["checksumValue"],
                                 rf"^[0-9a-f]{{{LENGTH[checksum['algorithm']]}}}$")

    def test_names_are_unique_and_relationships_lead_to_them(self):
        names = [item["SPDXID"] for item in (bill, *bill["packages"], *bill["files"])]
        self.assertEqual(len(names), len(set(names)))
        for name in names:
            self.assertRegex(name, r"^SPDXRef-[A-Za-z0-9.-]+$")
        for item in bill["relationships"]:
            self.has("relationship", item)
            self.assertIn(item["relationshipType"], RELATIONS)
            self.assertIn(item["spdxElementId"], names)
            self.assertIn(item["relatedSpdxElement"], names)

    def test_the_same_build_and_time_give_the_same_bill(self):
        self.assertEqual(made(SOURCE_DATE_EPOCH="1700000000"), text)


class Substance(unittest.TestCase):
    def related(self, kind, name):
        packages = {package["SPDXID"]: package for package in bill["packages"]}
        return [packages[item["relatedSpdxElement"]] for item in bill["relationships"]
                if item["relationshipType"] == kind and item["spdxElementId"] == name]

    def test_what_an_executable_loads_is_there_with_version_and_licence(self):
        # Asked in another way than the tool does: of the dynamic loader itself, at load.
        for name in ("gatehouse", "gatehouse-gateway", "gatehouse-vault"):
            binary = next(file for file in bill["files"] if file["fileName"] == f"./bin/{name}")
            listed = {package["name"] for kind in ("DYNAMIC_LINK", "DEPENDS_ON")
                      for package in self.related(kind, binary["SPDXID"])}
            done = subprocess.run([str(BUILD / "bin" / name)], capture_output=True, text=True,
                                  check=False, env={"LD_TRACE_LOADED_OBJECTS": "1"})
            count = len(re.findall(r"=> /", done.stdout))
            self.assertGreater(count, 5)
            for library, package in (("libcrypto.so", "libssl3"), ("libc.so", "libc6"),
                                     ("libstdc++.so", "libstdc++6"), ("libcares", "libc-ares2"),
                                     ("libsodium", "libsodium23"), ("libfmt", "libfmt9"),
                                     ("libseccomp", "libseccomp2"), ("libcap.", "libcap2"),
                                     ("libyaml-cpp", "libyaml-cpp0.7"),
                                     ("libsqlite3", "libsqlite3-0")):
                self.assertEqual(library in done.stdout, package in listed, (name, library))
        for item in bill["relationships"]:
            if item["relationshipType"] == "DYNAMIC_LINK":
                package = next(package for package in bill["packages"]
                               if package["SPDXID"] == item["relatedSpdxElement"])
                self.assertNotEqual(package["licenseDeclared"], "NOASSERTION", package["name"])
                version = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package["name"]],
                                         capture_output=True, text=True, check=True).stdout
                self.assertEqual(package["versionInfo"], version)

    def test_libraries_of_headers_only_and_the_compiler_are_there(self):
        names = {package["name"] for package in bill["packages"]}
        for name in ("libboost1.81-dev", "libcli11-dev", "clang-19"):
            self.assertIn(name, names)
        self.assertNotIn("libgtest-dev", names)  # tests are not shipped

    def test_every_source_is_there_with_its_digest(self):
        tracked = subprocess.run(["git", "ls-files", "src"], capture_output=True, text=True,
                                 check=True, cwd=TREE).stdout.splitlines()
        listed = {file["fileName"][2:]: file for file in bill["files"]}
        for name in tracked:
            self.assertIn(name, listed)
        one = listed["src/base/secret.cc"]
        self.assertIn({"algorithm": "SHA256", "checksumValue": hashlib.sha256(
            (TREE / "src/base/secret.cc").read_bytes()).hexdigest()}, one["checksums"])
        self.assertEqual(one["licenseConcluded"], "Apache-2.0")


if __name__ == "__main__":
    text = made(SOURCE_DATE_EPOCH="1700000000")
    bill = json.loads(text)
    unittest.main(verbosity=2)
