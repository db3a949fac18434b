"""How much work may begin now, by lane: one lane for what needs no payer, and those of each payer.

A payer that is slow holds its own places only; how many its claims have, and how many may begin in a second, its
settings say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fhir_coder.delivery import PayerLine

POLL = "poll "

TOGETHER = 16
"""How much work that needs no payer is done at once by one thread: looked up together, committed together."""


def payer_of(lane: str) -> str:
    """The payer whose lane this is, empty for the lane of work that needs none."""
    return lane.partition(" ")[2]


@dataclass
class Pace:
    """At most so many beginnings in a second, any second. Times are seconds of a clock that never goes back."""

    per_second: float
    saved: float = 1.0
    counted_at: float | None = None

    def allowed(self, now: float) -> int:
        """How many may begin now."""
        if self.counted_at is not None:
            self.saved += (now - self.counted_at) * self.per_second
        self.counted_at = now
        self.saved = min(self.saved, max(1.0, self.per_second / 10))
        return int(self.saved + 1e-9)

    def spend(self) -> None:
        """One began."""
        self.saved -= 1.0

    def wait(self) -> float:
        """Seconds until the next may begin."""
        return max(0.0, (1.0 - self.saved) / self.per_second)


@dataclass
class Lanes:
    """Counts what runs in each lane. Not safe to use from many threads at once: who asks holds a lock."""

    lines: Mapping[str, PayerLine]
    threads: int
    taken: dict[tuple[str, str], str] = field(default_factory=dict)
    paces: dict[str, Pace] = field(default_factory=dict)

    def desk_of(self, lane: str) -> str:
        """Whose threads do the work of a lane: the payer's, or empty: ours. Work for no known payer is ours."""
        return payer_of(lane) if payer_of(lane) in self.lines else ""

    def threads_of(self, desk: str) -> int:
        """How many threads a desk has."""
        return self.lines[desk].concurrency if desk else self.threads

    def places(self, desk: str) -> int:
        """How many pieces of work a desk does at once."""
        return self.lines[desk].concurrency * self.per_request(f"submit {desk}") if desk else TOGETHER * self.threads

    def per_request(self, lane: str) -> int:
        """How many claims of a lane go with one request."""
        desk = self.desk_of(lane)
        return self.lines[desk].client.per_request if desk else 1

    def room(self, lane: str, now: float) -> int:
        """How many more of a lane may be handed out: twice what is done at once, so that no thread waits for the next.

        None before half of these places are free, so that the ledger is not asked for each one. Questions for decisions
        have a quarter of a payer's places at most: they do not hold up claims.
        """
        desk = self.desk_of(lane)
        places = self.places(desk)
        running = [one for one in self.taken.values() if self.desk_of(one) == desk]
        free = 2 * places - len(running)
        if free < places:
            return 0
        if desk and lane.startswith(POLL):
            free = min(free, max(1, self.threads_of(desk) // 2) - running.count(lane))
        pace = self._pace(desk)
        return min(free, pace.allowed(now)) if pace else free

    def wait(self, lane: str) -> float | None:
        """Seconds until a payer's pace lets the next one begin; None where it has none."""
        pace = self._pace(self.desk_of(lane))
        return pace.wait() if pace and pace.saved < 1.0 else None

    def begin(self, stage: str, key: str, lane: str) -> None:
        """A piece of work is handed out."""
        self.taken[stage, key] = lane
        pace = self._pace(self.desk_of(lane))
        if pace:
            pace.spend()

    def end(self, stage: str, key: str) -> None:
        """A piece of work is done, or was given back."""
        self.taken.pop((stage, key), None)

    def of_lane(self, lane: str) -> list[tuple[str, str]]:
        """What is handed out of a lane."""
        return [work for work, its in self.taken.items() if its == lane]

    def _pace(self, desk: str) -> Pace | None:
        rate = self.lines[desk].per_second if desk else None
        return self.paces.setdefault(desk, Pace(rate)) if rate else None
