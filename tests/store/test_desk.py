"""The intake desk: many hand in, one flush keeps them, and each learns what became of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fhir_coder.hl7v2 import read_header
from fhir_coder.intake.desk import IntakeDesk
from fhir_coder.store import Ledger, open_ledger
from fhir_coder.store.inbox import Inbox, file_inbox
from fhir_coder.store.messages import Incoming
from tests.wire import message, wait_for


def v2(control_id: str) -> Incoming:
    body = message(control_id)
    return Incoming("adt", read_header(body), body)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = open_ledger(tmp_path / "ledger.db")
    yield opened
    opened.close()


class CountingInbox(Inbox):
    """Counts commits; the first one waits until it is let go, as on a slow disk."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self.commits = 0
        self.go_on = threading.Event()

    def commit(self) -> None:
        self.commits += 1
        assert self.go_on.wait(20)
        super().commit()


def test_what_is_handed_in_while_the_disk_is_waited_for_goes_with_the_next_flush(ledger: Ledger) -> None:
    box = CountingInbox(ledger)
    with closing(IntakeDesk(ledger, lambda: None, box)) as desk:
        first = desk.keep_together([v2("1")])
        assert wait_for(lambda: box.commits == 1)
        others = [desk.keep_together([v2(str(n))]) for n in range(2, 52)]
        assert not any(one.done() for one in (first, *others))
        box.go_on.set()
        ids = [one.result(20)[0].id for one in (first, *others)]
    assert box.commits == 2
    assert ids == sorted(ids)
    assert file_inbox(ledger) == 51


def test_one_who_waits_no_more_stops_nobody(ledger: Ledger) -> None:
    box = CountingInbox(ledger)
    with closing(IntakeDesk(ledger, lambda: None, box)) as desk:
        gone = desk.keep_together([v2("1")])
        assert gone.cancel()
        box.go_on.set()
        assert desk.keep_together([v2("2")]).result(20)
    assert file_inbox(ledger) == 2


def test_the_workers_hear_of_the_last_message_too(ledger: Ledger) -> None:
    told: list[int] = []
    box = CountingInbox(ledger)
    box.go_on.set()
    with closing(IntakeDesk(ledger, lambda: told.append(box.commits), box)) as desk:
        for number in range(20):
            desk.keep_together([v2(str(number))]).result(20)
        assert wait_for(lambda: bool(told) and told[-1] == 20)


def test_what_waits_at_the_end_is_kept(ledger: Ledger) -> None:
    box = CountingInbox(ledger)
    desk = IntakeDesk(ledger, lambda: None, box)
    waiting = [desk.keep_together([v2(str(n))]) for n in range(20)]
    box.go_on.set()
    desk.close()
    assert all(one.done() for one in waiting)
    assert file_inbox(ledger) == 20
