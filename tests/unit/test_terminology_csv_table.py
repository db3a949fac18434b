from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from fhir_coder.errors import TableError
from fhir_coder.model import Coding, Kind, System
from fhir_coder.terminology.csv_table import NOT_UTF8, load_table
from fhir_coder.terminology.rows import COLUMNS
from fhir_coder.terminology.table import MappingTable

HEADER = """id = "dx"
title = "Diagnoses"
kind = "diagnosis"
source_system = "sct"
target_system = "icd10cm"
version = "2026"
licence = "CC0-1.0"
"""
ALL = ",".join(COLUMNS[:13])

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(rows: str | bytes, header: str | None = HEADER, columns: str = ALL) -> Path:
        path = tmp_path / "dx.csv"
        path.write_bytes(rows if isinstance(rows, bytes) else f"{columns}\n{rows}".encode())
        if header is not None:
            path.with_suffix(".toml").write_text(header, encoding="utf-8")
        return path

    return written


def faults_of(path: Path) -> list[tuple[str, int, str, str]]:
    with pytest.raises(TableError) as caught:
        load_table(path)
    return [(Path(f.file).name, f.line, f.where, f.text) for f in caught.value.faults]


def where_of(path: Path) -> list[tuple[int, str]]:
    return [(line, where) for _, line, where, _ in faults_of(path)]


def test_a_table_is_loaded_with_its_rows_by_code_in_the_order_they_are_asked(write: Write) -> None:
    table = load_table(
        write(
            "38341003,Hypertension,,I10,,,,,2,,,,\n38341003,Neonatal,icd10cm,P29.2,,<29d,,,1,2020-01-01,2030-12-31,,n\n"
        )
    )

    assert (table.id, table.kind, table.source_system, table.label, len(table)) == (
        "dx",
        Kind.DIAGNOSIS,
        System.SNOMED,
        "Diagnoses (2026)",
        2,
    )
    first, second = table.rows["38341003"]
    assert (first.line, first.priority, first.note) == (3, 1, "n")
    assert (first.conditions.valid_from, first.conditions.valid_to) == (date(2020, 1, 1), date(2030, 12, 31))
    assert second.target == Coding(System.ICD10CM, "I10", "Hypertension")
    assert second.conditions.is_empty


def test_the_version_is_the_id_and_a_hash_of_both_files(write: Write) -> None:
    def version(rows: str, header: str) -> str:
        return load_table(write(rows, header)).version

    first = version("1,,,I10,,,,,,,,,\n", HEADER)

    assert first.startswith("dx@")
    assert len(first) == len("dx@") + 8
    assert version("1,,,I10,,,,,,,,,\n", HEADER) == first
    assert version("1,,,I11.9,,,,,,,,,\n", HEADER) != first
    assert version("1,,,I10,,,,,,,,,\n", HEADER + 'note = "x"\n') != first


def test_a_site_table_may_leave_out_columns_and_order_them_freely(write: Write) -> None:
    table = load_table(write("I10,A1\n", columns="target_code,source_code"))

    assert table.rows["A1"][0].priority == 1
    assert table.rows["A1"][0].target == Coding(System.ICD10CM, "I10")


def test_a_row_without_dates_counts_for_the_period_of_its_table(write: Write) -> None:
    table = load_table(write("1,,,I10,,,,,,,,,\n", HEADER + 'valid_from = 2024-01-01\nvalid_to = "2024-12-31"\n'))

    conditions = table.rows["1"][0].conditions
    assert (conditions.valid_from, conditions.valid_to, conditions.dated) == (
        date(2024, 1, 1),
        date(2024, 12, 31),
        False,
    )


def test_a_file_from_a_spreadsheet_is_read_with_its_byte_order_mark_and_line_ends(write: Write) -> None:
    table = load_table(write(f"\ufeff{ALL}\r\n1,x,,I10,,,,,,,,,\r\n\r\n2,y,,I10,,,,,,,,,\r\n".encode()))

    assert table.rows["2"][0].line == 4


def test_all_faults_of_both_files_are_listed_at_once(write: Write) -> None:
    rows = (
        ",x,,I10,,,,,,,,,\n"
        "1,x,,,,,,,,,,,\n"
        "2,x,klingon,I10,,,,,,,,,\n"
        "3,x,,I10,girl,,,,,,,,\n"
        "4,x,,I10,,old,,,,,,,\n"
        "5,x,,I10,,,,,0,,,,\n"
        "6,x,,I10,,,,,,2024-02-30,20240101,,\n"
        "7,x,,I10,,,,,,2024-02-02,2024-02-01,,\n"
        "8,x,,I10,,,,,,,,9.00,\n"
        "9,x,,I10\n"
        "10,x,hcpcs,G0463,,,,,,,,,\n"
    )
    header = HEADER.replace('version = "2026"\n', "") + 'colour = "red"\nvalid_from = "soon"\n'

    assert faults_of(write(rows, header)) == [
        ("dx.toml", 7, "colour", "unknown key"),
        ("dx.toml", 0, "version", "missing"),
        ("dx.toml", 8, "valid_from", "not a date: write it as 2026-01-31"),
        ("dx.csv", 2, "source_code", "empty"),
        ("dx.csv", 3, "target_code", "empty: write the code, not-billable or needs-detail"),
        (
            "dx.csv",
            4,
            "target_system",
            "unknown target system: write one of sct, icd10cm, icd10pcs, icd9cm, hcpcs, cpt, cdt, loinc, cvx, ndc, "
            "rxnorm, actcode, revenue, local, or its URI",
        ),
        ("dx.csv", 5, "sex", "unknown sex: write one of female, male, or nothing"),
        ("dx.csv", 6, "age", "not an age: write <29d, <=17y, >=65y, >18y or 12y-17y with d, m or y"),
        ("dx.csv", 7, "priority", "not a positive whole number"),
        ("dx.csv", 8, "valid_from", "no such day in the calendar"),
        ("dx.csv", 8, "valid_to", "not a date: write it as 2026-01-31"),
        ("dx.csv", 9, "valid_to", "valid_to is before valid_from"),
        ("dx.csv", 10, "unit_price", "only charge and fee tables have prices"),
        ("dx.csv", 11, "", "4 cells where the first line names 13 columns"),
        ("dx.csv", 12, "target_system", "not among the target systems of the header file"),
    ]


@pytest.mark.parametrize(
    ("columns", "where"),
    [
        ("source_code,target", [(1, "target"), (1, "target_code")]),
        ("display,target_code", [(1, "source_code")]),
        ("source_code,target_code,target_code", [(1, "target_code")]),
    ],
)
def test_wrong_columns_are_faults(write: Write, columns: str, where: list[tuple[int, str]]) -> None:
    assert where_of(write("", columns=columns)) == where


@pytest.mark.parametrize(
    ("rows", "line", "text"),
    [
        (b"", 0, "empty: the first line names the columns"),
        (f"{ALL}\n1,x,,I10,,,,,,,,,\n2,caf\xe9,,I10,,,,,,,,,\n".encode("latin-1"), 3, NOT_UTF8),
        (f'{ALL}\n1,"x"y,,I10,,,,,,,,,\n'.encode(), 2, "not CSV: ',' expected after '\"'"),
    ],
)
def test_a_file_that_is_no_csv_is_one_fault(write: Write, rows: bytes, line: int, text: str) -> None:
    assert faults_of(write(rows)) == [("dx.csv", line, "", text)]


def test_a_missing_header_file_is_a_fault_beside_those_of_the_rows(write: Write) -> None:
    assert where_of(write("1,,,I10,,old,,,,,,,\n", header=None)) == [(0, ""), (2, "age")]


def test_a_header_that_is_no_toml_is_a_fault_at_its_line(write: Write) -> None:
    faults = faults_of(write("1,,,I10,,,,,,,,,\n", 'id = "dx"\ntitle = \n'))

    assert faults == [("dx.toml", 2, "", "not TOML: Invalid value")]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("id", '"a b"'),
        ("kind", '"guess"'),
        ("source_system", '"klingon"'),
        ("target_system", '["icd10cm", "klingon"]'),
        ("target_system", '["icd10cm", 7]'),
        ("title", "7"),
        ("title", '""'),
    ],
)
def test_a_wrong_header_value_is_a_fault_at_its_key(write: Write, key: str, value: str) -> None:
    lines = [f"{key} = {value}" if line.startswith(f"{key} ") else line for line in HEADER.splitlines()]
    rows = "1,,icd10cm,I10,,,,,,,,,\n"

    assert ("dx.toml", key) in [(file, where) for file, _, where, _ in faults_of(write(rows, "\n".join(lines)))]


def test_a_header_whose_period_ends_before_it_begins_is_a_fault(write: Write) -> None:
    header = HEADER + 'valid_from = "2025-01-01"\nvalid_to = "2024-01-01"\n'

    assert (9, "valid_to") in where_of(write("", header))


def test_a_table_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    assert [text for *_, text in faults_of(tmp_path / "dx.csv")] == [
        "missing: every table has a header file beside it",
        "cannot be read",
    ]


def test_a_row_that_repeats_another_is_a_fault_at_the_later_line(write: Write) -> None:
    rows = "1,x,,I10,male,,AMB IMP,,,,,,\n1,y,,I10,male,,IMP AMB,,1,,,,\n"

    assert where_of(write(rows)) == [(3, "source_code")]


@pytest.mark.parametrize(
    ("one", "other", "is_fault"),
    [
        (",,,,1,,", ",<29d,,,1,,", True),
        ("male,,,,1,,", "female,,,,1,,", False),
        (",<29d,,,1,,", ",>=29d,,,1,,", False),
        (",,AMB IMP,,1,,", ",,IMP,,1,,", True),
        (",,AMB,,1,,", ",,IMP,,1,,", False),
        (",,,acme,1,,", ",,,beta,1,,", False),
        (",,,acme,1,,", ",,IMP,,1,,", True),
        (",,,,1,,2024-06-30", ",,,,1,2024-07-01,", False),
        (",,,,1,,2024-06-30", ",,,,1,2024-06-30,", True),
        (",,,,1,,", ",<29d,,,2,,", False),
    ],
)
def test_rows_that_fit_equally_well_are_a_fault(write: Write, one: str, other: str, is_fault: bool) -> None:
    path = write(f"1,x,,I10,{one},,\n1,x,,I15.9,{other},,\n")

    if is_fault:
        assert where_of(path) == [(3, "priority")]
    else:
        assert len(load_table(path)) == 2


def test_rows_that_fit_equally_well_may_agree(write: Write) -> None:
    assert len(load_table(write("1,x,,I10,male,,,,,,,,\n1,x,,I10,,,IMP,,,,,,\n"))) == 2


def test_not_billable_and_needs_detail_are_answers_without_a_code(write: Write) -> None:
    table = load_table(write("1,x,,not-billable,,,,,,,,,\n2,x,,needs-detail,,,,,,,,,which side\n"))

    assert (table.rows["1"][0].target, table.rows["1"][0].needs_detail) == (None, False)
    assert (table.rows["2"][0].target, table.rows["2"][0].needs_detail) == (None, True)


def test_several_target_systems_need_a_system_in_every_row_with_a_code(write: Write) -> None:
    header = HEADER.replace('"icd10cm"', '["icd10cm", "hcpcs"]')

    assert where_of(write("1,,,I10,,,,,,,,,\n2,,,not-billable,,,,,,,,,\n3,,hcpcs,G0463,,,,,,,,,\n", header)) == [
        (2, "target_system")
    ]


CHARGES = HEADER.replace('"diagnosis"', '"charge"').replace('"sct"', '"local"').replace('"icd10cm"', '"hcpcs"')
FEES = HEADER.replace('"diagnosis"', '"fee"').replace('"sct"', '"hcpcs"').replace('target_system = "icd10cm"\n', "")
CONCEPTS = HEADER.replace('"diagnosis"', '"concept"').replace('"sct"', '"v2-0001"').replace('"icd10cm"', '"gender"')


def test_a_charge_row_carries_its_price(write: Write) -> None:
    table: MappingTable = load_table(write("RAD-CXR1,x,,G0463,,,,,,,,120.50,\nRAD-2,x,,G0463,,,,,,,,,\n", CHARGES))

    assert table.rows["RAD-CXR1"][0].unit_price == Decimal("120.50")
    assert table.rows["RAD-2"][0].unit_price is None


@pytest.mark.parametrize("price", ["-1.00", "$5", "1e3", "NaN", "1,50", "12.34567"])
def test_a_price_that_is_none_is_a_fault(write: Write, price: str) -> None:
    assert where_of(write(f'RAD-CXR1,x,,G0463,,,,,,,,"{price}",\n', CHARGES)) == [(2, "unit_price")]


def test_a_price_for_nothing_is_a_fault(write: Write) -> None:
    assert where_of(write("RAD-CXR1,x,,not-billable,,,,,,,,1.00,\n", CHARGES)) == [(2, "unit_price")]


def test_a_fee_table_prices_its_source_codes(write: Write) -> None:
    table = load_table(write("G0463,120.00\n", FEES, "source_code,unit_price"))

    assert table.rows["G0463"][0].target == Coding(System.HCPCS, "G0463")
    assert table.rows["G0463"][0].unit_price == Decimal("120.00")


def test_a_fee_row_without_a_price_or_with_a_target_is_a_fault(write: Write) -> None:
    rows = "G0463,,\nJ1885,G0463,1.00\n"

    assert where_of(write(rows, FEES, "source_code,target_code,unit_price")) == [(2, "unit_price"), (3, "target_code")]


def test_a_concept_table_may_translate_any_vocabulary(write: Write) -> None:
    table = load_table(write("F,female\nU,not-billable\n", CONCEPTS, "source_code,target_code"))

    assert table.source_system == "v2-0001"
    assert table.rows["F"][0].target == Coding("gender", "female")
    assert table.rows["U"][0].target == Coding("gender", "not-billable")


def test_a_concept_table_takes_no_conditions(write: Write) -> None:
    rows = "F,female,male,1\nM,male,,2\n"

    assert where_of(write(rows, CONCEPTS, "source_code,target_code,sex,priority")) == [(2, "sex"), (3, "priority")]


def test_systems_may_be_named_by_their_uri(write: Write) -> None:
    header = HEADER.replace('"sct"', f'"{System.SNOMED}"').replace('"icd10cm"', f'["{System.ICD10CM}", "hcpcs"]')

    table = load_table(write(f"1,,{System.ICD10CM},I10,,,,,,,,,\n", header))

    assert (table.source_system, table.header.target_systems) == (System.SNOMED, (System.ICD10CM, System.HCPCS))
    assert table.rows["1"][0].target == Coding(System.ICD10CM, "I10")
