#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks properties of the source that no compiler checks. Runs as a test.

  tools/tidy            checks the tree; exit status 1 when a rule is broken
  tools/tidy --rules    lists the rules

A finding reads `path:line: rule: what is wrong`. One line may be excused with a reason, in a
comment on that line or the line above: `tidy: allow(rule) reason`. Layers, exceptions and fuzz
targets are data: tools/tidy.toml.
"""
import os
import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

LINE_COLUMNS_MAX = 100
FILE_LINES_WARN = 600
FILE_LINES_MAX = 800
FUNCTION_LINES_WARN = 70
FUNCTION_LINES_MAX = 100

SKIPPED_FOLDERS = {".git", "build", "node_modules", ".cache", "corpus", "dist", "__pycache__"}
CPP = {".h", ".cc", ".c", ".cpp", ".hpp"}
CODE = CPP | {".py", ".sh", ".lua", ".cmake", ".js", ".mjs", ".cjs", ".ts", ".tsx", ".toml"}

RULES = {
    "spdx": "the first line (the second after #!) carries the SPDX identifier",
    "pragma-once": "a header says #pragma once",
    "docstring": "a header says what it declares, in a comment before its first declaration",
    "columns": f"a line of code has at most {LINE_COLUMNS_MAX} columns",
    "file-length": f"a file has at most {FILE_LINES_MAX} lines ({FILE_LINES_WARN} warns)",
    "function-length": f"a function has at most {FUNCTION_LINES_MAX} lines "
                       f"({FUNCTION_LINES_WARN} warns)",
    "layer": "includes point down, and roles never include each other",
    "epoll": "epoll appears only in src/net: all else waits through a Loop",
    "cli11": "CLI11 appears only in src/cli and src/bin",
    "banned": "a call that has a safer equivalent",
    "memcmp-secret": "secrets are compared in constant time",
    "lambda-coroutine": "a coroutine lambda captures nothing: its closure dies before its frame",
    "fuzz": "a fuzz target drives every parser of every folder and every message",
    "leftover": "work that is left is an issue, not a comment",
    "shown-by": "each threat of docs/threat-model.md names tests that exist, or says what is open",
    "allow": "an excuse names a rule and gives a reason",
    "table": "tools/tidy.toml names only what exists",
}

# (pattern over code without comments and strings, what to use)
BANNED = [
    (r"(?<![\w.>])(?:std::|::)?(strcpy|strcat|sprintf|vsprintf|gets|strtok)\s*\(",
     "{0}() writes without a bound: use std::string, std::span or fmt::format"),
    (r"(?<![\w.>:])(?:std::|::)?(s?rand)\s*\(", "{0}() is predictable: use base/random.h"),
    (r"\bstd::(regex\w*)\b", "std::{0} recurses on its input: write a scanner"),
    (r"#\s*include\s*<(regex|iostream)>", "<{0}> is not used here: base/log.h, fmt"),
    (r"\bstd::(cout|cerr|clog|cin)\b", "std::{0}: use base/log.h or fmt::print"),
    (r"(?<![\w.>:])(?:::)?(gettimeofday)\s*\(", "{0}() may run backwards: use base/time.h"),
    (r"(?<![\w.>:])(?:std::|::)?(system|popen)\s*\(",
     "{0}() runs a shell: use an argument vector and posix_spawn"),
    (r"(?:\.|->)\s*(detach)\s*\(\s*\)", "{0}() loses the task: await it or give it to a Nursery"),
]
LEFTOVER = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"])
                      + r")\b")
ALLOW = re.compile(r"tidy: allow\(([^)]*)\)[ \t]*(.*)")
THREATS = "docs/threat-model.md"
# One thing that shows something: demo check 3, or a test, with cases in it: vault (`A.B`, `A.C`);
# or what no test shows: **open**: and why.
OPEN = re.compile(r"\*\*open\*\*: .{10,}")
SHOWN = re.compile(r"demo check (\d+)|(\w+)(?: \((`[\w.]+`(?:, `[\w.]+`)*)\))?")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


@dataclass(frozen=True)
class Finding:
    path: str
    line: int
    rule: str
    text: str
    warning: bool = False

    def __str__(self):
        kind = "warning: " if self.warning else ""
        return f"{self.path}:{self.line}: {kind}{self.rule}: {self.text}"


def blanked(text):
    """`text` with the insides of comments, strings and character literals turned to spaces."""
    pattern = re.compile(
        r'//(?:[^\n\\]|\\.)*|/\*.*?\*/|(?:u8|[uUL])?R"([^()\\ \n]{0,16})\(.*?\)\1"'
        r"|\"(?:[^\"\\\n]|\\.)*\"|(?<![0-9a-zA-Z_])'(?:[^'\\\n]|\\.)*'", re.S)

    def blank(match):
        whole = match.group(0)
        quoted = not whole.startswith("/")
        inside = whole[1:-1] if quoted else whole
        inside = re.sub(r"[^\n]", " ", inside)
        return whole[0] + inside + whole[-1] if quoted else inside

    # An include's quoted path is no string: it is looked at by the layer rule, on the raw line.
    return pattern.sub(blank, text)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def closing_brace(code, opening):
    depth = 0
    for match in re.compile(r"[{}]").finditer(code, opening):
        depth += 1 if match.group(0) == "{" else -1
        if depth == 0:
            return match.start()
    return len(code) - 1


def functions(code):
    """(name, first line, lines) of each outermost function body, by its braces."""
    position = 0
    while True:
        opening = code.find("{", position)
        if opening < 0:
            return
        head = code[max(code.rfind(c, 0, opening) for c in ";{}") + 1:opening]
        head = re.sub(r"^\s*#.*$", "", head, flags=re.M)
        head = re.sub(r"\b(public|private|protected)\s*:", "", head).strip()
        scope = re.match(r"(template\s*<.*>\s*)?(inline\s+)?(namespace|class|struct|union|enum"
                         r"|extern)\b", head, re.S)
        is_function = "(" in head and not (scope and not re.search(r"\)\s*(const|noexcept|->|$)",
                                                                   head))
        if not is_function:
            position = opening + 1
            continue
        end = closing_brace(code, opening)
        name = re.search(r"([\w:~]+)\s*\(", head)
        first = line_of(code, opening)
        yield (name.group(1) if name else "?"), first, line_of(code, end) - first + 1
        position = end + 1


def lambda_coroutines(code):
    """Offsets of lambdas that capture, are coroutines, and do not take themselves by value."""
    head = re.compile(r"(?<![\w\])])\[([^\[\]]*)\]\s*(\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))?"
                      r"\s*(?:mutable\b|noexcept\b|->[^{};]*)*\s*\{")
    for match in head.finditer(code):
        captures, parameters = match.group(1).strip(), match.group(2) or ""
        if not captures or re.search(r"\bthis\s+auto\b", parameters):
            continue
        body = code[match.end() - 1:closing_brace(code, match.end() - 1)]
        if re.search(r"\bco_(await|return|yield)\b", body):
            yield match.start()


# A message of a contract; what a parser is called; what takes foreign bytes apart.
MESSAGE = re.compile(r"^struct (\w+) \{\n  static constexpr MessageType kType\b", re.M)
PARSER = re.compile(r"^(?P<inside> *)(?:(?:class|struct) (?P<type>\w*(?:Parser|Reader|Decoder))\b"
                    r"[^;{]*\{|[^\n(]*?\b(?P<function>(?:parse|decode)(?:_\w+)?)\s*\()", re.M)
RAW = re.compile(r"\b((?:scan_(?:object|array|value)|json::parse|percent_decoded|YAML::Load\w*"
                 r"|from_(?:base64url|base64|hex)|sscanf)(?= *\()"
                 r"|decode<(?:\w+::)*(\w+)>)")
# Folders whose own business is decoding, by the names of PARSER; main functions read flags.
DECODING = ("src/base/", "src/wire/", "src/ipc/", "src/bin/")


def parsers(code):
    """(line, name) of what a header declares that reads bytes: parse_x, Thing::parse, XReader."""
    for match in PARSER.finditer(code):
        name = match.group("type") or match.group("function")
        if match.group("inside") and name in ("parse", "decode"):
            before = re.findall(r"^(?:class|struct) (\w+)[^;{]*\{", code[:match.start()], re.M)
            name = f"{before[-1]}::{name}" if before else name
        yield line_of(code, match.end() - 1), name


def raw_readings(code, named):
    """(line, what) of each place that decodes by hand, but for messages that a target names."""
    for match in RAW.finditer(code):
        if match.group(2) not in named:
            yield line_of(code, match.start()), match.group(1)


class Tree:
    """The files under `root`, and the findings about them."""

    def __init__(self, root, table):
        self.root = Path(root)
        self.table = table
        self.findings = []
        self.paths = sorted(self.listed())

    def listed(self):
        for folder, folders, files in os.walk(self.root):
            folders[:] = [f for f in folders if f not in SKIPPED_FOLDERS]
            for name in files:
                path = Path(folder, name)
                if not path.is_symlink():
                    yield path.relative_to(self.root).as_posix()

    def report(self, path, line, rule, text, warning=False):
        self.findings.append(Finding(path, line, rule, text, warning))

    def check(self):
        for path in self.paths:
            try:
                text = (self.root / path).read_text(encoding="utf-8")
            except (UnicodeDecodeError, FileNotFoundError):
                continue
            self.check_file(path, text)
        self.check_fuzz()
        self.check_table()
        if THREATS in self.paths:
            self.check_threats((self.root / THREATS).read_text(encoding="utf-8"))
        return self.findings

    def check_file(self, path, text):
        before = len(self.findings)
        suffix = Path(path).suffix
        name = Path(path).name
        script = text.startswith("#!")
        code = suffix in CODE or name in ("CMakeLists.txt", "Makefile") or script
        if code:
            self.check_spdx(path, text)
            self.check_columns(path, text)
        if code or suffix in (".md", ".yaml", ".yml"):
            self.check_leftover(path, text)
        if suffix in CPP:
            self.check_cpp(path, text)
        self.excuse(path, text, before)

    def check_cpp(self, path, text):
        code = blanked(text)
        if path.endswith(".h"):
            self.check_header(path, text)
        self.check_banned(path, text, code)
        self.check_includes(path, text)
        if not is_test(path):
            self.check_lengths(path, text, code)
            for offset in lambda_coroutines(code):
                self.report(path, line_of(code, offset), "lambda-coroutine",
                            "captures die with the closure: pass parameters or use (this auto)")

    def check_spdx(self, path, text):
        lines = text.splitlines()[:2] + ["", ""]
        line = 1 if lines[0].startswith("#!") else 0
        if "SPDX-License-Identifier: Apache-2.0" not in lines[line]:
            self.report(path, line + 1, "spdx", "expected SPDX-License-Identifier: Apache-2.0")

    def check_columns(self, path, text):
        for number, line in enumerate(text.splitlines(), 1):
            if len(line) > LINE_COLUMNS_MAX and not re.fullmatch(r"\W*\S*://\S+\W*", line):
                self.report(path, number, "columns", f"{len(line)} columns")

    def check_leftover(self, path, text):
        for number, line in enumerate(text.splitlines(), 1):
            if match := LEFTOVER.search(line):
                self.report(path, number, "leftover", f"'{match.group(1)}'")

    def check_header(self, path, text):
        if not re.search(r"^#pragma once$", text, re.M):
            self.report(path, 1, "pragma-once", "no #pragma once")
        for number, line in enumerate(text.splitlines(), 1):
            if number > 1 and re.match(r"\s*(//|/\*)\s*\S", line) and "SPDX" not in line:
                return
            declares = line.strip() and not re.match(r"\s*(#|//|namespace\b|extern \"C\"|using\b"
                                                     r"|}|(class|struct|enum class) [\w:]+;)",
                                                     line)
            if declares:
                self.report(path, number, "docstring", "the first declaration has no comment")
                return

    def check_banned(self, path, text, code):
        lines = text.splitlines()
        for pattern, message in BANNED:
            for match in re.finditer(pattern, code):
                self.report(path, line_of(code, match.start()), "banned",
                            message.format(match.group(1)))
        for match in re.finditer(r"\bmemcmp\s*\(", code):
            number = line_of(code, match.start())
            if re.search(r"secret|token|password|mac\b", lines[number - 1], re.I):
                self.report(path, number, "memcmp-secret", "use Secret::equals, sodium_memcmp")
        if path.startswith("src/") and not path.startswith("src/net/"):
            for match in re.finditer(r"\bepoll_(?:create1?|ctl|p?wait2?)\s*\(", code):
                self.report(path, line_of(code, match.start()), "epoll", "only src/net may use it")
        if not path.startswith(("src/cli/", "src/bin/")):
            for match in re.finditer(r"\bCLI::|#\s*include\s*<CLI/", code):
                self.report(path, line_of(code, match.start()), "cli11",
                            "only src/cli and src/bin may use it")

    def check_includes(self, path, text):
        parts = path.split("/")
        if parts[0] != "src" or len(parts) < 3:
            return
        folder = parts[1]
        layers = self.table.get("layers", {})
        if folder not in layers:
            self.report(path, 1, "layer", f"folder '{folder}' is not in tools/tidy.toml")
            return
        excused = {e["include"] for e in self.table.get("exception", []) if e["file"] == path}
        for number, line in enumerate(text.splitlines(), 1):
            match = INCLUDE.match(line)
            if not match or match.group(1) != '"':
                continue
            included = match.group(2)
            target = included.split("/")[0]
            if included.startswith(".") or "/../" in included:
                self.report(path, number, "layer", f'"{included}": name it from src/')
            elif "/" in included and target in layers and target != folder and \
                    not {"*", target, included} & set(layers[folder]) and \
                    included not in excused:
                self.report(path, number, "layer", f"{folder}/ may not include {included}")

    def check_lengths(self, path, text, code):
        lines = text.count("\n")
        if lines > FILE_LINES_WARN:
            self.report(path, 1, "file-length", f"{lines} lines", lines <= FILE_LINES_MAX)
        for name, first, length in functions(code):
            if length > FUNCTION_LINES_WARN:
                self.report(path, first, "function-length", f"{name}: {length} lines",
                            length <= FUNCTION_LINES_MAX)

    def check_fuzz(self):
        """Who reads foreign bytes is driven by a target: by name, or as tools/tidy.toml says."""
        code = {p: blanked((self.root / p).read_text(encoding="utf-8")) for p in self.paths
                if p.startswith("src/") and Path(p).suffix in CPP}
        fuzzers = {p: text for p, text in code.items() if p.endswith("_fuzz.cc")}
        driven = "\n".join(fuzzers.values())
        named = set(re.findall(r"\w+", driven)) | set(re.findall(r"(?=\b(\w+::\w+))", driven))
        targets = {Path(p).stem for p in fuzzers}
        by_hand = self.table.get("fuzzed", {})
        excused = by_hand.keys() | self.table.get("unfuzzed", {}).keys()
        for path, target in by_hand.items():
            if target not in targets:
                self.report(path, 1, "fuzz", f"reads foreign bytes and has no {target}.cc")
        messages = {m for p, text in code.items() if p.startswith("src/ipc/")
                    for m in MESSAGE.findall(text)}
        for message in sorted(messages - named):
            self.report("src/ipc/message_fuzz.cc", 1, "fuzz", f"{message} is not driven")
        for path, text in code.items():
            if path in excused or is_test(path):
                continue
            for line, name in parsers(text) if path.endswith(".h") else []:
                if name not in named:
                    self.report(path, line, "fuzz", f"no *_fuzz.cc drives {name}")
            own = code.get(path.removesuffix(".cc") + ".h", "") if path.endswith(".cc") else text
            by_hand_here = path.endswith(".cc") and not path.startswith(DECODING)
            for line, name in raw_readings(text, named) if by_hand_here else []:
                if not any(known in named for _, known in parsers(own)):
                    self.report(path, line, "fuzz",
                                f"reads foreign bytes by {name}, which no *_fuzz.cc reaches: put "
                                "it behind a parse_* of its header, or name its target in "
                                "tools/tidy.toml")

    def check_table(self):
        known = set(self.paths)
        for part in ("fuzzed", "unfuzzed"):
            for path, what in self.table.get(part, {}).items():
                if path not in known:
                    self.report("tools/tidy.toml", 1, "table", f"[{part}] {path} does not exist")
                if part == "unfuzzed" and len(what) < 10:
                    self.report("tools/tidy.toml", 1, "table", f"[{part}] {path} gives no why")
        for entry in self.table.get("exception", []):
            path = entry.get("file", "?")
            body = (self.root / path).read_text(encoding="utf-8") if path in known else ""
            if f'"{entry.get("include", "?")}"' not in body:
                self.report("tools/tidy.toml", 1, "table",
                            f"[[exception]] {path} does not include {entry.get('include')}")
            if len(entry.get("why", "")) < 10:
                self.report("tools/tidy.toml", 1, "table", f"[[exception]] {path} gives no why")

    def check_threats(self, text):
        known = self.tests()
        column = None  # of the table that the line is in
        for number, line in enumerate(text.splitlines(), 1):
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if not line.startswith("|"):
                column = None
            elif column is None:
                column = cells.index("shown by") if "shown by" in cells else -1
            elif column >= len(cells):
                self.report(THREATS, number, "shown-by", "the row has no cell for what shows it")
            elif 0 <= column and not re.fullmatch(r":?-+:?", cells[column]):
                for shown in cells[column].split(";"):
                    if wrong := unknown(shown.strip(), known):
                        self.report(THREATS, number, "shown-by", wrong)

    def tests(self):
        """What a test may be called: CTest's name -> its cases; `fuzz` -> the targets;
        `demo check` -> the numbers."""
        def text_of(path):
            return (self.root / path).read_text(encoding="utf-8") if path in self.paths else ""

        known = {"fuzz": set(), "demo check": set()}
        for path in self.paths:
            parts = path.split("/")
            if path.endswith("_fuzz.cc"):
                known["fuzz"].add(Path(path).stem)
            elif parts[0] == "src" and path.endswith("_test.cc"):
                known.setdefault(parts[1], set()).update(cases(text_of(path)))
            elif parts[0] == "demo" and Path(path).suffix in ("", ".py"):
                known["demo check"].update(re.findall(r"\bchecks\.add\((\d+),", text_of(path)))
            elif parts[-1] == "CMakeLists.txt":
                code = re.sub(r"#.*", "", text_of(path))
                for words in re.findall(r"\b(?:add_test|gatehouse_\w+_test)\(([^)]*)\)", code):
                    name = words.removeprefix("NAME").split()[0]
                    found = known.setdefault(name, set())
                    for source in re.findall(r"[\w/]+\.(?:cc|py)\b", words):
                        file = Path(path).parent / source.lstrip("/")
                        found.update(cases(text_of(file.as_posix())))
        return known

    def excuse(self, path, text, before):
        if path in ("tools/tidy.py", "tools/tidy_test.py"):
            return
        excuses = {}
        for number, line in enumerate(text.splitlines(), 1):
            if match := ALLOW.search(line):
                rule, reason = match.groups()
                if rule not in RULES or len(reason.strip()) < 8:
                    self.report(path, number, "allow", f"'{rule}' '{reason}'")
                excuses.setdefault(number, set()).add(rule)
        if excuses:
            self.findings[before:] = [
                f for f in self.findings[before:]
                if f.rule == "allow" or not any(f.rule in excuses.get(n, ())
                                                for n in (f.line, f.line - 1))]


def cases(text):
    """The tests in a source of GoogleTest or Python's unittest."""
    return {f"{suite}.{name}" for suite, name in
            re.findall(r"^TEST(?:_F|_P)?\((\w+),\s*(\w+)\)", text, re.M)} | \
        set(re.findall(r"^ +def (test_\w+)\(", text, re.M))


def unknown(shown, known):
    """What is wrong with `shown`, one item of a `shown by` column; "" if nothing is."""
    if OPEN.fullmatch(shown):
        return ""
    match = SHOWN.fullmatch(shown)
    if not match:
        return (f"'{shown}' is neither `demo check N`, nor a test with its cases in parentheses, "
                "nor `**open**: why`")
    check, name, inside = match.groups()
    if check:
        return "" if check in known["demo check"] else f"there is no demo check {check}"
    if name not in known:
        return f"there is no test '{name}'"
    missing = set(re.findall(r"[\w.]+", inside or "")) - known[name]
    return f"{name} has no {', '.join(sorted(missing))}" if missing else ""


def is_test(path):
    return path.startswith("tests/") or path.endswith(("_test.cc", "_fuzz.cc"))


def main(arguments):
    if "--rules" in arguments:
        for rule, text in RULES.items():
            print(f"{rule:18} {text}")
        return 0
    root = Path(__file__).resolve().parent.parent
    table = tomllib.loads((root / "tools/tidy.toml").read_text(encoding="utf-8"))
    tree = Tree(root, table)
    findings = tree.check()
    for finding in sorted(findings, key=lambda f: (not f.warning, f.path, f.line)):
        print(finding)
    broken = sum(not f.warning for f in findings)
    print(f"tidy: {len(tree.paths)} files, {broken} broken, {len(findings) - broken} warnings")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
