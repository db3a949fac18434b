"""The intake desk: keeps payloads with group commit, so that many connections share one flush to the disk.

Who handed in a group is told after the commit: then it may be acknowledged. All Python of it runs on one loop, where
the MLLP listeners live too; a second thread does nothing but wait for the disk. While it waits, the loop reads what
goes with the next commit, and the two never contend for the interpreter.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from fhir_coder.logs import error_name, error_place, log
from fhir_coder.store import Ledger, fhir_resources, messages
from fhir_coder.store.fhir_resources import Asked, Filed
from fhir_coder.store.inbox import Inbox
from fhir_coder.store.messages import Incoming, Kept

Outcome = Sequence[Kept] | Exception
"""What became of a group, in its order, or why nothing of it was kept."""

Told = Callable[[Outcome], None]
"""Takes what became of a group. Called on the desk's loop; it raises nothing."""

_MOST_AT_ONCE = 200
_SAY_EVERY = 0.02
"""Seconds between two words to `on_kept`: who is told of each commit files what was kept with as many flushes."""
_LOG_EVERY = 1.0
"""Seconds that one line of the log tells of: a line for each commit would cost as much as the commit."""


@dataclass(frozen=True, slots=True)
class _Group:
    """Payloads that belong together: one commit for all."""

    incoming: Sequence[Incoming]
    told: Told


@dataclass(frozen=True, slots=True)
class _Request:
    """What one FHIR request asks for: filed for itself within a commit."""

    asked: Sequence[Asked]
    filed: Future[Sequence[Filed]]


@dataclass(slots=True)
class _Tally:
    """How many messages were kept since the log was told."""

    messages: int = 0
    told_at: float = field(default_factory=time.monotonic)

    def report(self, *, now: bool) -> None:
        """Write the line where it is due, or at once."""
        at = time.monotonic()
        if self.messages and (now or at - self.told_at >= _LOG_EVERY):
            log.info("messages_kept", messages=self.messages)
            self.messages, self.told_at = 0, at


class _Disk:
    """The thread that waits for the disk: one piece of work at a time; what came of it is told on the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: queue.SimpleQueue[tuple[Callable[[], Any], Callable[[Any], None]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="intake-disk", daemon=True)
        self._thread.start()

    def send(self, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """Have work done; `done` takes what it answered, or the exception it ended with."""
        self._waiting.put((work, done))

    def close(self) -> None:
        """Do what waits, then stop."""
        self._waiting.put(None)
        self._thread.join()

    def _serve(self) -> None:
        while errand := self._waiting.get():
            work, done = errand
            try:
                came = work()
            except Exception as error:  # whoever waits for it learns it
                came = error
            self._loop.call_soon_threadsafe(done, came)


class IntakeDesk:
    """A loop on a thread of its own that commits whatever waits, together. `on_kept` is called soon after a commit.

    With an inbox, which it closes at its end, messages are kept there, else in the ledger itself.
    """

    def __init__(self, ledger: Ledger, on_kept: Callable[[], None], inbox: Inbox | None = None) -> None:
        self._ledger, self._on_kept, self._inbox = ledger, on_kept, inbox
        self._waiting: deque[_Group | _Request] = deque()
        self._is_busy = self._is_looking = self._is_closing = self._is_untidy = False
        self._tally = _Tally()
        self._pause: asyncio.TimerHandle | None = None
        self._say: asyncio.TimerHandle | None = None
        self._has_news = False
        self._loop = asyncio.new_event_loop()
        self._kept_at = self._loop.time()
        self._disk = _Disk(self._loop)
        self._thread = threading.Thread(target=self._serve, name="intake", daemon=True)
        self._thread.start()

    def run(self, something: Coroutine[Any, Any, None]) -> Future[None]:
        """Run a coroutine on the desk's loop: what lives there hands in without a change of threads."""
        return asyncio.run_coroutine_threadsafe(something, self._loop)

    def hand_in(self, incoming: Sequence[Incoming], told: Told) -> None:
        """Hand in payloads that belong together, on the desk's loop.

        `told` is called later, when they are on the disk or cannot be.
        """
        self._take(_Group(incoming, told))

    def keep_together(self, incoming: Sequence[Incoming]) -> Future[Sequence[Kept]]:
        """Hand in payloads that belong together, on any thread; the future is done when they are on the disk."""
        kept: Future[Sequence[Kept]] = Future()
        self._loop.call_soon_threadsafe(self._take, _Group(incoming, partial(_tell, kept)))
        return kept

    def file(self, asked: Sequence[Asked]) -> Future[Sequence[Filed]]:
        """Hand in what a FHIR request asks for, on any thread; the future is done when it is filed."""
        filed: Future[Sequence[Filed]] = Future()
        self._loop.call_soon_threadsafe(self._take, _Request(asked, filed))
        return filed

    def close(self) -> None:
        """Keep what waits, then stop."""
        self._loop.call_soon_threadsafe(self._finish)
        self._thread.join()

    # --- on the loop

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._disk.close()
        self._loop.close()
        self._on_kept()
        self._tally.report(now=True)
        if self._inbox:
            self._inbox.close()

    def _finish(self) -> None:
        self._is_closing = True
        self._look()

    def _take(self, one: _Group | _Request) -> None:
        self._waiting.append(one)
        self._look()

    def _look(self) -> None:
        """Have what waits looked at when all that the loop has read in this turn waits too."""
        if not self._is_busy and not self._is_looking:
            self._is_looking = True
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        """Begin with what waits, unless the disk is waited for: it is looked at again when that is done."""
        self._is_looking = False
        if self._is_busy:
            return
        if self._waiting:
            self._is_busy = True
            self._keep(self._next_batch())
        elif self._is_closing:
            self._loop.stop()
        elif self._has_more_to_do and not self._pause:
            self._pause = self._loop.call_later(_LOG_EVERY, self._use_pause)

    def _next_batch(self) -> list[_Group | _Request]:
        batch: list[_Group | _Request] = []
        size = 0
        while self._waiting and size < _MOST_AT_ONCE:
            one = self._waiting.popleft()
            size += len(one.incoming if isinstance(one, _Group) else one.asked)
            batch.append(one)
        return batch

    def _keep(self, batch: Sequence[_Group | _Request]) -> None:
        """Keep the groups of a batch with one commit."""
        groups = [one for one in batch if isinstance(one, _Group)]
        incoming = [one for group in groups for one in group.incoming]
        done = partial(self._tell_groups, batch, groups)
        try:
            work = self._begun(incoming)
        except Exception as error:
            done(error)
        else:
            self._disk.send(work, done)

    def _begun(self, incoming: Sequence[Incoming]) -> Callable[[], Sequence[Kept]]:
        """Write payloads as far as nothing is to be waited for; answers what is left to do: it tells what they became.

        Where there are none, what is left is to try whether some could be kept.
        """
        if not self._inbox or not incoming:
            return partial(self._keep_all, incoming)
        return partial(_commit, self._inbox, self._inbox.put(incoming, self._ledger.clock()))

    def _tell_groups(self, batch: Sequence[_Group | _Request], groups: Sequence[_Group], came: Outcome) -> None:
        if isinstance(came, Exception):
            number = sum(len(group.incoming) for group in groups)
            log.error("intake_failed", messages=number, error=error_name(came), where=error_place(came))
        else:
            self._tally.messages += len(came)
        requests = [one for one in batch if isinstance(one, _Request)]
        if requests:
            self._disk.send(partial(self._file, requests), partial(self._tell_requests, requests))
        else:
            self._end_batch()
        start = 0
        for group in groups:
            end = start + len(group.incoming)
            group.told(came if isinstance(came, Exception) else came[start:end])
            start = end

    def _end_batch(self) -> None:
        """Go on before anybody is told: the disk works on the next commit while this one's answers are sent."""
        self._is_busy, self._has_news = False, True
        self._kept_at = self._loop.time()
        if not self._say:
            self._say_kept()
        self._tally.report(now=False)
        self._go_on()

    def _say_kept(self) -> None:
        """Say that something was kept: at once, and then again when some time has passed."""
        self._say = None
        if self._has_news:
            self._has_news = False
            self._on_kept()
            self._say = self._loop.call_later(_SAY_EVERY, self._say_kept)

    def _use_pause(self) -> None:
        """Do what is left for times when nothing comes."""
        self._pause = None
        if self._is_busy:
            return  # it is looked at again after that
        self._tally.report(now=False)
        is_quiet = self._loop.time() - self._kept_at >= _LOG_EVERY
        if is_quiet and self._inbox and not self._inbox.is_empty:
            self._is_busy = True
            self._disk.send(self._inbox.tidy, self._tidied)
        else:
            self._go_on()

    def _tidied(self, came: Exception | None) -> None:
        """Told once where the inbox cannot be tidied: a full disk stays full for hours, and it is tried again."""
        if isinstance(came, Exception) and not self._is_untidy:
            log.error("inbox_not_tidied", error=error_name(came), where=error_place(came))
        self._is_untidy = isinstance(came, Exception)
        self._is_busy = False
        self._go_on()

    @property
    def _has_more_to_do(self) -> bool:
        return bool(self._tally.messages or (self._inbox and not self._inbox.is_empty))

    def _tell_requests(self, requests: Sequence[_Request], came: Sequence[Sequence[Filed] | Exception]) -> None:
        self._tally.messages += sum(len(_kept(filed)) for filed in came)
        self._end_batch()
        for request, filed in zip(requests, came, strict=True):
            _tell(request.filed, filed)

    # --- on the disk's thread

    def _keep_all(self, incoming: Sequence[Incoming]) -> Sequence[Kept]:
        if self._inbox:
            return self._inbox.keep_all(incoming, self._ledger.clock())
        with self._ledger.writing() as connection:
            return messages.keep_all(connection, incoming, self._ledger.clock())

    def _file(self, requests: Sequence[_Request]) -> Sequence[Sequence[Filed] | Exception]:
        """File all requests with one commit."""
        try:
            with self._ledger.writing() as connection:
                return [self._filed(connection, one.asked) for one in requests]
        except Exception as error:
            number = sum(len(one.asked) for one in requests)
            log.error("intake_failed", messages=number, error=error_name(error), where=error_place(error))
            return [error] * len(requests)

    def _filed(self, connection: Any, asked: Sequence[Asked]) -> Sequence[Filed] | Exception:
        """File one request within a commit; where it cannot be, the others of the commit are kept all the same."""
        try:
            with connection.begin_nested():
                return fhir_resources.file_all(connection, asked, self._ledger.patient_key, self._ledger.clock())
        except Exception as error:
            log.error("intake_failed", messages=len(asked), error=error_name(error), where=error_place(error))
            return error


def _commit(inbox: Inbox, kept: Sequence[Kept]) -> Sequence[Kept]:
    inbox.commit()
    return kept


def _tell(future: Future[Any], came: Any) -> None:
    if not future.set_running_or_notify_cancel():
        return  # nobody waits any more
    if isinstance(came, Exception):
        future.set_exception(came)
    else:
        future.set_result(came)


def _kept(came: Sequence[Filed] | Exception) -> list[Kept]:
    return [] if isinstance(came, Exception) else [one.kept for one in came if one.kept]
