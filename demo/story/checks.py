# SPDX-License-Identifier: Apache-2.0
"""The summary of what the demo claims, a line each with the figures that show it; and the progress
towards it."""
import sys
import threading
import time

COLOUR = sys.stdout.isatty()
FAILURES_MOST = 8


def painted(code, text):
    return f"\033[{code}m{text}\033[0m" if COLOUR else text


class Checks:
    def __init__(self):
        self.lines = []

    def add(self, number, claim, failures, shown=""):
        """`failures` is a list of what does not hold; empty is good."""
        self.lines.append((number, claim, failures, shown))

    def print(self):
        print(painted("1", "\nWhat was shown"))
        for number, claim, failures, shown in sorted(self.lines, key=lambda line: line[0]):
            mark = painted("31", "FAILED") if failures else painted("32", "ok    ")
            print(f"  {number}  {mark}  {claim}" + (f"\n               {shown}" if shown else ""))
            for failure in failures[:FAILURES_MOST]:
                print(f"               - {failure}")
            if len(failures) > FAILURES_MOST:
                print(f"               and {len(failures) - FAILURES_MOST} more")
        return all(not failures for _, _, failures, _ in self.lines)


class Progress:
    """A line when a step begins and one when it has ended: several may be under way."""

    def __init__(self):
        self.began = time.monotonic()

    def step(self, text):
        return Step(self, text)

    def say(self, text):
        print(f"{time.monotonic() - self.began:5.0f} s  {text}", flush=True)


class Step:
    def __init__(self, progress, text):
        self.progress, self.text = progress, text

    def __enter__(self):
        self.began = time.monotonic()
        self.progress.say(f"{self.text} ...")
        return self

    def __exit__(self, kind, *_):
        took = time.monotonic() - self.began
        self.progress.say(f"{self.text}: {'failed' if kind else 'done'}, {took:.0f} s")


class Beside(threading.Thread):
    """A part of the story that goes on beside the rest of it."""

    def __init__(self, tell):
        super().__init__(daemon=True)
        self.tell, self.result, self.error = tell, None, None
        self.start()

    def run(self):
        try:
            self.result = self.tell()
        except BaseException as error:  # SystemExit above all: it is for whoever joins
            self.error = error

    def outcome(self):
        self.join()
        if self.error is not None:
            raise self.error
        return self.result
