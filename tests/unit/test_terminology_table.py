from __future__ import annotations

import random
from dataclasses import replace
from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from fhir_coder.model import Choice, Coding, CodingContext, Concept, Gap, Kind, Origin, System
from fhir_coder.terminology.conditions import Conditions, parse_age
from fhir_coder.terminology.table import (
    NOTHING_MORE,
    Header,
    MappingTable,
    Row,
    Undecided,
    first_fit,
    fitting_rows,
    grouped,
    layer_plan,
)
from fhir_coder.terminology.tables import Tables

CODES = ("I10", "I15.9", "P29.2")


def row(priority: int, code: str, conditions: Conditions, line: int = 2, source: str = "1") -> Row:
    target = Coding(System.ICD10CM, code)
    return Row("dx", "dx@0", line, source, "", target, False, conditions, priority, None, "")


CONDITIONS = st.builds(
    Conditions,
    sex=st.sampled_from(["", "male", "female"]),
    age=st.sampled_from([None, parse_age("<29d"), parse_age(">=18y")]),
    encounter_classes=st.frozensets(st.sampled_from(["AMB", "IMP"])),
    valid_from=st.none() | st.just(date(2024, 1, 1)),
    dated=st.booleans(),
    recorded=st.frozensets(st.sampled_from(["sct|1", "sct|2"])),
)
ROWS = st.lists(st.builds(row, st.integers(1, 12), st.sampled_from(CODES), CONDITIONS), max_size=6)
CONTEXTS = st.builds(
    CodingContext,
    service_date=st.none() | st.dates(date(2023, 6, 1), date(2024, 6, 1)),
    sex=st.sampled_from(["", "male", "female"]),
    birth_date=st.none() | st.dates(date(1990, 1, 1), date(2024, 6, 1)),
    encounter_class=st.sampled_from(["", "AMB", "IMP"]),
    codes=st.none() | st.frozensets(st.sampled_from(["sct|1", "sct|2"])),
)


KNOWN = ("service_date", "sex", "birth_date", "encounter_class", "codes")


def told(found: Row | Undecided) -> object:
    return found.answer if isinstance(found, Row) else (found.reason, set(found.missing))


@given(ROWS, CONTEXTS)
def test_the_first_row_that_is_not_false_by_integer_priority_decides(rows: list[Row], context: CodingContext) -> None:
    found = first_fit(grouped(rows), context)
    open_rows = [row for row in rows if row.conditions.decide(context) is not False]
    if not open_rows:
        assert isinstance(found, Undecided)
        assert found.reason == "no_row_fits"
        return
    first = min(row.priority for row in open_rows)
    asked = [row for row in open_rows if row.priority == first]
    answers = {row.answer for row in asked}
    all_fit = all(row.conditions.decide(context) for row in asked)
    if len(answers) == 1 and any(row.conditions.decide(context) for row in asked):
        assert isinstance(found, Row)
        assert found.answer in answers
    elif all_fit:
        assert isinstance(found, Undecided)
        assert found.reason == "ambiguous"
    else:
        assert isinstance(found, Undecided)
        assert found.reason in {"ambiguous", "unknown_context"}


@given(st.lists(ROWS, min_size=1, max_size=3), CONTEXTS, st.sets(st.sampled_from(KNOWN)))
def test_more_knowledge_never_turns_a_decided_code_into_another(
    groups: list[list[Row]], known: CodingContext, hidden: set[str]
) -> None:
    blank = CodingContext()
    less = replace(known, **{name: getattr(blank, name) for name in hidden})
    rows = [replace(row, group=number) for number, of_group in enumerate(groups, start=1) for row in of_group]
    plan = (layer_plan(rows),)
    before, after = fitting_rows(plan, less), fitting_rows(plan, known)

    if not isinstance(before, Undecided):
        assert not isinstance(after, Undecided)
        assert [row.answer for row in after] == [row.answer for row in before]


def test_priorities_are_numbers_not_texts() -> None:
    rows = [row(10, "I10", Conditions()), row(9, "I15.9", Conditions())]

    assert told(first_fit(grouped(rows), CodingContext())) == (System.ICD10CM, "I15.9", False, None, NOTHING_MORE)


@given(ROWS, CONTEXTS, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(rows: list[Row], context: CodingContext, chance: random.Random) -> None:
    shuffled = list(rows)
    chance.shuffle(shuffled)

    assert told(first_fit(grouped(shuffled), context)) == told(first_fit(grouped(rows), context))


@given(ROWS, CONTEXTS, st.integers(1, 12), CONDITIONS)
def test_a_row_of_another_code_changes_nothing(
    rows: list[Row], context: CodingContext, priority: int, conditions: Conditions
) -> None:
    unrelated = row(priority, "A00.0", conditions, 99, source="2")

    assert answered(tables_of([*rows, unrelated]), context) == answered(tables_of(rows), context)


def tables_of(rows: list[Row]) -> Tables:
    header = Header("dx", "dx", Kind.DIAGNOSIS, System.SNOMED, (System.ICD10CM,), "1")
    by_code = {row.source_code: tuple(r for r in rows if r.source_code == row.source_code) for row in rows}
    return Tables([[MappingTable(header, "dx.csv", "", "dx@0", by_code)]])


def answered(tables: Tables, context: CodingContext) -> Choice | Gap:
    concept = Concept((Coding(System.SNOMED, "1"),))
    return tables.choose(Kind.DIAGNOSIS, concept, context, Origin("m", "p"), "c")


@given(ROWS, CONTEXTS)
def test_a_choice_is_never_made_from_a_row_that_does_not_surely_fit(rows: list[Row], context: CodingContext) -> None:
    found = first_fit(grouped(rows), context)

    if isinstance(found, Row):
        assert found.conditions.decide(context) is True
