"""The notes of ICD-10-CM that ship: what they name, and that they are those of the tabular list that is installed."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from fhir_coder.errors import Fault
from fhir_coder.terminology.codesets.instructions import Instructions, read_instructions
from fhir_coder.terminology.codesets.note_rows import note_rows
from fhir_coder.terminology.codesets.references import parse_reference, references_in
from fhir_coder.terminology.codesets.tabular import entries
from tests.edits.chart_cases import SHIPPED


@pytest.fixture(scope="module")
def notes() -> Instructions:
    faults: list[Fault] = []
    read = read_instructions([SHIPPED], faults)
    assert faults == []
    return read


@pytest.mark.parametrize(
    ("text", "named", "not_named"),
    [
        ("hypertension (I10)", ["I10"], ["I11", "I1"]),
        ("diabetes (E10.-)", ["E109", "E10"], ["E119"]),
        ("diabetes (E08-E13)", ["E08", "E139", "E1165"], ["E079", "E14"]),
        ("stage (N18.1-N18.6)", ["N181", "N186"], ["N189", "N18"]),
        ("two (O10-O11, O13-O16)", ["O119", "O140"], ["O120"]),
        ("drug (T36-T50 with fifth or sixth character 5)", ["T36015", "T3605XA"], ["T36011", "T5101"]),
        ("dysphagia (I69. with final characters -91)", ["I69391"], ["I69392", "I69"]),
        ("abuse (F10-F19 with .51)", ["F1051", "F19519"], ["F1052"]),
    ],
)
def test_a_note_names_codes_by_what_stands_in_its_parentheses(
    text: str, named: list[str], not_named: list[str]
) -> None:
    references = [parse_reference(one) for one in references_in(text) or ()]

    assert [code for code in named if not any(one.names(code) for one in references)] == []
    assert [code for code in not_named if any(one.names(code) for one in references)] == []


@pytest.mark.parametrize("text", ["fracture (S52.- with open fracture 7th character)", "deficiency (D55.0, G6PD)"])
def test_a_note_that_is_not_fully_understood_is_not_half_read(text: str) -> None:
    assert references_in(text) is None


def test_words_in_parentheses_name_no_code() -> None:
    assert references_in("pneumonia (in) (due to) something") == []


@pytest.mark.parametrize(
    ("one", "other", "of"),
    [
        ("E11.9", "E10.9", "E11"),
        ("E10.9", "E11.9", "E10"),
        ("I10", "O13.9", "I10"),
        ("J18.9", "J84.9", "J18"),
        ("E11.9", "I10", ""),
        ("E11.9", "E11.65", ""),
    ],
)
def test_excludes1_is_inherited_and_holds_both_ways(one: str, other: str, of: str, notes: Instructions) -> None:
    told, back = notes.excludes(one, other), notes.excludes(other, one)

    assert (told.of if told else "") == of
    assert (told is None) is (back is None)


@pytest.mark.parametrize(
    ("code", "side"),
    [("S52.501A", "right"), ("S52.502", "left"), ("M17.0", "bilateral"), ("I10", ""), ("S52.509A", "")],
)
def test_a_code_says_its_side(code: str, side: str, notes: Instructions) -> None:
    assert notes.side(code) == side


def test_the_shipped_notes_are_those_of_the_installed_tabular_list() -> None:
    with (SHIPPED / "icd10cm-notes.csv").open(encoding="utf-8", newline="") as stream:
        shipped = [tuple(row) for row in csv.reader(stream)][1:]

    assert shipped == list(note_rows(entries()))


def test_a_faulty_row_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "icd10cm-notes.toml").write_text('title = "T"\nversion = "1"\ncovers_from = "2026-01-01"\n')
    (tmp_path / "icd10cm-notes.csv").write_text("code,kind,refers,note\nI10,never,I11,x\n")
    faults: list[Fault] = []
    read_instructions([tmp_path], faults)

    assert [fault.line for fault in faults] == [2]
