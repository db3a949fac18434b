from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_coder.terminology.check import check_tables, has_check_digit
from fhir_coder.terminology.codesets import CodeList, CodeSets

HEADER = """id = "{id}"
title = "x"
kind = "{kind}"
source_system = "{source}"
target_system = "{target}"
version = "1"
licence = "{licence}"
"""
COLUMNS = "source_code,display,target_code,sex,age,encounter_class,payer,priority,valid_from,valid_to,unit_price,note"
ON = date(2026, 11, 23)

Check = Callable[..., list[tuple[str, int, str, str]]]


@pytest.fixture
def codesets() -> Iterator[CodeSets]:
    periods = {"G0463": ((date(2014, 1, 1), None),), "J1885": ((date(1993, 1, 1), date(2025, 12, 31)),)}
    with CodeSets(CodeList("HCPCS", date(2026, 1, 1), {}, periods)) as opened:
        yield opened


@pytest.fixture
def check(tmp_path: Path, codesets: CodeSets) -> Check:
    def checked(
        rows: str, kind: str = "diagnosis", systems: str = "sct>icd10cm", licence: str = "CC0-1.0", more: str = ""
    ) -> list[tuple[str, int, str, str]]:
        source, target = systems.split(">")
        header = HEADER.format(id="t", kind=kind, source=source, target=target, licence=licence) + more
        (tmp_path / "t.csv").write_text(f"{COLUMNS}\n{rows}", encoding="utf-8")
        (tmp_path / "t.toml").write_text(header, encoding="utf-8")
        found = check_tables([tmp_path], codesets, ON)
        return [(Path(fault.file).name, fault.line, fault.where, fault.text) for fault in found]

    return checked


def test_a_sound_table_has_no_faults(check: Check) -> None:
    rows = "38341003,x,P29.2,,<29d,,,1,,,,\n38341003,x,I10,,,,,2,,,,\n84229001,x,needs-detail,,,,,,,,,Since when.\n"

    assert check(rows) == []


def test_faults_of_loading_are_listed_too(check: Check, tmp_path: Path) -> None:
    (tmp_path / "z.csv").write_text("", encoding="utf-8")

    assert [(file, line) for file, line, *_ in check("38341003,x,I1,,,,,,,,,\n")] == [
        ("z.toml", 0),
        ("z.csv", 0),
        ("t.csv", 2),
    ]


@pytest.mark.parametrize(
    ("cells", "days"),
    [
        ("U07.1,,,,,,,,,", ["from 2015-10-01 to 2020-01-01"]),
        ("U07.1,,,,,,2020-04-01,,,", []),
        ("U07.1,,,,,,2020-03-31,,,", ["on 2020-03-31"]),
        ("I1,,,,,,,,,", ["from 2015-10-01 to 2026-11-23"]),
        ("I1,,,,,,,2020-06-30,,", ["from 2015-10-01 to 2020-06-30"]),
        ("I10,,,,,,2015-09-30,,,", ["on 2015-09-30"]),
        ("I1,,,,,,2026-12-01,,,", ["on 2026-12-01"]),
    ],
)
def test_a_target_must_be_valid_on_every_day_its_row_counts(check: Check, cells: str, days: list[str]) -> None:
    assert check(f"38341003,x,{cells}\n") == [
        ("t.csv", 2, "target_code", f"not a valid ICD-10-CM code {day}") for day in days
    ]


def test_the_period_of_the_table_counts_for_rows_without_dates(check: Check) -> None:
    assert check("38341003,x,U07.1,,,,,,,,,\n", more='valid_from = "2020-04-01"\n') == []


def test_a_target_whose_code_has_ended_is_a_fault_unless_the_row_ends_with_it(check: Check) -> None:
    def checked(valid_to: str) -> list[int]:
        return [line for _, line, *_ in check(f"X,x,J1885,,,,,,,{valid_to},,\n", "charge", "local>hcpcs")]

    assert checked("") == [2]
    assert checked("2025-12-31") == []


@pytest.mark.parametrize(
    ("dates", "warned"),
    [
        ("2025-01-01,", True),
        ("2025-01-01,2026-06-30", True),
        ("2026-01-01,", False),  # it never was valid: no warning, a fault
    ],
)
def test_a_target_that_ends_while_its_row_goes_on_is_warned_of_with_its_last_day(
    tmp_path: Path, dates: str, warned: bool
) -> None:
    periods = {"J1885": ((date(1993, 1, 1), date(2025, 12, 31)),)}
    (tmp_path / "t.csv").write_text(f"source_code,target_code,valid_from,valid_to\nX,J1885,{dates}\n", encoding="utf-8")
    header = HEADER.format(id="t", kind="charge", source="local", target="hcpcs", licence="ours")
    (tmp_path / "t.toml").write_text(header, encoding="utf-8")
    with CodeSets(CodeList("HCPCS", date(2020, 1, 1), {}, periods)) as sets:
        found = check_tables([tmp_path], sets, ON)

    [fault] = found
    assert fault.is_warning is warned
    assert ("warning: ends on 2025-12-31, and the row goes on" in str(fault)) is warned


@pytest.mark.parametrize(
    ("first", "last", "warned"),
    [(date(1993, 1, 1), date(2025, 12, 31), True), (date(2021, 4, 1), date(2025, 12, 31), True), (None, None, False)],
)
def test_a_publishers_target_that_has_ended_is_warned_of_and_one_that_never_was_is_a_fault(
    tmp_path: Path, first: date | None, last: date | None, warned: bool
) -> None:
    periods = {"J1885": ((first, last),)} if first else {}
    (tmp_path / "t.csv").write_text("source_code,target_code\nX,J1885\n", encoding="utf-8")
    header = HEADER.format(id="t", kind="charge", source="local", target="hcpcs", licence="ours")
    (tmp_path / "t.toml").write_text(f'{header}layer = "base"\n', encoding="utf-8")
    with CodeSets(CodeList("HCPCS", date(2015, 1, 1), {}, periods)) as sets:
        [fault] = check_tables([tmp_path], sets, ON)

    assert fault.is_warning is warned
    assert ("ends on 2025-12-31" in fault.text) is warned


def test_a_row_for_a_payer_or_feed_that_is_misspelt_is_warned_of_with_the_names_near_it(tmp_path: Path) -> None:
    rows = "1,I10,lakeshor,\n2,I10,lakeshore,adt\n3,I10,none,\n4,I10,,adtt\n5,I10,qqq,\n"
    (tmp_path / "t.csv").write_text(f"source_code,target_code,payer,feed\n{rows}", encoding="utf-8")
    header = HEADER.format(id="t", kind="diagnosis", source="local", target="icd10cm", licence="ours")
    (tmp_path / "t.toml").write_text(header, encoding="utf-8")
    names = {"payer": ["lakeshore", "harbor", "none"], "feed": ["adt"]}
    with CodeSets() as sets:
        found = check_tables([tmp_path], sets, ON, names)
        without = check_tables([tmp_path], sets, ON)

    assert without == []
    assert all(fault.is_warning for fault in found)
    assert [(fault.line, fault.where, fault.text.partition(": ")[2]) for fault in found] == [
        (2, "payer", "did you mean lakeshore?"),
        (5, "feed", "did you mean adt?"),
        (6, "payer", "they are harbor, lakeshore, none"),
    ]


def test_a_fee_is_for_a_valid_code(check: Check) -> None:
    found = check("G0463,x,,,,,,,,,1.00,\nG9999,x,,,,,,,,,1.00,\n", "fee", "hcpcs>hcpcs")

    assert [(line, where) for _, line, where, _ in found] == [(3, "source_code")]


def test_a_code_of_a_system_that_is_not_loaded_is_no_fault(check: Check) -> None:
    assert check("X,x,LOCAL-1,,,,,,,,,\n", "charge", "local>cpt") == []


def test_an_icd10cm_target_is_written_with_its_dot(check: Check) -> None:
    assert check("38341003,x,E119,,,,,,,,,\n") == [
        ("t.csv", 2, "target_code", "an ICD-10-CM code is written with its dot")
    ]


def test_a_wrong_check_digit_is_a_fault(check: Check) -> None:
    found = check("38341004,x,I10,,,,,,,,,\n")

    assert [(line, where) for _, line, where, _ in found] == [(2, "source_code")]


def test_needs_detail_says_what_is_missing(check: Check) -> None:
    assert [where for _, _, where, _ in check("38341003,x,needs-detail,,,,,,,,,\n")] == ["note"]


def test_a_licence_is_named(check: Check) -> None:
    assert [(file, where) for file, _, where, _ in check("38341003,x,I10,,,,,,,,,\n", licence="")] == [
        ("t.toml", "licence")
    ]


@pytest.mark.parametrize(
    ("first", "second", "is_reached"),
    [
        (",,,,1,,", ",<29d,,,2,,", False),
        ("male,,,,1,,", ",,,,2,,", True),
        ("male,,,,1,,", "male,,IMP,,2,,", False),
        (",,AMB IMP,,1,,", ",,IMP,,2,,", False),
        (",,IMP,,1,,", ",,AMB IMP,,2,,", True),
        (",,,,1,,2020-12-31", ",,,,2,,", True),
        (",,,,1,2016-01-01,", ",,,,2,2017-01-01,2018-01-01", False),
    ],
)
def test_a_row_behind_one_that_always_fits_first_is_never_reached(
    check: Check, first: str, second: str, is_reached: bool
) -> None:
    found = check(f"38341003,x,I15.9,{second},,\n38341003,x,I10,{first},,\n")

    assert found == [] if is_reached else [("t.csv", 2, "priority", "never reached: line 3 fits before it")]


@pytest.mark.parametrize("code", ["38341003", "84229001", "214264003", "248152002", "73211009", "6011000124106"])
def test_real_snomed_identifiers_have_their_check_digit(code: str) -> None:
    assert has_check_digit(code)


@pytest.mark.parametrize("code", ["", "38341", "038341003", "3834100x", "٣٨٣٤١٠٠٣", "1" * 19])
def test_what_has_not_the_shape_of_an_identifier_has_no_check_digit(code: str) -> None:
    assert not has_check_digit(code)


@given(st.integers(0, 7), st.integers(1, 9))
def test_any_single_wrong_digit_is_found(place: int, more: int) -> None:
    digits = [int(digit) for digit in "38341003"]
    digits[place] = (digits[place] + more) % 10

    assert not has_check_digit("".join(map(str, digits)))


@given(st.integers(0, 6))
def test_two_neighbours_that_changed_places_are_found(place: int) -> None:
    digits = list("38341003")
    digits[place], digits[place + 1] = digits[place + 1], digits[place]

    assert digits == list("38341003") or not has_check_digit("".join(digits))
