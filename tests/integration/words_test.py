#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command's words, wherever they stand: completion by each shell, the man page, the error
catalogue, and every command in the documents exist and are the same."""
import json
import os
import re
import shlex
import subprocess
import tempfile
import unittest
from pathlib import Path

from house import GATEHOUSE, gatehouse

ROOT = Path(__file__).resolve().parents[2]
TREE = json.loads(gatehouse("help", "--json").stdout)
MAN = ROOT / "docs/man/gatehouse.1"
DOCUMENTS = sorted([*ROOT.glob("docs/**/*.md"), ROOT / "README.md", ROOT / "demo/README.md"])


def verbs(node=TREE, path=()):
    """(words, node) of every verb that does something."""
    for inner in node["verbs"]:
        words = (*path, inner["names"][0])
        if not inner["verbs"]:
            yield words, inner
        yield from verbs(inner, words)


def offered(words):
    """What may stand behind these words."""
    node = TREE
    for word in words:
        node = next(inner for inner in node["verbs"] if word in inner["names"])
    return {inner["names"][0] for inner in node["verbs"]} | {
        name for option in node["options"] for name in option["names"]}


def wrong_with(command):
    """What is wrong with a command line of ours in a document; None if nothing is."""
    words = shlex.split(command, comments=True)[1:]
    node = TREE
    while words and any(words[0] in inner["names"] for inner in node["verbs"]):
        node = next(inner for inner in node["verbs"] if words[0] in inner["names"])
        words.pop(0)
    if node["verbs"] and not (words and words[0].startswith("-")):
        return f"no verb {words[0]}" if words else "no verb"
    flags = {name: option for option in node["options"] for name in option["names"]}
    given = 0
    while words:
        word = words.pop(0)
        if word == "--":
            break
        if not word.startswith("-"):
            given += 1
            continue
        name = word.split("=")[0]
        if name not in flags:
            return f"no option {name}"
        if flags[name]["takes_value"] and "=" not in word:
            if not words:
                return f"no value for {name}"
            words.pop(0)
    repeats = any(option["repeats"] for option in node["positionals"])
    most = given if repeats else len(node["positionals"])
    return f"{given} words where {most} belong" if given > most else None


def commands():
    """Every line of a code block that begins with our name, and every such span of code."""
    for path in DOCUMENTS:
        block = False
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if line.strip().startswith("```"):
                block = not block
                continue
            if block:
                text = re.sub(r"^\s*(\$ )?(sudo )?(build/dev/bin/)?", "", line)
                found = [text] if re.match(r"gatehouse [a-z-]", text) else []
            else:
                found = re.findall(r"`(gatehouse [a-z-][^`]*)`", line)
            for command in found:
                yield f"{path.relative_to(ROOT)}:{number}", command


def usable(command):
    """A command as it is typed: one of a pipe or list, without what stands for `and so on`."""
    command = re.split(r"\s(?:\||&&|;|>|<|&)(?:\s|$)", command)[0]
    command = re.sub(r"\[([^\[\]]*)\]", r"\1", command)  # what may be left out
    return re.sub(r"\s*(\.\.\.|\\)$", "", command).replace("...", "")


class Words(unittest.TestCase):
    def test_every_command_in_the_documents_exists(self):
        seen, wrong = 0, []
        for place, command in commands():
            seen += 1
            try:
                problem = wrong_with(usable(command))
            except ValueError as error:
                problem = str(error)
            if problem:
                wrong.append(f"{place}: {command}: {problem}")
        self.assertEqual(wrong, [])
        self.assertGreater(seen, 50)

    def test_each_runbook_has_commands(self):
        runbooks = {path.name for path in (ROOT / "docs/runbooks").glob("*.md")}
        self.assertEqual(runbooks, {"disk-full.md", "lost-key.md", "leaked-token.md",
                                    "rogue-agent.md"})
        for name in runbooks:
            own = [place for place, _ in commands() if f"runbooks/{name}:" in place]
            self.assertGreater(len(own), 4, name)

    def test_the_check_of_documents_finds_what_is_wrong(self):
        for command in ("gatehouse fly", "gatehouse kill --now", "gatehouse audit",
                        "gatehouse kill RUN RUN", "gatehouse kill RUN --reason"):
            self.assertTrue(wrong_with(command), command)
        self.assertIsNone(wrong_with("gatehouse run -a shell --user=alice -- ls --fly"))

    def test_the_man_page_has_every_verb_and_no_warning(self):
        text = MAN.read_text(encoding="utf-8")
        for words, _ in verbs():
            for word in words:
                self.assertRegex(text, rf"(?m)\bCm\b.*\b{re.escape(word)}\b", words)
        for option in re.findall(r"Fl -([a-z-]+)", text):
            self.assertTrue(any(f"--{option}" in opt["names"] for _, verb in verbs()
                                for opt in verb["options"]), option)
        for page in (ROOT / "docs/man").iterdir():
            done = subprocess.run(["groff", "-mdoc", "-ww", "-z", "-Tutf8", str(page)],
                                  capture_output=True, text=True, timeout=60)
            self.assertEqual((done.returncode, done.stderr), (0, ""))


    def test_the_page_of_the_config_has_every_key(self):
        schema = json.loads((ROOT / "docs/gatehouse.schema.json").read_text(encoding="utf-8"))
        keys = set()

        def gather(node):
            if isinstance(node, dict):
                keys.update(node.get("properties", {}))
                for inner in node.values():
                    gather(inner)
        gather(schema)
        text = (ROOT / "docs/man/gatehouse.yaml.5").read_text(encoding="utf-8")
        named = set(re.findall(r"\w+", " ".join(re.findall(r"\.?\bIc (.*)", text))))
        self.assertGreater(len(keys), 50)
        self.assertEqual(keys - named, set())
        redacted = (ROOT / "src/control/redacted.cc").read_text(encoding="utf-8")
        self.assertEqual({key for key in keys if f'"{key}"' not in redacted}, set())


class Completion(unittest.TestCase):
    CASES = [(), ("audit",), ("config",), ("run",), ("connect",), ("config", "check")]

    def script(self, shell):
        done = gatehouse("completion", shell)
        self.assertEqual(done.returncode, 0, done.stderr)
        file = tempfile.NamedTemporaryFile("w", suffix=shell)
        self.addCleanup(file.close)
        file.write(done.stdout)
        file.flush()
        return file.name

    def said(self, *words):
        done = subprocess.run(words, capture_output=True, text=True, timeout=60,
                              env={**os.environ, "HOME": "/nonexistent"})
        self.assertEqual(done.stderr, "")
        return done.stdout.split("\n")[:-1]

    def test_bash_offers_what_there_is(self):
        script = self.script("bash")
        def complete(*words):
            typed = " ".join(shlex.quote(word) for word in ("gatehouse", *words))
            return self.said("bash", "--norc", "-c", f"source {script}; COMP_WORDS=({typed}); "
                             f"COMP_CWORD={len(words)}; _gatehouse; "
                             "printf '%s\\n' \"${COMPREPLY[@]}\"")
        for words in self.CASES:
            self.assertEqual(set(complete(*words, "")), offered(words), words)
        self.assertEqual(complete("aud"), ["audit"])
        self.assertEqual(complete("kill", "--re"), ["--reason"])
        self.assertEqual(complete("kill", "--reason", ""), [""])
        self.assertEqual(complete("run", "--", "aud"), [""])

    def test_zsh_offers_what_there_is(self):
        script = self.script("zsh")
        for words in self.CASES:
            typed = " ".join(("gatehouse", *words, "''"))
            got = self.said("zsh", "-f", "-c", "compdef() {}; _files() {}; compadd() { shift; "
                            f"print -l -- $@ }}; source {script}; words=({typed}); "
                            f"CURRENT={len(words) + 2}; _gatehouse")
            self.assertEqual(set(got), offered(words), words)

    def test_fish_offers_what_there_is(self):
        script = self.script("fish")
        for words in self.CASES:
            for begun in ("", "-"):
                typed = " ".join(("gatehouse", *words, begun))
                got = self.said("fish", "--no-config", "-c",
                                f"source {script}; complete -C {shlex.quote(typed)}")
                names = {line.split("\t")[0] for line in got}
                wanted = {name for name in offered(words) if name.startswith("-") == bool(begun)}
                self.assertLessEqual(wanted, names, typed)

    def test_another_shell_is_not_known(self):
        self.assertEqual(gatehouse("completion", "csh").returncode, 64)


class Errors(unittest.TestCase):
    def test_the_page_is_what_the_source_says(self):
        done = subprocess.run([ROOT / "tools/error-catalogue", GATEHOUSE, "--check"],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_every_code_has_a_cause_and_a_remedy(self):
        said = json.loads(gatehouse("help", "errors", "--json").stdout)["errors"]
        codes = [error["code"] for error in said]
        self.assertEqual(len(codes), len(set(codes)))
        for error in said:
            self.assertGreater(min(len(error["cause"]), len(error["remedy"])), 10, error)
        header = (ROOT / "src/base/result.h").read_text(encoding="utf-8")
        enum = re.search(r"enum Code.*?\{(.*?)\};", header, re.S)[1]
        in_source = re.findall(r"^\s*k(\w+),", enum, re.M)
        self.assertEqual(len([e for e in said if "http_status" in e]), len(in_source))

    def test_one_is_explained_by_its_code(self):
        text = gatehouse("help", "errors", "audit_unavailable").stdout
        self.assertIn("remedy:", text)
        self.assertNotIn("lease_refused", text)
        self.assertEqual(gatehouse("help", "errors", "nonsense").returncode, 66)


if __name__ == "__main__":
    unittest.main(verbosity=2)
