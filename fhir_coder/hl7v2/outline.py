"""The outline of a plain MSH line: all that messages of one sender and type have in common.

What is said of a message by its header alone (its type, how it wants to be answered, the answer itself) is worked out
once for an outline, not for each message.
"""

from __future__ import annotations

from functools import lru_cache

_BEGIN = b"MSH|^~\\&|"
_LONGEST = 2048
_TIME, _SECURITY, _CONTROL_ID = 6, 7, 9

THEIR_CONTROL_ID = "~"
"""Stands for MSH-10 in an outline."""


def outline_of(body: bytes) -> tuple[bytes, str] | None:
    """MSH without MSH-7, -8 and -10, and MSH-10; None where MSH is not plain.

    Plain is printable ASCII with the usual encoding characters, no escape, and a control id.
    """
    end = body.find(b"\r", 0, _LONGEST) if body.startswith(_BEGIN) else -1
    return _outlined(body[:end]) if end > 0 else None


@lru_cache(maxsize=64)  # a message's header is asked for when it comes and again when it is answered
def _outlined(line: bytes) -> tuple[bytes, str] | None:
    if not line.isascii() or line.count(b"\\") > 1:
        return None
    text = line.decode("ascii")
    fields = text.split("|")
    if len(fields) <= _CONTROL_ID or not text.isprintable():
        return None
    control_id = fields[_CONTROL_ID].strip()
    fields[_TIME] = fields[_SECURITY] = ""
    fields[_CONTROL_ID] = THEIR_CONTROL_ID
    return ("|".join(fields).encode(), control_id) if control_id else None
