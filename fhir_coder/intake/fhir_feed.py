"""A feed that reads a FHIR server: by hand once, or on a thread of its own, with patience when the server is down."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from fhir_coder.errors import LedgerBusyError
from fhir_coder.intake.desk import IntakeDesk
from fhir_coder.intake.fhir_bulk import FhirBulk
from fhir_coder.intake.fhir_client import FhirServer
from fhir_coder.intake.fhir_errors import FhirServerError, StoppedError
from fhir_coder.intake.fhir_pull import FhirPull, Tally
from fhir_coder.logs import error_place, log
from fhir_coder.settings import FhirFeed
from fhir_coder.store import Ledger, pulls
from fhir_coder.store.locks import only_writer
from fhir_coder.store.pulls import ServerState

_FIRST_WAIT, _LONGEST_WAIT = 2.0, 900.0
_PATIENCE = 10.0
"""Seconds to wait for a feed that another process is reading."""

Told = Callable[[Tally], None]


def _nobody(_: Tally) -> None:
    """Tell nobody."""


class FhirReader:
    """Reads the server of one feed. `store` is the ledger's file: what is downloaded lies beside it."""

    def __init__(self, feed: FhirFeed, ledger: Ledger, desk: IntakeDesk, store: Path) -> None:
        self._feed, self._ledger = feed, ledger
        self._folder = Path(f"{store}.fhir") / feed.name
        self._stopping = threading.Event()
        self._server = FhirServer(feed, self._stopping)
        self._pull = FhirPull(feed, self._server, ledger, desk)
        self._bulk = FhirBulk(feed, self._server, ledger, desk, self._folder)
        self._failures = 0
        self._told: Told = _nobody
        self._thread = threading.Thread(target=self._watch, name=f"fhir {feed.name}", daemon=True)

    def start(self, told: Told | None = None) -> None:
        """Read again and again on a thread; `told` is called after each reading that went well."""
        self._told = told or _nobody
        self._thread.start()

    def stop(self) -> None:
        """Leave what is being read where it stands, and stop."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self._server.close()

    def read(self) -> Tally:
        """Read what is new, once: a poll, or a whole export where the feed is one of exports.

        Raises FhirServerError, StoppedError, and LedgerBusyError where another process reads this feed.
        """
        with only_writer(self._folder, _PATIENCE):
            try:
                tally = self._bulk.export() if self._feed.bulk else self._pull.poll()
            except FhirServerError as error:
                self._note_down(error)
                raise
            self._note_up()
            return tally

    def _watch(self) -> None:
        with suppress(StoppedError):
            wait = self._until_due()
            while not self._stopping.wait(wait):
                wait = self._read_and_wait()

    def _read_and_wait(self) -> float:
        """Read once; answers how many seconds may pass before the next time. No failure ends the feed."""
        try:
            tally = self.read()
        except LedgerBusyError:
            return _PATIENCE
        except FhirServerError as error:
            return max(self._backoff(), error.retry_after)
        except StoppedError:
            raise
        except Exception as error:
            if not self._failures:
                log.error(
                    "fhir_feed_failed", feed=self._feed.name, error=type(error).__name__, where=error_place(error)
                )
            return self._backoff()
        self._failures = 0
        self._told(tally)
        return 0.0 if tally.is_more else self._feed.pause_seconds()

    def _backoff(self) -> float:
        self._failures += 1
        wait: float = min(_FIRST_WAIT * 2.0 ** min(self._failures, 12), _LONGEST_WAIT)
        return wait * random.uniform(0.5, 1.0)

    def _until_due(self) -> float:
        """Seconds until the first reading: an export that was read lately is not asked for again at each start."""
        if not self._feed.bulk or self._bulk.is_running():
            return 0.0
        finished_at = self._bulk.finished_at()
        if finished_at is None:
            return 0.0
        due_at = finished_at + timedelta(seconds=self._feed.pause_seconds())
        return max(0.0, (due_at - self._ledger.clock()).total_seconds())

    # --- what is known of the server

    def _note_down(self, error: FhirServerError) -> None:
        known = self._known()
        if known and (known.state, known.reason) == ("down", error.reason):
            return  # told when it began
        since = known.since if known and known.state == "down" else self._ledger.clock()
        read_at = known.read_at if known else None
        self._save(ServerState(self._feed.name, "down", error.reason, since, read_at))
        log.warning("fhir_server_failed", feed=self._feed.name, reason=error.reason, http_status=error.http_status)

    def _note_up(self) -> None:
        known, at = self._known(), self._ledger.clock()
        if known and known.state == "up":
            self._save(replace(known, read_at=at))
            return
        self._save(ServerState(self._feed.name, "up", "", at, at))
        log.info("fhir_server_answered", feed=self._feed.name)

    def _known(self) -> ServerState | None:
        with self._ledger.reading() as connection:
            return pulls.server_state(connection, self._feed.name)

    def _save(self, state: ServerState) -> None:
        with self._ledger.writing() as connection:
            pulls.save(connection, state)
