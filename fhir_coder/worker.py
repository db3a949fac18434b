"""Takes work that is due and runs it on threads: in order per key, in parallel across keys.

Nothing is written when work is taken, so work of a process that died is free at once. Only one process works on a
SQLite ledger (`worker_process`, `store.locks.only_writer`).
"""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from fhir_coder.logs import error_place, log
from fhir_coder.stages import Stages
from fhir_coder.store import Ledger, items, work
from fhir_coder.store.inbox import InboxReader
from fhir_coder.store.work import Work

_LONGEST_SLEEP = 5.0
_TRIES_BEFORE_A_PERSON = 5


class Worker:
    """Runs due work until stopped. `wake` says that there may be new work."""

    def __init__(self, ledger: Ledger, stages: Stages, threads: int) -> None:
        self._ledger, self._stages, self._threads = ledger, stages, threads
        self._inbox = InboxReader(ledger)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="work")
        self._changed = threading.Condition()
        self._taken: set[tuple[str, str]] = set()
        self._stopping = False
        self._woken = False
        self._thread = threading.Thread(target=self._dispatch, name="dispatch", daemon=True)

    def start(self) -> None:
        """Start taking work."""
        self._thread.start()

    def wake(self) -> None:
        """Look for work now."""
        with self._changed:
            self._woken = True
            self._changed.notify()

    def stop(self) -> None:
        """Take no more work; finish what runs, and file what intake has acknowledged."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()
        self._pool.shutdown(wait=True)
        self._inbox.file()
        self._inbox.close()

    def _dispatch(self) -> None:
        while True:
            with self._changed:
                if self._stopping:
                    return
                self._woken = False
            try:
                wait = self._hand_out()
            except Exception as error:
                log.error("dispatch_failed", error=type(error).__name__, where=error_place(error))
                wait = 1.0
            with self._changed:
                if not self._woken and not self._stopping:
                    self._changed.wait(wait)

    def _hand_out(self) -> float:
        """Hand out what is due and free; answers how many seconds may pass before the next look.

        What intake kept is filed first: a chart waits for the messages that had come before it was asked for.
        """
        self._inbox.file()
        with self._changed:
            taken = set(self._taken)
        free = 2 * self._threads - len(taken)
        if free <= 0:
            return _LONGEST_SLEEP
        with self._ledger.reading() as connection:
            now = self._ledger.clock()
            found = work.due(connection, now, taken, free)
            next_at = None if found else work.next_due_at(connection)
        for todo in found:
            with self._changed:
                self._taken.add((todo.stage, todo.key))
            self._pool.submit(self._run, todo)
        if found or next_at is None:
            return _LONGEST_SLEEP
        # Work that is due but taken wakes us when it ends.
        return min(max((next_at - now).total_seconds(), 0.05), _LONGEST_SLEEP)

    def _run(self, todo: Work) -> None:
        try:
            self._stages.run(todo)
            if todo.tries >= _TRIES_BEFORE_A_PERSON:
                with self._ledger.writing() as connection:
                    items.close_identity(connection, self._ledger.clock(), _failure(todo), "it went well")
        except Exception as error:
            log.error("work_failed", stage=todo.stage, error=type(error).__name__, where=error_place(error))
            self._put_off(todo, error)
        finally:
            with self._changed:
                self._taken.discard((todo.stage, todo.key))
                self._woken = True
                self._changed.notify()

    def _put_off(self, todo: Work, error: Exception) -> None:
        """An unexpected failure: try later, and tell a person when it keeps failing. The work is never dropped."""
        at = self._ledger.clock()
        wait = min(600.0, 2.0 ** min(todo.tries, 10)) * random.uniform(0.5, 1.0)
        with self._ledger.writing() as connection:
            work.postpone(connection, todo, at + timedelta(seconds=wait))
            if todo.tries + 1 == _TRIES_BEFORE_A_PERSON:
                text = f"{todo.stage} keeps failing: {type(error).__name__} at {error_place(error)}"
                items.open_item(connection, at, items.Item(_failure(todo), "failure", "work_failed", text))


def _failure(todo: Work) -> str:
    return f"failure:{todo.stage}:{todo.key}"
