"""Files larger than memory to payloads: read block by block, plain or gzip, one message in memory at a time. Pure.

The rules are those of `payloads_in`; a stream is only cut where they would cut too: at a line that begins a message, or
at the end of a line of NDJSON. What has no such place within the limit is passed over and reported as `TooLarge`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice

from fhir_coder import fhir, hl7v2
from fhir_coder.errors import UnreadableError
from fhir_coder.intake.payloads import is_resource, payloads_in

_GZIP = b"\x1f\x8b"
_MESSAGE_STARTS = (b"\rMSH", b"\nMSH", b"\x0bMSH")
_LINE_ENDS = (b"\n",)
_LONGEST_MARK = 4
_INFLATED_AT_ONCE = 256 << 10
SMALL = 2 << 20
"""Bytes up to which a file is looked at whole."""


@dataclass(frozen=True, slots=True)
class TooLarge:
    """A payload over the limit that was passed over; its size in bytes."""

    size: int


def inflated(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The blocks of a file as they are, or unpacked where they are gzip (RFC 1952, of one or more members).

    Raises UnreadableError (`gzip`) where the data is cut off or damaged; what came before is given out first.
    """
    waiting = iter(blocks)
    head = b""
    while len(head) < len(_GZIP) and (block := next(waiting, b"")):
        head += block
    whole = chain([head] if head else [], waiting)
    return _unpacked(whole) if head.startswith(_GZIP) else whole


def _unpacked(blocks: Iterable[bytes]) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(wbits=31)
    for block in blocks:
        data = block
        while data:
            if unpacker.eof:
                data = data.lstrip(b"\0")  # tape and block devices fill up with zeros after the last member
                unpacker = zlib.decompressobj(wbits=31) if data else unpacker
            try:
                yield unpacker.decompress(data, _INFLATED_AT_ONCE)
            except zlib.error:
                raise UnreadableError("", "gzip", "the gzip data is damaged") from None
            data = unpacker.unconsumed_tail or unpacker.unused_data
    if not unpacker.eof:
        raise UnreadableError("", "gzip", "the gzip data is cut off")


def payloads_of_stream(blocks: Iterable[bytes], limit: int) -> Iterator[bytes | TooLarge]:
    """The payloads of a stream, each at most `limit` bytes, as `payloads_in` gives them for the whole.

    JSON that is longer than the limit is taken as NDJSON where its first or second line is a whole resource.
    """
    waiting = iter(blocks)
    head, is_all = _read_up_to(SMALL, b"", waiting)
    is_hl7v2 = not fhir.looks_like_fhir(head)
    if not is_all and is_hl7v2 and not hl7v2.is_utf16(head):
        yield from _pieces(chain([head], waiting), limit, _MESSAGE_STARTS)
        return
    if not is_all and not _begins_with_resource(head, 1):
        head, is_all = _read_up_to(limit, head, waiting)
    if is_all:
        yield from (_within(limit, payload) for payload in payloads_in(head))
    elif not is_hl7v2 and _begins_with_resource(head, 2):
        yield from _pieces(chain([head], waiting), limit, _LINE_ENDS)
    else:
        yield TooLarge(len(head) + sum(map(len, waiting)))


def _read_up_to(size: int, head: bytes, blocks: Iterator[bytes]) -> tuple[bytes, bool]:
    """The stream's beginning, a little more than `size` where there is more, and whether it is all of it."""
    parts, length = [head], len(head)
    for block in blocks:
        parts.append(block)
        length += len(block)
        if length > size:
            return b"".join(parts), False
    return b"".join(parts), True


def _begins_with_resource(head: bytes, lines: int) -> bool:
    return any(is_resource(line) for _, line in islice(fhir.split_ndjson(head), lines))


def _pieces(blocks: Iterable[bytes], limit: int, marks: tuple[bytes, ...]) -> Iterator[bytes | TooLarge]:
    """Cut the stream behind the first byte of a mark; what grows over the limit without one is passed over."""
    split = _lines if marks is _LINE_ENDS else _messages
    held, passed = bytearray(), 0
    for block in blocks:
        known = max(0, len(held) - _LONGEST_MARK)
        held += block
        if passed and (first := min((i for m in marks if (i := held.find(m)) >= 0), default=-1) + 1):
            yield TooLarge(passed + first)
            del held[:first]
            known = passed = 0
        cut = 0 if passed else max(held.rfind(m, known) for m in marks) + 1
        if cut:
            yield from (_within(limit, payload) for payload in split(bytes(held[:cut])))
            del held[:cut]
        if passed or len(held) > limit:
            passed += len(held) - _LONGEST_MARK
            del held[:-_LONGEST_MARK]
    if passed:
        yield TooLarge(passed + len(held))
    else:
        yield from (_within(limit, payload) for payload in split(bytes(held)))


def _messages(data: bytes) -> Iterator[bytes]:
    return (payload for _, payload in hl7v2.split_messages(data))


def _lines(data: bytes) -> Iterator[bytes]:
    return (line for _, line in fhir.split_ndjson(data))


def _within(limit: int, payload: bytes) -> bytes | TooLarge:
    return payload if len(payload) <= limit else TooLarge(len(payload))
