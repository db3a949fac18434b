"""Finding messages: every search walks an index, no body is read for a list, people are known by keyed hashes only."""

from __future__ import annotations

import stat
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import insert, select, text

import fhir_coder.store
from fhir_coder.errors import FhirCoderError, NotFoundError
from fhir_coder.model import FiledFact, Header, Identifier, MessageFormat, MessageStatus
from fhir_coder.queries import MessageSearch, list_messages, message_named, message_story
from fhir_coder.queries.messages import search_query
from fhir_coder.store import Ledger, messages, open_ledger, people
from fhir_coder.store.ids import first_id_of, new_id
from fhir_coder.store.ledger import sqlite_engine
from fhir_coder.store.messages import Incoming
from fhir_coder.store.schema import charts, message_people, message_topics, metadata
from fhir_coder.store.schema import messages as message_table
from tests.building import KEY, NOON, patient, said, visit

MRN = "MR-4711-Quetzal"


def keep(ledger: Ledger, control_id: str, **how: Any) -> str:
    """A message kept at `at`, of a feed and type."""
    header = Header(MessageFormat.HL7V2, how.get("type", "ADT^A04"), control_id, how.get("sender", "APP|CLINIC"))
    one = Incoming(how.get("feed", "adt"), header, b"MSH|" + control_id.encode(), how.get("fault", ""))
    with ledger.writing() as connection:
        return messages.keep(connection, one, how.get("at", NOON)).id


def ids(found: list[Any]) -> list[str]:
    return [row.id for row in found]


def find(ledger: Ledger, **what: Any) -> list[str]:
    return ids(list_messages(ledger, MessageSearch(**what)))


# --- what is found


def test_each_search_finds_what_fits_and_all_that_is_asked_must_fit(ledger: Ledger) -> None:
    first = keep(ledger, "C1", feed="adt", type="ADT^A04")
    second = keep(ledger, "C2", feed="dft", type="DFT^P03")
    third = keep(ledger, "C3", feed="dft", type="DFT^P03", fault="MSH-2: no separators")

    assert find(ledger) == [third, second, first]
    assert find(ledger, control_id="C2") == [second]
    assert find(ledger, type="DFT^P03") == [third, second]
    assert find(ledger, feed="adt") == [first]
    assert find(ledger, status="quarantined") == [third]
    assert find(ledger, feed="dft", status="received") == [second]
    assert find(ledger, feed="adt", type="DFT^P03") == []


def test_the_case_of_a_control_id_counts(ledger: Ledger) -> None:
    low, high = keep(ledger, "abc1"), keep(ledger, "ABC1")

    assert find(ledger, control_id="abc1") == [low]
    assert find(ledger, control_id="ABC1") == [high]
    assert message_story(ledger, "ABC1").row.id == high
    with pytest.raises(NotFoundError):
        message_story(ledger, "Abc1")


def test_time_is_that_of_arrival_since_counts_in_and_until_does_not(ledger: Ledger) -> None:
    # Ids of one process never go back, so the times of this test lie after all others'.
    start = datetime.now(UTC) + timedelta(days=400)
    early, middle, late = (keep(ledger, f"T{n}", at=start + timedelta(hours=n)) for n in range(3))

    assert find(ledger, since=start + timedelta(hours=1)) == [late, middle]
    assert find(ledger, until=start + timedelta(hours=1)) == [early]
    assert find(ledger, since=start + timedelta(hours=1), until=start + timedelta(hours=2)) == [middle]
    assert first_id_of(start) <= early < first_id_of(start + timedelta(milliseconds=1))


@pytest.mark.parametrize("what", [{}, {"feed": "adt"}, {"chart": KEY}])
def test_pages_have_every_message_once_while_new_ones_come(ledger: Ledger, what: dict[str, str]) -> None:
    kept = [keep(ledger, f"C{n}") for n in range(25)]
    file(ledger, *kept)
    seen: list[str] = []
    before = ""
    while page := ids(list_messages(ledger, MessageSearch(**what, before=before), limit=10)):
        seen += page
        before = page[-1]
        file(ledger, keep(ledger, f"new{len(seen)}"))

    assert seen == kept[::-1]


def file(ledger: Ledger, *kept: str) -> None:
    with ledger.writing() as connection:
        for one in kept:
            messages.file_facts(connection, said(visit(), message=one), NOON)


def test_a_chart_key_finds_its_messages_superseded_ones_too(ledger: Ledger) -> None:
    mine, other, old = keep(ledger, "C1"), keep(ledger, "C2"), keep(ledger, "C3")
    file(ledger, mine, old)
    with ledger.writing() as connection:
        messages.set_status(connection, old, MessageStatus.SUPERSEDED, "corrected", NOON)
        assert messages.ids_of_topics(connection, {KEY}) == [mine]

    assert find(ledger, chart=KEY) == [old, mine]
    assert find(ledger, chart="CLINIC/VN/V9") == []
    assert other not in find(ledger, chart=KEY)


def test_a_name_that_several_messages_have_is_refused_where_one_is_to_be_changed(ledger: Ledger) -> None:
    first, second = keep(ledger, "C1"), keep(ledger, "C1", feed="south")

    with pytest.raises(FhirCoderError, match=first):
        message_named(ledger, "C1")
    with ledger.writing() as connection:
        messages.set_status(connection, second, MessageStatus.SUPERSEDED, "corrected", NOON)
    assert message_named(ledger, "C1") == first
    assert message_named(ledger, second) == second
    for unknown in ("", "C9"):
        with pytest.raises(NotFoundError):
            message_named(ledger, unknown)


# --- how it is found

SEARCHES = [
    MessageSearch(),
    MessageSearch(before="01M"),
    MessageSearch(control_id="C1"),
    MessageSearch(type="DFT^P03"),
    MessageSearch(feed="adt"),
    MessageSearch(status="quarantined"),
    MessageSearch(since=NOON, until=NOON + timedelta(hours=1)),
    MessageSearch(chart=KEY),
    MessageSearch(patient=MRN),
    MessageSearch(feed="adt", status="conflict", type="DFT^P03", since=NOON, before="01M"),
    MessageSearch(chart=KEY, status="charted"),
    MessageSearch(patient=MRN, feed="adt", since=NOON),
    MessageSearch(chart=KEY, patient=MRN, status="charted"),
]


@pytest.mark.parametrize("oldest_first", [False, True])
@pytest.mark.parametrize("search", SEARCHES, ids=lambda s: " ".join(n for n in s.__slots__ if getattr(s, n)) or "all")
def test_every_search_walks_one_index_in_its_order_and_sorts_nothing(
    ledger: Ledger, search: MessageSearch, oldest_first: bool
) -> None:
    query = search_query(search, b"k" * 16, oldest_first).limit(50)
    engine = sqlite_engine(Path("unused.db"))
    statement = query.compile(engine, compile_kwargs={"literal_binds": True})
    with ledger.reading() as connection:
        plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}")]

    assert plan
    assert [step for step in plan if "INDEX" not in step and "SUBQUERY" not in step] == []
    assert "message_people" in plan[0] or not search.patient
    assert "message_topics" in plan[0] or not search.chart or search.patient


def test_no_list_asks_for_a_body(ledger: Ledger) -> None:
    assert "body" not in search_query(MessageSearch()).selected_columns
    keep(ledger, "C1")
    assert not hasattr(list_messages(ledger)[0], "body")


def test_a_page_of_a_large_ledger_reads_a_page_of_rows(ledger: Ledger) -> None:
    """20,000 messages: SQLite steps through a few thousand instructions for a page, not through the table."""
    fill(ledger, 20_000)
    for search in (
        MessageSearch(),
        MessageSearch(feed="f1"),
        MessageSearch(status="charted"),
        MessageSearch(chart=KEY),
    ):
        steps = 0

        def count() -> int:
            nonlocal steps
            steps += 1
            return 0

        with ledger.reading() as connection:
            raw: Any = connection.connection.driver_connection
            raw.set_progress_handler(count, 1000)
            rows = connection.execute(search_query(search).limit(50)).all()
            raw.set_progress_handler(None, 0)
        assert len(rows) == 50
        assert steps < 20, f"{search}: {steps} thousand instructions"


def fill(ledger: Ledger, number: int) -> None:
    rows = [
        {
            "id": new_id(NOON),
            "feed": f"f{n % 4}",
            "format": "hl7v2",
            "type": "DFT^P03",
            "control_id": f"C{n}",
            "sender": "A|B",
            "sha256": str(n),
            "body": b"MSH|",
            "received_at": NOON,
            "status": "charted",
            "reason": "",
        }
        for n in range(number)
    ]
    with ledger.writing() as connection:
        connection.execute(insert(charts).values(key=KEY, first_seen_at=NOON, cancelled=False))
        connection.execute(insert(message_table), rows)
        connection.execute(insert(message_topics), [{"topic": KEY, "message_id": r["id"]} for r in rows[::4]])


# --- people


def named(*numbers: str, message: str) -> Any:
    return said(replace(patient(), identifiers=tuple(Identifier(n, "CLINIC", "MR") for n in numbers)), message=message)


def index(ledger: Ledger, facts: Any) -> None:
    with ledger.writing() as connection:
        people.file_people(connection, facts.message, people.digests_in(facts, ledger.patient_key))


def test_a_patient_is_found_by_any_of_their_identifiers(ledger: Ledger) -> None:
    mine, other = keep(ledger, "C1"), keep(ledger, "C2")
    index(ledger, named(MRN, "777", message=mine))
    index(ledger, named("778", message=other))

    assert find(ledger, patient=MRN) == [mine]
    assert find(ledger, patient=f" {MRN.lower()} ") == [mine]
    assert find(ledger, patient="777") == [mine]
    assert find(ledger, patient="77") == []


def test_a_fhir_patient_is_found_by_their_reference(ledger: Ledger) -> None:
    kept = keep(ledger, "C1")
    index(ledger, said(FiledFact("Patient/1/Encounter/2", visit(), ("Organization/9",)), message=kept))

    assert find(ledger, patient="Patient/1") == [kept]
    assert find(ledger, patient="Organization/9") == []


def test_a_message_that_is_read_again_stands_under_what_it_says_now(ledger: Ledger) -> None:
    kept = keep(ledger, "C1")
    index(ledger, named("old", message=kept))
    index(ledger, named("new", message=kept))

    assert find(ledger, patient="old") == []
    assert find(ledger, patient="new") == [kept]


def test_no_identifier_stands_in_the_index_in_clear_or_as_a_hash_without_the_key(
    ledger: Ledger, tmp_path: Path
) -> None:
    index(ledger, named(MRN, message=keep(ledger, "C1")))

    with ledger.reading() as connection:
        (digest,) = connection.execute(select(message_people.c.digest)).scalars()
    raw = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert MRN.encode() not in raw
    assert digest == people.digest(ledger.patient_key, MRN)
    assert digest != people.digest(b"another key of its own", MRN)


def test_the_key_is_made_beside_the_ledger_for_this_user_only_and_stays(ledger: Ledger, tmp_path: Path) -> None:
    assert ledger.known_patient_key() is None
    key = ledger.patient_key
    (file,) = tmp_path.glob("*.patient-key")

    assert (file.name, stat.S_IMODE(file.stat().st_mode)) == ("ledger.db.patient-key", 0o600)
    assert len(key) >= 32
    assert open_ledger(tmp_path / "ledger.db").patient_key == key


def test_looking_for_a_patient_makes_no_key(ledger: Ledger, tmp_path: Path) -> None:
    assert find(ledger, patient=MRN) == []
    assert list(tmp_path.glob("*patient-key*")) == []


def test_many_that_make_the_key_at_one_time_have_one_key(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db.patient-key"
    start = threading.Barrier(8)
    keys: list[bytes] = []

    def make() -> None:
        start.wait()
        keys.append(people.read_or_make_key(file))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(keys) == 8
    assert len(set(keys)) == 1
    assert list(tmp_path.iterdir()) == [file]


def test_the_key_of_the_environment_counts_and_makes_no_file(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(people.KEY_VARIABLE, "a key of the environment")
    index(ledger, named(MRN, message=keep(ledger, "C1")))

    assert len(find(ledger, patient=MRN)) == 1
    assert list(tmp_path.glob("*patient-key*")) == []


@pytest.mark.parametrize("where", ["environment", "file"])
def test_a_key_that_is_too_short_is_refused(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    if where == "file":
        (tmp_path / "ledger.db.patient-key").write_text("short\n")
    else:
        monkeypatch.setenv(people.KEY_VARIABLE, "short")

    with pytest.raises(people.PatientKeyError, match="shorter than 16"):
        _ = ledger.patient_key


def test_a_key_file_that_cannot_be_read_is_an_error_that_names_it(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "ledger.db.patient-key").mkdir()

    with pytest.raises(people.PatientKeyError, match=r"ledger\.db\.patient-key"):
        _ = ledger.patient_key


# --- a ledger of before


def test_a_filled_ledger_of_the_first_version_is_brought_up_to_date_and_keeps_all(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    config = Config()
    config.set_main_option("script_location", str(Path(fhir_coder.store.__file__).parent / "migrations"))
    engine = sqlite_engine(path)
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO messages VALUES ('01M', 'adt', 'hl7v2', 'DFT^P03', 'C1', 'A|B', 'x', x'4D5348', "
                "'2026-11-03 18:00:00', 'charted', '')"
            )
        )
        connection.execute(text("INSERT INTO message_topics VALUES (:key, '01M')"), {"key": KEY})
    engine.dispose()

    ledger = open_ledger(path, clock=lambda: NOON)
    story = message_story(ledger, "C1")
    assert (story.row.body, story.row.received_at, story.row.corrects) == (b"MSH", NOON, None)
    assert find(ledger, chart=KEY) == ["01M"]
    with ledger.reading() as connection:
        migrated = MigrationContext.configure(connection, opts={"compare_type": True, "render_as_batch": True})
        assert compare_metadata(migrated, metadata) == []
    ledger.close()
