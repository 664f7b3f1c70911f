#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows that tools/tally.py counts tests, and that nothing that went wrong is counted as well."""
import contextlib
import io
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
import tally  # noqa: E402

GTEST = """<testsuites><testsuite name="A">
<testcase name="Passes" status="run" result="completed" classname="A"/>
<testcase name="Skips" status="run" result="skipped" classname="A">
<skipped message="a_test.cc:3&#x0A;no kvm here"/></testcase>{more}</testsuite></testsuites>"""
FAILED = ('<testcase name="Fails" status="run" result="completed" classname="A">'
          '<failure message="a_test.cc:4&#x0A;expected true"/></testcase>')
CTEST = '<testsuite><testcase name="a" status="{status}">{more}</testcase></testsuite>'


def tallied(files, allowed="A.Skips: no kvm\n"):
    """(exit status, last line) for one section that left `files`."""
    with tempfile.TemporaryDirectory() as root:
        for path, text in files.items():
            file = Path(root, "unit", path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        Path(root, "allowed").write_text(allowed, encoding="utf-8")
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            status = tally.main([root, str(Path(root, "allowed")), "unit"])
        return status, output.getvalue().splitlines()[-1]


class TallyTest(unittest.TestCase):
    def test_it_counts_tests_rather_than_executables(self):
        self.assertEqual(tallied({"ctest.xml": CTEST.format(status="run", more=""),
                                  "gtest/a_test.xml": GTEST.format(more="")}),
                         (0, "1 passed, 0 failed, 1 skipped"))

    def test_a_skip_that_is_not_listed_fails(self):
        for allowed in ("", "A.Skips: another reason\n", "B.Skips: no kvm\n"):
            self.assertEqual(tallied({"ctest.xml": CTEST.format(status="run", more=""),
                                      "gtest/a_test.xml": GTEST.format(more="")}, allowed),
                             (1, "1 passed, 1 failed, 0 skipped"))

    def test_a_failed_test_fails_the_run(self):
        self.assertEqual(tallied({"ctest.xml": CTEST.format(status="fail", more="<failure/>"),
                                  "gtest/a_test.xml": GTEST.format(more=FAILED)}),
                         (1, "1 passed, 1 failed, 1 skipped"))

    def test_an_executable_that_dies_after_its_tests_passed_fails(self):
        self.assertEqual(tallied({"ctest.xml": CTEST.format(status="fail", more="<failure/>"),
                                  "gtest/a_test.xml": GTEST.format(more="")}),
                         (1, "1 passed, 1 failed, 1 skipped"))

    def test_an_executable_that_dies_while_it_writes_fails(self):
        self.assertEqual(tallied({"ctest.xml": CTEST.format(status="fail", more="<failure/>"),
                                  "gtest/a_test.xml": "<testsuites><test",
                                  "notes.tsv": "passed\tother\t\n"}),
                         (1, "1 passed, 1 failed, 0 skipped"))

    def test_a_test_that_could_not_start_fails(self):
        more = '<skipped message="Unable to find executable"/>'
        self.assertEqual(tallied({"ctest.xml": CTEST.format(status="notrun", more=more),
                                  "notes.tsv": "passed\tother\t\n"}),
                         (1, "1 passed, 1 failed, 0 skipped"))

    def test_a_test_that_skips_whole_is_no_pass_whatever_its_status(self):
        said = "<system-out>skipped: not root here\n</system-out>"
        by_code = CTEST.format(status="notrun",
                               more='<skipped message="SKIP_RETURN_CODE=77"/>' + said)
        for xml in (by_code, CTEST.format(status="run", more=said)):
            files = {"ctest.xml": xml, "notes.tsv": "passed\tother\t\n"}
            self.assertEqual(tallied(files, "a: not root\n"), (0, "1 passed, 0 failed, 1 skipped"))
            self.assertEqual(tallied(files, ""), (1, "1 passed, 1 failed, 0 skipped"))

    def test_a_run_in_which_nothing_passed_fails(self):
        self.assertEqual(tallied({}), (1, "0 passed, 1 failed, 0 skipped"))


if __name__ == "__main__":
    unittest.main()
