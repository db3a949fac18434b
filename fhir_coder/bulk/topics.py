"""Topics as numbers, so that what belongs together is found without the texts.

Two topics of one number do no harm: a chart is then given a message too many, and takes nothing from it.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b


@lru_cache(maxsize=100_000)
def topic_number(topic: str) -> int:
    """The number of a topic: 64 bits with a sign, the same in every process."""
    return int.from_bytes(blake2b(topic.encode(), digest_size=8).digest(), "big", signed=True)


def digest_numbers(data: bytes) -> tuple[int, int]:
    """Two numbers that two payloads share only where their bytes are the same."""
    digest = blake2b(data, digest_size=16).digest()
    return int.from_bytes(digest[:8], "big", signed=True), int.from_bytes(digest[8:], "big", signed=True)
