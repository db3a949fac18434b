"""How fast something is: the best of a few rounds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

ROUNDS = 5


def rate(
    work: Callable[[bytes], object],
    bodies: Sequence[bytes],
    clock: Callable[[], float] = time.perf_counter,
    rounds: int = ROUNDS,
) -> float:
    """The best number of bodies a second. `time.process_time` as the clock counts only what one core worked."""
    best = 0.0
    for _ in range(rounds):
        start = clock()
        for body in bodies:
            work(body)
        best = max(best, len(bodies) / (clock() - start))
    return best
