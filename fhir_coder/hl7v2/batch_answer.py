"""The answer to a batch: FHS and BHS, the acknowledgments of its messages, BTS and FTS (HL7 v2.9 chapter 2.10.3)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fhir_coder.hl7v2.ack import header_of
from fhir_coder.hl7v2.batch import split_messages
from fhir_coder.hl7v2.batch_count import Miscount, miscounts

_ENVELOPE = re.compile(rb"(?:\A|(?<=[\r\n]))(?:\xef\xbb\xbf)?[ \t]*((?:FHS|BHS|BTS|FTS)(?![A-Za-z0-9])[^\r\n]*)[\r\n]*")


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch of a payload: its BHS line, empty where it has none, and its messages byte for byte."""

    header: bytes
    messages: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class BatchFile:
    """A payload that is a batch: its FHS line, empty where it has none, and its batches."""

    header: bytes
    batches: tuple[Batch, ...]
    miscounts: tuple[Miscount, ...] = ()
    """The trailers that announce another number than came."""

    @property
    def messages(self) -> list[bytes]:
        """The messages of all batches, in order."""
        return [message for batch in self.batches for message in batch.messages]


def read_batches(payload: bytes) -> BatchFile | None:
    """The batches of a payload that begins with FHS or BHS, None for any other.

    The messages are those of `split_messages`; a batch may have none.
    """
    if not payload.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"FHS", b"BHS")):
        return None
    marks = list(_ENVELOPE.finditer(payload))
    if not marks:
        return None
    file, batches = b"", list[Batch]()
    for place, mark in enumerate(marks):
        line = mark[1]
        after = marks[place + 1].start() if place + 1 < len(marks) else len(payload)
        inside = tuple(message for _, message in split_messages(payload[mark.end() : after]))
        if line.startswith(b"FHS"):
            file = file or line
        if line.startswith(b"BHS") or (inside and not batches):
            batches.append(Batch(line if line.startswith(b"BHS") else b"", inside))
        elif inside:
            batches[-1] = replace(batches[-1], messages=batches[-1].messages + inside)
    return BatchFile(file, tuple(batches), miscounts(payload))


def build_batch_answer(asked: BatchFile, answers: Sequence[Sequence[bytes]], control_id: str, at: str) -> bytes:
    """One payload with the acknowledgments of each batch, in the envelopes that it came in.

    A trailer that announced another number than came is told so in the comment of ours (BTS-2, FTS-2).
    `answers` are those of each batch. `control_id` is our own BHS-11 and FHS-11; theirs go back in field 12.
    """
    notes = {miscount.batch: miscount.text for miscount in asked.miscounts}
    built = [
        _header(b"BHS", batch.header, control_id, at)
        + b"".join(said)
        + _trailer(b"BTS", batch.header, len(said), notes.get(place, ""))
        for place, (batch, said) in enumerate(zip(asked.batches, answers, strict=True), 1)
    ]
    if not asked.header:
        return b"".join(built)
    end = _trailer(b"FTS", asked.header, len(built), notes.get(0, ""))
    return _header(b"FHS", asked.header, control_id, at) + b"".join(built) + end


def _header(name: bytes, theirs: bytes, control_id: str, at: str) -> bytes:
    # FHS and BHS name sender, receiver and time where MSH does, so that its reader serves for them.
    line = header_of(b"MSH" + theirs[3:])
    sides = [line.raw(place) for place in (5, 6, 3, 4)]
    fields = [name.decode("ascii"), line.syntax.encoding_characters, *sides, at, "", "", ""]
    fields += [line.syntax.escaped(control_id), line.raw(11)]
    return (line.syntax.field.join(fields).rstrip(line.syntax.field) + "\r").encode("latin-1", "replace")


def _trailer(name: bytes, theirs: bytes, count: int, note: str) -> bytes:
    syntax = header_of(b"MSH" + theirs[3:]).syntax
    fields = [name.decode("ascii"), str(count), *([syntax.escaped(note)] if note else [])]
    return (syntax.field.join(fields) + "\r").encode("latin-1", "replace")
