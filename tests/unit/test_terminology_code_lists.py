"""Code lists that users bring: whole, checked, dated, in editions; nothing half-active."""

from __future__ import annotations

import zipfile
from datetime import date
from pathlib import Path

import pytest

from fhir_coder.errors import FhirCoderError, TableError
from fhir_coder.model import System, Validity
from fhir_coder.terminology.codesets import open_codesets
from fhir_coder.terminology.codesets.importing import Edition, import_codes
from fhir_coder.terminology.csv_table import NOT_UTF8

HEAD = "code,title,valid_from,valid_to\n"
Q1, Q2 = date(2026, 1, 1), date(2026, 4, 1)


def record(code: str, kind: str, title: str, short: str = "", added: str = "20200101", ended: str = "") -> str:
    """One line of the CMS file: codes stand in columns 1-5, modifiers in 4-5."""
    field = f"{code:<5}" if kind in "34" else f"{code:>5}"
    line = f"{field}00100{kind}{title:<80}{short:<28}"
    return f"{line:<268}{added:<8}{added:<8}{ended:<8}".ljust(320) + "\r\n"


WHOLE = (
    record("LT", "7", "Left side", "Left side")
    + record("G0463", "3", "Hospital outpatient clinic visit for", "Hospital outpt clinic visit")
    + record("G0463", "4", "assessment and management")
    + record("J9999", "3", "A drug", "Drug", ended="20260228")
)


def cms_file(folder: Path, text: str = WHOLE, name: str = "HCPC2026_JAN_ANWEB.txt") -> Path:
    (folder / name).write_bytes(text.encode("latin-1"))
    return folder / name


def csv_file(folder: Path, rows: str) -> Path:
    (folder / "mine.csv").write_text(HEAD + rows, encoding="utf-8")
    return folder / "mine.csv"


def faults_of(kind: str, file: Path, folder: Path) -> list[str]:
    with pytest.raises(TableError) as raised:
        import_codes(kind, file, folder, Edition("x", Q1))
    assert not list(folder.glob("*")), "nothing may be there after faults"
    return [f"{fault.line}: {fault.text}" for fault in raised.value.faults]


@pytest.mark.parametrize("is_zip", [False, True])
def test_the_cms_file_becomes_codes_and_modifiers_with_their_dates(tmp_path: Path, is_zip: bool) -> None:
    file = cms_file(tmp_path)
    if is_zip:
        with zipfile.ZipFile(tmp_path / "release.zip", "w") as archive:
            archive.write(file, file.name)
            archive.writestr("HCPC2026_recordlayout.txt", "layout")
        file = tmp_path / "release.zip"
    made = import_codes("hcpcs", file, tmp_path / "codesets", Edition())

    assert [(one.file.name, one.rows, one.replaced) for one in made] == [
        ("hcpcs_2026-01-01.csv", 2, False),
        ("hcpcs-modifiers_2026-01-01.csv", 1, False),
    ]
    with open_codesets(tmp_path / "codesets") as sets:
        assert sets.validity(System.HCPCS, "J9999", date(2026, 2, 28)) is Validity.VALID
        assert sets.validity(System.HCPCS, "J9999", date(2026, 3, 1)) is Validity.INVALID
        assert sets.modifier_validity("LT", Q1) is Validity.VALID
        assert sets.title(System.HCPCS, "G0463") == "Hospital outpt clinic visit"
        long_titles = sets.lists["hcpcs"].long_titles
        assert long_titles["G0463"] == "Hospital outpatient clinic visit for assessment and management"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("code,title\n", "1: not a record of a code or modifier"),
        (WHOLE + record("G04", "3", "x"), "5: not a HCPCS Level II code or modifier"),
        (WHOLE + record("G0463", "3", "x"), "5: repeats the code of line 2"),
        (WHOLE + record("G0001", "4", "x"), "5: continues a code that does not stand above it"),
        (WHOLE + record("G0001", "3", "x", added="20261301"), "5: not a date of the form 20260131"),
        (
            WHOLE + record("G0001", "3", "x", ended="20190101"),
            "5: the termination date is before the date it was added",
        ),
        (WHOLE + record("G0001", "3", "x")[:100], "5: the line is cut off: dates stand in columns 269-292"),
    ],
)
def test_a_faulty_cms_file_is_refused_with_its_line(tmp_path: Path, text: str, fault: str) -> None:
    assert fault in faults_of("hcpcs", cms_file(tmp_path, text), tmp_path / "codesets")


def test_a_truncated_zip_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "whole.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("HCPC2026_JAN.txt", WHOLE)
    (tmp_path / "cut.zip").write_bytes((tmp_path / "whole.zip").read_bytes()[:-40])

    assert faults_of("hcpcs", tmp_path / "cut.zip", tmp_path / "codesets") == ["0: not a whole zip file"]


def test_a_file_with_faults_all_over_tells_the_first_hundred(tmp_path: Path) -> None:
    told = faults_of("hcpcs", cms_file(tmp_path, "nothing of it\n" * 5000), tmp_path / "codesets")

    assert len(told) < 110


@pytest.mark.parametrize(
    ("kind", "rows", "fault"),
    [
        ("cpt", "123,Made up,,\n", "2: not of the form of CPT"),
        ("cpt", "9000A,a,2026-01-01,2026-03-31\n9000A,a,2026-03-31,\n", "3: stands twice for the same day"),
        ("cpt", "9000A,a,2026-02-30,\n", "2: no such day in the calendar"),
        ("cpt", "9000A,a,2026-02-01,2026-01-01\n", "2: valid_to is before valid_from"),
        ("cpt", "9000A,a\n", "2: not a code with its title and two dates"),
        ("cpt", "", "0: has no codes"),
        ("ndc", "12345-67,a,,\n", "2: not of the form of NDC"),
        ("revenue", "45,a,,\n", "2: not of the form of revenue codes"),
        ("bill-type", "13,a,,\n", "2: not of the form of types of bill"),
        ("place-of-service", "111,a,,\n", "2: not of the form of place of service"),
        ("taxonomy", "207Q00000,a,,\n", "2: not of the form of provider taxonomy"),
        ("cpt-modifiers", "LT,a,,\n", "2: not of the form of CPT modifiers"),
        ("cdt", "9000A,a,,\n", "2: not of the form of CDT"),
    ],
)
def test_a_faulty_list_of_the_user_is_refused_with_its_line(tmp_path: Path, kind: str, rows: str, fault: str) -> None:
    assert fault in faults_of(kind, csv_file(tmp_path, rows), tmp_path / "codesets")


def test_a_list_in_latin_1_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_bytes(HEAD.encode() + "9000A,é,,\n".encode("latin-1"))

    assert f"2: {NOT_UTF8}" in faults_of("cpt", tmp_path / "mine.csv", tmp_path / "codesets")


def test_a_list_needs_the_day_from_which_it_is_whole(tmp_path: Path) -> None:
    with pytest.raises(FhirCoderError, match="--covers-from"):
        import_codes("cpt", csv_file(tmp_path, "9000A,a,,\n"), tmp_path / "codesets", Edition())
    with pytest.raises(FhirCoderError, match="--covers-to"):
        import_codes("cpt", csv_file(tmp_path, "9000A,a,,\n"), tmp_path / "codesets", Edition("", Q2, Q1))


def test_a_day_outside_the_edition_is_not_judged(tmp_path: Path) -> None:
    edition = Edition("2026", Q1, date(2026, 12, 31))
    import_codes("cpt", csv_file(tmp_path, "9000A,a,,\n"), tmp_path, edition)
    (tmp_path / "mine.csv").unlink()

    with open_codesets(tmp_path) as sets:
        days = (date(2025, 12, 31), Q1, date(2027, 1, 1))
        assert [sets.validity(System.CPT, "9000B", day) for day in days] == [
            Validity.UNKNOWN,
            Validity.INVALID,
            Validity.UNKNOWN,
        ]
        assert sets.validity(System.CPT, "9000A", Q1) is Validity.VALID
        # Feeds send CPT codes under the system of HCPCS, of which CPT is Level I.
        assert sets.validity(System.HCPCS, "9000B", Q1) is Validity.INVALID
        assert sets.loaded(System.CPT) == "CPT (2026)"


def test_each_day_is_judged_by_the_edition_of_its_time(tmp_path: Path) -> None:
    shipped, site = tmp_path / "shipped", tmp_path / "site"
    import_codes("hcpcs", cms_file(tmp_path), shipped, Edition())
    april = record("G0463", "3", "Visit", "Visit") + record("Q9998", "3", "New drug", "New", added="20260401")
    import_codes("hcpcs", cms_file(tmp_path, april, "HCPC2026_APR.txt"), site, Edition())

    with open_codesets(site, shipped) as sets:
        assert sets.validity(System.HCPCS, "J9999", date(2026, 2, 1)) is Validity.VALID  # the April file has it no more
        assert sets.validity(System.HCPCS, "Q9998", date(2026, 3, 31)) is Validity.INVALID
        assert sets.validity(System.HCPCS, "Q9998", Q2) is Validity.VALID
        assert sets.title(System.HCPCS, "J9999") == "Drug"


def test_the_edition_of_the_site_goes_before_the_shipped_one_of_the_same_day(tmp_path: Path) -> None:
    import_codes("cpt", csv_file(tmp_path, "9000A,shipped,,\n"), tmp_path / "shipped", Edition("", Q1))
    import_codes("cpt", csv_file(tmp_path, "9000A,site,,\n"), tmp_path / "site", Edition("", Q1))
    [again] = import_codes("cpt", csv_file(tmp_path, "9000A,the site,,\n"), tmp_path / "site", Edition("", Q1))

    assert again.replaced
    with open_codesets(tmp_path / "site", tmp_path / "shipped") as sets:
        assert sets.title(System.CPT, "9000A") == "the site"


def test_modifiers_of_cpt_are_judged_once_their_list_is_there(tmp_path: Path) -> None:
    import_codes("cpt-modifiers", csv_file(tmp_path, "25,a,,\n"), tmp_path / "site", Edition("", Q1))

    with open_codesets(tmp_path / "site") as sets:
        assert sets.modifier_validity("25", Q1) is Validity.VALID
        assert sets.modifier_validity("26", Q1) is Validity.INVALID
        assert sets.modifier_validity("LT", Q1) is Validity.NOT_LOADED
