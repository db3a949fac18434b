"""People decide: one chart by a decision that coding honours, all charts by a row that two people agree on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import orjson
import pytest
from sqlalchemy import select, update

from fhir_coder.app import App
from fhir_coder.errors import ConflictError, FhirCoderError, NotFoundError, TableError, UsageError
from fhir_coder.intake.payloads import read_header
from fhir_coder.model import ItemStatus, Json
from fhir_coder.settings import example_settings
from fhir_coder.store import claims, items, messages
from fhir_coder.store.messages import Incoming
from fhir_coder.store.schema import claims as claim_table
from fhir_coder.worklist import (
    Answer,
    Queue,
    Sample,
    agreement,
    approve,
    day_summary,
    decide,
    draw,
    find_item,
    hand_over,
    handover_of,
    list_items,
    open_case,
    preview,
    propose,
    reject,
    review,
    review_of,
    take,
    what_if,
    withdraw,
)
from tests.stages import settle

REPO = Path(__file__).resolve().parents[2]
FIXTURE = (REPO / "fixtures" / "unmapped-diagnosis" / "01-dft-p03.hl7").read_text(encoding="utf-8")
ANA, BEN, CLEO = "user ana", "user ben", "user cleo"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    settings = example_settings()
    site = tmp_path / "mappings"
    shutil.copytree(REPO / "mappings" / "example-site", site)
    changed = {
        "store": settings.store.model_copy(update={"url": f"sqlite:///{tmp_path / 'ledger.db'}"}),
        "worker": settings.worker.model_copy(update={"quiet_seconds": 0}),
        "tables": settings.tables.model_copy(update={"dir": site}),
    }
    with App(settings.model_copy(update=changed)) as one:
        yield one


def send(app: App, *numbers: int, diagnosis: str = "DX-UNKNOWN^Harbour rash^L") -> None:
    """Visits of the unmapped diagnosis, each of its own patient, brought as far as they get without a payer."""
    for number in numbers:
        body = FIXTURE.replace("DX-UNKNOWN^Harbour rash^L", diagnosis)
        for name in ("LK000601", "LK10006", "AC-5006", "VN-1006", "TX-1006-1", "LPM-900006"):
            body = body.replace(name, f"{name}{number}")
        keep(app, body)
    settle(app)


def keep(app: App, text: str) -> None:
    body = text.encode()
    with app.ledger.writing() as connection:
        messages.keep(connection, Incoming("ward", read_header(body), body), app.ledger.clock())


def key(number: int) -> str:
    return f"LAKESHORE/VN/VN-1006{number}"


def newest(app: App, number: int) -> claims.ClaimRow:
    with app.ledger.reading() as connection:
        return claims.of_chart(connection, key(number))["professional-1"][0]


def traces(app: App, number: int) -> list[Json]:
    found: list[Json] = orjson.loads(newest(app, number).explained)["traces"]
    return found


def workers_read_the_tables_again(app: App) -> None:
    """What a running service does when tables were activated."""
    app.read_tables_again()
    with app.ledger.writing() as connection:
        items.ask_for_released(connection, app.ledger.clock())
        claims.ask_for_held(connection, app.ledger.clock())
    settle(app)


def taken_by_the_payer(app: App) -> None:
    with app.ledger.writing() as connection:
        ready = claim_table.c.status == "ready"
        connection.execute(update(claim_table).where(ready).values(status="complete"))


# --- one chart


def test_a_decision_for_one_chart_names_the_person_in_its_trace_and_leaves_the_others(app: App) -> None:
    send(app, 1, 2)
    made = decide(app.workplace, 1, Answer(("L22",), "diapers", chart_key=key(1)), ANA)
    assert made.charts_left == 1
    settle(app)

    [found] = [t for t in traces(app, 1) if t["path"].startswith("Claim.diagnosis")]
    assert found["code"] == "L22"
    assert found["note"].startswith(f"decided by {ANA} at ")
    assert found["note"].endswith("work item 1: diapers")
    assert (newest(app, 1).status, newest(app, 2).status) == ("ready", "held")
    assert find_item(app.ledger, 1).charts == 1


def test_a_decision_holds_when_more_messages_come(app: App) -> None:
    send(app, 1)
    decide(app.workplace, 1, Answer(("L22",)), ANA)
    settle(app)
    body = FIXTURE
    for name in ("LK10006", "AC-5006", "VN-1006", "LPM-900006"):
        body = body.replace(name, f"{name}1")
    keep(app, body.replace("LK000601", "LK999").replace("TX-1006-1", "TX-2"))
    settle(app)

    assert "L22" in {trace["code"] for trace in traces(app, 1)}
    assert newest(app, 1).total == "472.00"
    assert list_items(app.ledger, Queue(kind="gap")).items == ()


def test_a_decision_that_is_withdrawn_counts_no_more(app: App) -> None:
    send(app, 1)
    made = decide(app.workplace, 1, Answer(("L22",)), ANA)
    settle(app)
    assert withdraw(app.workplace, made.number, BEN) == key(1)
    settle(app)

    assert newest(app, 1).status == "held"
    [item] = list_items(app.ledger).items
    assert item.reason == "no_table"
    with pytest.raises(NotFoundError):
        withdraw(app.workplace, made.number, BEN)


def test_the_last_of_two_decisions_counts(app: App) -> None:
    send(app, 1)
    decide(app.workplace, 1, Answer(("L22",)), ANA)
    settle(app)
    with app.ledger.writing() as connection:
        items.open_item(connection, app.ledger.clock(), items.Item("denial:x", "denial", "answered", "", key(1)))
    [item] = list_items(app.ledger).items
    decide(app.workplace, item.id, Answer(("R21",), source="DX-UNKNOWN"), BEN)
    settle(app)

    assert {t["code"] for t in traces(app, 1) if "diagnosis" in t["path"]} == {"R21"}
    assert find_item(app.ledger, item.id).status is ItemStatus.OPEN, "a denial is not settled by a code"


def test_several_codes_modifiers_pointers_and_nothing_at_all(app: App) -> None:
    send(app, 1, 2)
    decide(app.workplace, 1, Answer(("R21", "L22"), chart_key=key(1)), ANA)
    settle(app)
    assert [t["code"] for t in traces(app, 1) if "diagnosis" in t["path"]] == ["R21", "L22"]

    with app.ledger.writing() as connection:
        items.open_item(connection, app.ledger.clock(), items.Item("denial:x", "denial", "answered", "", key(1)))
    number = next(i.id for i in list_items(app.ledger).items if i.kind == "denial")
    answer = Answer(("G0467",), modifiers=("25",), pointers=("L22",), source="OFF-VISIT-EST")
    decide(app.workplace, number, answer, ANA)
    settle(app)
    [line] = orjson.loads(newest(app, 1).body)["item"]
    assert [m["coding"][0]["code"] for m in line["modifier"]] == ["25"]
    assert line["diagnosisSequence"] == [2]

    shown = preview(app.workplace, 1, Answer(("not-billable",), chart_key=key(2)), ANA)
    assert not any("Claim.diagnosis" in path for path, *_ in shown.after[0].codes)


def test_words_without_a_code_are_decided_for_their_chart(app: App) -> None:
    send(app, 1, 2, diagnosis="^harbour itch^L")
    found = list_items(app.ledger).items
    assert [item.charts for item in found] == [1, 1], "words are no common cause"
    decide(app.workplace, found[0].id, Answer(("L29.9",)), ANA)
    settle(app)

    assert {newest(app, n).status for n in (1, 2)} == {"ready", "held"}


def test_a_preview_shows_claims_and_edits_and_stores_nothing(app: App) -> None:
    send(app, 1)
    shown = preview(app.workplace, 1, Answer(("R21",)), ANA)

    assert [one.is_ready for one in shown.before] == [False]
    assert [one.is_ready for one in shown.after] == [True]
    assert [gap.reason for gap in shown.before[0].gaps] == ["no_table"]
    settle(app)
    assert newest(app, 1).status == "held"


@pytest.mark.parametrize(
    ("codes", "rule"),
    [
        (("R99.99",), "not a valid code"),
        (("G0467",), "not a valid code|billed by a code of ICD-10-CM"),
        (("hcpcs|G0467",), "billed by a code of ICD-10-CM"),
        (("R21", "not-billable"), "alone"),
        ((), "choose codes"),
        (("planet|X",), "of which system"),
    ],
)
def test_a_code_that_cannot_be_billed_is_refused(app: App, codes: tuple[str, ...], rule: str) -> None:
    send(app, 1)
    with pytest.raises(UsageError, match=rule):
        decide(app.workplace, 1, Answer(codes), ANA)
    assert find_item(app.ledger, 1).status is ItemStatus.OPEN


def test_an_item_of_several_charts_asks_which_one_is_meant(app: App) -> None:
    send(app, 1, 2)
    with pytest.raises(UsageError, match="several charts"):
        decide(app.workplace, 1, Answer(("R21",)), ANA)
    with pytest.raises(NotFoundError):
        decide(app.workplace, 1, Answer(("R21",), chart_key="LAKESHORE/VN/OTHER"), ANA)


def test_nobody_decides_what_somebody_else_has(app: App) -> None:
    send(app, 1)
    take(app.ledger, 1, ANA)
    with pytest.raises(ConflictError):
        decide(app.workplace, 1, Answer(("R21",)), BEN)
    decide(app.workplace, 1, Answer(("R21",)), ANA)


# --- what helps to decide


def test_a_case_has_the_field_the_reason_and_codes_that_may_be_meant(app: App) -> None:
    send(app, 1)
    case = open_case(app.workplace, 1)

    assert case.question is not None
    assert case.source is not None
    assert (case.question.code, case.question.origin.path) == ("DX-UNKNOWN", "DG1[1]")
    [marked] = [line for line in case.source.lines if line.is_marked]
    assert (marked.path, marked.value) == ("DG1[1]-3.1", "DX-UNKNOWN")
    assert case.question.words == "Harbour rash"


def test_what_people_chose_before_is_suggested_first(app: App) -> None:
    send(app, 1, 2, 3)
    for number, code in ((1, "L22"), (2, "L22")):
        decide(app.workplace, 1, Answer((code,), chart_key=key(number)), ANA)
    settle(app)

    first = open_case(app.workplace, 1).suggestions[0]
    assert (first.name, first.source) == ("L22", "decision")
    assert "2 times" in first.why


def test_rows_that_were_tried_say_why_they_do_not_fit(app: App) -> None:
    folder = app.workplace.site_folder()
    rows = "source_code,target_code,sex,valid_to\nDX-UNKNOWN,L30.9,male,\nDX-UNKNOWN,L22,female,2020-12-31\n"
    (folder / "rash.csv").write_text(rows, encoding="utf-8")
    (folder / "rash.toml").write_text(
        'id = "rash"\ntitle = "Rashes"\nkind = "diagnosis"\nsource_system = "local"\n'
        'target_system = "icd10cm"\nversion = "1"\nlicence = "own"\n',
        encoding="utf-8",
    )
    send(app, 1)
    case = open_case(app.workplace, 1)

    assert {(row.line, row.why) for row in case.tried} == {
        (2, "does not fit the sex"),
        (3, "does not fit the service date"),
    }
    assert {"L30.9", "L22"} <= {one.name for one in case.suggestions if one.source == "row"}


def test_an_item_about_no_single_code_names_the_codes_of_its_chart(app: App) -> None:
    send(app, 1)
    decide(app.workplace, 1, Answer(("R21",)), ANA)
    settle(app)
    with app.ledger.writing() as connection:
        items.open_item(connection, app.ledger.clock(), items.Item("denial:x", "denial", "answered", "", key(1)))
    [item] = list_items(app.ledger).items

    facts = open_case(app.workplace, item.id).facts
    assert [(fact.code, fact.billed) for fact in facts] == [("DX-UNKNOWN", ("R21",)), ("OFF-VISIT-EST", ("G0467",))]
    with pytest.raises(FhirCoderError, match="--source"):
        decide(app.workplace, item.id, Answer(("L22",)), ANA)


# --- all charts


def test_a_row_that_two_people_agree_on_releases_every_chart_that_waits(app: App) -> None:
    send(app, *range(1, 6))
    proposed = propose(app.workplace, 1, "R21", "the clinic means a rash", ANA)
    assert find_item(app.ledger, 1).status is ItemStatus.REVIEW
    assert (proposed.by, proposed.cells["target_code"]) == (ANA, "R21")

    found = what_if(app.workplace, 1)
    assert (found.looked_at, len(found.changes), found.is_kept) == (5, 5, 0)
    with pytest.raises(ConflictError, match="another person"):
        approve(app.workplace, 1, ANA)
    assert newest(app, 1).status == "held"

    released = approve(app.workplace, 1, BEN, "as agreed")
    assert (released.activation, released.charts) == (1, 5)
    workers_read_the_tables_again(app)
    assert {newest(app, n).status for n in range(1, 6)} == {"ready"}
    assert find_item(app.ledger, 1).status is ItemStatus.CLOSED
    [found_trace] = [t for t in traces(app, 3) if "diagnosis" in t["path"]]
    assert found_trace["version"].startswith("decisions-diagnosis-local@")
    assert "proposed" in found_trace["note"]


def test_a_row_that_is_rejected_changes_nothing_and_is_suggested_last(app: App) -> None:
    send(app, 1)
    propose(app.workplace, 1, "L22", "", ANA)
    with pytest.raises(UsageError):
        reject(app.workplace, 1, "", BEN)
    reject(app.workplace, 1, "diapers are another code", BEN)

    assert find_item(app.ledger, 1).status is ItemStatus.OPEN
    assert not (app.workplace.site_folder() / "decisions-diagnosis-local.csv").exists()
    [one] = [s for s in open_case(app.workplace, 1).suggestions if s.name == "L22" and s.source == "proposal"] or [None]
    assert one is None or one.score < 10
    with pytest.raises(NotFoundError):
        approve(app.workplace, 1, BEN)


def test_a_row_whose_charts_are_settled_otherwise_waits_for_nobody(app: App) -> None:
    send(app, 1)
    propose(app.workplace, 1, "L22", "", ANA)
    decide(app.workplace, 1, Answer(("R21",)), BEN)
    settle(app)
    assert find_item(app.ledger, 1).status is ItemStatus.CLOSED

    send(app, 2)
    [item] = list_items(app.ledger).items
    with pytest.raises(NotFoundError, match="no row is proposed"):
        approve(app.workplace, 1, BEN)
    propose(app.workplace, item.id, "R21", "", ANA)
    assert approve(app.workplace, item.id, BEN).charts == 1


def test_two_rows_of_one_table_are_approved_one_after_the_other(app: App) -> None:
    send(app, 1)
    send(app, 2, diagnosis="DX-OTHER^Pier itch^L")
    propose(app.workplace, 1, "R21", "", ANA)
    propose(app.workplace, 2, "L29.9", "", ANA)

    assert approve(app.workplace, 2, BEN).activation == 1
    workers_read_the_tables_again(app)
    assert [newest(app, n).status for n in (1, 2)] == ["held", "ready"]
    assert approve(app.workplace, 1, BEN).activation == 2
    workers_read_the_tables_again(app)
    assert [newest(app, n).status for n in (1, 2)] == ["ready", "ready"]


def test_what_the_check_of_tables_refuses_is_not_proposed(app: App) -> None:
    send(app, 1)
    with pytest.raises(TableError):
        propose(app.workplace, 1, "S52.50", "", ANA)
    assert find_item(app.ledger, 1).status is ItemStatus.OPEN
    propose(app.workplace, 1, "R21", "", ANA)
    with pytest.raises(ConflictError, match="already"):
        propose(app.workplace, 1, "L22", "", BEN)


def test_a_site_without_a_folder_of_its_own_takes_no_rows(app: App) -> None:
    send(app, 1)
    tables = app.settings.tables.model_copy(update={"dir": None})
    place = replace(app.workplace, settings=app.settings.model_copy(update={"tables": tables}))
    with pytest.raises(FhirCoderError, match=r"\[tables\] dir"):
        propose(place, 1, "R21", "", ANA)


# --- second reviews


def decided_and_taken(app: App) -> None:
    send(app, 1)
    decide(app.workplace, 1, Answer(("L22",)), ANA)
    settle(app)
    taken_by_the_payer(app)


def test_a_correction_of_a_review_becomes_a_claim_that_replaces_the_first(app: App) -> None:
    decided_and_taken(app)
    [drawn] = draw(app.ledger, Sample(coder=ANA), BEN, do=True)
    with pytest.raises(ConflictError):
        review(app.workplace, drawn.item_id, {}, ANA)

    done = review(app.workplace, drawn.item_id, {"DX-UNKNOWN": "R21"}, BEN, why="no diapers", correct=True)
    settle(app)
    assert [(c.code, c.billed, c.said, c.agrees) for c in done.codes if c.kind == "diagnosis"] == [
        ("DX-UNKNOWN", "L22", "R21", False)
    ]
    assert newest(app, 1).revision == 2
    assert newest(app, 1).replaces
    figures = {(one.coder, one.code): (one.codes, one.agreed) for one in agreement(app.ledger, _YEARS_AGO, _LATER)}
    assert figures == {(ANA, "L22"): (1, 0), ("tables", "G0467"): (1, 1)}


def test_a_blind_review_shows_no_code_until_it_is_done(app: App) -> None:
    decided_and_taken(app)
    [drawn] = draw(app.ledger, Sample(is_blind=True), BEN, do=True)
    assert {(code.billed, code.coder) for code in review_of(app.ledger, drawn.item_id).codes} == {("", "")}
    assert open_case(app.workplace, drawn.item_id).decisions == ()
    with pytest.raises(UsageError, match="every source"):
        review(app.workplace, drawn.item_id, {"DX-UNKNOWN": "L22"}, BEN)
    with pytest.raises(UsageError, match="no such source"):
        review(app.workplace, drawn.item_id, {"DX-ELSE": "L22"}, BEN)

    done = review(app.workplace, drawn.item_id, {"DX-UNKNOWN": "icd10cm|L22", "OFF-VISIT-EST": "G0467"}, CLEO)
    assert {code.agrees for code in done.codes} == {True}
    assert done.reviewed_by == CLEO
    assert newest(app, 1).revision == 1


def test_a_sample_draws_the_same_claims_whenever_it_is_asked_and_none_twice(app: App) -> None:
    send(app, *range(1, 13))
    propose(app.workplace, 1, "R21", "", ANA)
    approve(app.workplace, 1, BEN)
    workers_read_the_tables_again(app)
    taken_by_the_payer(app)

    half = Sample(rate=Decimal("0.5"))
    first = [one.identifier for one in draw(app.ledger, half, CLEO, do=False)]
    assert first == [one.identifier for one in draw(app.ledger, half, CLEO, do=True)]
    assert 0 < len(first) < 12
    assert draw(app.ledger, half, CLEO, do=True) == []
    assert len(draw(app.ledger, Sample(coder=ANA), CLEO, do=False)) == 12 - len(first), "the row is hers"
    assert draw(app.ledger, Sample(coder=BEN), CLEO, do=False) == []
    assert draw(app.ledger, Sample(payer="other"), CLEO, do=False) == []
    assert draw(app.ledger, Sample(least_amount=Decimal(1000)), CLEO, do=False) == []
    assert draw(app.ledger, Sample(code="L22"), CLEO, do=False) == []
    with pytest.raises(UsageError):
        draw(app.ledger, Sample(rate=Decimal(5)), CLEO, do=True)


# --- the day


def test_the_end_of_a_day_counts_what_was_done_and_what_is_left(app: App) -> None:
    send(app, 1, 2, 3)
    take(app.ledger, 1, ANA)
    decide(app.workplace, 1, Answer(("R21",), chart_key=key(1)), ANA)
    today = datetime.now(UTC).date()
    found = day_summary(app.ledger, today, "UTC", 60)

    assert (found.opened, found.closed, found.left) == (1, 0, {"open": 1})
    assert (found.team.items, found.team.charts, found.team.target_charts) == (1, 1, 60)
    assert [(one.actor, one.charts) for one in found.people] == [(ANA, 1)]
    assert [item.id for item in found.on_desks] == [1]
    other = day_summary(app.ledger, today - timedelta(days=2), "UTC")
    assert (other.opened, other.team.items, other.people) == (0, 0, ())


def test_a_queue_is_handed_over_with_notes_and_what_waits(app: App) -> None:
    send(app, 1)
    queue = Queue(care="outpatient")
    hand_over(app.ledger, queue, "the clinic calls back at eight", ANA)
    hand_over(app.ledger, Queue(care="inpatient"), "nothing", ANA)
    found = handover_of(app.ledger, queue)

    assert [(note.actor, note.text) for note in found.notes] == [(ANA, "the clinic calls back at eight")]
    assert (found.queue, found.open, [item.id for item in found.first]) == ("outpatient", 1, [1])
    with pytest.raises(UsageError):
        hand_over(app.ledger, queue, " ", ANA)


def test_every_decision_stays_in_the_ledger_with_who_and_when(app: App) -> None:
    decided_and_taken(app)
    with app.ledger.reading() as connection:
        from fhir_coder.store.schema import events

        rows = connection.execute(select(events).where(events.c.subject == "chart", events.c.actor == ANA)).all()
    assert [(row.to_status, row.why) for row in rows] == [("decided", "decision 1: L22")]


_YEARS_AGO = datetime(2020, 1, 1, tzinfo=UTC)
_LATER = datetime(2100, 1, 1, tzinfo=UTC)
