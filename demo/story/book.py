# SPDX-License-Identifier: Apache-2.0
"""Check 7: the log verifies, and with one byte flipped it does not. Which Entry a byte belongs to
is computed here from the format's description (docs/formats/audit.md), not asked of the verifier.
"""
import re

HEADER = 128
FRAME = 24
ENTRY, MARKER, BODY = 1, 2, 3
NAMES = {ENTRY: "an entry", MARKER: "a marker", BODY: "a body"}


class Frame:
    def __init__(self, at, content):
        self.at = at
        self.payload = int.from_bytes(content[at:at + 4], "little")
        self.type = content[at + 8]
        self.end = at + FRAME + (self.payload + 7) // 8 * 8


def frames_of(content):
    at = HEADER
    while at + FRAME <= len(content):
        frame = Frame(at, content)
        if frame.payload == 0 or frame.type not in NAMES:
            return
        yield frame
        at = frame.end


def places_of(content, first):
    """Bytes to flip: (what, offset, the number of the Entry that is damaged or comes next). `first`
    is the number of the segment's first Entry. Of each type of frame the first, the middle one and
    the last: of those the middle byte; and the header."""
    by_type, number = {}, first
    for frame in frames_of(content):
        by_type.setdefault(frame.type, []).append((frame, number))
        number += frame.type == ENTRY
    yield "the header", HEADER // 4, first
    for kind, found in sorted(by_type.items()):
        for frame, owner in {id(f): (f, o) for f, o in
                             (found[0], found[len(found) // 2], found[-1])}.values():
            yield NAMES[kind], frame.at + FRAME + frame.payload // 2, owner


def flip(path, at):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def check(checks, house):
    failures, flips = [], 0
    whole = house.ask("audit", "verify", check=False)
    if whole.returncode != 0:
        failures.append(whole.stderr.strip())
    copy = house.copy_of_log()
    untouched = house.ask("audit", "verify", str(copy), check=False, json_form=False)
    if untouched.returncode != 0:
        failures.append(f"the copy does not verify: {untouched.stderr.strip()}")
    segments = sorted(copy.glob("*.seg"))
    for segment in segments:
        content = segment.read_bytes()
        for what, at, entry in places_of(content, int(segment.name.partition('-')[0])):
            flips += 1
            flip(segment, at)
            told = house.ask("audit", "verify", str(copy), check=False, json_form=False)
            flip(segment, at)
            named = re.search(r"entry (\d+) \(segment ([\w.-]+),", told.stderr)
            if told.returncode == 0 or not named or (
                    int(named[1]), named[2]) != (entry, segment.name):
                failures.append(f"byte {at} of {segment.name}, in {what} of entry {entry}, was "
                                f"flipped, and: {told.stderr.strip() or 'it verifies'}")
    if flips < 2:
        failures.append(f"only {flips} places were tried")
    checks.add(7, "the log verifies; with one byte flipped it does not", failures,
               f"{flips} bytes flipped, one at a time, in headers, entries, bodies and markers of "
               f"{len(segments)} segment{'s' if len(segments) > 1 else ''}; the entry was named "
               f"each time")
