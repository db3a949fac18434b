"""The inbox: what is acknowledged is on the disk at once, and in the ledger exactly once, whatever dies in between."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import ObjectNotExecutableError
from structlog.testing import capture_logs

from fhir_coder.intake.desk import IntakeDesk
from fhir_coder.intake.payloads import read_header
from fhir_coder.model import Answered, Header, MessageFormat, MessageStatus
from fhir_coder.store import Ledger, inbox, messages, open_ledger, work
from fhir_coder.store.inbox import Inbox, InboxReader, file_inbox, inbox_path
from fhir_coder.store.messages import Incoming, Kept
from fhir_coder.store.schema import events, work_items
from fhir_coder.store.schema import messages as message_table
from tests.wire import wait_for

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)
FHIR = b'{"resourceType": "Patient", "id": "p1"}'


def v2(control_id: str, text: str = "x", feed: str = "adt") -> Incoming:
    body = f"MSH|^~\\&|EHR|HOSP|US|HERE|20261103||DFT^P03|{control_id}|P|2.5.1\rPID|1||{text}\r".encode()
    return Incoming(feed, read_header(body), body)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = open_ledger(tmp_path / "my ledger#1.db")
    yield opened
    opened.close()


@pytest.fixture
def box(ledger: Ledger) -> Iterator[Inbox]:
    opened = Inbox(ledger)
    yield opened
    opened.close()


def stored(ledger: Ledger) -> list[tuple[str, str, bytes]]:
    with ledger.reading() as connection:
        rows = connection.execute(select(message_table).order_by(message_table.c.id))
        return [(row.id, row.status, row.body) for row in rows]


def rows_in(ledger: Ledger) -> int:
    with sqlite3.connect(inbox_path(ledger.path)) as db:
        return int(db.execute("SELECT count(*) FROM inbox").fetchone()[0])


def test_what_is_kept_is_filed_once_with_its_work_and_its_event(ledger: Ledger, box: Inbox) -> None:
    one, two = box.keep_all([v2("1"), v2("2")], NOON)
    assert rows_in(ledger) == 2
    assert (file_inbox(ledger), file_inbox(ledger)) == (2, 0)
    assert [(i, s) for i, s, _ in stored(ledger)] == [(one.id, "received"), (two.id, "received")]
    with ledger.reading() as connection:
        assert work.waiting(connection) == 2
        told = connection.execute(select(events.c.subject_id, events.c.actor, events.c.at)).all()
    assert [tuple(row) for row in told] == [(one.id, "feed adt", NOON), (two.id, "feed adt", NOON)]


@pytest.mark.parametrize("filed_between", [True, False])
def test_repeats_and_conflicts_are_seen_whether_the_first_is_filed_or_not(
    ledger: Ledger, box: Inbox, filed_between: bool
) -> None:
    first = box.keep_all([v2("1")], NOON)[0]
    if filed_between:
        file_inbox(ledger)
    same, other, fhir, fhir_again = box.keep_all(
        [v2("1"), v2("1", "other"), Incoming("adt", Header(MessageFormat.FHIR, "Patient"), FHIR)] * 2, NOON
    )[:4]
    assert same == Kept(first.id, MessageStatus.RECEIVED, repeat=True)
    assert other.status is MessageStatus.CONFLICT
    assert fhir.status is MessageStatus.RECEIVED
    assert fhir_again == Kept(first.id, MessageStatus.RECEIVED, repeat=True)
    file_inbox(ledger)
    assert sorted(s for _, s, _ in stored(ledger)) == ["conflict", "received", "received"]
    with ledger.reading() as connection:
        assert connection.execute(select(work_items.c.kind, work_items.c.message_id)).all() == [("conflict", other.id)]


def test_one_feeds_control_ids_are_nothing_to_another(box: Inbox) -> None:
    one, two = box.keep_all([v2("1", feed="a"), v2("1", "other", feed="b")], NOON)
    assert (one.status, two.status) == (MessageStatus.RECEIVED, MessageStatus.RECEIVED)


def test_everything_known_of_a_message_comes_through(ledger: Ledger, box: Inbox) -> None:
    header = Header(MessageFormat.FHIR, "Bundle")
    said = Answered({"Bundle.entry[0].resource": "x1"}, frozenset({"Bundle.entry[1].resource"}), checked=True)
    kept = box.keep_all(
        [Incoming("http", header, FHIR, "", "", "ada", said), Incoming("http", header, b"?", "bad")], NOON
    )
    file_inbox(ledger)
    with ledger.reading() as connection:
        message, feed = messages.load(connection, kept[0].id)
        quarantined, _ = messages.load(connection, kept[1].id)
    assert (message.body, message.answered, feed) == (FHIR, said, "http")
    assert (quarantined.body, kept[1].status) == (b"?", MessageStatus.QUARANTINED)


def test_a_filing_that_fails_is_done_again_and_leaves_nothing_half(
    ledger: Ledger, box: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.keep_all([v2(str(n)) for n in range(5)], NOON)
    with monkeypatch.context() as patch:
        patch.setattr(inbox, "_MOVED_ON", "not a statement")
        with pytest.raises(ObjectNotExecutableError):
            file_inbox(ledger)
    assert stored(ledger) == []
    assert file_inbox(ledger) == 5


def test_two_that_file_at_once_file_each_message_once(ledger: Ledger, box: Inbox) -> None:
    one, other = InboxReader(ledger), InboxReader(ledger)
    for n in range(20):
        box.keep_all([v2(str(n))], NOON)
        (one if n % 3 else other).file()
    assert one.file() + other.file() == 0
    assert len(stored(ledger)) == 20


def test_only_what_the_ledger_has_leaves_the_inbox(ledger: Ledger, box: Inbox) -> None:
    box.keep_all([v2(str(n)) for n in range(1200)], NOON)
    box.tidy()
    assert (rows_in(ledger), box.is_empty) == (1200, False)
    file_inbox(ledger)
    box.keep_all([v2("late")], NOON + timedelta(seconds=1))
    box.tidy()
    assert (rows_in(ledger), box.is_empty) == (1, False)
    file_inbox(ledger)
    box.tidy()
    assert (rows_in(ledger), box.is_empty, len(stored(ledger))) == (0, True, 1201)


def test_an_inbox_that_cannot_be_tidied_stops_no_intake(ledger: Ledger, box: Inbox) -> None:
    with closing(sqlite3.connect(inbox_path(ledger.path), isolation_level=None)) as other, capture_logs() as events:
        desk = IntakeDesk(ledger, lambda: None, box)
        desk.keep_together([v2("1")]).result(10)
        other.execute("BEGIN IMMEDIATE")  # as a full disk does, it lets nothing be removed
        assert wait_for(lambda: [e for e in events if e["event"] == "inbox_not_tidied"])
        [told] = [e for e in events if e["event"] == "inbox_not_tidied"]
        assert told["error"] == "OperationalError SQLITE_BUSY"
        other.execute("ROLLBACK")
        assert [kept.status for kept in desk.keep_together([v2("2")]).result(10)] == [MessageStatus.RECEIVED]
        desk.close()
    assert file_inbox(ledger) == 2


def test_numbers_are_never_used_again_after_the_inbox_was_emptied(ledger: Ledger, box: Inbox) -> None:
    box.keep_all([v2("1")], NOON)
    file_inbox(ledger)
    box.tidy()
    box.close()
    again = Inbox(ledger)
    again.keep_all([v2("2")], NOON)
    again.close()
    assert file_inbox(ledger) == 1


def test_an_inbox_that_took_the_place_of_another_is_filed_from_its_beginning(ledger: Ledger, box: Inbox) -> None:
    box.keep_all([v2("1"), v2("2"), v2("3")], NOON)
    file_inbox(ledger)
    box.close()
    for file in ledger.path.parent.glob("*.inbox*"):
        file.unlink()
    fresh = Inbox(ledger)
    fresh.keep_all([v2("4")], NOON)
    fresh.close()
    assert file_inbox(ledger) == 1


def test_what_is_put_counts_when_it_is_committed(ledger: Ledger, box: Inbox) -> None:
    [kept] = box.put([v2("1")], NOON)
    assert (rows_in(ledger), file_inbox(ledger)) == (0, 0)
    box.commit()
    assert (file_inbox(ledger), [row[0] for row in stored(ledger)]) == (1, [kept.id])


def test_a_commit_that_cannot_be_made_leaves_nothing_and_the_next_one_is_made(ledger: Ledger, box: Inbox) -> None:
    with closing(sqlite3.connect(inbox_path(ledger.path), isolation_level=None)) as other:
        pages = other.execute("PRAGMA page_count").fetchone()[0]
        box._db.execute(f"PRAGMA max_page_count={pages}")  # SQLite answers as on a full disk
        with pytest.raises(sqlite3.OperationalError, match="full"):
            box.keep_all([v2("1", "x" * 100_000)], NOON)
        box._db.execute(f"PRAGMA max_page_count={pages + 1000}")
    box.keep_all([v2("2")], NOON)
    assert (file_inbox(ledger), len(stored(ledger))) == (1, 1)


def test_numbers_go_on_from_the_ledgers_where_an_older_inbox_took_its_place(ledger: Ledger, box: Inbox) -> None:
    older = ledger.path.with_name("older")
    with closing(sqlite3.connect(older)) as copy:
        box._db.backup(copy)
    box.keep_all([v2("1"), v2("2"), v2("3")], NOON)
    file_inbox(ledger)
    box.close()
    for file in ledger.path.parent.glob("*.inbox*"):
        file.unlink()
    older.rename(inbox_path(ledger.path))
    with closing(Inbox(ledger)) as again:
        again.keep_all([v2("4")], NOON)
    assert (file_inbox(ledger), len(stored(ledger))) == (1, 4)


def test_a_long_backlog_is_removed_while_messages_come(
    ledger: Ledger, box: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "_MANY", 50)
    for n in range(200):
        box.keep_all([v2(str(n))], NOON)
        file_inbox(ledger)
    assert rows_in(ledger) < 60
    assert len(stored(ledger)) == 200


def test_a_commit_that_fails_is_done_again_though_nothing_more_comes(
    ledger: Ledger, box: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.keep_all([v2("1")], NOON)
    reader = InboxReader(ledger)
    with monkeypatch.context() as patch:
        patch.setattr(inbox, "_MOVED_ON", "not a statement")
        with pytest.raises(ObjectNotExecutableError):
            reader.file()
    assert (reader.file(), len(stored(ledger))) == (1, 1)
    reader.close()


def test_filing_ends_though_messages_keep_coming(ledger: Ledger, box: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = iter(range(1, 1000))
    box.keep_all([v2("0")], NOON)
    insert = messages.insert_fresh

    def insert_while_more_comes(*arguments: Any) -> None:
        box.keep_all([v2(str(next(numbers)))], NOON)
        insert(*arguments)

    monkeypatch.setattr(messages, "insert_fresh", insert_while_more_comes)
    assert (file_inbox(ledger), len(stored(ledger))) == (1, 1)
