#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Adds up what tools/run-tests ran; the last line is `N passed, N failed, N skipped`.

  tools/tally.py RESULTS_FOLDER ALLOWED_SKIPS SECTION...

Each section's folder may hold ctest.xml (ctest's JUnit file), gtest/*.xml (one for each GoogleTest
executable, preferred over ctest's single line for it) and notes.tsv (status, name, reason). A skip
must be listed in ALLOWED_SKIPS as `name: pattern`, where the pattern is searched in the reason.
"""
import fnmatch
import re
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Outcome:
    status: str
    name: str
    reason: str = ""


def gtest_outcomes(path):
    outcomes = []
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        name = f'{case.get("classname")}.{case.get("name")}'
        skip, failure = case.find("skipped"), case.find("failure")
        if failure is not None:
            outcomes.append(Outcome("failed", name, one_line(failure.get("message") or "")))
        elif skip is not None or case.get("result") == "skipped":
            text = (skip.get("message") or skip.text or "") if skip is not None else ""
            outcomes.append(Outcome("skipped", name, one_line(text)))
        elif case.get("status") == "notrun":
            outcomes.append(Outcome("skipped", name, "disabled in the source"))
        else:
            outcomes.append(Outcome("passed", name))
    return outcomes


def one_line(text):
    return " ".join(re.sub(r"^\S+:\d+\s*", "", text.strip()).split())


def ctest_outcome(case):
    name, status = case.get("name"), case.get("status")
    output = case.findtext("system-out") or ""
    said = re.search(r"^skipped: *(.*)$", output, re.M)
    if status == "run":
        # It says so and exits with 0: what was not tried has not passed.
        return Outcome("skipped", name, said.group(1)) if said else Outcome("passed", name)
    if status in ("notrun", "disabled") and case.find("skipped") is not None:
        skip = case.find("skipped").get("message") or ""
        if said or "SKIP" in skip:
            return Outcome("skipped", name, said.group(1) if said else skip)
        return Outcome("failed", name, f"did not run: {skip}")
    failure = case.find("failure")
    return Outcome("failed", name, failure.get("message") or "" if failure is not None else "")


def section_outcomes(folder):
    outcomes, counted = [], set()
    if (folder / "ctest.xml").exists():
        for case in ElementTree.parse(folder / "ctest.xml").getroot().iter("testcase"):
            whole = ctest_outcome(case)
            file = next((f for f in (folder / "gtest" / f"{whole.name}_test.xml",
                                     folder / "gtest" / f"{whole.name}.xml") if f.exists()), None)
            parts = readable(file)
            # An executable that failed in no test of its own (a leak, a crash at exit) counts too.
            if not parts or (whole.status == "failed"
                             and not any(p.status == "failed" for p in parts)):
                parts = parts + [whole]
            outcomes += parts
            counted.add(whole.name)
    if (folder / "notes.tsv").exists():
        for line in (folder / "notes.tsv").read_text(encoding="utf-8").splitlines():
            status, name, reason = (line.split("\t") + ["", ""])[:3]
            outcomes.append(Outcome(status, name, reason))
    return outcomes


def readable(file):
    try:
        return gtest_outcomes(file) if file else []
    except ElementTree.ParseError:
        return []  # the executable died while it wrote: ctest's own line counts


def allowed_skips(path):
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        line = line.split("#")[0].strip()
        if line:
            name, colon, pattern = line.partition(": ")
            if not colon:
                raise SystemExit(f"{path}:{number}: expected `name: reason pattern`")
            yield name.strip(), re.compile(pattern.strip())


def judged(outcome, allowed):
    if outcome.status != "skipped":
        return outcome
    if any(fnmatch.fnmatchcase(outcome.name, name) and pattern.search(outcome.reason)
           for name, pattern in allowed):
        return outcome
    return Outcome("failed", outcome.name,
                   f"skipped, and tests/allowed-skips.txt does not allow it: {outcome.reason}")


def main(arguments):
    results, allowed = Path(arguments[0]), list(allowed_skips(Path(arguments[1])))
    total = {"passed": 0, "failed": 0, "skipped": 0}
    for section in arguments[2:]:
        outcomes = [judged(o, allowed) for o in section_outcomes(results / section)]
        for outcome in outcomes:
            total[outcome.status] += 1
            if outcome.status == "skipped":
                print(f"{section}: {outcome.name}: skipped: {outcome.reason}")
            if outcome.status == "failed":
                print(f"{section}: {outcome.name}: FAILED: {outcome.reason[:300]}")
        counts = {s: sum(o.status == s for o in outcomes) for s in total}
        print(f"{section}: " + ", ".join(f"{n} {s}" for s, n in counts.items()))
    if total["passed"] == 0:
        print("nothing passed: that is a failure")
        total["failed"] += 1
    print(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped")
    return 1 if total["failed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
