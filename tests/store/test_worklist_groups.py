"""Items of the worklist in the ledger: what makes them one, what they hold, in which order they stand, who has them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from fhir_coder.errors import ConflictError, NotFoundError, UsageError
from fhir_coder.model import ItemStatus, WorkRules
from fhir_coder.store import Ledger, groups, items, open_ledger
from fhir_coder.store.ranking import Stakes, due_at, reasons
from fhir_coder.store.schema import charts, work_items
from fhir_coder.store.worklist_schema import work_groups
from fhir_coder.worklist import (
    Queue,
    assign,
    close,
    counts_by_status,
    escalate,
    find_item,
    give_back,
    history_of,
    hold,
    keep_order,
    list_items,
    parts_of,
    queues,
    skip,
    take,
    take_answer,
    take_next,
)
from fhir_coder.worklist import ask_clinician as ask
from tests.building import NOON

ANA, BEN = "user ana", "user ben"


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **span: float) -> None:
        self.now += timedelta(**span)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Iterator[Ledger]:
    one = open_ledger(tmp_path / "ledger.db", clock)
    yield one
    one.close()


def visit(ledger: Ledger, key: str, care: str = "outpatient", charged: str = "", **more: Any) -> None:
    row = {"key": key, "first_seen_at": NOON, "cancelled": False, "care": care, "charged": charged, "currency": "USD"}
    with ledger.writing() as connection:
        connection.execute(insert(charts).values(row | more))


def gap(key: str, code: str = "DX-9", place: str = "DG1[1]") -> items.Item:
    return items.Item(f"gap:{key}:{code}:{place}", "gap", "no_row", "no row", key, solved_by=f"local|{code}:no_row")


def opened(ledger: Ledger, *wanted: items.Item) -> None:
    with ledger.writing() as connection:
        for one in wanted:
            items.open_item(connection, ledger.clock(), one)


def synced(ledger: Ledger, key: str, wanted: Sequence[items.Item]) -> None:
    with ledger.writing() as connection:
        items.sync_items(connection, ledger.clock(), key, wanted)


def listed(ledger: Ledger, queue: Queue = Queue()) -> list[int]:  # noqa: B008 - a value
    return [one.id for one in list_items(ledger, queue).items]


# --- one item for what one decision settles


def test_one_code_that_holds_many_charts_is_one_item_with_their_money(ledger: Ledger) -> None:
    for number in range(40):
        visit(ledger, f"V{number}", charged="100.50")
        opened(ledger, gap(f"V{number}"))

    [item] = list_items(ledger).items
    assert (item.id, item.charts, item.amount, item.currency) == (1, 40, Decimal("4020.00"), "USD")
    assert len(parts_of(ledger, item.id)) == 40
    assert [part.chart_key for part in parts_of(ledger, item.id, 2, after=38)] == ["V38", "V39"]


def test_a_chart_with_the_code_twice_counts_once_and_leaves_when_both_are_gone(ledger: Ledger) -> None:
    visit(ledger, "V1", charged="10.00")
    visit(ledger, "V2", charged="5.00")
    opened(ledger, gap("V1"), gap("V1", place="DG1[2]"), gap("V2"))
    assert (find_item(ledger, 1).charts, find_item(ledger, 1).amount) == (2, Decimal("15.00"))

    synced(ledger, "V1", [gap("V1", place="DG1[2]")])
    assert (find_item(ledger, 1).charts, find_item(ledger, 1).amount) == (2, Decimal("15.00"))
    synced(ledger, "V1", [])
    assert (find_item(ledger, 1).charts, find_item(ledger, 1).amount) == (1, Decimal("5.00"))


def test_an_item_closes_with_its_last_chart_and_a_new_gap_opens_another(ledger: Ledger) -> None:
    visit(ledger, "V1")
    opened(ledger, gap("V1"))
    synced(ledger, "V1", [])
    assert (find_item(ledger, 1).status, listed(ledger)) == (ItemStatus.CLOSED, [])

    opened(ledger, gap("V1"))
    assert listed(ledger) == [2]
    assert [event.to_status for event in history_of(ledger, 1)] == ["open", "closed"]


def test_items_without_a_common_cause_stay_apart(ledger: Ledger) -> None:
    opened(ledger, *(items.Item(f"quarantine:m{n}", "quarantine", "unreadable", message_id=f"m{n}") for n in range(3)))

    assert sorted(listed(ledger)) == [1, 2, 3]
    assert [item.message_id for item in list_items(ledger).items] == ["m0", "m1", "m2"]


def test_an_item_is_found_by_the_number_of_each_of_its_parts(ledger: Ledger) -> None:
    opened(ledger, gap("V1"), gap("V2"))

    assert find_item(ledger, 2).id == 1
    with pytest.raises(NotFoundError):
        find_item(ledger, 3)


def test_payers_and_specialties_that_differ_are_several_and_a_stay_counts_before_a_visit(ledger: Ledger) -> None:
    visit(ledger, "V1", specialty="ER")
    visit(ledger, "V2", care="inpatient", specialty="ICU")
    opened(ledger, gap("V1"), gap("V2"))

    [item] = list_items(ledger).items
    assert (item.care, item.specialty) == ("inpatient", "several")


def test_items_of_before_the_worklist_become_part_of_it(ledger: Ledger) -> None:
    row = {"identity": "gap:V1", "kind": "gap", "chart_key": "V1", "reason": "no_row", "opened_at": NOON}
    with ledger.writing() as connection:
        connection.execute(insert(work_items), [row, row | {"identity": "gap:V2", "chart_key": "V2"}])
    assert listed(ledger) == []

    assert keep_order(ledger, WorkRules())
    assert listed(ledger) == [1, 2]
    assert not keep_order(ledger, WorkRules()), "nothing is done twice"


# --- the order


def stakes(**changed: Any) -> Stakes:
    return Stakes(NOON, **changed)


@pytest.mark.parametrize(
    ("sooner", "later"),
    [
        (stakes(file_by=date(2026, 11, 10)), stakes(file_by=date(2026, 11, 20))),
        (stakes(answer_by=date(2026, 11, 5)), stakes()),
        (stakes(amount=Decimal(20000)), stakes(amount=Decimal(4999))),
        (stakes(care="inpatient"), stakes(care="outpatient")),
        (stakes(is_emergency=True), stakes(care="inpatient")),
        (stakes(is_escalated=True), stakes(file_by=date(2026, 11, 4), is_emergency=True)),
        (stakes(), Stakes(NOON + timedelta(hours=1))),
    ],
)
def test_what_presses_more_is_wanted_sooner(sooner: Stakes, later: Stakes) -> None:
    assert due_at(sooner, WorkRules()) < due_at(later, WorkRules())


def test_the_order_does_not_change_because_time_passes() -> None:
    one, other = stakes(file_by=date(2026, 12, 24)), stakes(amount=Decimal(6000))
    first = [due_at(one, WorkRules()), due_at(other, WorkRules())]

    assert first == [due_at(one, WorkRules()), due_at(other, WorkRules())]
    assert "timely filing ends in 51 days" not in reasons(one, WorkRules(), date(2026, 11, 3))


def test_an_item_says_why_it_stands_where_it_does() -> None:
    told = stakes(file_by=date(2026, 11, 10), amount=Decimal("12500"), currency="USD", care="inpatient")

    assert reasons(told, WorkRules(), date(2026, 11, 3)) == (
        "timely filing ends in 7 days",
        "USD 12,500.00 wait",
        "inpatient",
        "waits since today",
    )
    assert reasons(told, WorkRules(), date(2026, 11, 12))[0] == "timely filing ended 2 days ago"


def test_rules_that_change_order_all_open_items_anew(ledger: Ledger) -> None:
    keep_order(ledger, WorkRules())
    visit(ledger, "V1")
    visit(ledger, "V2", care="inpatient")
    opened(ledger, gap("V1", "A"), gap("V2", "B"))
    assert listed(ledger) == [2, 1]

    assert keep_order(ledger, WorkRules(inpatient_days=0))
    assert listed(ledger) == [1, 2]


def test_what_a_chart_brings_changes_with_it(ledger: Ledger) -> None:
    visit(ledger, "V1", charged="100")
    opened(ledger, gap("V1"))
    with ledger.writing() as connection:
        connection.execute(charts.update().values(charged="250"))

    synced(ledger, "V1", [gap("V1")])
    assert find_item(ledger, 1).amount == Decimal(250)


def test_pages_follow_each_other_without_a_gap_or_a_repeat(ledger: Ledger) -> None:
    opened(ledger, *(items.Item(f"conflict:m{n}", "conflict", "conflict") for n in range(25)))

    found, after = [], ""
    while True:
        page = list_items(ledger, Queue(), 7, after)
        found += [item.id for item in page.items]
        if not page.after:
            break
        after = page.after
    assert found == list(range(1, 26))
    with pytest.raises(UsageError):
        list_items(ledger, Queue(), 7, "page 2")


def test_queues_count_what_is_open_and_a_queue_has_only_its_own(ledger: Ledger) -> None:
    visit(ledger, "V1")
    visit(ledger, "V2", care="inpatient", specialty="207R00000X")
    opened(ledger, gap("V1", "A"), gap("V2", "B"), gap("V2", "C"))

    assert [(q.care, q.specialty, q.items) for q in queues(ledger)] == [
        ("inpatient", "207R00000X", 2),
        ("outpatient", "", 1),
    ]
    assert listed(ledger, Queue(care="inpatient")) == [2, 3]
    assert listed(ledger, Queue(kind="denial")) == []
    with pytest.raises(UsageError):
        list_items(ledger, Queue(status="urgent"))


def test_the_site_names_its_specialties(ledger: Ledger) -> None:
    keep_order(ledger, WorkRules(specialties={"207R00000X": "internal medicine"}))
    visit(ledger, "V1", specialty="207R00000X")
    opened(ledger, gap("V1"))

    assert find_item(ledger, 1).specialty == "internal medicine"


# --- who has it


def test_two_people_never_have_the_same_item(ledger: Ledger) -> None:
    opened(ledger, gap("V1", "A"), gap("V2", "B"))

    taken = [take_next(ledger, who) for who in (ANA, BEN, "user cleo")]
    assert [item.id if item else None for item in taken] == [1, 2, None]
    with pytest.raises(ConflictError, match="user ana"):
        take(ledger, 1, BEN)
    assert take(ledger, 1, ANA).taken_by == ANA


def test_an_item_is_free_again_when_its_lease_has_ended(ledger: Ledger, clock: Clock) -> None:
    opened(ledger, gap("V1"))
    take(ledger, 1, ANA)
    clock.forward(minutes=31)

    found = take_next(ledger, BEN)
    assert found is not None
    assert found.taken_by == BEN
    with pytest.raises(ConflictError):
        skip(ledger, 1, "too late", ANA)


def test_who_skips_an_item_leaves_it_to_others_for_a_while(ledger: Ledger, clock: Clock) -> None:
    opened(ledger, gap("V1"))
    take(ledger, 1, ANA)
    skip(ledger, 1, "needs somebody who knows burns", ANA)

    assert take_next(ledger, ANA) is None
    found = take_next(ledger, BEN)
    assert found is not None
    give_back(ledger, 1, BEN)
    clock.forward(hours=9)
    assert take_next(ledger, ANA) is not None


def test_what_is_assigned_to_somebody_is_offered_to_nobody_else(ledger: Ledger) -> None:
    opened(ledger, gap("V1", "A"), gap("V2", "B"))
    assign(ledger, 2, ANA, BEN)

    mine = take_next(ledger, ANA)
    assert mine is not None
    assert mine.id == 2
    assert [item.id if (item := take_next(ledger, BEN)) else None for _ in range(2)] == [1, None]


def test_a_held_item_comes_back_by_itself_when_its_time_has_come(ledger: Ledger, clock: Clock) -> None:
    opened(ledger, gap("V1"))
    hold(ledger, 1, NOON + timedelta(days=2), "the report comes then", ANA)
    assert listed(ledger) == []
    assert take_next(ledger, BEN) is None

    clock.forward(days=2)
    assert listed(ledger) == [1]
    with pytest.raises(UsageError):
        hold(ledger, 1, NOON, "yesterday", ANA)


def test_a_question_to_the_clinician_is_kept_and_its_answer_brings_the_item_back(ledger: Ledger) -> None:
    opened(ledger, gap("V1"))
    ask(ledger, 1, "which side?", ANA)
    assert counts_by_status(ledger) == {"asked": 1}
    with pytest.raises(UsageError):
        take_answer(ledger, 1, " ", BEN)

    take_answer(ledger, 1, "the left one", BEN)
    said = [(e.actor, e.why) for e in history_of(ledger, 1)][1:]
    assert said == [(ANA, "which side?"), (BEN, "answer: the left one")]
    assert listed(ledger) == [1]


def test_an_escalated_item_goes_before_all_others(ledger: Ledger) -> None:
    visit(ledger, "V1", care="inpatient", is_emergency=True)
    opened(ledger, gap("V1", "A"), gap("V2", "B"))
    escalate(ledger, 2, "the director asks", ANA, BEN)

    [first, _] = list_items(ledger).items
    assert (first.id, first.why[0], first.assigned_to) == (2, "escalated", BEN)


def test_the_review_of_ones_own_work_is_for_somebody_else(ledger: Ledger) -> None:
    opened(ledger, items.Item("audit:1", "audit", "open_review", not_for=ANA))

    assert take_next(ledger, ANA) is None
    with pytest.raises(ConflictError):
        take(ledger, 1, ANA)
    assert take_next(ledger, BEN) is not None


def test_closing_an_item_closes_all_its_charts_and_asks_for_them(ledger: Ledger) -> None:
    opened(ledger, gap("V1"), gap("V2"))

    assert close(ledger, 2, "billed elsewhere", ANA) == 2
    with pytest.raises(NotFoundError):
        close(ledger, 1, "again", ANA)
    with ledger.reading() as connection:
        assert items.settled_by_a_person(connection, "V2") == {gap("V2").identity}


def test_a_released_item_comes_back_only_where_a_chart_still_wants_it(ledger: Ledger) -> None:
    opened(ledger, gap("V1"), gap("V2"))
    with ledger.writing() as connection:
        group = groups.by_id(connection, 1)
        assert group is not None
        groups.move(connection, NOON, group, ItemStatus.RELEASED, "approved", BEN)
        assert items.ask_for_released(connection, NOON) == 2

    synced(ledger, "V1", [])
    assert find_item(ledger, 1).status is ItemStatus.RELEASED
    synced(ledger, "V2", [gap("V2")])
    assert find_item(ledger, 1).status is ItemStatus.OPEN


def test_fifty_people_who_take_the_next_item_at_once_never_get_the_same(tmp_path: Path) -> None:
    people, rows = 50, 5000
    ledger = open_ledger(tmp_path / "many.db")
    keep_order(ledger, WorkRules())
    many(ledger, rows)
    start = threading.Barrier(people)
    taken: dict[int, str] = {}
    waits: list[float] = []

    def work(who: str) -> None:
        start.wait()
        for _ in range(4):
            begun = time.perf_counter()
            item = take_next(ledger, who)
            waits.append(time.perf_counter() - begun)
            assert item is not None
            assert taken.setdefault(item.id, who) == who

    threads = [threading.Thread(target=work, args=(f"user {n}",)) for n in range(people)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ledger.close()
    assert len(taken) == len(waits) == 4 * people


def many(ledger: Ledger, number: int) -> None:
    """Items as they would be opened, written at once."""
    row = {
        "kind": "gap",
        "reason": "no_row",
        "text": "no row",
        "status": "open",
        "care": "outpatient",
        "specialty": "",
        "charts": 1,
        "amount": "10",
        "currency": "USD",
        "is_emergency": False,
        "is_escalated": False,
        "not_for": "",
        "opened_at": NOON,
        "assigned_to": "",
        "taken_by": "",
    }
    rows = [
        row
        | {
            "id": n,
            "solved_by": f"gap:{n}",
            "payer": f"payer {n % 7}",
            "due_at": datetime(2026, 11, 3, tzinfo=UTC) + timedelta(minutes=n * 37 % number),
        }
        for n in range(1, number + 1)
    ]
    with ledger.writing() as connection:
        connection.execute(insert(work_groups), rows)


@pytest.mark.parametrize("queue", [Queue(), Queue(payer="payer 3"), Queue(care="outpatient", kind="gap")])
def test_a_list_is_read_in_the_order_of_an_index(tmp_path: Path, queue: Queue) -> None:
    from fhir_coder.worklist.listing import conditions_of

    ledger = open_ledger(tmp_path / "plan.db")
    many(ledger, 300)
    query = select(work_groups).where(*conditions_of(queue)).order_by(work_groups.c.due_at, work_groups.c.id).limit(50)
    text = str(query.compile(compile_kwargs={"literal_binds": True}))
    with ledger.reading() as connection:
        plan = " ".join(row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}"))
    ledger.close()

    assert "USING INDEX work_groups_by_" in plan
    assert "TEMP B-TREE" not in plan
