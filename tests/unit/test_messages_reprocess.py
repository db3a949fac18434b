"""Reading messages again and correcting them: what a person asked for is done once, and nothing counts twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from fhir_coder.app import App
from fhir_coder.errors import FhirCoderError, UnreadableError
from fhir_coder.intake.answer import incoming_v2
from fhir_coder.model import Header, MessageFormat, MessageStatus
from fhir_coder.queries import MessageSearch, list_claims, list_messages, message_story
from fhir_coder.reprocess import correct, preview, reprocess, selected
from fhir_coder.settings import HttpFeed, Settings, StoreSettings, WorkerSettings, example_settings
from fhir_coder.settings.rules import FeedRuleSettings
from fhir_coder.shipped import shipped
from fhir_coder.store import Ledger, items, messages, work
from fhir_coder.store.corrections import CorrectedError, record_viewing
from fhir_coder.store.ledger import sqlite_engine
from fhir_coder.store.messages import Incoming
from fhir_coder.store.schema import events

COVID = (shipped("fixtures") / "covid" / "01-dft-p03.hl7").read_bytes()
ME = "user tester"
OTHER_AMOUNT = COVID.replace(b"312.50", b"999.50")
NOT_UTF8 = COVID.replace(b"ALMA", b"\xc1LMA").replace(b"P|2.5.1\r", b"P|2.5.1||||||UNICODE UTF-8\r", 1)
FORGIVING = FeedRuleSettings(charset_policy="fallback")

Open = Callable[..., App]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Opens the example site on one ledger, with the feed's settings of now."""
    apps: list[App] = []

    def open_with(**feed: Any) -> App:
        settings: Settings = example_settings().model_copy(
            update={
                "store": StoreSettings(url=f"sqlite:///{tmp_path / 'ledger.db'}"),
                "worker": WorkerSettings(quiet_seconds=0),
                "feeds": (HttpFeed(name="adt", kind="http", **feed),),
            }
        )
        apps.append(App(settings))
        return apps[-1]

    yield open_with
    for app in apps:
        app.close()


def come(app: App, body: bytes) -> str:
    """A payload comes over the feed and is kept."""
    with app.ledger.writing() as connection:
        return messages.keep(connection, incoming_v2("adt", body), app.ledger.clock()).id


def work_through(app: App) -> None:
    """Do what a service would do, except for sending."""
    while True:
        with app.ledger.reading() as connection:
            due = work.due(connection, app.ledger.clock(), (), 100)
        todo = [w for w in due if w.stage in ("read", "chart")]
        if not todo:
            return
        for one in todo:
            app.stages.run(one)


def status(app: App, message_id: str) -> str:
    return str(message_story(app.ledger, message_id).row.status)


def again(app: App, *names: str, **how: Any) -> dict[str, int]:
    """Reprocess messages by name, or by a search."""
    accept = how.pop("accept_conflict", False)
    pages = selected(app.ledger, names, MessageSearch(**how))
    done: dict[str, int] = {}
    for page in pages:
        for word, number in reprocess(app.ledger, page, ME, accept).items():
            done[word] = done.get(word, 0) + number
    work_through(app)
    return done


def open_items(app: App) -> list[tuple[str, str]]:
    with app.ledger.reading() as connection:
        return [(item.kind, item.message_id) for item in items.open_items(connection)]


def totals(app: App) -> list[tuple[str, str]]:
    return [(claim.total, claim.status) for claim in list_claims(app.ledger)]


def number_of_events(ledger: Ledger) -> int:
    with ledger.reading() as connection:
        return int(connection.execute(select(func.count()).select_from(events)).scalar_one())


def history(app: App, message_id: str) -> list[tuple[str, str]]:
    return [(e.to_status, e.actor) for e in message_story(app.ledger, message_id).events]


# --- reprocess


def test_a_quarantined_message_is_charted_with_the_rules_of_now_and_its_item_closes(opened: Open) -> None:
    before = opened()
    kept = come(before, NOT_UTF8)
    work_through(before)
    assert (status(before, kept), open_items(before)) == ("quarantined", [("quarantine", kept)])

    now = opened(rules=FORGIVING)
    assert again(now, status="quarantined") == {"asked": 1}

    assert status(now, kept) == "charted"
    assert open_items(now) == []
    assert totals(now) == [("336.50", "ready")]
    assert history(now, kept) == [
        ("received", "feed adt"),
        ("quarantined", "fhir-coder"),
        ("received", ME),
        ("charted", "fhir-coder"),
    ]


def test_what_is_still_unreadable_stays_with_its_one_item(opened: Open) -> None:
    app = opened()
    read_late, never_read = come(app, NOT_UTF8), come(app, b"not a message")
    work_through(app)

    assert again(app, status="quarantined") == {"asked": 1, "unreadable": 1}

    assert [status(app, one) for one in (read_late, never_read)] == ["quarantined", "quarantined"]
    assert sorted(open_items(app)) == sorted([("quarantine", read_late), ("quarantine", never_read)])


def test_reading_again_with_the_same_rules_bills_the_same_once(opened: Open) -> None:
    app = opened()
    kept = come(app, COVID)
    work_through(app)

    assert again(app, feed="adt") == {"asked": 1}

    assert status(app, kept) == "charted"
    assert totals(app) == [("336.50", "ready")]


def test_a_message_that_belongs_elsewhere_by_the_rules_of_now_leaves_its_chart(opened: Open) -> None:
    before = opened()
    come(before, COVID)
    work_through(before)

    now = opened(namespace="north:")
    again(now)

    found = {claim.chart_key: claim.status for claim in list_claims(now.ledger)}
    assert found == {"LAKESHORE/VN/VN-1001": "voided", "north:LAKESHORE/VN/VN-1001": "ready"}
    assert list_messages(now.ledger, MessageSearch(chart="LAKESHORE/VN/VN-1001")) == []


def test_a_conflict_is_left_until_a_person_accepts_it(opened: Open) -> None:
    app = opened()
    first, other = come(app, COVID), come(app, OTHER_AMOUNT)
    work_through(app)
    assert again(app, other) == {"conflict": 1}
    assert status(app, other) == "conflict"

    assert again(app, other, accept_conflict=True) == {"asked": 1}

    assert [status(app, one) for one in (first, other)] == ["charted", "charted"]
    assert open_items(app) == []
    # The later message of one charge (FT1-2) says what the charge is; the claim that was ready is replaced.
    assert totals(app) == [("1023.50", "ready"), ("336.50", "replaced")]


def test_a_header_that_can_be_read_now_may_turn_out_to_be_a_conflict(opened: Open) -> None:
    app = opened()
    first = come(app, COVID)
    with app.ledger.writing() as connection:
        # As a program of before kept it, which could not read such a header.
        unknown = Incoming("adt", Header(MessageFormat.UNKNOWN), OTHER_AMOUNT, "MSH-2: not understood")
        late = messages.keep(connection, unknown, app.ledger.clock()).id
    work_through(app)
    (shown,) = preview(app.ledger, [message_story(app.ledger, late).row], app.rulebook)
    assert shown.becomes == "conflict"

    assert again(app, status="quarantined") == {"conflict": 1}

    story = message_story(app.ledger, late)
    assert (story.row.status, story.row.control_id, story.row.type) == ("conflict", "LK000101", "DFT^P03")
    assert first in story.row.reason
    assert open_items(app) == [("conflict", late)]
    assert again(app, late, accept_conflict=True) == {"asked": 1}
    assert (status(app, late), open_items(app)) == ("charted", [])


def test_a_dry_run_says_what_messages_would_become_and_writes_nothing(opened: Open) -> None:
    before = opened()
    good, late, never = come(before, COVID), come(before, NOT_UTF8.replace(b"LK0", b"LX0")), come(before, b"no message")
    other = come(before, OTHER_AMOUNT)
    work_through(before)
    now = opened(rules=FORGIVING)
    written = number_of_events(now.ledger)

    (page,) = selected(now.ledger, (), MessageSearch())
    shown = {p.id: (p.status, p.becomes, p.text) for p in preview(now.ledger, page, now.rulebook)}

    chart = "LAKESHORE/VN/VN-1001"
    assert shown[good] == ("charted", "charted", chart)
    assert shown[late] == ("quarantined", "charted", chart)
    assert shown[never][:2] == ("quarantined", "quarantined")
    assert shown[other][:2] == ("conflict", "conflict")
    assert number_of_events(now.ledger) == written
    assert status(now, late) == "quarantined"


def test_many_pages_are_each_read_once(opened: Open) -> None:
    app = opened()
    for number in range(450):
        come(app, COVID.replace(b"LK000101", b"LK%06d" % number).replace(b"DFT^P03", b"ORR^O02"))
    work_through(app)

    assert again(app) == {"asked": 450}


# --- edit


def test_a_correction_takes_the_place_of_what_it_corrects_and_both_are_kept(opened: Open) -> None:
    app = opened()
    wrong = come(app, COVID)
    work_through(app)

    right = correct(app.ledger, wrong, OTHER_AMOUNT, ME)
    assert status(app, wrong) == "charted"  # it counts until its correction is read
    work_through(app)

    assert (status(app, wrong), status(app, right)) == ("superseded", "charted")
    assert totals(app) == [("1023.50", "ready"), ("336.50", "replaced")]
    old, new = message_story(app.ledger, wrong), message_story(app.ledger, right)
    assert (old.row.body, old.correction.id, old.correction.body) == (COVID, right, OTHER_AMOUNT)
    assert (new.row.body, new.corrected.id, new.corrected.body) == (OTHER_AMOUNT, wrong, COVID)
    assert history(app, right)[0] == ("received", ME)
    assert message_story(app.ledger, "LK000101").row.id == right
    assert again(app) == {"asked": 1, "superseded": 1}
    assert totals(app)[0] == ("1023.50", "ready")


def test_a_charge_that_the_correction_leaves_out_is_billed_no_more(opened: Open) -> None:
    app = opened()
    wrong = come(app, COVID)
    work_through(app)

    lines = COVID.split(b"\r")
    correct(app.ledger, wrong, b"\r".join(line for line in lines if not line.startswith(b"FT1|2")), ME)
    work_through(app)

    assert totals(app)[0] == ("312.50", "ready")


def test_a_correction_to_another_visit_voids_the_claim_of_the_first(opened: Open) -> None:
    app = opened()
    wrong = come(app, COVID)
    work_through(app)

    correct(app.ledger, wrong, COVID.replace(b"VN-1001", b"VN-7777"), ME)
    work_through(app)

    found = {claim.chart_key: claim.status for claim in list_claims(app.ledger)}
    assert found == {"LAKESHORE/VN/VN-1001": "voided", "LAKESHORE/VN/VN-7777": "ready"}


def test_a_quarantined_message_is_superseded_and_its_item_closes(opened: Open) -> None:
    app = opened()
    wrong = come(app, COVID.replace(b"LK000101", b""))
    assert open_items(app) == [("quarantine", wrong)]

    correct(app.ledger, wrong, COVID, ME)
    work_through(app)

    assert status(app, wrong) == "superseded"
    assert open_items(app) == []


def test_a_correction_that_cannot_be_read_leaves_what_it_corrects_in_its_place(opened: Open) -> None:
    app = opened()
    wrong = come(app, COVID)
    work_through(app)

    worse = correct(app.ledger, wrong, NOT_UTF8, ME)
    work_through(app)
    assert (status(app, wrong), status(app, worse)) == ("charted", "quarantined")
    assert totals(app) == [("336.50", "ready")]

    right = correct(app.ledger, worse, OTHER_AMOUNT, ME)
    work_through(app)
    assert [status(app, one) for one in (wrong, worse, right)] == ["superseded", "superseded", "charted"]
    assert open_items(app) == []
    assert totals(app)[0] == ("1023.50", "ready")


def test_a_message_is_corrected_once(opened: Open) -> None:
    app = opened()
    wrong = come(app, COVID)
    right = correct(app.ledger, wrong, OTHER_AMOUNT, ME)

    with pytest.raises(CorrectedError, match=right):
        correct(app.ledger, wrong, COVID.replace(b"312.50", b"1.00"), ME)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (COVID + b"\r", FhirCoderError),
        (b"", UnreadableError),
        (b"PID|1", UnreadableError),
        (b'{"resourceType": ', UnreadableError),
        (COVID + b"\r" + OTHER_AMOUNT, FhirCoderError),
    ],
)
def test_what_is_no_correction_files_nothing_and_names_no_value(
    opened: Open, body: bytes, error: type[FhirCoderError]
) -> None:
    app = opened()
    kept = come(app, COVID)
    written = number_of_events(app.ledger)

    with pytest.raises(error) as raised:
        correct(app.ledger, kept, body, ME)

    assert "TESTPATIENT" not in str(raised.value)
    assert number_of_events(app.ledger) == written
    assert len(list_messages(app.ledger)) == 1


def test_the_sender_who_repeats_either_version_is_answered_as_before(opened: Open) -> None:
    app = opened()
    wrong = come(app, COVID)
    right = correct(app.ledger, wrong, OTHER_AMOUNT, ME)
    work_through(app)

    assert (come(app, COVID), come(app, OTHER_AMOUNT)) == (wrong, right)
    assert len(list_messages(app.ledger)) == 2


def test_a_message_that_is_superseded_while_it_is_read_stays_so(opened: Open) -> None:
    app = opened()
    wrong = come(app, COVID)
    right = correct(app.ledger, wrong, OTHER_AMOUNT, ME)
    with app.ledger.reading() as connection:
        todo = {w.key: w for w in work.due(connection, app.ledger.clock(), (), 10)}
    app.stages.run(todo[right])
    app.stages.run(todo[wrong])
    work_through(app)

    assert status(app, wrong) == MessageStatus.SUPERSEDED
    assert totals(app) == [("1023.50", "ready")]


# --- viewing


def test_who_looks_is_written_down(opened: Open) -> None:
    app = opened()
    kept = come(app, COVID)

    record_viewing(app.ledger, kept, "raw", ME)

    seen = message_story(app.ledger, kept).events[-1]
    assert (seen.actor, seen.why, seen.to_status) == (ME, "shown raw", "")


def test_a_ledger_that_cannot_be_written_is_shown_all_the_same(opened: Open, tmp_path: Path) -> None:
    app = opened()
    kept = come(app, COVID)
    read_only = Ledger(sqlite_engine(Path(f"file:{tmp_path / 'ledger.db'}?mode=ro&uri=true")))

    record_viewing(read_only, kept, "raw", ME)

    assert len(message_story(read_only, kept).events) == 1
    read_only.close()
