"""Facts of the billing messages beside python-hl7's and hl7apy's parse of the same ones, in one run. `make bench`.

No message is read twice: each copy has times, numbers and persons of its own, as each message of a feed has. What stays
is what repeats in a feed: its facility, doctors, codes, prices and insurers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import hl7

from fhir_coder import hl7v2
from fhir_coder.app import App
from fhir_coder.intake.payloads import read_header
from fhir_coder.model import Message
from fhir_coder.pipeline import facts_of
from fhir_coder.shipped import shipped
from tests.bench.convert import hl7apy_parse, readable_messages
from tests.bench.rounds import ROUNDS, rate

SAMPLES = Path(__file__).parents[3] / "shared" / "data" / "hl7v2"
"""The standard's long sample messages, where they are there."""

COPIES = 8
"""Of each message in one round; hl7apy, which is slow, is given the first alone."""

# The fields that are another visit's own in every message of a feed, by segment.
_OF_THE_VISIT = {
    b"MSH": (6, 9),
    b"EVN": (2, 6),
    b"PID": (2, 3, 4, 5, 7, 11, 13, 18, 19),
    b"NK1": (2, 4, 5),
    b"PV1": (19, 44, 45, 50),
    b"DG1": (5, 20),
    b"PR1": (5, 19),
    b"FT1": (2, 4, 5),
    b"GT1": (2, 3, 5, 6),
    b"IN1": (8, 12, 13, 16, 19, 36, 49),
    b"IN2": (6, 8, 61),
    b"MRG": (1, 3, 5),
    b"ORC": (2, 3),
    b"OBR": (2, 3, 7),
    b"RXA": (3, 4, 15),
}


def billing_messages() -> list[bytes]:
    """Every message of fixtures and samples that is read for facts."""
    folders = [shipped("fixtures"), *([SAMPLES] if SAMPLES.is_dir() else [])]
    bodies = [body for folder in folders for body in readable_messages(folder)]
    return [body.removeprefix(b"\xef\xbb\xbf") for body in bodies if hl7v2.is_billed(read_header(body).type)]


def of_another_visit(body: bytes, serial: int) -> bytes:
    """The same message of another patient and visit, at another time."""
    return b"\r".join(_line(line, serial) for line in body.replace(b"\n", b"\r").split(b"\r") if line)


def _line(line: bytes, serial: int) -> bytes:
    fields = line.split(b"|")
    for number in _OF_THE_VISIT.get(fields[0], ()):
        if number < len(fields) and fields[number] not in (b"", b'""'):
            fields[number] = b"~".join(_varied(part, serial) for part in fields[number].split(b"~"))
    return b"|".join(fields)


def _varied(field: bytes, serial: int) -> bytes:
    """A field with another day, minute and second where it is a date, else with a longer number or name."""
    first, caret, rest = field.partition(b"^")
    if first[:8].isdigit() and len(first) >= 8 and first[:2] in (b"19", b"20"):
        day = b"%b%02d" % (first[:6], 1 + serial % 28)
        first = day + first[8:10] + (b"%02d" % (serial // 28 % 60))[: len(first[10:12])] + first[12:]
        first = first[:12] + b"%02d" % (serial // 5 % 60) + first[14:] if first[12:14].isdigit() else first
    elif first:
        first += b"%d" % serial
    return first + caret + rest


def rounds_of(bodies: list[bytes], copies: int) -> list[list[bytes]]:
    """For each round the messages with what no other round has."""
    step = COPIES * len(bodies)
    return [
        [of_another_visit(body, turn * step + at) for at, body in enumerate(bodies * copies)] for turn in range(ROUNDS)
    ]


def fresh_rate(work: Callable[[bytes], object], bodies: list[bytes], copies: int = COPIES) -> float:
    """The best number of messages a second of one core, every message of every round a new one."""
    return max(rate(work, messages, time.process_time, 1) for messages in rounds_of(bodies, copies))


def main() -> None:
    """Print the figures."""
    bodies = billing_messages()
    with App() as app:
        rulebook = app.rulebook

        def facts_one(body: bytes) -> object:
            return facts_of(Message("bench", body, read_header(body)), rulebook)

        figures = {
            "header (what intake reads)": fresh_rate(read_header, bodies),
            "message cut into segments": fresh_rate(lambda b: hl7v2.read_message(b).segment("PV1"), bodies),
            "facts with header": fresh_rate(facts_one, bodies),
            "python-hl7 parse": fresh_rate(lambda b: hl7.parse(b.decode("utf-8", "replace")), bodies),
            "hl7apy parse": fresh_rate(hl7apy_parse, bodies, 1),
        }
    size = sum(map(len, bodies)) / len(bodies)
    print(f"{len(bodies)} billing messages of {size:,.0f} bytes, best of {ROUNDS} rounds, no message twice, one core")
    python_hl7, hl7apy = figures["python-hl7 parse"], figures["hl7apy parse"]
    for name, figure in figures.items():
        ratios = f"{figure / python_hl7:8.1f} × python-hl7 {figure / hl7apy:8.1f} × hl7apy"
        print(f"  {name:28} {figure:10,.0f} messages/s {ratios}")


if __name__ == "__main__":
    main()
