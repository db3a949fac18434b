"""What was used lately, kept in memory up to a total weight."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """Values by key, those used last; safe to use from many threads.

    What was used longest ago goes first when the weights of all come to more than `limit`; the last one stays, however
    heavy: many visits may be read from one large message.
    """

    def __init__(self, limit: int, weigh: Callable[[Value], int]) -> None:
        self._limit, self._weigh = limit, weigh
        self._kept: OrderedDict[Key, tuple[Value, int]] = OrderedDict()
        self._weight = 0
        self._lock = threading.Lock()

    def put(self, key: Key, value: Value) -> None:
        """Keep a value as the one used last."""
        weight = self._weigh(value)
        with self._lock:
            self._drop(key)
            self._kept[key] = value, weight
            self._weight += weight
            while self._weight > self._limit and len(self._kept) > 1:
                self._drop(next(iter(self._kept)))

    def get(self, key: Key) -> Value | None:
        """A value, None where it is not kept (any more)."""
        with self._lock:
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key][0]

    def take(self, key: Key) -> Value | None:
        """A value, kept no more; None where it was not."""
        with self._lock:
            return self._drop(key)

    def drop_where(self, is_over: Callable[[Value], bool]) -> None:
        """Keep no more what a question says yes to."""
        with self._lock:
            for key in [key for key, (value, _) in self._kept.items() if is_over(value)]:
                self._drop(key)

    def _drop(self, key: Key) -> Value | None:
        value, weight = self._kept.pop(key, (None, 0))
        self._weight -= weight
        return value
