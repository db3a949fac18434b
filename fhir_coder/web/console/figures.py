"""Figures that take longer than a page may: counted beside the pages, at most every so often.

A page shows what was counted last, and counting begins again where that is old.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from fhir_coder.logs import error_name, error_place, log

Value = TypeVar("Value")
_SHARE = 20
"""Counting may take one part in so many of the time: a larger ledger is counted less often."""


class Counted(Generic[Value]):
    """A value that a function counts; `seconds` is how old it may get. Safe to ask from many threads."""

    def __init__(self, count: Callable[[], Value], seconds: float) -> None:
        self._count, self._seconds = count, seconds
        self._lock, self._is_counting = threading.Lock(), False
        self._value: Value | None = None
        self._until = 0.0
        self._is_there = threading.Event()

    def get(self, patience: float) -> Value | None:
        """The value as counted last, which is counted anew beside this where it is old.

        The first value is waited for so many seconds; None where it is not there by then.
        """
        with self._lock:
            if time.monotonic() > self._until and not self._is_counting:
                self._is_counting = True
                threading.Thread(target=self._count_again, name="figures", daemon=True).start()
        self._is_there.wait(patience)
        return self._value

    def _count_again(self) -> None:
        began = time.monotonic()
        try:
            self._value = self._count()
            self._is_there.set()
        except Exception as error:  # the old figures stay, with their time beside them
            log.error("figures_failed", error=error_name(error), where=error_place(error))
        took = time.monotonic() - began
        self._until = time.monotonic() + max(self._seconds, _SHARE * took)
        self._is_counting = False
