"""What of a request and its answer is kept for people to read: headers without what lets somebody in."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit, urlunsplit

SHOWN_HEADERS = frozenset(
    {
        *("accept", "accept-encoding", "connection", "content-encoding", "content-length", "content-location"),
        *("content-type", "date", "etag", "host", "if-none-exist", "last-modified", "location", "prefer"),
        *("retry-after", "server", "transfer-encoding", "user-agent", "x-correlation-id", "x-request-id"),
    }
)
"""Headers whose values are kept. Of any other, a token's or a cookie's among them, only the name is."""

NOT_SHOWN = "(not kept)"


def header_lines(headers: Mapping[str, str | bytes]) -> str:
    """Headers as `name: value` lines, one a header."""
    return "\n".join(f"{name}: {_shown(name, value)}" for name, value in headers.items())


def _shown(name: str, value: str | bytes) -> str:
    if name.lower() not in SHOWN_HEADERS:
        return NOT_SHOWN
    return value.decode("latin-1") if isinstance(value, bytes) else value


def without_userinfo(address: str) -> str:
    """An address without the user and password that may stand in front of its host."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
