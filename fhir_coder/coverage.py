"""The coverage of a feed's charts in the ledger, or of files: folded and coded by the stages that the workers use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fhir_coder.conversion import Reading
from fhir_coder.errors import FhirCoderError, UnreadableError
from fhir_coder.intake.stream import TooLarge, inflated, payloads_of_stream
from fhir_coder.model import Chart, MessageStatus
from fhir_coder.pipeline import Rulebook, billed_slots
from fhir_coder.terminology.coverage import Coverage, CoverageTally

MAX_PAYLOAD = 64 << 20
"""Bytes of one payload; a longer one is counted as unreadable."""

_BLOCK = 1 << 20
_TOLD_EVERY = 1_000

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class FileCoverage:
    """The coverage of files, with how many messages they have and how many of these could not be read."""

    coverage: Coverage
    messages: int
    unreadable: int


def coverage_of_charts(charts: Iterable[Chart], rulebook: Rulebook, feeds: Sequence[str] = ()) -> Coverage:
    """Code charts for their first payer, and count what the tables answer. Cancelled and moved visits do not count."""
    tally = CoverageTally()
    for chart in charts:
        if not (chart.cancelled or chart.moved_to):
            slots = billed_slots(chart, rulebook, feeds)
            tally.add([one.coded for one in slots if one.slot.order == 1])
    return tally.result()


def coverage_of_files(files: Sequence[Path], rulebook: Rulebook, tell: Tell = lambda _: None) -> FileCoverage:
    """Read files of any size, plain or gzip, and count what the tables answer to their charts.

    One payload at a time is in memory, and the facts of all. Raises FhirCoderError where a file cannot be read.
    """
    reading = Reading(rulebook)
    too_large = 0
    for number, payload in enumerate(_payloads(files), start=1):
        if isinstance(payload, TooLarge):
            too_large += 1
        else:
            reading.read(str(number), payload)
        if number % _TOLD_EVERY == 0:
            tell(f"{number:,} messages read")
    if len(reading.keys) > _TOLD_EVERY:
        tell(f"coding {len(reading.keys):,} visits")
    coverage = coverage_of_charts(reading.charts(), rulebook)
    unreadable = sum(m.status is MessageStatus.QUARANTINED for m in reading.messages) + too_large
    return FileCoverage(coverage, len(reading.messages) + too_large, unreadable)


def _payloads(files: Sequence[Path]) -> Iterator[bytes | TooLarge]:
    for file in files:
        try:
            with file.open("rb") as stream:
                yield from payloads_of_stream(inflated(_blocks(stream)), MAX_PAYLOAD)
        except OSError as error:
            raise FhirCoderError(f"{file}: {error.strerror}") from None
        except UnreadableError as error:
            raise FhirCoderError(f"{file}: {error}") from None


def _blocks(stream: BinaryIO) -> Iterator[bytes]:
    while block := stream.read(_BLOCK):
        yield block
