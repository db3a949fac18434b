"""Visits in a real ledger, message by message through the stages: merges, moves, cancels, stored charts, timelines."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import select, update

from fhir_coder.app import App
from fhir_coder.charts import chart_to_bytes
from fhir_coder.intake.payloads import read_header
from fhir_coder.model import Chart, ClaimStatus
from fhir_coder.queries import ChartSearch, chart_story, list_charts, verify
from fhir_coder.reprocess import correct
from fhir_coder.screens_charts import chart_text
from fhir_coder.store import claims, items, messages, people, work
from fhir_coder.store.charts import body_of
from fhir_coder.store.messages import Incoming
from fhir_coder.store.schema import charts, message_people
from fhir_coder.store.schema import claims as claim_table
from fhir_coder.worklist import close
from tests.stages import settle

OLD, NEW = "CLINIC/VN/V1", "CLINIC/VN/V2"


_seen = iter(range(1, 100_000))


def adt(event: str, *segments: str, minute: int = 0, control_id: str = "") -> bytes:
    """A message whose event happened at a minute of the day."""
    kind = event if "^" in event else f"ADT^{event}"
    msh = (
        f"MSH|^~\\&|EHR|CLINIC|||20261103{minute // 60:02}{minute % 60:02}||{kind}|{control_id or next(_seen)}|P|2.5.1"
    )
    return "\r".join([msh, f"EVN||20261103{minute // 60:02}{minute % 60:02}", *segments, ""]).encode()


def pid(number: str = "A", name: str = "Older^Olga", **said: str) -> str:
    return f"PID|1||{number}^^^CLINIC^MR||{name}||19800229|F|||{said.get('address', '1 A St^^Peoria^IL^61602')}"


def pv1(visit: str = "V1", kind: str = "O", end: str = "") -> str:
    fields = [""] * 46
    fields[0], fields[2], fields[19], fields[44], fields[45] = "PV1", kind, f"{visit}^^^CLINIC", "202611030900", end
    return "|".join(fields)


DG1 = "DG1|1||J20.9^^I10C|||F"
FT1 = "FT1|1|T1||20261103||CG|G0463^^HPC|||1|100.00"
IN1 = "IN1|1|LAKE-PPO|LAKE1|Lakeshore PPO|||||||||||||Older^Olga|SEL||||||||||||||||||||||||||||||||MEM1"


def billed(visit: str = "V1", minute: int = 10, **said: str) -> bytes:
    return adt("DFT^P03", pid(**said), pv1(visit, end="202611031000"), DG1, FT1, IN1, minute=minute)


def take(app: App, *bodies: bytes) -> list[str]:
    """Keep messages and do all work but what goes to a payer."""
    ids = []
    for body in bodies:
        with app.ledger.writing() as connection:
            incoming = Incoming("adt", read_header(body), body)
            ids.append(messages.keep(connection, incoming, app.ledger.clock()).id)
        settle(app)
    return ids


def chart(app: App, key: str) -> Chart:
    return app.stages.folded(key)


def claim_rows(app: App, key: str) -> list[tuple[str, int]]:
    with app.ledger.reading() as connection:
        rows = connection.execute(select(claim_table).where(claim_table.c.chart_key == key)).all()
    return sorted((row.status, row.revision) for row in rows)


def answered(app: App, key: str, status: ClaimStatus) -> None:
    """A payer took the claims of a chart."""
    with app.ledger.writing() as connection:
        at = app.ledger.clock()
        for row in connection.execute(select(claim_table).where(claim_table.c.chart_key == key)).all():
            claims.move(connection, row, status, "answered", at)
        connection.execute(update(claim_table).where(claim_table.c.chart_key == key).values(hold=""))


def open_kinds(app: App) -> list[tuple[str, str]]:
    with app.ledger.reading() as connection:
        return [(row.kind, row.reason) for row in items.open_items(connection)]


def names(app: App, key: str) -> tuple[str, ...]:
    patient = chart(app, key).patient
    return tuple(i.value for i in patient.identifiers) if patient else ()


# --- merges


@pytest.mark.parametrize("merge_comes", ["first", "last"])
def test_a_merge_changes_the_patient_of_every_chart_whichever_comes_first(app: App, merge_comes: str) -> None:
    merge = adt("A40", pid("B", "Newer^Nora"), "MRG|A^^^CLINIC^MR", minute=30)
    visits = [billed(minute=10), adt("A04", pid(), pv1("V2"), minute=20)]

    take(app, *([merge, *visits] if merge_comes == "first" else [*visits, merge]))

    for key in (OLD, NEW):
        folded = chart(app, key)
        assert names(app, key) == ("B",)
        assert folded.patient is not None
        assert folded.patient.name is not None
        assert folded.patient.name.family == "Newer"
        assert folded.patient.birth_date is not None


def test_a_merge_makes_an_unsent_claim_anew_and_a_taken_one_is_replaced(app: App) -> None:
    take(app, billed("V1"), billed("V2"))
    answered(app, NEW, ClaimStatus.COMPLETE)

    take(app, adt("A40", pid("B", "Newer^Nora"), "MRG|A^^^CLINIC^MR", minute=30))

    assert ("complete", 1) in claim_rows(app, NEW)
    assert max(revision for _, revision in claim_rows(app, NEW)) == 2
    with app.ledger.reading() as connection:
        rows = connection.execute(select(claim_table).where(claim_table.c.chart_key == OLD)).all()
    newest = max(rows, key=lambda row: row.revision)
    assert b"Newer" in newest.body


def test_a_merge_message_is_found_by_the_number_that_was_merged(app: App) -> None:
    [merge] = take(app, adt("A40", pid("B"), "MRG|A^^^CLINIC^MR", minute=30))

    with app.ledger.reading() as connection:
        digest = people.digest(app.ledger.patient_key, "A")
        found = select(message_people.c.message_id).where(message_people.c.digest == digest)
        assert list(connection.execute(found).scalars()) == [merge]


def test_persons_that_are_unlinked_are_two_again(app: App) -> None:
    take(app, billed("V1"), adt("A40", pid("B", "Newer^Nora"), "MRG|A^^^CLINIC^MR", minute=30))
    assert names(app, OLD) == ("B",)

    take(app, adt("A37", pid("A"), pid("B"), minute=40))

    assert names(app, OLD) == ("A",)


@pytest.mark.parametrize("event", ["A30", "A39"])
def test_the_older_merges_of_persons_are_merges(app: App, event: str) -> None:
    mrg = "MRG|A^^^CLINIC^MR" if event == "A30" else "MRG||||A^^^CLINIC^MR"
    take(app, billed("V1"), adt(event, pid("B", "Newer^Nora"), mrg, minute=30))

    assert names(app, OLD) == ("B",)


def test_an_account_that_is_moved_to_another_patient_leaves_the_first_one_behind(app: App) -> None:
    """Account numbers know the visits of a site that sends no visit numbers."""
    account, nobody = "|" * 7 + "AC1^^^CLINIC", pv1().replace("V1^^^CLINIC", "")
    take(app, adt("DFT^P03", pid("A") + account, nobody, DG1, FT1, IN1, minute=10))
    assert names(app, "CLINIC/AN/AC1") == ("A",)

    take(app, adt("A44", pid("B", "Newer^Nora") + account, "MRG|A^^^CLINIC^MR||AC1^^^CLINIC", minute=30))

    assert names(app, "CLINIC/AN/AC1") == ("B",)
    assert not chart(app, "CLINIC/AN/AC1").coverages


# --- persons outside any visit


def address(app: App, key: str) -> str:
    patient = chart(app, key).patient
    return patient.address.lines[0] if patient and patient.address else ""


@pytest.mark.parametrize("event", ["A28", "A31"])
@pytest.mark.parametrize("visit_first", [True, False])
def test_what_is_said_of_a_person_counts_for_a_visit_that_goes_on(app: App, event: str, visit_first: bool) -> None:
    moved = adt(event, pid(address="9 Z St^^Peoria^IL^61602"), minute=5)
    admitted = adt("A01", pid(address=""), pv1(kind="I"), minute=1 if visit_first else 9)
    take(app, *((admitted, moved) if visit_first else (moved, admitted)))

    assert address(app, OLD) == "9 Z St"


def test_an_address_of_next_year_changes_no_claim_that_was_made(app: App) -> None:
    take(app, billed("V1"))
    answered(app, OLD, ClaimStatus.COMPLETE)

    take(app, adt("A31", pid(address="9 Z St^^Peoria^IL^61602"), minute=500))

    assert address(app, OLD) == "1 A St"
    with app.ledger.reading() as connection:
        bodies = connection.execute(select(claim_table.c.body)).scalars().all()
    assert bodies
    assert not [body for body in bodies if b"9 Z St" in body]


def test_what_the_visit_says_later_stands_over_what_was_said_of_the_person(app: App) -> None:
    said = adt("A31", pid(address="9 Z St^^Peoria^IL^61602"), minute=5)
    take(app, adt("A01", pid(), pv1(kind="I"), minute=1), said, adt("A08", pid(), pv1(kind="I"), minute=9))

    assert address(app, OLD) == "1 A St"


def test_person_data_without_a_number_are_ignored_and_nobody_is_asked(app: App) -> None:
    take(app, adt("A31", "PID|1||||Older^Olga", minute=5))

    assert open_kinds(app) == []


# --- moves


@pytest.mark.parametrize("move_comes", ["first", "last"])
def test_a_visit_that_got_another_number_is_billed_once_under_it(app: App, move_comes: str) -> None:
    move = adt("A50", pid(), "MRG|A^^^CLINIC^MR||||V1^^^CLINIC", pv1("V2"), minute=30)

    take(app, *([move, billed()] if move_comes == "first" else [billed(), move]))

    assert chart(app, OLD).moved_to == NEW
    folded = chart(app, NEW)
    assert [c.identity for c in folded.charges] == ["T1"]
    assert folded.visit is not None
    assert folded.visit.number is not None
    assert folded.visit.number.value == "V2"
    assert not [status for status, _ in claim_rows(app, OLD) if status != "voided"]
    assert len([status for status, _ in claim_rows(app, NEW) if status != "voided"]) == 1


def test_a_move_whose_mrg_stands_after_the_pv1_moves_the_visit_all_the_same(app: App) -> None:
    """HL7 v2 puts MRG before PV1; some senders do not, and one MRG can mean one PV1 only."""
    take(app, billed(), adt("A50", pid(), pv1("V2"), "MRG|A^^^CLINIC^MR||||V1^^^CLINIC", minute=30))

    assert chart(app, OLD).moved_to == NEW
    assert [c.identity for c in chart(app, NEW).charges] == ["T1"]
    assert len([status for status, _ in claim_rows(app, NEW) if status != "voided"]) == 1


def test_a_claim_that_the_payer_took_moves_with_its_visit_and_nothing_is_billed_twice(app: App) -> None:
    take(app, billed())
    answered(app, OLD, ClaimStatus.COMPLETE)

    take(app, adt("A50", pid(), "MRG|A^^^CLINIC^MR||||V1^^^CLINIC", pv1("V2"), minute=30))

    assert claim_rows(app, OLD) == []
    rows = claim_rows(app, NEW)
    assert ("complete", 1) in rows
    assert all(status in ("complete", "voided", "held") for status, _ in rows)
    text = timeline_text(app, NEW)
    assert "its visit moved to" in text
    assert text.index("DFT^P03") < text.index("+  charge") < text.index("ADT^A50")


def test_claims_of_both_numbers_at_the_payer_are_taken_back_under_the_former_one_first(app: App) -> None:
    take(app, billed("V1"), billed("V2"))
    for key in (OLD, NEW):
        answered(app, key, ClaimStatus.COMPLETE)
    more = adt("DFT^P03", pid(), pv1("V1", end="202611031000"), FT1.replace("T1", "T2").replace("100.00", "50.00"))

    take(app, adt("A42", pid(), "MRG|A^^^CLINIC^MR||||V1^^^CLINIC", pv1("V2"), minute=30), more)

    assert claim_rows(app, OLD) == [("complete", 1), ("ready", 2)]
    assert claim_rows(app, NEW) == [("complete", 1)]
    assert open_kinds(app) == []
    with app.ledger.writing() as connection:
        for row in connection.execute(select(claim_table).where(claim_table.c.chart_key == OLD)).all():
            status = ClaimStatus.VOIDED if row.revision == 1 else ClaimStatus.COMPLETE
            claims.move(connection, row, status, "the payer voided it", app.ledger.clock())
        work.ask(connection, "chart", OLD, app.ledger.clock())
    settle(app)
    assert claim_rows(app, NEW) == [("complete", 1), ("held", 2)]


def test_a_claim_of_a_former_number_that_a_person_voids_lets_the_present_one_go_on(app: App) -> None:
    payers = tuple(p.model_copy(update={"voids": "person"}) for p in app.settings.payers)
    with App(app.settings.model_copy(update={"payers": payers})) as here:
        take(here, billed("V1"), billed("V2"))
        for key in (OLD, NEW):
            answered(here, key, ClaimStatus.COMPLETE)
        take(here, adt("A42", pid(), "MRG|A^^^CLINIC^MR||||V1^^^CLINIC", pv1("V2"), minute=30))
        assert open_kinds(here) == [("void", "taken_back_by_hand")]
        with here.ledger.reading() as connection:
            (item,) = items.open_items(connection)

        close(here.ledger, item.id, "voided by telephone", "clerk")
        settle(here)

        assert claim_rows(here, OLD) == [("voided", 1)]
        assert claim_rows(here, NEW) == [("complete", 1), ("held", 2)]


def test_a_move_to_another_patient_takes_neither_name_nor_insurance_of_the_first_along(app: App) -> None:
    take(app, billed(), adt("A45", pid("Z", "Other^Otto"), "MRG|A^^^CLINIC^MR||||V1^^^CLINIC", pv1("V2"), minute=30))

    folded = chart(app, NEW)

    assert names(app, NEW) == ("Z",)
    assert folded.coverages == ()
    assert [c.identity for c in folded.charges] == ["T1"]


def test_a_visit_of_another_patient_under_the_same_number_starts_with_that_patient(app: App) -> None:
    take(app, billed(), adt("A45", pid("Z", "Other^Otto"), "MRG|A^^^CLINIC^MR||||V1^^^CLINIC", pv1("V1"), minute=30))

    assert names(app, OLD) == ("Z",)
    assert chart(app, OLD).coverages == ()
    assert chart(app, OLD).moved_to == ""


def test_a_visit_that_moved_back_is_billed_under_its_first_number(app: App) -> None:
    there = adt("A50", pid(), "MRG|A^^^CLINIC^MR||||V1^^^CLINIC", pv1("V2"), minute=30)
    back = adt("A50", pid(), "MRG|A^^^CLINIC^MR||||V2^^^CLINIC", pv1("V1"), minute=40)

    take(app, billed(), there, back)

    assert (chart(app, OLD).moved_to, chart(app, NEW).moved_to) == ("", OLD)
    assert len([status for status, _ in claim_rows(app, OLD) if status != "voided"]) == 1


def test_an_account_merge_moves_the_visit_that_is_known_by_its_account(app: App) -> None:
    charges = adt("DFT^P03", pid() + "|||||||AC1^^^CLINIC", DG1, FT1, minute=10)
    merge = adt("A41", pid() + "|||||||AC2^^^CLINIC", "MRG|A^^^CLINIC^MR||AC1^^^CLINIC", minute=30)

    take(app, charges, merge)

    assert chart(app, "CLINIC/AN/AC1").moved_to == "CLINIC/AN/AC2"
    assert [c.identity for c in chart(app, "CLINIC/AN/AC2").charges] == ["T1"]


def test_an_account_merge_of_visits_with_numbers_of_their_own_bills_nothing_new(app: App) -> None:
    merge = adt("A41", pid() + "|||||||AC2^^^CLINIC", "MRG|A^^^CLINIC^MR||AC1^^^CLINIC", minute=30)

    take(app, billed(), merge)

    assert claim_rows(app, "CLINIC/AN/AC2") == []
    assert chart(app, "CLINIC/AN/AC2").cancelled


def test_twins_on_their_mothers_account_are_two_charts(app: App) -> None:
    account = "|||||||MOM^^^CLINIC"
    take(
        app,
        adt("A04", pid("T1", "Twin^One") + account, pv1("V1"), minute=1),
        adt("A04", pid("T2", "Twin^Two") + account, pv1("V2"), minute=1),
    )

    assert (names(app, OLD), names(app, NEW)) == (("T1",), ("T2",))
    assert len(chart(app, OLD).messages) == len(chart(app, NEW).messages) == 1


# --- cancels


@pytest.mark.parametrize(
    ("events", "is_cancelled"),
    [
        (["A04", "A11"], True),
        (["A04", "A11", "A01"], False),
        (["A05", "A38"], True),
        (["A05", "A27"], True),
        (["A05", "A38", "A01"], False),
        (["A04", "A38"], False),
        (["A01", "A11", "A12"], True),
        (["A04", "BAR^P06"], False),
        (["A04", "A11", "BAR^P06"], True),
    ],
    ids=lambda said: " ".join(said) if isinstance(said, list) else str(said),
)
def test_what_cancels_a_visit_and_what_does_not(app: App, events: list[str], is_cancelled: bool) -> None:
    take(app, *(adt(event, pid(), pv1(), minute=n) for n, event in enumerate(events)))

    assert chart(app, OLD).cancelled is is_cancelled


def test_an_end_of_account_says_when_it_was_closed_and_that_it_may_be_billed(app: App) -> None:
    take(app, adt("A04", pid(), pv1(), minute=1), adt("BAR^P06", pid(), pv1(), minute=5))

    visit = chart(app, OLD).visit
    assert visit is not None
    assert visit.billable
    assert visit.closed is not None
    assert visit.closed.text.startswith("2026-11-03T00:05")


def test_an_emergency_visit_that_becomes_an_admission_has_not_ended(app: App) -> None:
    take(
        app,
        adt("A03", pid(), pv1(kind="E", end="202611030830"), minute=1),
        adt("A06", pid(), pv1(kind="I"), minute=5),
    )

    visit = chart(app, OLD).visit
    assert visit is not None
    assert (visit.class_code, visit.status, visit.end) == ("IMP", "in-progress", None)


# --- stored charts


def test_a_stored_chart_is_what_its_messages_give_byte_for_byte(app: App) -> None:
    take(app, billed(), adt("A08", pid(name="Older^Olga^M"), pv1(), minute=20), billed(minute=5))

    with app.ledger.reading() as connection:
        stored = body_of(connection, OLD)
    assert stored == chart_to_bytes(app.stages.folding.chart_anew(OLD))
    assert verify(app.ledger, OLD, app.stages.folding.chart_anew).result == "equal"


def test_a_stored_chart_that_differs_is_told_by_path_and_never_by_value(app: App) -> None:
    take(app, billed())
    with app.ledger.writing() as connection:
        body = (body_of(connection, OLD) or b"").replace(b'"100.00"', b'"100.0"')
        connection.execute(update(charts).where(charts.c.key == OLD).values(body=body))

    found = verify(app.ledger, OLD, app.stages.folding.chart_anew)

    assert (found.result, found.paths) == ("differs", ("charges[0].amount.value",))


def test_a_superseded_message_is_no_longer_in_a_fold_that_is_gone_on_with(app: App) -> None:
    [first] = take(app, billed())
    assert len(chart(app, OLD).charges) == 1

    correct(app.ledger, first, billed().replace(b"|T1|", b"|T9|"), "tester")
    settle(app)

    assert [c.identity for c in chart(app, OLD).charges] == ["T9"]


def test_charts_are_listed_with_their_claims_and_pages_go_on(app: App) -> None:
    take(app, billed("V1"), billed("V2"), adt("A05", pid("C"), pv1("V3"), minute=9))

    rows = list_charts(app.ledger, ChartSearch())
    assert {(r.key, r.status, r.messages, r.claims) for r in rows} == {
        (OLD, "finished", 1, 1),
        (NEW, "finished", 1, 1),
        ("CLINIC/VN/V3", "planned", 1, 1),
    }
    assert [r.key for r in list_charts(app.ledger, ChartSearch(status="planned"))] == ["CLINIC/VN/V3"]
    assert [r.key for r in list_charts(app.ledger, ChartSearch(patient="C"))] == ["CLINIC/VN/V3"]
    first = list_charts(app.ledger, ChartSearch(), 1)
    rest = list_charts(app.ledger, ChartSearch(before=first[0].key))
    assert [r.key for r in first + rest] == [r.key for r in rows]


# --- timelines


def timeline_text(app: App, key: str) -> str:
    folding = app.stages.folding
    return chart_text(chart_story(app.ledger, folding.chart_anew(key), folding.messages_of(key)))


def test_a_timeline_says_what_each_message_did_in_the_order_of_events(app: App) -> None:
    take(app, billed(minute=10), adt("A04", pid(), pv1(), DG1, minute=1), adt("A11", pid(), pv1(), minute=30))

    text = timeline_text(app, OLD)

    assert text.index("ADT^A04") < text.index("DFT^P03") < text.index("ADT^A11")
    for said in ("+  diagnosis  ICD-10-CM J20.9", "+  charge", "USD 100.00", "+  coverage", "~  visit", "cancelled"):
        assert said in text
    assert text.index("DFT^P03") < text.index("CLM-")
    assert not [word for word in ("Older", "Olga", "Peoria", "MEM1") if word in text]


def test_a_timeline_says_what_held_a_claim_and_what_let_it_go(app: App) -> None:
    insured = "|".join(["IN1", "1", "LAKE-PPO", "LAKE1", "Lakeshore PPO", *[""] * 44, "MEM1"])
    take(app, adt("A04", pid(), pv1(), DG1, insured, minute=1))
    assert "revision 1; held by visit-open" in timeline_text(app, OLD)

    take(app, adt("DFT^P03", pid(), pv1(end="202611031000"), DG1, FT1, minute=10))

    assert re.search(r"held → ready +settled: visit-open", timeline_text(app, OLD))


def test_a_chart_as_of_a_time_knows_only_what_had_come_by_then(app: App) -> None:
    take(app, adt("A04", pid(), pv1(), DG1, minute=1))
    with app.ledger.reading() as connection:
        at = connection.execute(select(messages.messages.c.received_at)).scalars().one()
    take(app, billed())

    folding = app.stages.folding
    story = chart_story(app.ledger, folding.chart_anew(OLD, at), folding.messages_of(OLD, at), at)

    assert len(story.entries) == 1
    assert len(folding.chart_anew(OLD, at).charges) == 0
    assert len(folding.chart_anew(OLD).charges) == 1
