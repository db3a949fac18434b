"""The intake desk: keeps payloads with group commit, so that many connections share one flush to the disk.

A payload's future is done after the commit: whoever waits for it may acknowledge.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from fhir_coder.logs import error_place, log
from fhir_coder.store import Ledger, messages
from fhir_coder.store.messages import Incoming, Kept

_MOST_AT_ONCE = 200


class IntakeDesk:
    """One thread that commits whatever waits, together. `on_kept` is called after each commit."""

    def __init__(self, ledger: Ledger, on_kept: Callable[[], None]) -> None:
        self._ledger, self._on_kept = ledger, on_kept
        self._waiting: queue.SimpleQueue[list[tuple[Incoming, Future[Kept]]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="intake", daemon=True)
        self._thread.start()

    def keep(self, incoming: Incoming) -> Future[Kept]:
        """Hand in a payload; the future is done when it is on the disk."""
        return self.keep_together([incoming])[0]

    def keep_together(self, incoming: Sequence[Incoming]) -> list[Future[Kept]]:
        """Hand in payloads that belong together: one commit for all."""
        handed_in = [(one, Future[Kept]()) for one in incoming]
        self._waiting.put(handed_in)
        return [future for _, future in handed_in]

    def close(self) -> None:
        """Keep what waits, then stop."""
        self._waiting.put(None)
        self._thread.join()

    def _serve(self) -> None:
        stopping = False
        while not stopping:
            batch: list[tuple[Incoming, Future[Kept]]] = []
            handed_in = self._waiting.get()
            while True:
                if handed_in is None:
                    stopping = True
                    break
                batch += handed_in
                if len(batch) >= _MOST_AT_ONCE or self._waiting.empty():
                    break
                handed_in = self._waiting.get()
            if batch:
                self._commit(batch)

    def _commit(self, batch: list[tuple[Incoming, Future[Kept]]]) -> None:
        try:
            with self._ledger.writing() as connection:
                at = self._ledger.clock()
                kept = messages.keep_all(connection, [incoming for incoming, _ in batch], at)
        except Exception as error:  # nobody is acknowledged: each waiter learns it
            log.error("intake_failed", messages=len(batch), error=type(error).__name__, where=error_place(error))
            for _, future in batch:
                future.set_exception(error)
            return
        for (_, future), one in zip(batch, kept, strict=True):
            future.set_result(one)
        log.info("messages_kept", messages=len(kept))
        self._on_kept()
