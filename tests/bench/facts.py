"""Facts of the billing messages beside python-hl7's and hl7apy's parse of the same ones, in one run. `make bench`."""

from __future__ import annotations

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


def billing_messages() -> list[bytes]:
    """Every message of fixtures and samples that is read for facts."""
    folders = [shipped("fixtures"), *([SAMPLES] if SAMPLES.is_dir() else [])]
    bodies = [body for folder in folders for body in readable_messages(folder)]
    return [body.removeprefix(b"\xef\xbb\xbf") for body in bodies if hl7v2.is_billed(read_header(body).type)]


def main() -> None:
    """Print the figures."""
    bodies = billing_messages()
    with App() as app:
        rulebook = app.rulebook

        def facts_one(body: bytes) -> object:
            return facts_of(Message("bench", body, read_header(body)), rulebook)

        figures = {
            "header (what intake reads)": rate(read_header, bodies),
            "message cut into segments": rate(lambda b: hl7v2.read_message(b).segment("PV1"), bodies),
            "facts with header": rate(facts_one, bodies),
            "python-hl7 parse": rate(lambda b: hl7.parse(b.decode("utf-8", "replace").replace("\n", "\r")), bodies),
            "hl7apy parse": rate(hl7apy_parse, bodies),
        }
    size = sum(map(len, bodies)) / len(bodies)
    print(f"{len(bodies)} billing messages of {size:,.0f} bytes, best of {ROUNDS} rounds, one core")
    python_hl7, hl7apy = figures["python-hl7 parse"], figures["hl7apy parse"]
    for name, figure in figures.items():
        ratios = f"{figure / python_hl7:8.1f} × python-hl7 {figure / hl7apy:8.1f} × hl7apy"
        print(f"  {name:28} {figure:10,.0f} messages/s {ratios}")


if __name__ == "__main__":
    main()
