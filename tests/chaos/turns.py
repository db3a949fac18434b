"""An adapter in one thread whose every turn is drawn: what else happens before each commit and during each request.

Any order of turns that threads and processes could take can come, and the same seed gives it again.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection

from fhir_coder.app import App
from fhir_coder.delivery import PayerLine, TryLog
from fhir_coder.intake.payloads import read_header
from fhir_coder.model import Outcome
from fhir_coder.payers import ClientOptions, PayerClient, PayerRequest
from fhir_coder.payers.decide import RetryPolicy
from fhir_coder.stages import Stages
from fhir_coder.store import Ledger, claim_actions, claims, items, messages, work
from fhir_coder.store.ledger import migrate, sqlite_engine
from fhir_coder.store.messages import Incoming
from fhir_coder.store.together import Answer, Together
from fhir_coder.store.work import Work

_MOST_AT_ONCE = 3
_RESUBMITTED = ("refusal", "parked", "delivery")


class KilledError(BaseException):
    """The process ends here, with everything it was about to do."""


class TurnLedger(Ledger):
    """A ledger that lets others have their turn before each commit."""

    between: Callable[[], None] = staticmethod(lambda: None)
    _here = threading.local()

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Within it this thread's commits let nobody else have a turn."""
        self._here.is_undisturbed = True
        try:
            yield
        finally:
            self._here.is_undisturbed = False

    @contextmanager
    def writing(self, *, flush: bool = True) -> Iterator[Connection]:
        if not getattr(self._here, "is_undisturbed", False):
            self.between()
        with super().writing(flush=flush) as connection:
            yield connection


class TurnTogether(Together):
    """What commits for many threads: others have their turn before it, none while it writes, for they wait for it."""

    def __init__(self, ledger: TurnLedger) -> None:
        super().__init__(ledger)
        self._turns = ledger

    def commit(self, change: Callable[[Connection], Answer]) -> Answer:
        self._turns.between()
        with self._turns.undisturbed():
            return super().commit(change)


class TurnClient(PayerClient):
    """A payer's client that lets others have their turn while it waits for the answer."""

    between: Callable[[], None] = staticmethod(lambda: None)

    def send(self, request: PayerRequest, system: str, identifier: str) -> Outcome:
        return self._amid(lambda: super(TurnClient, self).send(request, system, identifier))

    def find(self, system: str, identifier: str, claim: bytes = b"") -> Outcome:
        return self._amid(lambda: super(TurnClient, self).find(system, identifier, claim))

    def poll(self, reference: str, system: str, identifier: str, claim: bytes = b"") -> Outcome:
        return self._amid(lambda: super(TurnClient, self).poll(reference, system, identifier, claim))

    def _amid(self, ask: Callable[[], Outcome]) -> Outcome:
        self.between()
        outcome = ask()
        self.between()
        return outcome


@dataclass
class Turns:
    """Delivers messages and does work, one drawn turn after the other. `kills` is how likely an end is at each.

    `pace` is how likely a message comes while work is due: the lower it is, the more claims go out in between.
    """

    app: App
    folder: Path
    payer_url: str
    dice: random.Random
    kills: float = 0.0
    pace: float = 0.3
    waiting: list[bytes] = field(default_factory=list)
    killed: int = 0

    def __post_init__(self) -> None:
        self.now = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)
        engine = sqlite_engine(self.folder / "ledger.db")
        with engine.connect() as connection:
            migrate(connection)
        self.ledger = TurnLedger(engine, self._clock)
        self.ledger.between = self._between
        self._taken: set[tuple[str, str]] = set()
        self._start()

    def close(self) -> None:
        """Close the ledger."""
        self.ledger.close()

    def _clock(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now

    def _start(self) -> None:
        """The stages of a process that starts: they remember nothing."""
        lines = {payer.name: self._line() for payer in self.app.settings.payers}
        self.stages = Stages(self.ledger, self.app.rulebook, lines)
        self.stages.delivery.together = TurnTogether(self.ledger)
        self._taken.clear()

    def _line(self) -> PayerLine:
        tries = TryLog()
        options = ClientOptions(on_attempt=tries.note, sleep=lambda _: None)
        client = TurnClient(self.payer_url, timeout=(5.0, 10.0), options=options)
        client.between = self._between
        return PayerLine(client, RetryPolicy(0.05, 1.0, 50, 0.05, jitter=self.dice), tries)

    def _between(self) -> None:
        if self.kills and self.dice.random() < self.kills:
            raise KilledError
        while len(self._taken) < _MOST_AT_ONCE and self.dice.random() < 0.3:
            if not self._turn_of_another():
                return

    def _turn_of_another(self) -> bool:
        """A turn on a thread of its own, as a worker's: this one waits for it, and ends where it was killed."""
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(self._turn).result()

    def finish(self) -> None:
        """Go on until every message is in and no work is left."""
        for _ in range(100_000):
            try:
                if not (self._turn() or self._sleep() or self._resubmit()):
                    return
            except KilledError:
                self.killed += 1
                self._start()
        raise AssertionError("the work does not come to its end")

    def _turn(self) -> bool:
        """Do one thing; false where there is nothing to do now."""
        due = self._due()
        if self.waiting and (not due or self.dice.random() < self.pace):
            self._deliver()
            return True
        if not due:
            return False
        todo = self.dice.choice(due)
        self._taken.add((todo.stage, todo.key))
        try:
            self.stages.run(todo)
        finally:
            self._taken.discard((todo.stage, todo.key))
        return True

    def _due(self) -> list[Work]:
        with self.ledger.reading() as connection:
            return work.due(connection, self._clock(), self._taken, 8)

    def _deliver(self) -> None:
        body = self.waiting[0]
        self._keep(body)
        self.waiting.remove(body)

    def _keep(self, body: bytes) -> None:
        with Ledger.writing(self.ledger) as connection:
            messages.keep(connection, Incoming("mllp", read_header(body), body), self._clock())

    def _resubmit(self) -> bool:
        """A person sends again what the payer refused; false where nothing waits for that."""
        with Ledger.writing(self.ledger) as connection:
            asked = [item for item in items.open_items(connection, 1000) if item.kind in _RESUBMITTED]
            for item in asked:
                row = claims.by_id(connection, item.claim_id)
                claim_actions.take(connection, "resubmit", row, claim_actions.Order("clerk"), self._clock())
        return bool(asked)

    def _sleep(self) -> bool:
        """Let time pass until work is due; false where none waits."""
        with self.ledger.reading() as connection:
            due_at = work.next_due_at(connection)
        if due_at is None:
            return False
        self.now = max(self.now, due_at)
        return True
