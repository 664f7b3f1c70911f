#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gatehouse.yaml: what is wrong with it is told whole, with place and remedy; its JSON Schema and
the strict decoder agree on a corpus and on every mutation of the file that has every key."""
import copy
import json
import shutil
import tempfile
import unittest
from pathlib import Path

import jsonschema
import yaml

from house import gatehouse

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT / "tests/config"
EXAMPLES = sorted((ROOT / "docs/examples").glob("*.yaml"))
SCHEMA = json.loads((ROOT / "docs/gatehouse.schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def fits(document):
    return VALIDATOR.is_valid(document)


def checked(paths):
    """What `config check` says of each file, in order."""
    done = gatehouse("config", "check", "--json", *map(str, paths))
    files = json.loads(done.stdout)["files"]
    assert done.returncode == (0 if all(file["valid"] for file in files) else 65), done
    assert [file["config"] for file in files] == list(map(str, paths))
    return files


def read(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


class Check(unittest.TestCase):
    def write(self, text):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = Path(folder.name) / "gatehouse.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    def test_every_problem_is_told_with_place_and_remedy(self):
        path = self.write("version: 1\ndata: relative\nusers: [{name: alice}, {name: alice}]\n"
                          "colour: blue\nagents:\n  - name: 7\n    pids: many\n")
        done = gatehouse("config", "check", str(path))
        self.assertEqual((done.returncode, done.stdout), (65, ""))
        lines = done.stderr.splitlines()
        for place, code in (("2:7", "config_wrong_value"), ("3:31", "config_given_twice"),
                            ("4:1", "config_unknown_key"), ("6:11", "config_wrong_type"),
                            ("7:11", "config_wrong_value")):
            said = [line for line in lines if line.startswith(f"{path}:{place}: ")]
            self.assertEqual(len(said), 1, (place, done.stderr))
            self.assertTrue(said[0].endswith(f"[{code}]"), said)
            self.assertTrue(any(line.startswith(f"  {code}: ") for line in lines), code)

    def test_the_same_as_json_on_standard_output(self):
        path = self.write("version: 1\ncolour: blue\n")
        done = gatehouse("config", "check", "--json", str(path))
        self.assertEqual((done.returncode, done.stderr), (65, ""))
        problem = json.loads(done.stdout)["files"][0]["problems"][0]
        self.assertEqual((problem["line"], problem["column"], problem["code"]),
                         (2, 1, "config_unknown_key"))
        self.assertTrue(problem["remedy"] and problem["message"])

    def test_what_cannot_be_read_is_another_matter(self):
        self.assertEqual(gatehouse("config", "check", "/nowhere/gatehouse.yaml").returncode, 66)
        self.assertEqual(gatehouse("config", "check", "--fly").returncode, 64)

    def test_what_is_no_yaml_has_its_place(self):
        path = self.write("version: 1\nusers: [\n")
        said = gatehouse("config", "check", str(path)).stderr
        self.assertIn("[config_not_yaml]", said)
        self.assertRegex(said, r":\d+:\d+: ")


class Schema(unittest.TestCase):
    maxDiff = None

    def test_it_is_a_schema_and_is_printed(self):
        jsonschema.Draft202012Validator.check_schema(SCHEMA)
        self.assertEqual(json.loads(gatehouse("config", "schema").stdout), SCHEMA)

    def test_both_accept_what_is_good(self):
        good = sorted((CORPUS / "good").glob("*.yaml")) + EXAMPLES
        self.assertGreater(len(EXAMPLES), 3)
        for path, file in zip(good, checked(good)):
            self.assertTrue(file["valid"], (path, file["problems"]))
            self.assertEqual([error.message for error in VALIDATOR.iter_errors(read(path))], [],
                             path)

    def test_both_refuse_what_has_another_shape(self):
        bad = sorted((CORPUS / "shape").glob("*.yaml"))
        for path, file in zip(bad, checked(bad)):
            self.assertFalse(file["valid"], path)
            self.assertFalse(fits(read(path)), path)

    def test_only_the_decoder_knows_what_is_meant(self):
        bad = sorted((CORPUS / "meaning").glob("*.yaml"))
        for path, file in zip(bad, checked(bad)):
            self.assertFalse(file["valid"], path)
            self.assertTrue(fits(read(path)), path)

    def test_the_corpus_has_every_key(self):
        def keys_of(schema):
            for key, inner in schema.get("properties", {}).items():
                if inner is not False:
                    yield key
                    yield from keys_of(inner)
            if "items" in schema:
                yield from keys_of(schema["items"])
        wanted = set(keys_of(SCHEMA))
        for definition in SCHEMA["$defs"].values():
            wanted |= set(keys_of(definition))

        def keys_in(node):
            if isinstance(node, dict):
                for key, inner in node.items():
                    yield key
                    yield from keys_in(inner)
            if isinstance(node, list):
                for item in node:
                    yield from keys_in(item)
        self.assertEqual(wanted - set(keys_in(read(CORPUS / "good/everything.yaml"))), set())

    def test_no_mutation_divides_them(self):
        """Each value of the file with every key is left out, doubled in a list, replaced by one of
        each type; each mapping gets a key that nobody knows. What the schema refuses the decoder
        refuses; what the decoder refuses and the schema does not is of the kinds that only it can
        know."""
        whole = read(CORPUS / "good/everything.yaml")
        mutants = [mutant for place in places(whole) for mutant in mutated(whole, place)]
        self.assertGreater(len(mutants), 700)
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(CORPUS / "good/ca.pem", folder)
            paths = []
            for number, mutant in enumerate(mutants):
                paths.append(Path(folder) / f"{number}.yaml")
                paths[-1].write_text(json.dumps(mutant), encoding="utf-8")
            said = checked(paths)
        apart = ("config_unknown_name", "config_given_twice", "config_wrong_together",
                 "config_unreadable_file")
        apart_at = []
        for mutant, file in zip(mutants, said):
            why = [error.message for error in VALIDATOR.iter_errors(mutant)]
            codes = {problem["code"] for problem in file["problems"]}
            if file["valid"] != (not why) and not (not why and codes & set(apart)):
                apart_at.append((why, file["problems"]))
        self.assertEqual(apart_at, [])
        refused = sum(not file["valid"] for file in said)
        self.assertGreater(refused, len(mutants) // 3)


def places(node, path=()):
    """The path of every value in the document."""
    if path:
        yield path
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(
        node, list) else ()
    for key, value in inner:
        yield from places(value, (*path, key))


def mutated(whole, path):
    def holder_of(document):
        for key in path[:-1]:
            document = document[key]
        return document
    last = path[-1]
    mutant = copy.deepcopy(whole)
    del holder_of(mutant)[last]
    yield mutant
    for value in (None, True, -1, "", "Wrong Value", ["x"], {"x": "y"}):
        mutant = copy.deepcopy(whole)
        holder_of(mutant)[last] = value
        yield mutant
    mutant = copy.deepcopy(whole)
    value = holder_of(mutant)[last]
    if isinstance(value, dict) and last != "environment":
        value["colour"] = "blue"
        yield mutant
    elif isinstance(value, list) and value:
        value.append(copy.deepcopy(value[0]))
        yield mutant


if __name__ == "__main__":
    unittest.main(verbosity=2)
