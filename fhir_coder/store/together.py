"""Changes of many threads in one commit: whoever comes first writes for all that come while it writes.

A flush to the disk costs the same for one change as for twenty, and SQLite gives the interpreter away at each
statement: one thread that writes for eight takes half of what eight take that write.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar, cast

from sqlalchemy import Connection

from fhir_coder.store.ledger import Ledger

Answer = TypeVar("Answer")


class _Change:
    """One thread's change, and what became of it."""

    def __init__(self, change: Callable[[Connection], Any]) -> None:
        self.change = change
        self.answer: Any = None
        self.error: BaseException | None = None
        self.is_done = False
        self.turn = threading.Event()


class Together:
    """Commits changes together. Each is told what its own came to; what one raises undoes no other."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._waiting: list[_Change] = []
        self._is_writing = False

    def commit(self, change: Callable[[Connection], Answer]) -> Answer:
        """Run a change in a write transaction, perhaps with others: it is on the disk when this returns.

        Where another one of the transaction raises, it is run a second time.
        """
        own = _Change(change)
        with self._lock:
            self._waiting.append(own)
            is_first, self._is_writing = not self._is_writing, True
        if not is_first:
            own.turn.wait()
        if not own.is_done:
            self._write()
        if own.error is not None:
            raise own.error
        return cast(Answer, own.answer)

    def _write(self) -> None:
        """Write what waits, then give the turn to the first that came meanwhile."""
        with self._lock:
            together, self._waiting = self._waiting, []
        try:
            self._run(together)
        except Exception:
            for one in together:
                self._run_alone(one)
        except BaseException as error:  # the end of the process: nothing is tried again
            for one in together:
                one.error = error
        with self._lock:
            following = self._waiting[0] if self._waiting else None
            self._is_writing = following is not None
        for one in together:
            one.is_done = True
            one.turn.set()
        if following is not None:
            following.turn.set()

    def _run(self, together: list[_Change]) -> None:
        with self._ledger.writing() as connection:
            for one in together:
                one.answer = one.change(connection)

    def _run_alone(self, one: _Change) -> None:
        try:
            self._run([one])
        except BaseException as error:
            one.error = error
