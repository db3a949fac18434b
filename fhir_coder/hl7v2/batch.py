"""Files and payloads of several messages cut into single ones (HL7 v2.9 chapter 2.10.3: FHS, BHS, BTS, FTS)."""

from __future__ import annotations

import re
from collections.abc import Iterator

_LINE = re.compile(rb"([^\r\n\x0b\x1c]*)([\r\n]+|[\x0b\x1c]|\Z)")
_ENVELOPE = re.compile(rb"(?:FHS|BHS|BTS|FTS)(?![A-Za-z0-9])")
_NAMES = frozenset((b"MSH", b"FHS", b"BHS", b"BTS", b"FTS"))
_BLANKS = frozenset((b" ", b"\t", b"\xef"))
_BOMS = (b"\xff\xfe", b"\xfe\xff", b"M\0", b"\0M")


def split_messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The messages of a file or payload with their places from 1, each byte for byte as it stood there.

    A message goes from a line that begins with `MSH` to the next one, to the end of an MLLP frame, or to a batch
    envelope line; envelope lines are left out. What stands outside of messages and is not blank (a fragment before the
    first MSH, lines after a batch trailer) comes as a payload of its own, unreadable, so that nothing is lost. A line
    inside a message that is no segment stays in it: free text may hold line feeds. UTF-16 data is taken as one message.
    """
    if _is_one_message(data):
        yield 1, data
        return
    payloads = (payload for payload in _payloads(data) if payload.strip(b"\xef\xbb\xbf \t\r\n"))
    yield from enumerate(payloads, 1)


def _is_one_message(data: bytes) -> bool:
    """Whether a payload is surely one message: a quick look that spares the most common one the way line by line."""
    if not data.startswith(b"MSH") or b"\n" in data or b"\x0b" in data or b"\x1c" in data:
        return False
    # Only what begins a line counts; where a blank or a mark does, the long way looks behind it.
    begins = {line[:3] for line in data.split(b"\r")[1:]}
    return _NAMES.isdisjoint(begins) and _BLANKS.isdisjoint([name[:1] for name in begins])


def is_utf16(data: bytes) -> bool:
    """Whether data begins as UTF-16 does: its line ends are no bytes to cut at."""
    return data.startswith(_BOMS)


def _payloads(data: bytes) -> Iterator[bytes]:
    if is_utf16(data):
        yield data
        return
    parts: list[bytes] = []
    for line, end in _lines(data):
        bare = line.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t")
        envelope = _ENVELOPE.match(bare) is not None
        if parts and (envelope or bare.startswith(b"MSH")):
            yield b"".join(parts)
            parts = []
        if not envelope:
            parts.append(line + end)
        if parts and not end.strip(b"\x0b\x1c") and end:
            parts[-1] = line
            yield b"".join(parts)
            parts = []
    yield b"".join(parts)


def _lines(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    for match in _LINE.finditer(data):
        if match[0]:
            yield match[1], match[2]
