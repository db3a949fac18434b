"""How far a run is: done of all, how fast, how long yet. One line that is written over on a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

_ON_TERMINAL, _ELSEWHERE = 0.2, 15.0
"""Seconds between two lines."""


class Progress:
    """Tells of one stage after the other. `clock` is in seconds."""

    def __init__(self, to: TextIO | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._to, self._clock = to, clock
        self._is_terminal = bool(to and to.isatty())
        self._doing, self._unit, self._total, self._done, self._here = "", "", 0, 0, 0
        self._begun = self._told = clock()

    def begin(self, doing: str, unit: str, total: int, done: int = 0) -> None:
        """Begin a stage of so many units, of which some were done in an earlier run."""
        self._doing, self._unit, self._total, self._done, self._here = doing, unit, total, done, 0
        self._begun = self._told = self._clock()

    def add(self, number: int) -> None:
        """Count what is done more, and tell of it where it is time."""
        self._done += number
        self._here += number
        if self._clock() - self._told >= (_ON_TERMINAL if self._is_terminal else _ELSEWHERE):
            self._tell()

    def end(self) -> None:
        """The stage is over."""
        if self._is_terminal and self._to:
            self._to.write("\r\x1b[K")
            self._to.flush()

    def _tell(self) -> None:
        self._told = self._clock()
        if self._to:
            self._to.write(f"\r{self.line()}\x1b[K" if self._is_terminal else f"{self.line()}\n")
            self._to.flush()

    def line(self) -> str:
        """What is told now."""
        rate = self._here / max(self._clock() - self._begun, 1e-9)
        left = f", {_span((self._total - self._done) / rate)} left" if rate else ""
        share = 100 * self._done // max(self._total, 1)
        amount = f"{_amount(self._done, self._unit)} of {_amount(self._total, self._unit)} {self._unit}"
        return f"{self._doing}: {amount} ({share} %), {_amount(rate, self._unit)} a second{left}"


def _amount(number: float, unit: str) -> str:
    return f"{number / 1e6:,.1f}" if unit == "MB" else f"{number:,.0f}"


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
