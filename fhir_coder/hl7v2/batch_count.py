"""What batch trailers announce against what came (HL7 v2.9 chapter 2.15: BTS-1 messages, FTS-1 batches)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_MARK = re.compile(
    rb"(?:\A|(?<=[\r\n\x0b]))(?:\xef\xbb\xbf)?[ \t]*(?:(MSH)|(FHS|BHS|BTS|FTS)(?![A-Za-z0-9]))([^\r\n\x0b\x1c]{0,64})"
)
_NUMBER = re.compile(rb"[^0-9A-Za-z\s][ \t]*([0-9]{1,9})(?![0-9])")
_MOST_HELD = 256
"""Bytes of an unfinished line that are kept: its name and its first field stand there."""


@dataclass(frozen=True, slots=True)
class Miscount:
    """A trailer that announces another number than came: the BTS of a batch, counted from 1, or an FTS (batch 0)."""

    trailer: str
    batch: int
    declared: int
    found: int

    @property
    def path(self) -> str:
        """Where the number stands."""
        return f"BTS[{self.batch}]-1" if self.batch else "FTS-1"

    @property
    def text(self) -> str:
        """What is wrong, for people."""
        what = "messages" if self.trailer == "BTS" else "batches"
        return f"{self.declared} {what} announced, {self.found} came"


class BatchCount:
    """Counts messages and batches of a file or payload, block by block. A trailer without a number says nothing."""

    def __init__(self) -> None:
        self.miscounts: list[Miscount] = []
        self._held = b""
        self._batch = self._batches = self._messages = 0

    def feed(self, block: bytes) -> None:
        """Take the next bytes."""
        data = self._held + block
        end = max(data.rfind(b"\r"), data.rfind(b"\n")) + 1
        # The last line end stays: what begins a line is seen by the end of the line before it.
        for mark in _MARK.finditer(data, 0, end):
            self._take(mark)
        rest = data[max(end - 1, 0) :]
        self._held = rest[:_MOST_HELD]

    def finish(self) -> tuple[Miscount, ...]:
        """The miscounts of all trailers, once everything was fed."""
        for mark in _MARK.finditer(self._held):
            self._take(mark)
        self._held = b""
        return tuple(self.miscounts)

    def _take(self, mark: re.Match[bytes]) -> None:
        name = mark[1] or mark[2]
        if name == b"FHS":
            self._batches = self._messages = 0
        elif name == b"BHS" or (name == b"MSH" and not self._batch):
            self._batch += 1
            self._batches += 1
            self._messages = int(name == b"MSH")
        elif name == b"MSH":
            self._messages += 1
        elif name == b"BTS":
            self._compare("BTS", self._batch, mark[3], self._messages)
            self._messages = 0
        else:
            self._compare("FTS", 0, mark[3], self._batches)

    def _compare(self, trailer: str, batch: int, fields: bytes, found: int) -> None:
        number = _NUMBER.match(fields)
        if number and int(number[1]) != found:
            self.miscounts.append(Miscount(trailer, batch, int(number[1]), found))


def miscounts(payload: bytes) -> tuple[Miscount, ...]:
    """The trailers of a payload that announce another number than came."""
    if b"BTS" not in payload and b"FTS" not in payload:
        return ()
    count = BatchCount()
    count.feed(payload)
    return count.finish()


def counted(blocks: Iterable[bytes], count: BatchCount) -> Iterator[bytes]:
    """The blocks as they are, each counted on its way."""
    for block in blocks:
        count.feed(block)
        yield block
