"""Ids that sort by the order they were given in."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)
_SHIFTS = tuple(range(120, -1, -10))
_lock = threading.Lock()
_last = [0]


def new_id(at: datetime) -> str:
    """A ULID: 48 bits of milliseconds and 80 random bits as 26 Crockford base 32 characters.

    Within a process each id sorts after the one before (the ULID specification's monotonic form): the order of arrival
    must survive messages that come within one millisecond, and a clock that goes back.
    """
    with _lock:
        fresh = (int(at.timestamp() * 1000) << 80) | int.from_bytes(os.urandom(10))
        number = fresh if fresh >> 80 > _last[0] >> 80 else _last[0] + 1
        _last[0] = number
    return _written(number)


def first_id_of(at: datetime) -> str:
    """The id that stands before all ids given from this moment on."""
    return _written(max(int(at.timestamp() * 1000), 0) << 80)


def time_of(given: str) -> datetime:
    """When an id was given, to the millisecond."""
    number = 0
    for character in given[:10]:
        number = (number << 5) | _ALPHABET.index(character)
    return datetime.fromtimestamp(number / 1000, UTC)


def _written(number: int) -> str:
    return "".join([_PAIRS[(number >> shift) & 1023] for shift in _SHIFTS])
