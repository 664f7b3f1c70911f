#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows that every rule of tools/tidy.py can fail, and that good code passes."""
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
import tidy  # noqa: E402

SPDX = "// SPDX-License-Identifier: Apache-2.0\n"
HEADER = SPDX + "#pragma once\n\n// What this is.\n"
TABLE = {"layers": {"ipc": ["base"], "base": [], "wire": ["base"], "net": ["base"],
                    "audit": ["base", "net/file.h"], "gateway": ["base"], "vault": ["base"],
                    "bin": ["*"], "cli": ["base"]}}
LONG_BODY = "  step();\n"


def findings(files, table=None):
    with tempfile.TemporaryDirectory() as root:
        for path, text in files.items():
            file = Path(root, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        return tidy.Tree(root, table or TABLE).check()


def source(body):
    return {"src/base/thing.cc": SPDX + body}


def threats(*shown):
    """A threat model whose rows are shown by these, and the tests that there are."""
    rows = "".join(f"| a threat | what stops it | {by} |\n" for by in shown)
    return {"docs/threat-model.md": "| threat | what | shown by |\n|---|---|---|\n" + rows,
            "src/vault/a_test.cc": SPDX + "TEST_F(Vault, Refuses) {\n}\n",
            "src/wire/a_fuzz.cc": SPDX + "int a;\n",
            "demo/run": "# SPDX-License-Identifier: Apache-2.0\nchecks.add(2, claim, [])\n",
            "tools/CMakeLists.txt": "# SPDX-License-Identifier: Apache-2.0\n"
                                    "add_test(NAME link_graph COMMAND check)\n",
            "tests/CMakeLists.txt": "# SPDX-License-Identifier: Apache-2.0\n"
                                    "gatehouse_python_test(house_integration a/house_test.py)\n"
                                    "gatehouse_integration_test(cell SOURCES a/cell.cc)\n",
            "tests/a/house_test.py": "# SPDX-License-Identifier: Apache-2.0\n"
                                     "class A(T):\n    def test_it_stands(self):\n        pass\n",
            "tests/a/cell.cc": SPDX + "TEST(Cell, HoldsNoPrivilege) {\n}\n"}


MESSAGE = "struct Lend {\n  static constexpr MessageType kType = 0x0401;\n};\n"

# rule -> samples that break it; each sample breaks no other rule.
BAD = {
    "spdx": [{"src/base/a.cc": "int a;\n"}, {"tools/a.py": "#!/usr/bin/env python3\nprint()\n"}],
    "pragma-once": [{"src/base/a.h": SPDX + "\n// What this is.\nint a();\n"}],
    "docstring": [{"src/base/a.h": SPDX + "#pragma once\n\nnamespace x {\nclass A {};\n}\n"}],
    "columns": [source("// " + "x " * 60 + "\n")],
    "file-length": [source("int a;\n" * 801)],
    "function-length": [source("void f() {\n" + LONG_BODY * 101 + "}\n"),
                        source("namespace n {\nclass A {\n  int f(int (*g)(int)) const {\n"
                               + LONG_BODY * 101 + "  }\n};\n}\n")],
    "layer": [{"src/base/a.cc": SPDX + '#include "net/loop.h"\n'},
              {"src/gateway/a.cc": SPDX + '#include "vault/store.h"\n'},
              {"src/audit/a.cc": SPDX + '#include "net/loop.h"\n'},
              {"src/vault/a.cc": SPDX + '#include "../gateway/exchange.h"\n'},
              {"src/surprise/a.cc": SPDX + "int a;\n"}],
    "epoll": [source("int f() { return epoll_create1(0); }\n"),
              source("int f() { return ::epoll_wait(a, b, 1, 0); }\n")],
    "cli11": [source("#include <CLI/CLI.hpp>\n"), source("CLI::App app;\n")],
    "banned": [source(line + "\n") for line in (
        "void f() { strcpy(a, b); }", "void f() { std::strcat(a, b); }",
        "void f() { sprintf(a, b); }", "void f() { gets(a); }", "int f() { return rand(); }",
        "void f() { std::srand(1); }", "std::regex pattern;", "#include <iostream>",
        "#include <regex>", "void f() { std::cout << 1; }", "void f() { gettimeofday(&t, 0); }",
        "void f() { system(line); }", "void f() { ::popen(line, mode); }",
        "void f() { thread.detach(); }")],
    "memcmp-secret": [source("bool f() { return memcmp(token, other, 16) == 0; }\n")],
    "lambda-coroutine": [
        source("auto f = [k]() -> Task<> { co_return k; };\n"),
        source("void f() {\n  g([&] -> Task<int> {\n    co_return co_await h();\n  });\n}\n")],
    "fuzz": [{"src/wire/thing.h": HEADER + "class ThingParser {\n};\n"},
             {"src/wire/thing.h": HEADER + "Result<Thing> parse_thing(std::string_view text);\n"},
             {"src/vault/thing.h": HEADER + "Result<Thing> parse_thing(std::string_view text);\n"},
             {"src/wire/thing.h": HEADER + "class Thing {\n  static Thing parse(View text);\n};\n",
              "src/wire/thing_fuzz.cc": SPDX + "void f() { Other::parse(text); }\n"},
             {"src/ipc/a_b.h": HEADER + MESSAGE},
             {"src/cli/thing.cc": SPDX + "auto a = TRY(wire::scan_object(reply.body));\n"},
             {"src/vault/thing.cc": SPDX + "auto a = ipc::decode<Body>(bytes);\n"}],
    "leftover": [source("// " + "TO" + "DO: later\n"), {"docs/a.md": "FIX" + "ME\n"}],
    "shown-by": [threats("vaults"), threats("vault (`Vault.Refused`)"),
                 threats("vault (Vault.Refuses)"), threats("vault", "demo check 3"),
                 threats("fuzz (`b_fuzz`)"), threats("link_graph; cell (`test_it_stands`)"),
                 threats("demo checks 1 and 2"), threats(""), threats("open"),
                 threats("**open**: no"), threats("vault; **open**"),
                 {"docs/threat-model.md": "| threat | shown by |\n|---|---|\n| a threat |\n"}],
    "allow": [source("int a;  // tidy: allow(nothing) because of this\n"),
              source("int a;  // tidy: allow(banned)\n")],
}

GOOD = [
    {"src/base/a.h": HEADER + "int a();\n"},
    {"src/base/a.h": SPDX + "#pragma once\n\n#include <string>\n\nnamespace a {\n\n"
                            "class Forward;\n\n// What this is.\nclass A {};\n}\n"},
    {"src/audit/a.cc": SPDX + '#include "net/file.h"\n#include "audit/b.h"\n'},
    {"src/bin/a/main.cc": SPDX + '#include "vault/store.h"\n#include <CLI/CLI.hpp>\n'},
    {"src/net/a.cc": SPDX + "int f() { return ::epoll_create1(0); }\n"},
    source('// strcpy(a, b) is banned\nauto text = "system(x) rand()";\n'),
    source("void f() { random.rand(); file_system(a); my_popen(b); }\n"),
    source("auto f = [k](this auto) -> Task<> { co_return k; };\n"),
    source("auto f = [](int k) -> Task<> { co_return k; };\nint x = values[3];\n"),
    source("void f() {\n" + LONG_BODY * 60 + "}\n"),
    source("// tidy: allow(banned) the fixture shows what it does\n"
           "void f() { strcpy(a, b); }\n"),
    {"src/wire/thing.h": HEADER + "class ThingParser {\n};\n",
     "src/wire/other_fuzz.cc": SPDX + "void f() { wire::ThingParser parser; }\n"},
    {"src/vault/thing.h": HEADER + "Result<Thing> parse_thing(std::string_view text);\n",
     "src/vault/thing.cc": SPDX + "auto a = ipc::decode<Body>(bytes);\n",
     "src/vault/thing_fuzz.cc": SPDX + "void f() { vault::parse_thing(text); }\n"},
    {"src/ipc/a_b.h": HEADER + MESSAGE, "src/cli/a.cc": SPDX + "auto a = decode<ipc::Lend>(b);\n",
     "src/ipc/message_fuzz.cc": SPDX + "using All = Contracts<Lend>;\n"},
    {"src/base/long_test.cc": SPDX + "int a;\n" * 900},
    {"build/dev/a.cc": "int a;\n"},
    threats("**open**: there is no test of a kernel", "vault; **open**: where it is not root"),
    threats("vault", "demo check 2; link_graph; vault (`Vault.Refuses`); fuzz (`a_fuzz`)",
            "house_integration (`test_it_stands`); cell (`Cell.HoldsNoPrivilege`)"),
]


class TidyTest(unittest.TestCase):
    def test_every_rule_has_a_sample_that_breaks_it(self):
        self.assertEqual(set(BAD) | {"table"}, set(tidy.RULES))

    def test_a_broken_rule_is_found_and_no_other(self):
        for rule, samples in BAD.items():
            for files in samples:
                with self.subTest(rule=rule, files=str(files)[:200]):
                    found = [f.rule for f in findings(files) if not f.warning]
                    self.assertEqual(set(found), {rule})

    def test_good_code_passes(self):
        for files in GOOD:
            with self.subTest(files=str(files)[:200]):
                self.assertEqual([str(f) for f in findings(files)], [])

    def test_lengths_warn_before_they_break(self):
        found = findings(source("void f() {\n" + LONG_BODY * 75 + "}\n"))
        self.assertEqual([(f.rule, f.warning) for f in found], [("function-length", True)])
        found = findings(source("int a;\n" * 700))
        self.assertEqual([(f.rule, f.warning) for f in found], [("file-length", True)])

    def test_the_table_names_only_what_exists(self):
        table = TABLE | {"fuzzed": {"src/wire/gone.h": "gone_fuzz"}}
        self.assertIn("table", {f.rule for f in findings({}, table)})
        table = TABLE | {"unfuzzed": {"src/wire/gone.h": "a reason that is good"}}
        self.assertIn("table", {f.rule for f in findings({}, table)})
        table = TABLE | {"exception": [{"file": "src/cli/up.cc", "include": "vault/a.h",
                                        "why": "it wires the roles"}]}
        self.assertIn("table", {f.rule for f in findings({}, table)})

    def test_an_exception_excuses_one_include_of_one_file(self):
        table = TABLE | {"exception": [{"file": "src/cli/up.cc", "include": "vault/a.h",
                                        "why": "it wires the roles"}]}
        text = SPDX + '#include "vault/a.h"\n'
        self.assertEqual(findings({"src/cli/up.cc": text}, table), [])
        self.assertIn("layer", {f.rule for f in findings(
            {"src/cli/up.cc": text, "src/cli/down.cc": text}, table)})

    def test_a_line_number_is_that_of_the_line(self):
        found = findings(source("\n\nvoid f() {\n  strcpy(a, b);\n}\n"))
        self.assertEqual([f.line for f in found], [5])


if __name__ == "__main__":
    unittest.main()
