"""What a process that `supervisor` started hears and says: settings, words, what it loaded; and how it behaves.

The end of standard input means that the one who started it has died: then this process ends at once, so that nothing of
a dead service goes on posting.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator, Mapping

import orjson

PREDECESSOR_SECONDS = 10.0
"""For the processes of a service that was killed to be gone."""

_NICE = 15
"""Intake goes first where processors are short: what it acknowledged can wait, a sender cannot."""
_SWITCH_SECONDS = 0.0005
"""After which a thread that computes lets another have its turn, lest one that holds the write lock waits for it."""


_COLLECTED_AFTER = (10_000, 20, 50)
"""New objects between collections: a claim makes some thousand, hardly any of them in a circle."""


def as_served() -> None:
    """Behave as a process of a service."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # A terminal or systemd tells the whole group: `serve` alone decides when its processes end.
        signal.signal(number, signal.SIG_IGN)
    os.nice(_NICE - os.nice(0))
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.set_threshold(*_COLLECTED_AFTER)


def words_of() -> Iterator[bytes]:
    """The line of settings, then whatever comes."""
    line = b""
    while b"\n" not in line:
        line += _read()
    settings, _, rest = line.partition(b"\n")
    yield settings
    if rest:
        yield rest
    while True:
        yield _read()


def _read() -> bytes:
    """What is said next. Where nobody is there to say anything, this process ends without finishing anything."""
    said = os.read(0, 1 << 16)
    if not said:
        os._exit(1)
    return said


def say(what: Mapping[str, object]) -> None:
    """Say what was loaded, or why nothing can be."""
    sys.stdout.buffer.write(orjson.dumps(what) + b"\n")
    sys.stdout.buffer.flush()
