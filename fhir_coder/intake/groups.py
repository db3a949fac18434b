"""Files of any size to the intake desk: block by block in, group by group out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from fhir_coder.errors import UnreadableError
from fhir_coder.intake.stream import inflated
from fhir_coder.store.messages import Incoming

_TOGETHER = 5000
"""Payloads of one file that are committed together, so that a visit told of in many lines is charted at once."""
_BYTES_TOGETHER = 2 << 20
"""Bytes of payloads that end such a group early: a file larger than this is never whole in memory."""
_BLOCK = 256 << 10


def blocks_of(path: Path) -> Iterator[bytes]:
    """A file in blocks."""
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block


def file_bytes(path: Path) -> bytes:
    """A file whole, unpacked where it is gzip. Raises UnreadableError with its path where the gzip data is damaged."""
    try:
        return b"".join(inflated(blocks_of(path)))
    except UnreadableError as error:
        raise UnreadableError(str(path), error.rule, error.text) from None


def in_groups(incoming: Iterable[Incoming]) -> Iterator[list[Incoming]]:
    """Payloads in groups to be committed together, none larger than memory has room for."""
    group: list[Incoming] = []
    size = 0
    for one in incoming:
        group.append(one)
        size += len(one.body)
        if len(group) >= _TOGETHER or size > _BYTES_TOGETHER:
            yield group
            group, size = [], 0
    if group:
        yield group
