from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_coder.model import CodingContext
from fhir_coder.terminology.conditions import AgeRange, Conditions, ages_overlap, covers, overlap, parse_age

BORN = date(2000, 2, 29)


@pytest.mark.parametrize(
    ("text", "day", "holds"),
    [
        ("<29d", BORN + timedelta(days=28), True),
        ("<29d", BORN + timedelta(days=29), False),
        ("<1y", date(2001, 2, 28), True),
        ("<1y", date(2001, 3, 1), False),
        (">=65y", date(2065, 2, 28), False),
        (">=65y", date(2065, 3, 1), True),
        (">17y", date(2017, 12, 31), False),
        (">17y", date(2018, 3, 1), True),
        ("<=17y", date(2018, 2, 28), True),
        ("<=17y", date(2018, 3, 1), False),
        ("12y-17y", date(2012, 2, 28), False),
        ("12y-17y", date(2012, 2, 29), True),
        ("12y-17y", date(2018, 2, 28), True),
        ("12y-17y", date(2018, 3, 1), False),
        ("29d-11m", date(2000, 3, 28), False),
        ("29d-11m", date(2000, 3, 29), True),
        ("29d-11m", date(2001, 2, 28), True),
        ("29d-11m", date(2001, 3, 1), False),
        (">=0d", BORN, True),
    ],
)
def test_an_age_is_the_completed_age_on_the_service_date(text: str, day: date, holds: bool) -> None:
    context = CodingContext(service_date=day, birth_date=BORN)

    assert Conditions(age=parse_age(text)).decide(context) is holds


@pytest.mark.parametrize(
    "text", ["", "29", "29d", "<29", "<0y", "17y-12y", "1y-30d", "<1w", "12-17y", ">= 65 y", "<-1d"]
)
def test_an_age_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"age|nobody"):
        parse_age(text)


ASKING = {
    "sex": Conditions(sex="female"),
    "age": Conditions(age=parse_age("<1y")),
    "encounter class": Conditions(encounter_classes=frozenset({"IMP", "ACUTE"})),
    "payer": Conditions(payer="acme"),
    "service date": Conditions(valid_from=date(2024, 1, 1), dated=True),
    "care setting": Conditions(care_settings=frozenset({"11", "22"})),
    "feed": Conditions(feed="clinic"),
    "laterality": Conditions(laterality="left"),
    "use of the diagnosis": Conditions(use="principal"),
    "other codes of the chart": Conditions(recorded=frozenset({"http://snomed.info/sct|214264003"})),
}


@pytest.mark.parametrize(("name", "conditions"), ASKING.items(), ids=list(ASKING))
def test_a_condition_on_an_absent_datum_is_unknown_and_names_it(name: str, conditions: Conditions) -> None:
    assert conditions.decide(CodingContext()) is None
    assert conditions.missing(CodingContext()) == (name,)
    assert conditions.asked() == (name,)


@pytest.mark.parametrize("sex", ["", "unknown", "other"])
def test_a_sex_that_is_neither_male_nor_female_leaves_a_row_undecided(sex: str) -> None:
    assert Conditions(sex="female").decide(CodingContext(sex=sex)) is None


def test_a_condition_that_is_not_met_outweighs_one_that_is_unknown() -> None:
    conditions = Conditions(sex="female", payer="acme")

    assert conditions.decide(CodingContext(sex="male")) is False


def test_all_conditions_must_be_met() -> None:
    conditions = Conditions(sex="female", encounter_classes=frozenset({"AMB", "EMER"}), payer="acme")

    assert conditions.decide(CodingContext(sex="female", encounter_class="EMER", payer="acme")) is True
    assert conditions.decide(CodingContext(sex="female", encounter_class="IMP", payer="acme")) is False


@pytest.mark.parametrize(
    ("day", "fits"),
    [(date(2023, 12, 31), False), (date(2024, 1, 1), True), (date(2024, 6, 30), True), (date(2024, 7, 1), False)],
)
def test_both_dates_are_inclusive(day: date, fits: bool) -> None:
    conditions = Conditions(valid_from=date(2024, 1, 1), valid_to=date(2024, 6, 30), dated=True)

    assert conditions.decide(CodingContext(service_date=day)) is fits


def test_the_period_of_the_table_does_not_leave_its_rows_undecided_without_a_service_date() -> None:
    conditions = Conditions(valid_from=date(2024, 1, 1))

    assert conditions.decide(CodingContext()) is True
    assert conditions.decide(CodingContext(service_date=date(2023, 1, 1))) is False


def test_a_birth_after_the_service_is_no_age() -> None:
    context = CodingContext(service_date=date(2024, 1, 1), birth_date=date(2024, 1, 2))

    assert ASKING["age"].decide(context) is None
    assert ASKING["age"].missing(context) == ("age",)


def test_no_conditions_fit_everyone() -> None:
    assert Conditions().is_empty
    assert Conditions().decide(CodingContext()) is True


@pytest.mark.parametrize(
    ("one", "other", "may_both"),
    [
        ("<29d", ">=29d", False),
        ("<29d", ">=1y", False),
        ("<29d", "<1y", True),
        ("<1y", ">=12m", False),
        ("12y-17y", ">=18y", False),
        ("12y-17y", ">=17y", True),
        ("<29d", ">=1m", True),  # a child born on 1 February is 28 days and a month old on 1 March
    ],
)
def test_ages_overlap_where_someone_can_be_of_both(one: str, other: str, may_both: bool) -> None:
    assert ages_overlap(parse_age(one), parse_age(other)) is may_both
    assert ages_overlap(parse_age(other), parse_age(one)) is may_both


AGES = st.sampled_from(
    [None, *map(parse_age, ["<29d", "29d-11m", "<1y", ">=1y", "12y-17y", ">=18y", ">=65y", "<=64y"])]
)
DAYS = st.none() | st.dates(date(2023, 1, 1), date(2025, 12, 31))
CONDITIONS = st.builds(
    Conditions,
    sex=st.sampled_from(["", "male", "female"]),
    age=AGES,
    encounter_classes=st.frozensets(st.sampled_from(["AMB", "EMER", "IMP"])),
    payer=st.sampled_from(["", "acme", "beta"]),
    valid_from=DAYS,
    valid_to=DAYS,
)
CONTEXTS = st.builds(
    CodingContext,
    service_date=DAYS,
    sex=st.sampled_from(["", "male", "female", "other"]),
    birth_date=st.none() | st.dates(date(1950, 1, 1), date(2025, 12, 31)),
    encounter_class=st.sampled_from(["", "AMB", "EMER", "IMP"]),
    payer=st.sampled_from(["", "acme", "beta"]),
)


@given(CONDITIONS, CONDITIONS, CONTEXTS)
def test_conditions_that_one_visit_meets_together_overlap(
    one: Conditions, other: Conditions, at: CodingContext
) -> None:
    if at.service_date and one.decide(at) and other.decide(at):
        assert overlap(one, other)
        assert overlap(other, one)


@given(CONDITIONS, CONDITIONS, CONTEXTS)
def test_what_is_covered_never_fits_alone(wide: Conditions, narrow: Conditions, at: CodingContext) -> None:
    if at.service_date and covers(wide, narrow) and narrow.decide(at):
        assert wide.decide(at)


@given(CONDITIONS, CONTEXTS)
def test_a_datum_is_missing_exactly_where_a_row_is_undecided_or_refused(one: Conditions, at: CodingContext) -> None:
    if one.decide(at) is None:
        assert one.missing(at)
    if one.decide(at) is True:
        assert not one.missing(at)


def test_an_open_age_range_holds_for_everyone() -> None:
    assert AgeRange().holds(BORN, date(2024, 1, 1))
