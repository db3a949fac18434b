"""The NCCI files of CMS are read as they come: whole, or not at all. All rows here are made up."""

from __future__ import annotations

import zipfile
from datetime import date
from pathlib import Path

import pytest

from fhir_coder.errors import FhirCoderError, TableError
from fhir_coder.terminology.codesets.ncci import Ncci, find_ncci
from fhir_coder.terminology.codesets.ncci_import import ImportedNcci, NcciSource, import_ncci

HEAD = (
    "Made-up notice in two lines,\nall rights of nobody.\nColumn 1\tColumn 2\t*\tEffective\tDeletion\tModifier\tWhy\n"
)
UNITS_HEAD = '"Notice\nin two lines",,,\nHCPCS/CPT Code,MUE Values,MUE Adjudication Indicator,MUE Rationale\n'
DAY = date(2026, 2, 3)


def brought(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_bytes(text.encode("latin-1"))
    return file


def imported(folder: Path, name: str, text: str, kind: str = "ncci-ptp") -> ImportedNcci:
    return import_ncci(kind, NcciSource(brought(folder, name, text)), folder / "codesets")


def at_hand(folder: Path) -> Ncci:
    return find_ncci([folder / "codesets"])


def test_a_pair_is_in_force_from_its_first_day_to_its_last(tmp_path: Path) -> None:
    made = imported(tmp_path, "ccipra-v320r0-f1.txt", f"{HEAD}Q9901\tQ9902\t*\t20260102\t20260630\t1\twhy\r\n")
    ncci = at_hand(tmp_path)

    found = [ncci.pair("practitioner", "Q9901", "Q9902", date(2026, *day)) for day in ((1, 1), (1, 2), (6, 30), (7, 1))]
    ncci.close()

    assert (made.rows, made.quarter, made.file.name) == (1, "2026 Q1", "ptp-practitioner-2026q1-f1.sqlite")
    assert [pair and (pair.modifier, pair.quarter) for pair in found] == [None, (1, "2026 Q1"), (1, "2026 Q1"), None]


def test_a_pair_that_ended_and_began_again_has_both_periods(tmp_path: Path) -> None:
    rows = "Q9901\tQ9902\t\t20200101\t20201231\t0\twhy\nQ9901\tQ9902\t\t20260101\t*\t1\twhy\n"
    imported(tmp_path, "ccioph-v320r0-f1.txt", HEAD + rows)
    ncci = at_hand(tmp_path)

    found = [ncci.pair("outpatient", "Q9901", "Q9902", on) for on in (date(2020, 5, 5), date(2024, 1, 1), DAY)]
    ncci.close()

    assert [pair and pair.modifier for pair in found] == [0, None, 1]


def test_rows_that_never_were_in_force_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = "Q9901\tQ9902\t\t20260101\t20260101\t9\twhy\nQ9901\tQ9903\t\t20260101\t20260101\t1\twhy\n"
    made = imported(tmp_path, "ccipra-v320r0-f1.txt", f"{HEAD}{rows}Q9901\tQ9904\t\t20260101\t*\t1\twhy\n")

    assert (made.rows, made.unused) == (1, 2)


def test_the_newest_quarter_of_each_part_counts(tmp_path: Path) -> None:
    imported(tmp_path, "ccipra-v320r0-f1.txt", f"{HEAD}Q9901\tQ9902\t\t20200101\t*\t0\twhy\n")
    imported(tmp_path, "ccipra-v320r0-f2.txt", f"{HEAD}Q9911\tQ9912\t\t20200101\t*\t0\twhy\n")
    imported(tmp_path, "ccipra-v321r0-f1.txt", f"{HEAD}Q9901\tQ9903\t\t20200101\t*\t0\twhy\n")
    ncci = at_hand(tmp_path)

    pairs = [
        ncci.pair("practitioner", *codes, DAY) for codes in (("Q9901", "Q9902"), ("Q9911", "Q9912"), ("Q9901", "Q9903"))
    ]
    ncci.close()

    assert [pair and pair.quarter for pair in pairs] == [None, "2026 Q1", "2026 Q2"]


def test_units_hold_from_their_quarter_to_the_next_that_is_there(tmp_path: Path) -> None:
    for name, units in (("2025", 2), ("2026", 5)):
        file = f"MCR_MUE_OutpatientHospitalServices_Eff_04-01-{name}.csv"
        imported(tmp_path, file, f"{UNITS_HEAD}Q9901,{units},3 Date of Service Edit: Clinical,why\n", "ncci-mue")
    ncci = at_hand(tmp_path)

    days = (date(2025, 3, 31), date(2025, 4, 1), date(2026, 3, 31), date(2026, 4, 1))
    found = [ncci.most_units("outpatient", "Q9901", day) for day in days]
    ncci.close()

    assert [most and (most.units, most.per, most.quarter) for most in found] == [
        None,
        (2, 3, "2025 Q2"),
        (2, 3, "2025 Q2"),
        (5, 3, "2026 Q2"),
    ]


def test_the_zip_of_cms_is_read_as_it_comes(tmp_path: Path) -> None:
    file = tmp_path / "practitioner-ptp-edits-ccipra-v322r0-f3.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("ccipra-v322r0-f3.TXT", f"{HEAD}Q9901\tQ9902\t\t20200101\t*\t0\twhy\n")
        archive.writestr("ccipra-v322r0-f3.xlsx", b"a spreadsheet")

    made = import_ncci("ncci-ptp", NcciSource(file), tmp_path / "codesets")

    assert made.file.name == "ptp-practitioner-2026q3-f3.sqlite"


def test_a_spreadsheet_is_refused_with_what_to_bring_instead(tmp_path: Path) -> None:
    sheet, named = tmp_path / "ccipra-v320r0-f1.xlsx", tmp_path / "other.xlsx"
    with zipfile.ZipFile(sheet, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    named.write_bytes(b"no zip at all")
    for file in (sheet, named):
        with pytest.raises(TableError, match="spreadsheets are not read: import the txt of the same zip"):
            import_ncci("ncci-ptp", NcciSource(file), tmp_path / "codesets")


def test_an_import_again_takes_the_place_of_the_first(tmp_path: Path) -> None:
    text = f"{HEAD}Q9901\tQ9902\t\t20200101\t*\t0\twhy\n"

    assert [imported(tmp_path, "ccipra-v320r0-f1.txt", text).replaced for _ in range(2)] == [False, True]


def test_what_the_name_does_not_say_can_be_said(tmp_path: Path) -> None:
    file = brought(tmp_path, "edits.txt", f"{HEAD}Q9901\tQ9902\t\t20200101\t*\t0\twhy\n")

    with pytest.raises(FhirCoderError, match="--setting"):
        import_ncci("ncci-ptp", NcciSource(file), tmp_path / "codesets")
    with pytest.raises(FhirCoderError, match="--covers-from"):
        import_ncci("ncci-ptp", NcciSource(file, "outpatient"), tmp_path / "codesets")
    made = import_ncci("ncci-ptp", NcciSource(file, "outpatient", date(2026, 7, 1)), tmp_path / "codesets")

    assert made.file.name == "ptp-outpatient-2026q3.sqlite"


@pytest.mark.parametrize(
    ("row", "line", "where"),
    [
        ("Q9901\tQ9902\n", 5, ""),
        ("Q9901\tQ99\t\t20200101\t*\t0\twhy\n", 5, "column 1 and 2"),
        ("Q9901\tQ9902\t\t2020-01-01\t*\t0\twhy\n", 5, "dates"),
        ("Q9901\tQ9902\t\t20200101\t*\t2\twhy\n", 5, "modifier"),
    ],
)
def test_a_fault_is_told_with_its_line_and_nothing_changes(tmp_path: Path, row: str, line: int, where: str) -> None:
    good = "Q9901\tQ9905\t\t20200101\t*\t0\twhy\n"

    with pytest.raises(TableError) as caught:
        imported(tmp_path, "ccipra-v320r0-f1.txt", HEAD + good + row)

    assert [(fault.line, fault.where) for fault in caught.value.faults] == [(line, where)]
    assert list((tmp_path / "codesets" / "ncci").iterdir()) == []


@pytest.mark.parametrize(
    ("row", "where"),
    [("Q9901,2,4 Other,why\n", "adjudication indicator"), ("Q9901,two,1 Line,why\n", "value"), ("Q9901,2\n", "")],
)
def test_a_fault_of_units_is_told_with_its_place(tmp_path: Path, row: str, where: str) -> None:
    file = "MCR_MUE_PractitionerServices_Eff_01-01-2026.csv"

    with pytest.raises(TableError) as caught:
        imported(tmp_path, file, f"{UNITS_HEAD}Q9902,1,1 Line Edit,why\n{row}", "ncci-mue")

    assert [fault.where for fault in caught.value.faults] == [where]


@pytest.mark.parametrize(("name", "text"), [("ccipra-v320r0-f1.txt", HEAD), ("ccipra-v320r0-f1.xlsx", "PK")])
def test_a_file_that_is_none_of_cms_is_refused(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(TableError):
        imported(tmp_path, name, text)


def test_a_zip_without_one_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ccipra-v320r0-f1.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("readme.pdf", "x")

    with pytest.raises(TableError, match="0 text files"):
        import_ncci("ncci-ptp", NcciSource(file), tmp_path / "codesets")
