"""The body of a request: of a type that is taken, within the limit, unpacked where it came packed."""

from __future__ import annotations

import zlib
from collections.abc import Collection

from fastapi import Request

from fhir_coder.web.refusal import RefusalError

HL7V2_TYPES = frozenset(
    {
        "application/hl7-v2",
        "application/hl7-v2+er7",
        "x-application/hl7-v2+er7",
        "text/plain",
        "application/octet-stream",
    }
)
FHIR_TYPES = frozenset(
    {
        "application/fhir+json",
        "application/json",
        "text/json",
        "application/fhir+ndjson",
        "application/ndjson",
        "application/x-ndjson",
    }
)
"""A body that names no type is taken for what the address takes."""


async def read_body(request: Request, types: Collection[str], limit: int) -> bytes:
    """The body of a request. Raises RefusalError: 413 over `limit` bytes, 415 for its type or packing, 400 damaged."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind and kind not in types:
        raise RefusalError(415, "not-supported", "this content type is not taken here", {"Accept": ", ".join(types)})
    packing = request.headers.get("content-encoding", "identity").strip().lower()
    if packing not in ("identity", "gzip", "x-gzip"):
        raise RefusalError(415, "not-supported", "this content encoding is not taken", {"Accept-Encoding": "gzip"})
    inlet = _Plain(limit) if packing == "identity" else _Gzip(limit)
    if int(request.headers.get("content-length", "0")) > limit:
        raise _too_long(limit)
    async for chunk in request.stream():
        inlet.take(chunk)
    return inlet.whole()


def _too_long(limit: int) -> RefusalError:
    return RefusalError(413, "too-long", f"the body is larger than {limit} bytes")


class _Plain:
    """Collects a body up to a limit."""

    def __init__(self, limit: int) -> None:
        self._limit, self._parts, self._size = limit, list[bytes](), 0

    def take(self, chunk: bytes) -> None:
        """Add a piece of the body."""
        self._size += len(chunk)
        if self._size > self._limit:
            raise _too_long(self._limit)
        self._parts.append(chunk)

    def whole(self) -> bytes:
        """The body."""
        return b"".join(self._parts)


class _Gzip(_Plain):
    """Unpacks a body while it comes: the limit holds for what comes out, so that a small body cannot fill memory."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._unpacker = zlib.decompressobj(wbits=31)

    def take(self, chunk: bytes) -> None:
        """Add a piece of the packed body."""
        while chunk:
            if self._unpacker.eof:
                self._unpacker = zlib.decompressobj(wbits=31)
            try:
                super().take(self._unpacker.decompress(chunk, self._limit + 1))
            except zlib.error:
                raise RefusalError(400, "structure", "the body is not gzip, or damaged") from None
            chunk = self._unpacker.unconsumed_tail or self._unpacker.unused_data

    def whole(self) -> bytes:
        """The unpacked body."""
        if not self._unpacker.eof:
            raise RefusalError(400, "structure", "the gzip body is cut off")
        return super().whole()
