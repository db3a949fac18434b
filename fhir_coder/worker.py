"""Takes work that is due and runs it on threads: in order per key, in parallel across keys.

Nothing is written when work is taken, so work of a process that died is free at once. Only one process works on a
SQLite ledger (`worker_process`, `store.locks.only_writer`).
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from sqlalchemy import Connection

from fhir_coder import measures
from fhir_coder.lanes import POLL, TOGETHER, Lanes, payer_of
from fhir_coder.logs import error_name, error_place, log
from fhir_coder.payers.breaker import may_probe, may_send
from fhir_coder.stages import PayerStages, Stages
from fhir_coder.store import Ledger, breakers, items, work
from fhir_coder.store.breakers import Breaker
from fhir_coder.store.inbox import InboxReader
from fhir_coder.store.work import Work, lane_name

_LONGEST_SLEEP, _SHORTEST_SLEEP = 5.0, 0.05
_DELIVERING = ("submit", "poll")
_TRIES_BEFORE_A_PERSON = 5
_TURN_SECONDS = 0.5
"""For which a thread that computes has the interpreter to itself: two that contend for it do half as much together.
After that the others go on: what takes long holds up nothing but itself."""


class Worker:
    """Runs due work until stopped. `wake` says that there may be new work.

    It takes from the lanes that `is_ours` says yes to, and calls `told` when work is done: there may be work in others.

    What needs no payer is done by `threads` threads. Each payer's claims have threads of their own.
    """

    def __init__(
        self,
        ledger: Ledger,
        stages: Stages | PayerStages,
        threads: int,
        *,
        is_ours: Callable[[str], object] = lambda _lane: True,
        told: Callable[[], None] = lambda: None,
    ) -> None:
        self._ledger, self._stages = ledger, stages
        self._is_ours, self._told = is_ours, told
        self._inbox = InboxReader(ledger) if is_ours(work.LOCAL.name) else None
        self._changed = threading.Condition()
        self._lanes = Lanes(stages.delivery.lines, threads)
        self._desks: dict[str, ThreadPoolExecutor] = {}
        self._probing: set[str] = set()
        self._turn = threading.Lock()
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

    def go_on_with(self, stages: Stages | PayerStages) -> None:
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
        if self._inbox:
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
        if self._inbox:
            self._inbox.file()
        found: list[Work] = []
        waits = [_LONGEST_SLEEP]
        with self._ledger.reading() as connection:
            now = self._ledger.clock()
            lanes = {lane: due_at for lane, due_at in work.lanes(connection).items() if self._is_ours(lane)}
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
        for some in self._groups(found):
            self._desk(some[0].lane).submit(self._run_all, some)
        self._probe_those_down([b for b in known.values() if may_probe(b, now) and _is_due(lanes, b.payer, now)])
        return max(min(waits), _SHORTEST_SLEEP)

    def _take(self, connection: Connection, lane: str, now: datetime, waits: list[float]) -> list[Work]:
        """Take what is due of a lane, as far as there is room; work that is due but taken wakes us when it ends."""
        with self._changed:
            room, running = self._lanes.room(lane, time.monotonic()), self._lanes.of_lane(lane)
        found = work.due(connection, now, running, room, lane) if room > 0 else []
        if lane.startswith("submit "):
            self._stages.delivery.look_ahead(connection, found)
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
            self._desks[name] = ThreadPoolExecutor(self._lanes.threads_of(name), thread_name_prefix=prefix)
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

    def _groups(self, found: Sequence[Work]) -> Iterator[list[Work]]:
        """Work in pieces that are done together: messages, charts, the claims of one request to a payer."""
        groups: dict[tuple[str, str], list[Work]] = {}
        for todo in found:
            groups.setdefault((todo.stage, todo.lane), []).append(todo)
        for (stage, lane), group in groups.items():
            size = TOGETHER if not payer_of(lane) else self._lanes.per_request(lane) if stage == "submit" else 1
            yield from (group[start : start + size] for start in range(0, len(group), size))

    def _run_all(self, todo: Sequence[Work]) -> None:
        """Do some work together; where one piece of it fails, each by itself: what fails stops nothing else."""
        is_local = not self._lanes.desk_of(todo[0].lane)
        is_turn = is_local and self._turn.acquire(timeout=_TURN_SECONDS)
        try:
            self._run_together(todo)
        finally:
            if is_turn:
                self._turn.release()

    def _run_together(self, todo: Sequence[Work]) -> None:
        if len(todo) == 1 or any(one.tries for one in todo):
            for one in todo:
                self._run(one)
            return
        try:
            if not self._is_closed(todo[0]):
                self._stages.run_all(todo)
        except Exception:
            for one in todo:
                self._run(one)
            return
        self._counted(todo)
        self._done(todo)

    def _counted(self, todo: Sequence[Work]) -> None:
        now = self._ledger.clock()
        measures.count("fhir_coder_work_done", todo[0].stage, number=len(todo))
        for one in todo:
            measures.measure("fhir_coder_work_seconds", (now - one.asked_at).total_seconds(), one.stage)

    def _done(self, todo: Sequence[Work]) -> None:
        self._stages.delivery.look_back(todo)
        with self._changed:
            for one in todo:
                self._lanes.end(one.stage, one.key)
            self._woken = True
            self._changed.notify()
        self._told()

    def _run(self, todo: Work, is_probe: bool = False) -> None:
        try:
            if not is_probe and self._is_closed(todo):
                return
            self._stages.run(todo)
            self._counted([todo])
            if todo.tries >= _TRIES_BEFORE_A_PERSON:
                with self._ledger.writing() as connection:
                    items.close_identity(connection, self._ledger.clock(), _failure(todo), "it went well")
        except Exception as error:
            log.error("work_failed", stage=todo.stage, error=type(error).__name__, where=error_place(error))
            measures.count("fhir_coder_work_failed", todo.stage)
            self._put_off(todo, error)
        finally:
            self._done([todo])

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
