"""Convert beside hl7apy's and python-hl7's parse of the same files, in one run. `make bench`."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import hl7
from hl7apy.parser import parse_message

from fhir_coder.app import App
from fhir_coder.conversion import Source, convert_sources
from fhir_coder.errors import UnreadableError
from fhir_coder.intake.payloads import payloads_in, read_header
from fhir_coder.model import Message, MessageFormat
from fhir_coder.pipeline import facts_of
from fhir_coder.shipped import shipped
from tests.bench.rounds import ROUNDS, rate


def readable_messages(folder: Path) -> list[bytes]:
    """Every HL7 v2 message of the fixtures that can be read."""
    found = []
    for file in sorted(folder.rglob("*.hl7")):
        for body in payloads_in(file.read_bytes()):
            try:
                header = read_header(body)
            except UnreadableError:
                continue
            if header.format is MessageFormat.HL7V2:
                found.append(body)
    return found


def hl7apy_parse(body: bytes) -> object:
    """What hl7apy does with one message: a parse of the whole, without validation."""
    return parse_message(body.decode("utf-8", "replace").replace("^~\\&#", "^~\\&"), find_groups=False)


def main() -> None:
    """Print the figures."""
    bodies = readable_messages(shipped("fixtures"))
    with App() as app:
        rulebook = app.rulebook

        def convert_one(body: bytes) -> object:
            return convert_sources([Source("bench", body)], rulebook, date(2026, 11, 23))

        def facts_one(body: bytes) -> object:
            return facts_of(Message("bench", body, read_header(body)), rulebook)

        figures = {
            "convert (facts, chart, codes, claim, edits)": rate(convert_one, bodies),
            "facts only": rate(facts_one, bodies),
            "python-hl7 parse": rate(lambda b: hl7.parse(b.decode("utf-8", "replace").replace("\n", "\r")), bodies),
            "hl7apy parse": rate(hl7apy_parse, bodies),
        }
    slowest = figures["hl7apy parse"]
    print(f"{len(bodies)} HL7 v2 messages of the fixtures, best of {ROUNDS} rounds, one core")
    for name, figure in figures.items():
        print(f"  {name:45} {figure:10,.0f} messages/s   {figure / slowest:8.1f} × hl7apy")


if __name__ == "__main__":
    main()
