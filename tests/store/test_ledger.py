"""The ledger: schema and durability, what is kept, what waits, how a claim moves with its chart and its payer."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.exc import IntegrityError, NoResultFound

from fhir_coder.billing import Known, plan_claims
from fhir_coder.claims import content_hash, to_bytes
from fhir_coder.errors import LedgerBusyError
from fhir_coder.filing import apply_decision, file_plans
from fhir_coder.model import (
    STANDS,
    Adjudication,
    CancelFact,
    Chart,
    ClaimStatus,
    Fact,
    FiledFact,
    Header,
    Kind,
    MessageFormat,
    MessageStatus,
    Outcome,
    OutcomeKind,
    Problem,
    System,
)
from fhir_coder.payers.decide import Decision
from fhir_coder.pipeline import Occasion, Rulebook
from fhir_coder.store import Ledger, attempts, claim_actions, claims, items, messages, open_ledger, work
from fhir_coder.store.counts import counts
from fhir_coder.store.events import events_of
from fhir_coder.store.ids import new_id
from fhir_coder.store.locks import only_writer
from fhir_coder.store.messages import Incoming
from fhir_coder.store.schema import charts, events, metadata, work_items
from fhir_coder.store.schema import claims as claim_table
from fhir_coder.store.schema import messages as message_table
from fhir_coder.store.schema import work as work_table
from tests.building import (
    KEY,
    NOON,
    PAYER,
    charge,
    coded,
    coverage,
    diagnosis,
    drafted,
    good_chart,
    money,
    origin,
    patient,
    row,
    rulebook,
    said,
    sct,
    stay,
    table,
    visit,
)

SOON = NOON + timedelta(minutes=1)


# --- schema and durability


def test_the_migrations_make_exactly_the_schema(ledger: Ledger) -> None:
    with ledger.reading() as connection:
        migrated = MigrationContext.configure(connection, opts={"compare_type": True, "render_as_batch": True})

        assert compare_metadata(migrated, metadata) == []


def test_opening_a_ledger_again_keeps_what_is_in_it(tmp_path: Path) -> None:
    first = open_ledger(tmp_path / "deep" / "l.db", clock=lambda: NOON)
    with first.writing() as connection:
        work.ask(connection, "read", "m1", NOON)
    first.close()

    second = open_ledger(tmp_path / "deep" / "l.db")
    with second.reading() as connection:
        assert work.waiting(connection) == 1
    second.close()


def test_every_connection_writes_ahead_flushes_to_the_disk_and_checks_foreign_keys(ledger: Ledger) -> None:
    pragmas = []

    def look() -> None:
        for way in (ledger.reading, ledger.writing):
            with way() as connection:
                names = ("journal_mode", "synchronous", "foreign_keys")
                pragmas.append([connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names])

    look()
    with ledger.reading():  # a second connection is opened beside the one in use
        look()
    other = threading.Thread(target=look)
    other.start()
    other.join()

    assert pragmas == [["wal", 2, 1]] * 6


def test_a_write_that_raises_leaves_nothing(ledger: Ledger) -> None:
    with pytest.raises(RuntimeError), ledger.writing() as connection:  # noqa: PT012 - the block is what raises
        work.ask(connection, "read", "m1", NOON)
        raise RuntimeError

    with ledger.reading() as connection:
        assert work.waiting(connection) == 0


def test_a_reader_sees_one_state_while_others_write(ledger: Ledger) -> None:
    with ledger.reading() as reader:
        before = work.waiting(reader)
        with ledger.writing() as connection:
            work.ask(connection, "read", "m1", NOON)

        assert work.waiting(reader) == before

    with ledger.reading() as reader:
        assert work.waiting(reader) == before + 1


def test_a_claim_of_no_chart_is_refused_by_the_database(ledger: Ledger) -> None:
    with pytest.raises((IntegrityError, sqlite3.IntegrityError)), ledger.writing() as connection:
        claims.insert_claim(connection, filing(good_chart()), NOON)


def test_times_come_back_as_they_went_in_aware_and_utc(ledger: Ledger) -> None:
    local = NOON.astimezone()
    with ledger.writing() as connection:
        work.ask(connection, "read", "m1", local)

    with ledger.reading() as connection:
        found = connection.execute(select(work_table.c.due_at)).scalar_one()

    assert (found, found.tzinfo) == (local, UTC)
    assert local.utcoffset() != timedelta(0)


def test_a_second_process_cannot_work_on_the_ledger_and_a_dead_one_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    code = (
        "import sys; from pathlib import Path; from fhir_coder.store.locks import only_writer\n"
        "with only_writer(Path(sys.argv[1])):\n"
        "    print('has it', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "has it\n"
        with pytest.raises(LedgerBusyError, match="another fhir-coder works on"), only_writer(path):
            pass
        holder.kill()

    with only_writer(path):
        pass


def test_the_right_to_write_is_given_back(tmp_path: Path) -> None:
    for _ in range(2):
        with only_writer(tmp_path / "l.db"):
            pass


# --- ids


def test_ids_of_one_moment_sort_in_the_order_they_were_given() -> None:
    ids = [new_id(NOON) for _ in range(2000)]

    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)
    assert {len(i) for i in ids} == {26}


def test_ids_sort_by_time() -> None:
    later = datetime.now(UTC) + timedelta(days=365)

    assert new_id(later) < new_id(later + timedelta(milliseconds=1))


# --- messages


def incoming(body: bytes = b"MSH|1", control_id: str = "C1", sender: str = "APP|CLINIC", **how: str) -> Incoming:
    header = Header(MessageFormat.HL7V2, "ADT^A04", control_id, sender)
    return Incoming(how.get("feed", "adt"), header, body, how.get("fault", ""))


def keep(ledger: Ledger, one: Incoming) -> messages.Kept:
    with ledger.writing() as connection:
        return messages.keep(connection, one, NOON)


def count(ledger: Ledger, of: Any) -> int:
    with ledger.reading() as connection:
        return int(connection.execute(select(func.count()).select_from(of)).scalar_one())


def history(ledger: Ledger, subject: str, subject_id: str) -> list[tuple[str, str]]:
    with ledger.reading() as connection:
        return [(e.from_status, e.to_status) for e in events_of(connection, subject, subject_id)]


def test_a_new_message_is_kept_byte_for_byte_with_its_work_and_event(ledger: Ledger) -> None:
    body = b"MSH|^~\\&|\xe9\x00\r"
    kept = keep(ledger, incoming(body))

    with ledger.reading() as connection:
        message, feed = messages.load(connection, kept.id)
        (todo,) = work.due(connection, NOON, (), 10)
        (event,) = events_of(connection, "message", kept.id)
    assert (kept.status, kept.repeat) == (MessageStatus.RECEIVED, False)
    assert (message.body, message.header.control_id, feed) == (body, "C1", "adt")
    assert (todo.stage, todo.key) == ("read", kept.id)
    assert (event.actor, event.to_status, event.at) == ("feed adt", "received", NOON)


def test_a_repeat_is_the_message_known_already_and_makes_no_work(ledger: Ledger) -> None:
    first = keep(ledger, incoming())
    before = count(ledger, events)

    again = keep(ledger, incoming())

    assert (again.id, again.status, again.repeat) == (first.id, MessageStatus.RECEIVED, True)
    assert (count(ledger, message_table), count(ledger, work_table), count(ledger, events)) == (1, 1, before)


def test_a_repeat_is_answered_with_what_became_of_the_first(ledger: Ledger) -> None:
    first = keep(ledger, incoming())
    with ledger.writing() as connection:
        messages.set_status(connection, first.id, MessageStatus.CHARTED, "", NOON)

    assert keep(ledger, incoming()).status is MessageStatus.CHARTED


def test_other_bytes_under_a_known_control_id_are_kept_as_a_conflict_and_not_processed(ledger: Ledger) -> None:
    first = keep(ledger, incoming())

    other = keep(ledger, incoming(b"MSH|2"))

    with ledger.reading() as connection:
        (item,) = items.open_items(connection)
        assert messages.load(connection, other.id)[0].body == b"MSH|2"
    assert other.status is MessageStatus.CONFLICT
    assert (item.kind, item.message_id) == ("conflict", other.id)
    assert first.id in item.text
    assert count(ledger, work_table) == 1


@pytest.mark.parametrize("body", [b"MSH|1", b"MSH|2"])
def test_a_repeat_of_either_side_of_a_conflict_is_known(ledger: Ledger, body: bytes) -> None:
    keep(ledger, incoming(b"MSH|1"))
    keep(ledger, incoming(b"MSH|2"))

    assert keep(ledger, incoming(body)).repeat


@pytest.mark.parametrize(
    "other",
    [incoming(b"MSH|2", sender="APP|OTHER"), incoming(b"MSH|2", feed="south"), incoming(b"MSH|2", control_id="C2")],
)
def test_a_control_id_is_its_senders_and_its_feeds_own(ledger: Ledger, other: Incoming) -> None:
    keep(ledger, incoming())

    assert keep(ledger, other).status is MessageStatus.RECEIVED


def test_a_control_id_longer_than_its_column_is_still_recognised(ledger: Ledger) -> None:
    long = incoming(control_id="C" * 300, sender="S" * 500)

    keep(ledger, long)

    assert keep(ledger, long).repeat
    assert keep(ledger, replace(long, body=b"MSH|2")).status is MessageStatus.CONFLICT


def test_a_payload_without_control_id_is_a_repeat_by_its_bytes(ledger: Ledger) -> None:
    one = incoming(b"{}", control_id="", sender="")

    first, again, other = keep(ledger, one), keep(ledger, one), keep(ledger, replace(one, body=b"{ }"))

    assert again.id == first.id
    assert other.status is MessageStatus.RECEIVED


def test_an_unreadable_payload_is_kept_in_quarantine_with_a_work_item_and_no_work(ledger: Ledger) -> None:
    kept = keep(ledger, incoming(b"???", control_id="", fault="MSH-2: no separators"))

    with ledger.reading() as connection:
        (item,) = items.open_items(connection)
    assert kept.status is MessageStatus.QUARANTINED
    assert (item.kind, item.text) == ("quarantine", "MSH-2: no separators")
    assert count(ledger, work_table) == 0


def test_two_threads_that_keep_the_same_messages_keep_each_once(ledger: Ledger) -> None:
    sent = [incoming(b"MSH|%d" % n, control_id=f"C{n}") for n in range(20)]
    kept: list[list[messages.Kept]] = [[], []]
    start = threading.Barrier(2)

    def send(mine: list[messages.Kept]) -> None:
        start.wait()
        mine.extend(keep(ledger, one) for one in sent)

    threads = [threading.Thread(target=send, args=(mine,)) for mine in kept]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [k.id for k in kept[0]] == [k.id for k in kept[1]]
    assert [a.repeat != b.repeat for a, b in zip(*kept, strict=True)] == [True] * 20
    assert (count(ledger, message_table), count(ledger, work_table)) == (20, 20)


def test_payloads_kept_together_are_judged_as_if_they_came_one_by_one(ledger: Ledger) -> None:
    """A repeat or a conflict within one commit is one, and control ids count by feed and sender."""
    keep(ledger, incoming(b"MSH|old", control_id="C0"))
    together = [
        incoming(b"MSH|old", control_id="C0"),
        incoming(b"MSH|1", control_id="C1"),
        incoming(b"MSH|1", control_id="C1"),
        incoming(b"MSH|2", control_id="C1"),
        incoming(b"MSH|2", control_id="C1", sender="OTHER|CLINIC"),
        incoming(b"{}", control_id=""),
        incoming(b"{}", control_id=""),
        incoming(b"{}", control_id="", feed="other"),
        incoming(b"???", control_id="", fault="MSH-2: no separators"),
    ]
    with ledger.writing() as connection:
        kept = messages.keep_all(connection, together, NOON)

    assert [k.repeat for k in kept] == [True, False, True, False, False, False, True, False, False]
    assert [k.status.value for k in kept[3:5]] == ["conflict", "received"]
    assert (kept[1].id, kept[5].id) == (kept[2].id, kept[6].id)
    assert count(ledger, message_table) == 7
    assert count(ledger, work_table) == 5


def test_keeping_never_walks_through_the_messages_of_a_feed(ledger: Ledger) -> None:
    """Intake must not slow down as the ledger grows, whatever indexes are added."""
    for query in (messages._BY_CONTROL_ID, messages._BY_DIGEST):
        with ledger.reading() as connection:
            text = query.text(connection.dialect)
            asked = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text.sql}", ("a",) * len(text.names))
            plan = " ".join(row[3] for row in asked)
        assert "messages_by_control_id" in plan or "messages_by_digest" in plan


def test_a_change_of_status_writes_an_event_and_no_change_writes_none(ledger: Ledger) -> None:
    kept = keep(ledger, incoming())
    with ledger.writing() as connection:
        messages.set_status(connection, kept.id, MessageStatus.IGNORED, "bills nothing", NOON)
        messages.set_status(connection, kept.id, MessageStatus.IGNORED, "bills nothing", NOON)

    assert history(ledger, "message", kept.id) == [("", "received"), ("received", "ignored")]


# --- topics


def test_a_message_is_found_by_its_topics_in_the_order_of_arrival(ledger: Ledger) -> None:
    kept = [keep(ledger, incoming(b"MSH|%d" % n, control_id=f"C{n}")) for n in range(3)]
    with ledger.writing() as connection:
        for one in reversed(kept):
            messages.file_facts(connection, said(visit(), message=one.id), NOON)

        assert messages.ids_of_topics(connection, {KEY}) == [one.id for one in kept]
        assert messages.ids_of_topics(connection, {"CLINIC/VN/V9"}) == []


def test_what_is_told_of_a_shared_topic_touches_the_charts_that_draw_on_it(ledger: Ledger) -> None:
    first, second = keep(ledger, incoming()), keep(ledger, incoming(b"{}", control_id=""))
    seen = said(FiledFact(KEY, visit(), ("Patient/1",)), message=first.id)
    insured = said(
        FiledFact("Patient/1", coverage(), ("Organization/1",)),
        FiledFact("Organization/1", patient()),
        message=second.id,
    )

    with ledger.writing() as connection:
        assert messages.file_facts(connection, seen, NOON) == {KEY}
        assert messages.file_facts(connection, replace(insured, charts=()), NOON) == {KEY}


def test_a_topic_no_chart_draws_on_touches_none(ledger: Ledger) -> None:
    kept = keep(ledger, incoming())
    lonely = said(FiledFact("Patient/9", patient()), message=kept.id)

    with ledger.writing() as connection:
        assert messages.file_facts(connection, replace(lonely, charts=()), NOON) == set()


# --- work


def due(connection: Connection, now: datetime = NOON) -> list[work.Work]:
    return work.due(connection, now, (), 10)


def test_work_asked_for_twice_is_one_piece_due_at_the_earlier_time(ledger: Ledger) -> None:
    with ledger.writing() as connection:
        work.ask(connection, "chart", KEY, SOON)
        work.ask(connection, "chart", KEY, NOON)
        work.ask(connection, "chart", KEY, SOON)

        (todo,) = due(connection)
        assert (todo.key, todo.generation) == (KEY, 2)
        assert work.waiting(connection) == 1


def test_work_that_is_not_due_or_taken_is_not_given_out(ledger: Ledger) -> None:
    with ledger.writing() as connection:
        work.ask(connection, "chart", "A", NOON)
        work.ask(connection, "chart", "B", SOON)

        assert [w.key for w in due(connection)] == ["A"]
        assert [w.key for w in work.due(connection, SOON, {("chart", "A")}, 1)] == ["B"]
        assert work.next_due_at(connection) == NOON


def test_the_longest_due_work_comes_first(ledger: Ledger) -> None:
    with ledger.writing() as connection:
        work.ask(connection, "chart", "late", NOON)
        work.ask(connection, "chart", "early", NOON - timedelta(hours=1))

        assert [w.key for w in due(connection)] == ["early", "late"]


def test_finished_work_is_gone_unless_it_was_asked_for_meanwhile(ledger: Ledger) -> None:
    with ledger.writing() as connection:
        work.ask(connection, "chart", "A", NOON)
        work.ask(connection, "chart", "B", NOON)
        first, second = due(connection)
        work.ask(connection, "chart", first.key, NOON)
        work.finish(connection, first)
        work.finish(connection, second)

        assert [(w.key, w.tries) for w in due(connection)] == [(first.key, 0)]


def test_postponed_work_counts_a_try_unless_it_was_asked_for_meanwhile(ledger: Ledger) -> None:
    with ledger.writing() as connection:
        work.ask(connection, "submit", "A", NOON)
        work.ask(connection, "submit", "B", NOON)
        first, second = due(connection)
        work.ask(connection, "submit", first.key, NOON)
        work.postpone(connection, first, SOON)
        work.postpone(connection, second, SOON)

        assert [(w.key, w.tries) for w in due(connection)] == [(first.key, 0)]
        assert {w.key: w.tries for w in due(connection, SOON)} == {first.key: 0, second.key: 1}


# --- work items


def item(identity: str, kind: str = "gap", **changed: str) -> items.Item:
    return items.Item(identity, kind, "no_row", chart_key=changed.get("chart_key", KEY))


def open_identities(ledger: Ledger) -> list[str]:
    with ledger.reading() as connection:
        return [i.identity for i in items.open_items(connection)]


def test_the_items_of_a_chart_become_exactly_those_that_are_wanted(ledger: Ledger) -> None:
    with ledger.writing() as connection:
        items.sync_items(connection, NOON, KEY, [item("A"), item("B")])
        items.sync_items(connection, SOON, KEY, [item("B"), item("C")])

    assert open_identities(ledger) == ["B", "C"]
    with ledger.reading() as connection:
        rows = connection.execute(select(work_items).order_by(work_items.c.id)).all()
    assert [(r.identity, r.opened_at, r.closed_at) for r in rows] == [
        ("A", NOON, SOON),
        ("B", NOON, None),
        ("C", SOON, None),
    ]
    assert history(ledger, "work_item", "1") == [("", "open"), ("open", "closed")]


def test_items_of_other_charts_and_kinds_are_left_alone(ledger: Ledger) -> None:
    with ledger.writing() as connection:
        items.open_item(connection, NOON, item("other", chart_key="CLINIC/VN/V2"))
        items.open_item(connection, NOON, item("refusal:1", "refusal"))
        items.sync_items(connection, NOON, KEY, ())

    assert open_identities(ledger) == ["other", "refusal:1"]


def test_an_item_that_comes_back_is_opened_anew(ledger: Ledger) -> None:
    with ledger.writing() as connection:
        for wanted in ([item("A")], [], [item("A")]):
            items.sync_items(connection, NOON, KEY, wanted)

    assert open_identities(ledger) == ["A"]
    assert count(ledger, work_items) == 2


def test_an_identity_longer_than_its_column_is_still_one_item(ledger: Ledger) -> None:
    with ledger.writing() as connection:
        for _ in range(2):
            items.sync_items(connection, NOON, KEY, [item("A" * 600)])

    assert count(ledger, work_items) == 1


# --- filing a chart's claim

BOOK = rulebook(table(Kind.CHARGE, System.LOCAL, row("KIT"), id="charge-master"))
UNKNOWN_CHARGE = charge(coded(System.LOCAL, "UNHEARD"), "T9")
ADJUSTMENT = Problem(origin("FT1[2]"), "adjustment", "an adjustment (AJ)", KEY)


def filing(chart: Chart) -> claims.Filed:
    """The first revision of a chart's first claim."""
    draft = drafted(chart, BOOK)
    return claims.Filed(draft, to_bytes(draft.claim), content_hash(draft.claim))


@dataclass
class Visit:
    """One visit's chart and claims in a ledger."""

    ledger: Ledger

    def file(self, chart: Chart, book: Rulebook | None = None) -> str:
        """File the chart's claims as they are now; answers what was done about the last one."""
        with self.ledger.writing() as connection:
            rows = claims.of_chart(connection, KEY)
            settled = frozenset(items.settled_by_a_person(connection, KEY))
            known = Known(rows, settled, lambda claim_id: attempts.decision_of(connection, claim_id))
            plans = plan_claims(chart, book or BOOK, Occasion(NOON), known)
            words = file_plans(connection, plans, chart, NOON)
            return words[-1] if words else "cancelled"

    def all(self) -> list[claims.ClaimRow]:
        with self.ledger.reading() as connection:
            return list(connection.execute(select(claim_table).order_by(claim_table.c.revision)).all())

    @property
    def latest(self) -> claims.ClaimRow:
        return self.all()[-1]

    def statuses(self) -> list[str]:
        return [row.status for row in self.all()]

    def becomes(self, status: ClaimStatus, **values: Any) -> claims.ClaimRow:
        """Put the newest claim into a status, as its delivery would."""
        with self.ledger.writing() as connection:
            newest = claim_table.c.id == self.latest.id
            connection.execute(update(claim_table).where(newest).values(status=status.value, **values))
        return self.latest

    def settled(self, decision: Decision, outcome: Outcome | None = None, stage: str = "submit") -> None:
        """Apply what a request came to on the newest claim."""
        with self.ledger.writing() as connection:
            claim = claims.by_id(connection, self.latest.id)
            work.ask(connection, stage, claim.id, NOON)
            (todo,) = [w for w in due(connection) if w.key == claim.id and w.stage == stage]
            came = outcome or Outcome(OutcomeKind.TAKEN, "taken")
            apply_decision(connection, claim, came, decision, todo, NOON)

    def work(self) -> list[tuple[str, str]]:
        with self.ledger.reading() as connection:
            return sorted((r.stage, r.key) for r in connection.execute(select(work_table)))

    def items(self) -> list[str]:
        with self.ledger.reading() as connection:
            return [i.kind for i in items.open_items(connection)]

    def closes_its_item(self) -> None:
        """A person closes the one open item."""
        with self.ledger.writing() as connection:
            (item,) = items.open_items(connection)
            items.close_items(connection, NOON, [item.id], "done by hand", "coder")

    def history(self, revision: int = 1) -> list[tuple[str, str]]:
        (claim,) = [c for c in self.all() if c.revision == revision]
        return history(self.ledger, "claim", claim.id)


@pytest.fixture
def seen(ledger: Ledger) -> Visit:
    with ledger.writing() as connection:
        connection.execute(insert(charts).values(key=KEY, first_seen_at=NOON, cancelled=False))
    return Visit(ledger)


def cancelled(chart: Chart) -> Chart:
    return replace(chart, cancelled=True)


HELD = good_chart(coverage(subscriber_id=""))
GOOD = good_chart()
CHANGED = good_chart(charge(amount=money("120.00")))


def test_a_ready_claim_is_filed_with_its_work_and_event(seen: Visit) -> None:
    assert seen.file(GOOD) == "ready"

    assert (seen.latest.status, seen.latest.total, seen.latest.currency) == ("ready", "100.00", "USD")
    assert seen.work() == [("submit", seen.latest.id)]
    assert seen.history() == [("", "ready")]
    assert seen.items() == []


def test_a_held_claim_is_filed_without_work_and_asks_a_person(seen: Visit) -> None:
    assert seen.file(HELD) == "held"

    assert (seen.latest.status, seen.latest.hold, seen.work()) == ("held", "edits", [])
    assert seen.items() == ["finding"]


def test_a_held_claim_is_written_anew_in_its_place_and_goes_when_it_is_ready(seen: Visit) -> None:
    seen.file(HELD)
    identifier = seen.latest.identifier

    assert seen.file(GOOD) == "ready"

    assert [(c.revision, c.identifier, c.status) for c in seen.all()] == [(1, identifier, "ready")]
    assert seen.latest.hold == ""
    assert seen.latest.body == filing(GOOD).body
    assert seen.work() == [("submit", seen.latest.id)]
    assert (seen.items(), seen.history()) == ([], [("", "held"), ("held", "ready")])


def test_a_gap_asks_one_question_and_the_question_goes_with_it(seen: Visit) -> None:
    unmapped = good_chart(diagnosis(sct("999")))

    seen.file(unmapped)
    seen.file(unmapped)
    assert seen.items() == ["gap"]

    seen.file(GOOD)
    assert seen.items() == []


def test_an_open_stay_is_held_and_asks_nobody(seen: Visit) -> None:
    assert seen.file(good_chart(stay(end=None, status="in-progress"))) == "held"
    assert seen.items() == []


def test_a_ready_claim_of_an_unchanged_chart_is_left_alone(seen: Visit) -> None:
    seen.file(GOOD)
    before = seen.latest

    assert seen.file(GOOD) == "unchanged"
    assert seen.all() == [before]


def test_a_ready_claim_whose_chart_changed_is_replaced_before_it_is_sent(seen: Visit) -> None:
    seen.file(GOOD)

    assert seen.file(CHANGED) == "ready"

    assert seen.statuses() == ["replaced", "ready"]
    assert seen.latest.replaces == ""
    assert seen.history(1) == [("", "ready"), ("ready", "replaced")]
    assert ("submit", seen.latest.id) in seen.work()


def test_a_ready_claim_is_held_again_when_its_chart_gets_a_problem_that_leaves_its_content_as_it_was(
    seen: Visit,
) -> None:
    seen.file(GOOD)

    assert seen.file(replace(GOOD, problems=(ADJUSTMENT,))) == "held"

    assert seen.statuses() == ["replaced", "held"]
    assert seen.items() == ["finding"]


TAKEN = [ClaimStatus.QUEUED, ClaimStatus.COMPLETE, ClaimStatus.PARTIAL, ClaimStatus.DENIED]


@pytest.mark.parametrize("status", TAKEN)
def test_a_claim_the_payer_took_is_replaced_by_a_new_revision_that_names_it(seen: Visit, status: ClaimStatus) -> None:
    seen.file(GOOD)
    first = seen.becomes(status)

    assert seen.file(CHANGED) == "ready"

    assert seen.statuses() == [status.value, "ready"]
    assert (seen.latest.replaces, seen.latest.revision) == (first.identifier, 2)
    assert first.identifier.encode() in seen.latest.body
    assert seen.latest.identifier != first.identifier


@pytest.mark.parametrize("status", TAKEN)
def test_a_claim_the_payer_took_is_not_sent_again_while_it_bills_the_same(seen: Visit, status: ClaimStatus) -> None:
    seen.file(GOOD)
    seen.becomes(status)

    assert seen.file(GOOD) == "unchanged"
    assert seen.statuses() == [status.value]


def test_a_late_charge_that_cannot_be_coded_asks_a_person_though_the_claim_stays_the_same(seen: Visit) -> None:
    seen.file(GOOD)
    seen.becomes(ClaimStatus.COMPLETE)

    assert seen.file(good_chart(charge(), UNKNOWN_CHARGE)) == "held"

    assert (seen.statuses(), seen.items()) == (["complete", "held"], ["gap"])


def test_an_adjustment_after_the_claim_was_taken_asks_a_person(seen: Visit) -> None:
    seen.file(GOOD)
    seen.becomes(ClaimStatus.COMPLETE)

    assert seen.file(replace(GOOD, problems=(ADJUSTMENT,))) == "held"
    assert seen.items() == ["finding"]


@pytest.mark.parametrize(
    ("came", "prior"),
    [
        (ClaimStatus.QUEUED, "replaced"),
        (ClaimStatus.COMPLETE, "replaced"),
        (ClaimStatus.PARTIAL, "replaced"),
        (ClaimStatus.DENIED, "complete"),
        (ClaimStatus.READY, "complete"),
    ],
)
def test_a_claim_is_replaced_once_the_payer_took_its_replacement(seen: Visit, came: ClaimStatus, prior: str) -> None:
    seen.file(GOOD)
    seen.becomes(ClaimStatus.COMPLETE)
    seen.file(CHANGED)
    seen.becomes(ClaimStatus.SENT)

    seen.settled(Decision(came, "as it comes"))

    assert seen.statuses() == [prior, came.value]


def test_a_held_replacement_that_comes_to_bill_what_the_payer_has_is_not_sent(seen: Visit) -> None:
    seen.file(GOOD)
    seen.becomes(ClaimStatus.COMPLETE)
    seen.file(good_chart(charge(), UNKNOWN_CHARGE))

    assert [seen.file(GOOD), seen.file(GOOD)] == ["unchanged", "unchanged"]

    assert seen.statuses() == ["complete", "voided"]
    assert seen.items() == []
    assert [stage for stage, key in seen.work() if key == seen.latest.id] == []


def test_a_replacement_made_after_a_withdrawn_one_still_names_the_claim_the_payer_has(seen: Visit) -> None:
    seen.file(GOOD)
    first = seen.becomes(ClaimStatus.COMPLETE)
    seen.file(good_chart(charge(), UNKNOWN_CHARGE))
    seen.file(GOOD)

    assert seen.file(CHANGED) == "ready"

    assert (seen.statuses(), seen.latest.replaces) == (["complete", "voided", "ready"], first.identifier)


def test_a_held_replacement_keeps_the_claim_it_replaces_while_it_is_written_anew(seen: Visit) -> None:
    seen.file(GOOD)
    first = seen.becomes(ClaimStatus.COMPLETE)
    seen.file(HELD)

    assert seen.file(CHANGED) == "ready"

    assert (seen.latest.revision, seen.latest.replaces) == (2, first.identifier)


@pytest.mark.parametrize("status", [ClaimStatus.SENT, ClaimStatus.UNKNOWN])
@pytest.mark.parametrize("chart", [CHANGED, HELD, cancelled(GOOD)], ids=["changed", "held", "cancelled"])
def test_a_claim_on_its_way_is_left_alone_and_its_chart_waits_for_the_answer(
    seen: Visit, status: ClaimStatus, chart: Chart
) -> None:
    seen.file(GOOD)
    seen.becomes(status)

    assert seen.file(chart) == "deferred"

    assert (seen.statuses(), seen.latest.stale) == ([status.value], True)
    assert seen.latest.body == filing(GOOD).body


def test_what_the_payer_refused_is_not_sent_again_unchanged(seen: Visit) -> None:
    seen.file(GOOD)
    seen.becomes(ClaimStatus.HELD, hold="refused")

    assert seen.file(GOOD) == "refused"
    assert (seen.latest.status, seen.latest.hold) == ("held", "refused")


def refused(seen: Visit) -> None:
    seen.file(GOOD)
    seen.becomes(ClaimStatus.SENT)
    decision = Decision(ClaimStatus.HELD, "a person decides", hold="refused", item="refusal")
    seen.settled(decision, Outcome(OutcomeKind.REFUSED, "refused (required at Claim.provider)"))


def test_a_refused_claim_whose_chart_changed_goes_again_and_its_question_is_closed(seen: Visit) -> None:
    refused(seen)
    assert seen.items() == ["refusal"]

    assert seen.file(CHANGED) == "ready"

    assert (seen.statuses(), seen.latest.revision, seen.latest.hold) == (["ready"], 1, "")
    assert seen.items() == []


@pytest.mark.parametrize("make", [HELD, GOOD], ids=["held", "ready"])
def test_a_cancelled_visit_voids_a_claim_nobody_has_seen(seen: Visit, make: Chart) -> None:
    seen.file(make)

    assert seen.file(cancelled(GOOD)) == "voided"

    assert (seen.statuses(), seen.items()) == (["voided"], [])
    assert seen.history()[-1][1] == "voided"
    assert seen.file(cancelled(GOOD)) == "cancelled"


def test_a_visit_cancelled_before_it_had_a_claim_gets_none(seen: Visit) -> None:
    assert seen.file(cancelled(GOOD)) == "cancelled"
    assert seen.all() == []


@pytest.mark.parametrize("status", sorted(STANDS))
def test_a_visit_cancelled_after_the_payer_took_its_claim_voids_it_by_a_claim_of_its_own(
    seen: Visit, status: ClaimStatus
) -> None:
    seen.file(GOOD)
    first = seen.becomes(status)

    assert [seen.file(cancelled(GOOD)), seen.file(cancelled(GOOD))] == ["voiding", "voiding"]

    assert (seen.statuses(), seen.items()) == ([status.value, "ready"], [])
    assert (seen.latest.purpose, seen.latest.replaces) == ("void", first.identifier)
    body = orjson.loads(seen.latest.body)
    assert (body["status"], body["item"]) == ("cancelled", orjson.loads(first.body)["item"])
    assert body["related"][0]["claim"]["identifier"]["value"] == first.identifier


def test_a_denied_claim_of_a_cancelled_visit_has_nothing_to_take_back(seen: Visit) -> None:
    seen.file(GOOD)
    seen.becomes(ClaimStatus.DENIED)

    assert seen.file(cancelled(GOOD)) == "cancelled"
    assert (seen.statuses(), seen.items()) == (["denied"], [])


BY_HAND = rulebook(payers=[replace(PAYER, voids="person")])


@pytest.mark.parametrize("status", sorted(STANDS))
def test_a_payer_that_takes_no_voids_makes_it_a_persons_work_until_it_is_closed(
    seen: Visit, status: ClaimStatus
) -> None:
    seen.file(GOOD)
    seen.becomes(status)

    assert [seen.file(cancelled(GOOD), BY_HAND), seen.file(cancelled(GOOD), BY_HAND)] == ["person", "person"]
    assert (seen.statuses(), seen.items()) == ([status.value], ["void"])

    seen.closes_its_item()
    assert seen.file(cancelled(GOOD), BY_HAND) == "cancelled"
    assert (seen.statuses(), seen.items()) == (["voided"], [])


def test_a_held_replacement_of_a_cancelled_visit_is_withdrawn_and_what_the_payer_has_is_voided(seen: Visit) -> None:
    seen.file(GOOD)
    seen.becomes(ClaimStatus.COMPLETE)
    seen.file(HELD)

    assert seen.file(cancelled(HELD)) == "voiding"

    assert [(c.status, c.purpose) for c in seen.all()] == [
        ("complete", "bill"),
        ("voided", "bill"),
        ("ready", "void"),
    ]
    assert seen.items() == []


def test_a_reinstated_visit_is_billed_by_a_new_revision(seen: Visit) -> None:
    seen.file(GOOD)
    seen.file(cancelled(GOOD))

    assert seen.file(GOOD) == "ready"
    assert seen.statuses() == ["voided", "ready"]


def test_a_reinstated_visit_no_longer_asks_to_void_its_claim(seen: Visit) -> None:
    seen.file(GOOD)
    seen.becomes(ClaimStatus.COMPLETE)
    seen.file(cancelled(GOOD), BY_HAND)

    assert seen.file(GOOD, BY_HAND) == "unchanged"
    assert seen.items() == []


def test_a_reinstated_visit_withdraws_a_void_that_was_not_sent(seen: Visit) -> None:
    seen.file(GOOD)
    seen.becomes(ClaimStatus.COMPLETE)
    seen.file(cancelled(GOOD))

    assert seen.file(GOOD) == "unchanged"
    assert seen.statuses() == ["complete", "voided"]


@pytest.mark.parametrize(("came", "prior"), [("queued", "complete"), ("complete", "voided"), ("denied", "complete")])
def test_a_claim_is_voided_once_the_payer_has_decided_for_it(seen: Visit, came: str, prior: str) -> None:
    seen.file(GOOD)
    seen.becomes(ClaimStatus.COMPLETE)
    seen.file(cancelled(GOOD))
    seen.becomes(ClaimStatus.SENT)

    seen.settled(Decision(ClaimStatus(came), "as it comes", item="denial" if came == "denied" else ""))

    assert seen.statuses() == [prior, came]
    assert (("chart", KEY) in seen.work()) is (came != "queued")
    assert seen.items() == []


def test_a_void_that_the_payer_denies_is_asked_of_a_person_and_not_sent_again(seen: Visit) -> None:
    seen.file(GOOD)
    seen.becomes(ClaimStatus.COMPLETE)
    seen.file(cancelled(GOOD))
    seen.becomes(ClaimStatus.DENIED)

    assert seen.file(cancelled(GOOD)) == "person"
    assert (seen.statuses(), seen.items()) == (["complete", "denied"], ["void"])


def test_a_visit_reinstated_after_its_void_is_billed_anew_and_names_no_prior_claim(seen: Visit) -> None:
    seen.file(GOOD)
    seen.becomes(ClaimStatus.COMPLETE)
    seen.file(cancelled(GOOD))
    seen.becomes(ClaimStatus.SENT)
    seen.settled(Decision(ClaimStatus.COMPLETE, "answered"))

    assert seen.file(GOOD) == "ready"

    assert seen.statuses() == ["voided", "complete", "ready"]
    assert seen.latest.replaces == ""
    assert "related" not in orjson.loads(seen.latest.body)
    assert len({c.identifier for c in seen.all()}) == 3


TWO_PAYERS = rulebook(payers=[PAYER, replace(PAYER, name="statewide", plans=("STATE",))])
AT_STATE = good_chart(coverage(plan="STATE"))


def test_a_changed_payer_is_another_claim_even_where_it_bills_the_same(seen: Visit) -> None:
    seen.file(GOOD, TWO_PAYERS)

    seen.file(AT_STATE, TWO_PAYERS)

    assert [(c.payer, c.status) for c in seen.all()] == [("lakeshore", "replaced"), ("statewide", "ready")]


def test_a_claim_is_never_replaced_across_payers_but_voided_at_the_one_and_made_anew_for_the_other(
    seen: Visit,
) -> None:
    seen.file(GOOD, TWO_PAYERS)
    first = seen.becomes(ClaimStatus.COMPLETE)

    assert seen.file(AT_STATE, TWO_PAYERS) == "voiding"
    assert (seen.latest.payer, seen.latest.purpose, seen.latest.replaces) == ("lakeshore", "void", first.identifier)

    seen.becomes(ClaimStatus.SENT)
    seen.settled(Decision(ClaimStatus.COMPLETE, "answered"))
    assert seen.file(AT_STATE, TWO_PAYERS) == "ready"

    assert [(c.payer, c.status) for c in seen.all()] == [
        ("lakeshore", "voided"),
        ("lakeshore", "complete"),
        ("statewide", "ready"),
    ]
    assert seen.latest.replaces == ""


def test_a_claim_that_is_corrected_by_voiding_goes_anew_when_the_void_is_through(seen: Visit) -> None:
    book = rulebook(payers=[replace(PAYER, corrections="void-and-new")])
    seen.file(GOOD, book)
    seen.becomes(ClaimStatus.COMPLETE)

    assert seen.file(CHANGED, book) == "voiding"
    seen.becomes(ClaimStatus.SENT)
    seen.settled(Decision(ClaimStatus.COMPLETE, "answered"))
    assert seen.file(CHANGED, book) == "ready"

    assert [(c.status, c.total) for c in seen.all()] == [
        ("voided", "100.00"),
        ("complete", "100.00"),
        ("ready", "120.00"),
    ]
    assert seen.latest.replaces == ""


def test_a_claim_that_is_corrected_by_hand_asks_once_for_each_change(seen: Visit) -> None:
    book = rulebook(payers=[replace(PAYER, corrections="person")])
    seen.file(GOOD, book)
    seen.becomes(ClaimStatus.COMPLETE)

    assert [seen.file(CHANGED, book), seen.file(CHANGED, book)] == ["person", "person"]
    assert (seen.statuses(), seen.items()) == (["complete"], ["correction"])
    seen.closes_its_item()
    assert (seen.file(CHANGED, book), seen.items()) == ("unchanged", [])
    assert seen.file(good_chart(charge(amount=money("130.00"))), book) == "person"
    assert seen.items() == ["correction"]
    assert (seen.file(GOOD, book), seen.items()) == ("unchanged", [])


# --- what a payer's outcome does

POLL = Decision(ClaimStatus.QUEUED, "ask for the decision", "poll", after=30.0)
RETRY = Decision(ClaimStatus.READY, "send again", "submit", after=60.0, again=True)


def sent(seen: Visit) -> None:
    seen.file(GOOD)
    seen.becomes(ClaimStatus.SENT)


def test_a_taken_claim_is_queued_with_the_payers_name_for_it_and_asked_for_later(seen: Visit) -> None:
    sent(seen)

    seen.settled(POLL, Outcome(OutcomeKind.TAKEN, "taken", reference="Claim/17"))

    assert (seen.latest.status, seen.latest.payer_reference) == ("queued", "Claim/17")
    assert seen.work() == [("poll", seen.latest.id)]
    with seen.ledger.reading() as connection:
        assert work.next_due_at(connection) == NOON + timedelta(seconds=30)
    assert seen.history()[-1] == ("sent", "queued")


def test_an_answer_without_a_reference_keeps_the_one_known(seen: Visit) -> None:
    sent(seen)
    seen.settled(POLL, Outcome(OutcomeKind.TAKEN, "taken", reference="Claim/17"))

    seen.settled(replace(POLL, again=True), Outcome(OutcomeKind.PENDING, "no decision yet"), "poll")

    assert seen.latest.payer_reference == "Claim/17"


def test_a_claim_to_be_sent_again_keeps_its_work_with_one_more_try(seen: Visit) -> None:
    sent(seen)

    seen.settled(RETRY, Outcome(OutcomeKind.BUSY, "too many requests"))

    with seen.ledger.reading() as connection:
        (todo,) = due(connection, NOON + timedelta(seconds=60))
        assert due(connection, NOON + timedelta(seconds=59)) == []
    assert (todo.stage, todo.tries, seen.latest.status) == ("submit", 1, "ready")


def test_a_refusal_holds_the_claim_and_asks_a_person(seen: Visit) -> None:
    refused(seen)

    assert (seen.latest.status, seen.latest.hold, seen.work(), seen.items()) == ("held", "refused", [], ["refusal"])
    assert seen.history()[-1] == ("sent", "held")


def test_a_denial_is_kept_with_the_payers_decision_and_asks_a_person(seen: Visit) -> None:
    sent(seen)
    denied = Adjudication(
        ClaimStatus.DENIED, "complete", "not covered", paid=money("0.00"), reference="ClaimResponse/3"
    )
    outcome = Outcome(OutcomeKind.ANSWERED, "decided", adjudication=denied)

    seen.settled(Decision(ClaimStatus.DENIED, "answered", item="denial"), outcome)

    assert (seen.latest.status, seen.work(), seen.items()) == ("denied", [], ["denial"])
    assert '"disposition":"not covered"' in seen.latest.adjudication
    assert '"value":"0.00"' in seen.latest.adjudication


@pytest.mark.parametrize("decision", [POLL, RETRY, Decision(ClaimStatus.COMPLETE, "answered")])
def test_a_chart_that_changed_meanwhile_is_asked_for_when_the_claim_is_settled(seen: Visit, decision: Decision) -> None:
    sent(seen)
    seen.file(CHANGED)

    seen.settled(decision)

    assert ("chart", KEY) in seen.work()


def test_a_chart_that_changed_waits_on_while_the_claims_fate_is_unknown(seen: Visit) -> None:
    sent(seen)
    seen.file(CHANGED)

    seen.settled(
        Decision(ClaimStatus.UNKNOWN, "look it up", "submit", again=True), Outcome(OutcomeKind.UNKNOWN, "lost")
    )

    assert ("chart", KEY) not in seen.work()


def test_a_parked_claim_leaves_no_work_until_a_person_sends_it_on(seen: Visit) -> None:
    sent(seen)
    seen.settled(Decision(ClaimStatus.UNKNOWN, "parked", item="parked"), Outcome(OutcomeKind.REFUSED, "refused"))
    assert (seen.latest.status, seen.work(), seen.items()) == ("unknown", [], ["parked"])

    assert resubmit(seen) == "unknown"
    assert (seen.work(), seen.items()) == ([("submit", seen.latest.id)], [])


def resubmit(seen: Visit) -> str:
    with seen.ledger.writing() as connection:
        row = claims.by_id(connection, seen.latest.id)
        claim_actions.take(connection, "resubmit", row, claim_actions.Order("coder"), SOON)
    return str(seen.latest.status)


def test_a_refused_claim_a_person_sends_again_is_ready_and_says_who_did_it(seen: Visit) -> None:
    refused(seen)

    assert resubmit(seen) == "ready"

    with seen.ledger.reading() as connection:
        last = events_of(connection, "claim", seen.latest.id)[-1]
    assert (last.actor, last.from_status, last.to_status) == ("coder", "held", "ready")
    assert (seen.latest.hold, seen.work(), seen.items()) == ("", [("submit", seen.latest.id)], [])


@pytest.mark.parametrize("make", [HELD, cancelled(GOOD)], ids=["held by edits", "voided"])
def test_a_claim_that_must_not_go_is_not_sent_by_a_person_either(seen: Visit, make: Chart) -> None:
    seen.file(HELD)
    seen.file(make)

    resubmit(seen)

    assert seen.work() == []
    assert seen.latest.status in ("held", "voided")


# --- attempts, counts, look-ups


def test_an_attempt_is_written_before_it_is_made(seen: Visit) -> None:
    seen.file(GOOD)
    with seen.ledger.writing() as connection:
        attempts.begin(connection, seen.latest.id, "submit", NOON)

    with seen.ledger.reading() as connection:
        (attempt,) = attempts.of_claim(connection, seen.latest.id)
    assert (attempt.kind, attempt.started_at, attempt.ended_at, attempt.outcome) == ("submit", NOON, None, "")


def test_every_change_of_a_claim_has_an_event(seen: Visit) -> None:
    seen.file(HELD)
    seen.file(GOOD)
    with seen.ledger.writing() as connection:
        claims.move(connection, claims.by_id(connection, seen.latest.id), ClaimStatus.SENT, "sending", NOON)
    seen.settled(POLL)
    seen.settled(Decision(ClaimStatus.PARTIAL, "answered"), stage="poll")

    assert seen.history() == [
        ("", "held"),
        ("held", "ready"),
        ("ready", "sent"),
        ("sent", "queued"),
        ("queued", "partial"),
    ]


def test_counts_tell_every_status_feed_and_payer(seen: Visit) -> None:
    keep(seen.ledger, incoming())
    keep(seen.ledger, incoming(b"MSH|2"))
    seen.file(GOOD)

    with seen.ledger.reading() as connection:
        counted = counts(connection)

    assert counted["messages"] == {"conflict": 1, "received": 1}
    assert counted["feeds"] == {"adt": {"conflict": 1, "received": 1}}
    assert (counted["claims"], counted["payers"]) == ({"ready": 1}, {"lakeshore": {"ready": 1}})
    assert (counted["work_items"], counted["work_waiting"]) == ({"conflict": 1}, 2)
    assert counted["oldest_waiting_at"] == NOON.isoformat()


def test_a_claim_that_is_not_there_is_an_error_and_not_a_none(ledger: Ledger) -> None:
    with ledger.reading() as connection, pytest.raises(NoResultFound):
        claims.by_id(connection, "01NOT")


FACTS_OF_CANCEL: tuple[Fact, ...] = (visit(status="cancelled"), CancelFact(origin(), "admit"))


def test_a_cancel_message_voids_the_claim_of_its_visit(seen: Visit) -> None:
    seen.file(GOOD)

    assert seen.file(good_chart(*FACTS_OF_CANCEL)) == "voided"
