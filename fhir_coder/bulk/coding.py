"""A batch of charts to claims: the payloads of each chart are read again where they stand, folded, coded, checked."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

import orjson

from fhir_coder.bulk.pieces import Payload, Piece, payload_at
from fhir_coder.bulk.reading import read_bulk_payload, report_path, write_whole
from fhir_coder.bulk.tally import BatchTally
from fhir_coder.bulk.topics import topic_number
from fhir_coder.claims import to_bytes
from fhir_coder.conversion import claim_to_json, finding_to_json, gap_to_json, occasion_of
from fhir_coder.folding import weight_of
from fhir_coder.logs import error_name, error_place
from fhir_coder.model import Chart, ClaimDraft, Json, MessageFacts
from fhir_coder.pipeline import Rulebook, chart_of, draft_claims
from fhir_coder.recent import Recent

MOST_FACTS = 20_000
"""Facts that are kept for the charts that follow: about 20 MB a process. Who is named in many visits is read once."""
_FAST = 1
"""zlib's level: claims shrink to a twelfth, and the best would take as long as coding them."""

WantedRow = tuple[int, ...]
"""chart, its topic, piece, place in it, offset, length, number: `grouping.WANTED`."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a payload says, and the feed it came by."""

    facts: MessageFacts | None
    feed: str = ""


@dataclass(frozen=True, slots=True)
class Input:
    """The pieces of the input, the names of their sources, and how many payloads of its file come before each."""

    pieces: Sequence[Piece]
    sources: Sequence[str]
    before: Mapping[int, int]

    def name_of(self, piece: int, payload: Payload, number: int) -> str:
        """The id of a payload: that of its ledger, or file and number as `convert` counts."""
        if payload.name:
            return payload.name
        source = self.pieces[piece].source if payload.source < 0 else payload.source
        return f"{self.sources[source]}:{number + self.before.get(piece, 0)}"


@dataclass(frozen=True, slots=True)
class CodedChart:
    """What became of one chart: its claims, or why there are none. `error` says what a chart failed of."""

    key: str
    claims: tuple[ClaimDraft, ...] = ()
    cancelled: bool = False
    moved_to: str = ""
    error: str = ""
    where: str = ""


Decided = Callable[[Chart], Chart]
"""What people have decided about a chart, applied to it."""


@dataclass
class ChartCoder:
    """Codes charts by the rows that say which payloads each is made of. One for a process."""

    source: Input
    rulebook: Rulebook
    created: date
    decided: Decided = lambda chart: chart
    _files: dict[str, BinaryIO] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._recent = Recent[tuple[int, int], Said](MOST_FACTS, lambda said: weight_of(said.facts))

    def close(self) -> None:
        """Close the files of the input."""
        for file in self._files.values():
            file.close()

    def code(self, rows: Iterable[WantedRow]) -> Iterator[CodedChart]:
        """Code the charts of a batch. One that fails is told of, the others are coded."""
        for (_, topic), its in groupby(rows, lambda row: (row[0], row[1])):
            key = ""
            try:
                said = [self._said(row) for row in its]
                key = _key_of(topic, said)
                yield self._coded(key, said)
            except Exception as error:
                yield CodedChart(key, error=error_name(error), where=error_place(error))

    def _coded(self, key: str, said: Sequence[Said]) -> CodedChart:
        chart = chart_of(key, [one.facts for one in said if one.facts])
        if chart.moved_to or chart.cancelled:
            return CodedChart(key, cancelled=not chart.moved_to, moved_to=chart.moved_to)
        feeds = tuple(dict.fromkeys(one.feed for one in said if one.feed))
        drafts = draft_claims(self.decided(chart), self.rulebook, occasion_of(self.created, feeds))
        return CodedChart(key, drafts)

    def _said(self, row: WantedRow) -> Said:
        _, _, piece, place, offset, length, number = row
        said = self._recent.get((piece, place))
        if said is None:
            payload = self._payload(self.source.pieces[piece], offset, length)
            name = self.source.name_of(piece, payload, payload.number or number)
            said = Said(read_bulk_payload(payload, name, self.rulebook)[1].facts, payload.feed)
            self._recent.put((piece, place), said)
        return said

    def _payload(self, piece: Piece, offset: int, length: int) -> Payload:
        file = self._files.get(piece.path)
        if file is None:
            file = self._files[piece.path] = Path(piece.path).open("rb")  # noqa: SIM115 - kept open: `close` closes it
        return payload_at(file, offset, length, is_segment=piece.is_segment)


def _key_of(topic: int, said: Sequence[Said]) -> str:
    """The chart key of a number: one of those that its payloads name."""
    return next(key for one in said if one.facts for key in one.facts.charts if topic_number(key) == topic)


def write_batch(number: int, charts: Iterable[CodedChart], folder: Path, *, is_packed: bool) -> BatchTally:
    """Write what a batch came to; its report comes last, and says that all of it is there."""
    tally = BatchTally()
    claims, gaps, findings, failed = bytearray(), bytearray(), bytearray(), bytearray()
    for chart in charts:
        tally.take(chart)
        for draft in chart.claims:
            claims += to_bytes(claim_to_json(draft)) + b"\n"
            findings += b"".join(
                _line(_finding_row(draft, finding)) for finding in map(finding_to_json, draft.findings)
            )
        told = dict.fromkeys(gap for draft in chart.claims for gap in draft.gaps)  # one holds several claims
        gaps += b"".join(_line(_gap_row(gap_to_json(gap))) for gap in told)
        if chart.error:
            failed += _line({"chart_key": chart.key, "error": chart.error, "where": chart.where})
    packed = gzip.compress(claims, _FAST, mtime=0) if is_packed and claims else bytes(claims)
    parts = {"claims": packed, "gaps": bytes(gaps), "findings": bytes(findings), "failed": bytes(failed)}
    for name, data in parts.items():
        write_whole(part_path(folder, number, name), data)
    write_whole(report_path(folder, number), orjson.dumps(tally.to_json()))
    return tally


def part_path(folder: Path, batch: int, name: str) -> Path:
    """Where a batch's part of an output is until all of them are joined."""
    return folder / f"{batch:06}.{name}.ndjson"


def _line(row: Json) -> bytes:
    return orjson.dumps(row) + b"\n"


def _gap_row(gap: Json) -> Json:
    origin = gap.pop("origin")
    return gap | {"message": origin["message"], "path": origin["path"]}


def _finding_row(draft: ClaimDraft, finding: Json) -> Json:
    return {"chart_key": draft.chart_key, "identifier": draft.identifier, "payer": draft.payer} | finding
