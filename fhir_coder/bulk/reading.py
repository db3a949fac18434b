"""A piece of the input to its index: which payload says something under which topics. Bodies stay where they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from fhir_coder.bulk.pieces import Payload, Piece, payloads_of_piece
from fhir_coder.bulk.sources import LARGEST
from fhir_coder.bulk.tally import shown_type
from fhir_coder.bulk.topics import digest_numbers, topic_number
from fhir_coder.conversion import read_payload
from fhir_coder.model import Header, MessageFacts, MessageFormat, MessageStatus, Verdict
from fhir_coder.pipeline import Rulebook

Row = tuple[int, ...]


@dataclass
class PieceIndex:
    """What the payloads of one piece say, in numbers.

    `payloads`: place in the piece, offset, length, source, number in it, identity and digest (each payload at most once
    in all of the input), whether its identity is a control id, whether it says anything. `said`: place, topic. `refs`:
    topic, topic it points to. `keys`: chart key, place, ordinal among those of the payload.
    """

    piece: int
    payloads: list[Row] = field(default_factory=list)
    said: list[Row] = field(default_factory=list)
    refs: set[tuple[int, int]] = field(default_factory=set)
    keys: list[Row] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    refused: list[tuple[int, int, str, str]] = field(default_factory=list)
    number: int = 0

    def take(self, place: int, payload: Payload, header: Header, found: Verdict) -> None:
        """Take one payload in, the `place`th of the piece."""
        self.number = payload.number
        self.kinds[f"{header.format.value}\t{shown_type(header.type)}\t{found.status.value}"] += 1
        if found.status is MessageStatus.QUARANTINED:
            self.refused.append((payload.source, payload.number, payload.name, found.why))
        if found.facts is None and not header.control_id:
            return
        identity, digest = _identity(payload, header)
        known = (payload.offset, payload.length, payload.source, payload.number, identity, digest)
        self.payloads.append((self.piece, place, *known, int(bool(header.control_id)), int(found.facts is not None)))
        if found.facts:
            self._file(place, found.facts)

    def _file(self, place: int, said: MessageFacts) -> None:
        topics = dict.fromkeys(filed.topic for filed in said.facts)
        topics.update(dict.fromkeys((*said.charts, *(problem.topic for problem in said.problems))))
        self.said += [(self.piece, place, topic_number(topic)) for topic in topics if topic]
        self.refs.update(
            (topic_number(filed.topic), topic_number(ref)) for filed in said.facts for ref in filed.refs if ref
        )
        self.keys += [(topic_number(key), self.piece, place, n) for n, key in enumerate(said.charts)]

    def report(self) -> dict[str, Any]:
        """What is told of the piece besides the numbers."""
        return {"number": self.number, "kinds": self.kinds, "refused": self.refused}


def _identity(payload: Payload, header: Header) -> tuple[int, int]:
    """What repeats have in common, as the inbox knows it: sender and control id, else the bytes; and their bytes."""
    first, second = digest_numbers(payload.body)
    if not header.control_id:
        return first, second
    return topic_number(f"{payload.feed}\n{header.sender}\n{header.control_id}"), second


def index_of(piece: Piece, rulebook: Rulebook) -> PieceIndex:
    """Read the payloads of a piece; what they say is found again by topic, and not kept."""
    index = PieceIndex(piece.number)
    for place, payload in enumerate(payloads_of_piece(piece, LARGEST)):
        header, found = read_bulk_payload(payload, "", rulebook)
        index.take(place, payload, header, found)
    return index


def read_bulk_payload(payload: Payload, message_id: str, rulebook: Rulebook) -> tuple[Header, Verdict]:
    """What becomes of a payload; one that could not be taken out of its file is in quarantine."""
    if payload.fault:
        return Header(MessageFormat.UNKNOWN), Verdict(MessageStatus.QUARANTINED, payload.fault)
    return read_payload(message_id, payload.body, rulebook, payload.feed, payload.answered)


INDEX_COLUMNS = {
    "payloads": ("piece", "place", "start", "length", "source", "number", "identity", "digest", "controlled", "says"),
    "said": ("piece", "place", "topic"),
    "refs": ("topic", "ref"),
    "keys": ("topic", "piece", "place", "ordinal"),
}
"""The files of an index: numbers, a row a line."""


def write_index(index: PieceIndex, folder: Path) -> None:
    """Write the files of an index; its report comes last, and says that all of it is there."""
    rows: dict[str, Iterable[Row]] = {
        "payloads": index.payloads,
        "said": index.said,
        "refs": sorted(index.refs),
        "keys": index.keys,
    }
    for name, some in rows.items():
        (folder / f"{index.piece:06}.{name}.csv").write_text("".join(_line(row) for row in some), encoding="ascii")
    write_whole(report_path(folder, index.piece), orjson.dumps(index.report()))


def report_path(folder: Path, number: int) -> Path:
    """Where the report of a piece or batch is when the work on it is done."""
    return folder / f"{number:06}.report.json"


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    beside = path.with_name(f"{path.name}.part")
    beside.write_bytes(data)
    beside.replace(path)


def reports_in(folder: Path, numbers: Iterable[int]) -> Iterator[dict[str, Any]]:
    """The reports of pieces or batches, in their order."""
    for number in numbers:
        yield orjson.loads(report_path(folder, number).read_bytes())


def _line(row: Row) -> str:
    return ",".join(map(str, row)) + "\n"
