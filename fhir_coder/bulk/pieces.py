"""Pieces of the input: what one process reads at a time, and where each payload of it stands.

A piece is a range of lines of a large NDJSON file as it stands, or a *segment*: payloads that were taken out of
archives and small files, each in a frame that says where it came from.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from fhir_coder.model import BY_ITS_BYTES, Answered

_FRAME = struct.Struct("<IIII")
_BOM = b"\xef\xbb\xbf"
TOO_LARGE = "the payload is larger than {} bytes"


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the input. `source` is the place of the file's name in the list of sources, -1 in a segment."""

    number: int
    path: str
    start: int
    end: int
    source: int = -1

    @property
    def is_segment(self) -> bool:
        """Whether its payloads stand in frames."""
        return self.source < 0

    def to_json(self) -> dict[str, Any]:
        """As a plan keeps it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Payload:
    """One payload: where it stands, which one of its source it is (from 1; in a range of lines counted from its start).

    `name` is the id it has in a ledger, `feed` and `answered` what the ledger knows of it; `fault` says why its bytes
    are not given.
    """

    offset: int
    length: int
    source: int
    number: int
    body: bytes
    name: str = ""
    feed: str = ""
    answered: Answered = BY_ITS_BYTES
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Label:
    """What a ledger knows of a message besides its bytes; a file's payload has only `fault`, why it is not given."""

    name: str = ""
    feed: str = ""
    answered: Answered = BY_ITS_BYTES
    fault: str = ""

    def to_bytes(self) -> bytes:
        """As a frame holds it; nothing where nothing is known."""
        if self == Label():
            return b""
        answered = self.answered
        told = [dict(answered.ids), sorted(answered.left_out), answered.checked] if answered != BY_ITS_BYTES else None
        return orjson.dumps([self.name, self.feed, told, self.fault])

    @classmethod
    def from_bytes(cls, data: bytes) -> Label:
        """What `to_bytes` wrote."""
        if not data:
            return cls()
        name, feed, told, fault = orjson.loads(data)
        answered = Answered(told[0], frozenset(told[1]), told[2]) if told else BY_ITS_BYTES
        return cls(name, feed, answered, fault)


def frame(source: int, number: int, body: bytes, label: bytes = b"") -> bytes:
    """A payload as it stands in a segment."""
    return _FRAME.pack(source, number, len(label), len(body)) + label + body


def payloads_of_piece(piece: Piece, limit: int) -> Iterator[Payload]:
    """The payloads of a piece, in their order. Memory: one payload."""
    with Path(piece.path).open("rb") as file:
        file.seek(piece.start)
        yield from _framed(file, piece) if piece.is_segment else _lines(file, piece, limit)


def _lines(file: BinaryIO, piece: Piece, limit: int) -> Iterator[Payload]:
    offset, number = piece.start, 0
    while offset < piece.end:
        line = file.readline()
        if not line:
            return
        body = line_of(line)
        if body:
            number += 1
            fault = TOO_LARGE.format(limit) if len(body) > limit else ""
            yield Payload(offset, len(line), piece.source, number, b"" if fault else body, fault=fault)
        offset += len(line)


def _framed(file: BinaryIO, piece: Piece) -> Iterator[Payload]:
    offset = piece.start
    while offset < piece.end:
        payload, length = _read_frame(file.read, offset)
        yield payload
        offset += length


def payload_at(file: BinaryIO, offset: int, length: int, *, is_segment: bool) -> Payload:
    """The payload that stands at a place; the source and number of a line are not known from there."""
    file.seek(offset)
    if is_segment:
        return _read_frame(file.read, offset)[0]
    return Payload(offset, length, -1, 0, line_of(file.read(length)))


def _read_frame(read: Any, offset: int) -> tuple[Payload, int]:
    source, number, label_size, size = _FRAME.unpack(read(_FRAME.size))
    label = Label.from_bytes(read(label_size))
    length = _FRAME.size + label_size + size
    body = read(size)
    found = Payload(offset, length, source, number, body, label.name, label.feed, label.answered, label.fault)
    return found, length


def line_of(line: bytes) -> bytes:
    """A line of NDJSON as `fhir.split_ndjson` gives it."""
    while line.startswith(_BOM):
        line = line[len(_BOM) :]
    return line.strip()
