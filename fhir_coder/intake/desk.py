"""The intake desk: keeps payloads with group commit, so that many connections share one flush to the disk.

Who handed in a group is told after the commit: then it may be acknowledged.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from fhir_coder.logs import error_name, error_place, log
from fhir_coder.store import Ledger, fhir_resources, messages
from fhir_coder.store.fhir_resources import Asked, Filed
from fhir_coder.store.inbox import Inbox
from fhir_coder.store.messages import Incoming, Kept

Told = Callable[[Sequence[Kept] | Exception], None]
"""Takes what became of a group, in its order, or why nothing of it was kept. Called on the desk's thread."""

Ring = Callable[[], None]
"""Called once after a commit, when all of its groups have been told: to look at what was told."""

_MOST_AT_ONCE = 200
_LOG_EVERY = 1.0
"""Seconds that one line of the log tells of: a line for each commit would cost as much as the commit."""


@dataclass(frozen=True, slots=True)
class _Group:
    """Payloads that belong together: one commit for all."""

    incoming: Sequence[Incoming]
    told: Told
    ring: Ring | None = None


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


class IntakeDesk:
    """One thread that commits whatever waits, together. `on_kept` is called after each commit.

    With an inbox, which it closes at its end, messages are kept there, else in the ledger itself.
    """

    def __init__(self, ledger: Ledger, on_kept: Callable[[], None], inbox: Inbox | None = None) -> None:
        self._ledger, self._on_kept, self._inbox = ledger, on_kept, inbox
        self._waiting: queue.SimpleQueue[_Group | _Request | None] = queue.SimpleQueue()
        self._tally = _Tally()
        self._is_untidy = False
        self._thread = threading.Thread(target=self._serve, name="intake", daemon=True)
        self._thread.start()

    def hand_in(self, incoming: Sequence[Incoming], told: Told, ring: Ring | None = None) -> None:
        """Hand in payloads that belong together; `told` is called when they are on the disk, or cannot be."""
        self._waiting.put(_Group(incoming, told, ring))

    def keep_together(self, incoming: Sequence[Incoming]) -> Future[Sequence[Kept]]:
        """Hand in payloads that belong together; the future is done when they are on the disk."""
        future: Future[Sequence[Kept]] = Future()

        def told(kept: Sequence[Kept] | Exception) -> None:
            if isinstance(kept, Exception):
                future.set_exception(kept)
            else:
                future.set_result(kept)

        self.hand_in(incoming, told)
        return future

    def file(self, asked: Sequence[Asked]) -> Future[Sequence[Filed]]:
        """Hand in what a FHIR request asks for; the future is done when it is on the disk, or needs not be."""
        request = _Request(asked, Future())
        self._waiting.put(request)
        return request.filed

    def close(self) -> None:
        """Keep what waits, then stop."""
        self._waiting.put(None)
        self._thread.join()

    def _serve(self) -> None:
        is_stopping = False
        while not is_stopping:
            batch, is_stopping = self._next_batch()
            if batch:
                self._commit(batch)
            elif self._inbox:
                self._tidy(self._inbox)
            self._tally.report(now=is_stopping or not batch)
        if self._inbox:
            self._inbox.close()

    def _tidy(self, inbox: Inbox) -> None:
        """Have the inbox tidied; told once where it cannot be. A full disk must not end this thread: it answers all."""
        try:
            inbox.tidy()
        except Exception as error:  # it is tried again when there is time again
            if not self._is_untidy:
                log.error("inbox_not_tidied", error=error_name(error), where=error_place(error))
            self._is_untidy = True
        else:
            self._is_untidy = False

    def _next_batch(self) -> tuple[list[_Group | _Request], bool]:
        """What waits, and whether it is the last; nothing where nothing comes for a while."""
        batch: list[_Group | _Request] = []
        size = 0
        has_more_to_do = self._tally.messages or (self._inbox and not self._inbox.is_empty)
        try:
            handed_in = self._waiting.get(timeout=_LOG_EVERY if has_more_to_do else None)
            while handed_in is not None:
                batch.append(handed_in)
                size += len(handed_in.incoming if isinstance(handed_in, _Group) else handed_in.asked)
                if size >= _MOST_AT_ONCE:
                    return batch, False
                handed_in = self._waiting.get_nowait()
        except queue.Empty:
            return batch, False
        return batch, True

    def _commit(self, batch: Sequence[_Group | _Request]) -> None:
        groups = [one for one in batch if isinstance(one, _Group)]
        requests = [one for one in batch if isinstance(one, _Request)]
        if groups:
            self._keep(groups)
        if requests:
            self._file(requests)
        self._on_kept()

    def _keep(self, groups: Sequence[_Group]) -> None:
        """Keep all groups with one commit, then tell each."""
        incoming = [one for group in groups for one in group.incoming]
        try:
            kept = self._keep_all(incoming)
        except Exception as error:  # nobody is acknowledged: each waiter learns it
            log.error("intake_failed", messages=len(incoming), error=error_name(error), where=error_place(error))
            for group in groups:
                group.told(error)
        else:
            self._tally.messages += len(kept)
            start = 0
            for group in groups:
                end = start + len(group.incoming)
                group.told(kept[start:end])
                start = end
        for ring in {group.ring for group in groups if group.ring}:
            ring()

    def _keep_all(self, incoming: Sequence[Incoming]) -> Sequence[Kept]:
        if self._inbox:
            return self._inbox.keep_all(incoming, self._ledger.clock())
        with self._ledger.writing() as connection:
            return messages.keep_all(connection, incoming, self._ledger.clock())

    def _file(self, requests: Sequence[_Request]) -> None:
        """File all requests with one commit, then tell each."""
        try:
            with self._ledger.writing() as connection:
                filed = [self._filed(connection, one.asked) for one in requests]
        except Exception as error:
            number = sum(len(one.asked) for one in requests)
            log.error("intake_failed", messages=number, error=error_name(error), where=error_place(error))
            for request in requests:
                request.filed.set_exception(error)
            return
        for request, came in zip(requests, filed, strict=True):
            _tell(request, came)
            self._tally.messages += len(_kept(came))

    def _filed(self, connection: Any, asked: Sequence[Asked]) -> Sequence[Filed] | Exception:
        """File one request within a commit; where it cannot be, the others of the commit are kept all the same."""
        try:
            with connection.begin_nested():
                return fhir_resources.file_all(connection, asked, self._ledger.patient_key, self._ledger.clock())
        except Exception as error:
            log.error("intake_failed", messages=len(asked), error=error_name(error), where=error_place(error))
            return error


def _tell(request: _Request, came: Sequence[Filed] | Exception) -> None:
    if isinstance(came, Exception):
        request.filed.set_exception(came)
    else:
        request.filed.set_result(came)


def _kept(came: Sequence[Filed] | Exception) -> list[Kept]:
    return [] if isinstance(came, Exception) else [one.kept for one in came if one.kept]
