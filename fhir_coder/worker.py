"""Takes work that is due and runs it on threads: in order per key, in parallel across keys.

Nothing is written when work is taken, so work of a process that died is free at once. Only one process works on a
SQLite ledger (`worker_process`, `store.locks.only_writer`).
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from sqlalchemy import Connection

from fhir_coder.lanes import POLL, Lanes, payer_of
from fhir_coder.logs import error_name, error_place, log
from fhir_coder.payers.breaker import may_probe, may_send
from fhir_coder.stages import Stages
from fhir_coder.store import Ledger, breakers, items, work
from fhir_coder.store.breakers import Breaker
from fhir_coder.store.inbox import InboxReader
from fhir_coder.store.work import Work, lane_name

_LONGEST_SLEEP, _SHORTEST_SLEEP = 5.0, 0.05
_DELIVERING = ("submit", "poll")
_TRIES_BEFORE_A_PERSON = 5


class Worker:
    """Runs due work until stopped. `wake` says that there may be new work.

    What needs no payer is done by `threads` threads. Each payer's claims have threads of their own.
    """

    def __init__(self, ledger: Ledger, stages: Stages, threads: int) -> None:
        self._ledger, self._stages = ledger, stages
        self._inbox = InboxReader(ledger)
        self._changed = threading.Condition()
        self._lanes = Lanes(stages.delivery.lines, threads)
        self._desks: dict[str, ThreadPoolExecutor] = {}
        self._probing: set[str] = set()
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

    def go_on_with(self, stages: Stages) -> None:
        """Do the next work by other stages; what runs ends with those it began with."""
        self._stages = stages
        self.wake()

    def stop(self) -> None:
        """Take no more work; finish what runs, and file what intake has acknowledged."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()
        for desk in self._desks.values():
            desk.shutdown(wait=True)
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

    # --- handing out

    def _hand_out(self) -> float:
        """Hand out what is due and has room; answers how many seconds may pass before the next look.

        What intake kept is filed first: a chart waits for the messages that had come before it was asked for.
        """
        self._inbox.file()
        found: list[Work] = []
        waits = [_LONGEST_SLEEP]
        with self._ledger.reading() as connection:
            now = self._ledger.clock()
            lanes = work.lanes(connection)
            known = breakers.of_all(connection) if any(map(payer_of, lanes)) else {}
            for payer, line in self._lanes.lines.items():
                line.gate.breaker = known[payer] if payer in known and known[payer].failures else None
            for lane, due_at in sorted(lanes.items(), key=lambda one: not one[0].startswith(POLL)):
                breaker = known.get(self._lanes.desk_of(lane))
                is_due = due_at <= now
                if not may_send(breaker, now):
                    waits += [_seconds(max(due_at, breaker.resume_at or now), now)] if breaker else []
                elif is_due:
                    found += self._take(connection, lane, now, waits)
                else:
                    waits.append(_seconds(due_at, now))
        for todo in found:
            self._desk(todo.lane).submit(self._run, todo)
        self._probe_those_down([b for b in known.values() if may_probe(b, now) and _is_due(lanes, b.payer, now)])
        return max(min(waits), _SHORTEST_SLEEP)

    def _take(self, connection: Connection, lane: str, now: datetime, waits: list[float]) -> list[Work]:
        """Take what is due of a lane, as far as there is room; work that is due but taken wakes us when it ends."""
        with self._changed:
            room, running = self._lanes.room(lane, time.monotonic()), self._lanes.of_lane(lane)
        found = work.due(connection, now, running, room, lane) if room > 0 else []
        with self._changed:
            for todo in found:
                self._lanes.begin(todo.stage, todo.key, todo.lane)
            pause = self._lanes.wait(lane)
        if pause is not None:
            waits.append(pause)
        return found

    def _desk(self, lane: str) -> ThreadPoolExecutor:
        name = self._lanes.desk_of(lane)
        if name not in self._desks:
            prefix = f"payer-{name}" if name else "work"
            self._desks[name] = ThreadPoolExecutor(self._lanes.places(name), thread_name_prefix=prefix)
        return self._desks[name]

    # --- payers that are down

    def _probe_those_down(self, down: Sequence[Breaker]) -> None:
        """Let one claim of each payer that is down try whether it is back; no other worker does so meanwhile."""
        for breaker in down:
            line = self._lanes.lines.get(breaker.payer)
            if line is None or breaker.payer in self._probing:
                continue
            until = self._ledger.clock() + timedelta(seconds=line.breaker.lease)
            with self._ledger.writing(flush=False) as connection:
                is_ours = breakers.take_probe(connection, breaker, until)
            if is_ours:
                self._probing.add(breaker.payer)
                self._desk(lane_name("submit", breaker.payer)).submit(self._probe, breaker.payer)

    def _probe(self, payer: str) -> None:
        """Ask a payer whether it is there, and where it is, do the first of its work."""
        try:
            todo = self._first_of(payer) if self._stages.delivery.knock(payer) else None
            if todo:
                self._run(todo, is_probe=True)
            self._stages.delivery.end_probe(payer)
        except Exception as error:
            log.error("dispatch_failed", error=error_name(error), where=error_place(error))
        finally:
            with self._changed:
                self._probing.discard(payer)
                self._woken = True
                self._changed.notify()

    def _first_of(self, payer: str) -> Work | None:
        with self._ledger.reading() as connection, self._changed:
            for lane in (lane_name("submit", payer), lane_name("poll", payer)):
                for todo in work.due(connection, self._ledger.clock(), self._lanes.of_lane(lane), 1, lane):
                    self._lanes.begin(todo.stage, todo.key, todo.lane)
                    return todo
        return None

    def _is_closed(self, todo: Work) -> bool:
        """Whether nothing goes to the payer of a piece of work now: it may have gone down since it was handed out."""
        line = self._lanes.lines.get(payer_of(todo.lane))
        return line is not None and not may_send(line.gate.breaker, self._ledger.clock())

    # --- doing

    def _run(self, todo: Work, is_probe: bool = False) -> None:
        try:
            if not is_probe and self._is_closed(todo):
                return
            self._stages.run(todo)
            if todo.tries >= _TRIES_BEFORE_A_PERSON:
                with self._ledger.writing() as connection:
                    items.close_identity(connection, self._ledger.clock(), _failure(todo), "it went well")
        except Exception as error:
            log.error("work_failed", stage=todo.stage, error=type(error).__name__, where=error_place(error))
            self._put_off(todo, error)
        finally:
            with self._changed:
                self._lanes.end(todo.stage, todo.key)
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


def _seconds(at: datetime, now: datetime) -> float:
    return (at - now).total_seconds()


def _is_due(lanes: Mapping[str, datetime], payer: str, now: datetime) -> bool:
    """Whether something waits for a payer."""
    return any(lane_name(stage, payer) in lanes and lanes[lane_name(stage, payer)] <= now for stage in _DELIVERING)
