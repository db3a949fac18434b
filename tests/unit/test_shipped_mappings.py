"""The tables and code sets that ship: sound, valid on their dates, large enough, and equal to their public sources."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from fhir_coder.model import Coding, CodingContext, Concept, Gap, Kind, Origin, System, Validity
from fhir_coder.terminology.check import check_tables, days_to_check, has_check_digit
from fhir_coder.terminology.codesets import CodeSets, open_codesets
from fhir_coder.terminology.table import MappingTable, Row
from fhir_coder.terminology.tables import Tables, load_tables, read_layers

REPO = Path(__file__).resolve().parents[2]
MAPPINGS = REPO / "mappings"
EXAMPLE_SITE = MAPPINGS / "example-site"
FOLDERS = [EXAMPLE_SITE, MAPPINGS]
CMS_FILE = REPO.parent / "shared" / "data" / "hcpcs_2026_jan.zip"
ON = date(2026, 11, 23)
CPT = re.compile(r"\d{4}[0-9FTUM]")


@pytest.fixture(scope="module")
def codesets() -> Iterator[CodeSets]:
    with open_codesets(MAPPINGS / "codesets") as opened:
        yield opened


@pytest.fixture(scope="module")
def tables() -> list[MappingTable]:
    layers, faults = read_layers(FOLDERS)
    assert faults == []
    return [table for layer in layers for table in layer]


def rows_of(tables: list[MappingTable], *kinds: Kind) -> list[tuple[MappingTable, Row]]:
    return [
        (table, row)
        for table in tables
        if table.kind in (kinds or tuple(Kind))
        for of_code in table.rows.values()
        for row in of_code
    ]


def test_the_shipped_tables_have_no_faults(codesets: CodeSets) -> None:
    assert [str(fault) for fault in check_tables(FOLDERS, codesets, ON)] == []


def test_every_target_is_valid_on_its_dates(tables: list[MappingTable], codesets: CodeSets) -> None:
    billing = [
        (table, row, row.target) for table, row in rows_of(tables) if table.kind is not Kind.CONCEPT and row.target
    ]
    wrong = [
        f"{table.id}:{row.line} on {day}"
        for table, row, target in billing
        for day in days_to_check(row, ON)
        if codesets.validity(target.system, target.code, day) is not Validity.VALID
    ]

    assert billing
    assert wrong == []


def test_every_snomed_identifier_has_its_check_digit(tables: list[MappingTable]) -> None:
    codes = {row.source_code for table, row in rows_of(tables) if table.source_system == System.SNOMED}

    assert codes
    assert {code for code in codes if not has_check_digit(code)} == set()


def test_the_tables_are_large_enough_to_begin_with(tables: list[MappingTable]) -> None:
    rows = Counter(table.kind for table, _ in rows_of(tables))

    assert rows[Kind.DIAGNOSIS] >= 250
    assert rows[Kind.PROCEDURE] >= 80
    assert min(rows[kind] for kind in Kind) > 0


def test_no_cpt_code_ships(tables: list[MappingTable], codesets: CodeSets) -> None:
    found = {row.target.system for _, row in rows_of(tables) if row.target}
    shaped = [
        f"{table.id}:{row.line}"
        for table, row in rows_of(tables, Kind.PROCEDURE, Kind.CHARGE, Kind.IMMUNIZATION, Kind.VISIT, Kind.FEE)
        if (row.target and CPT.fullmatch(row.target.code))
        or (table.source_system in (System.LOCAL, System.HCPCS) and CPT.fullmatch(row.source_code))
    ]

    assert System.CPT not in found
    assert shaped == []


def test_every_table_says_its_source_licence_and_publisher(tables: list[MappingTable]) -> None:
    silent = [
        table.id
        for table in tables
        if not (table.header.licence and table.header.publisher and table.header.source and table.header.version)
    ]

    assert silent == []


def test_every_row_that_needs_a_person_says_why(tables: list[MappingTable]) -> None:
    assert [f"{table.id}:{row.line}" for table, row in rows_of(tables) if row.needs_detail and not row.note] == []


def test_every_row_has_words_for_people(tables: list[MappingTable]) -> None:
    assert [f"{table.id}:{row.line}" for table, row in rows_of(tables) if not row.display] == []


def test_the_example_site_is_not_loaded_with_the_shipped_tables() -> None:
    shipped = {summary.folder for summary in load_tables([MAPPINGS]).describe()}

    assert shipped == {str(MAPPINGS)}


@pytest.fixture(scope="module")
def shipped() -> Tables:
    return load_tables([MAPPINGS])


@pytest.mark.parametrize(
    ("birth", "code"), [(date(2026, 10, 1), "P29.2"), (date(1960, 1, 1), "I10"), (None, "unknown_context")]
)
def test_hypertension_depends_on_the_age(shipped: Tables, birth: date | None, code: str) -> None:
    context = CodingContext(service_date=date(2026, 10, 20), birth_date=birth, sex="female", encounter_class="AMB")
    concept = Concept((Coding(System.SNOMED, "38341003"),))

    answer = shipped.choose(Kind.DIAGNOSIS, concept, context, Origin("m", "p"), "c")

    assert (answer.reason if isinstance(answer, Gap) else answer.trace.code) == code


def test_the_sexes_of_v2_are_fhir_genders(shipped: Tables) -> None:
    sexes = shipped.concept("v2-sex")

    assert sexes["F"] == "female"
    assert sexes["M"] == "male"
    assert set(sexes.values()) <= {"male", "female", "other", "unknown"}


def test_the_classes_of_v2_are_encounter_classes(shipped: Tables) -> None:
    classes = shipped.concept("v2-class")

    assert (classes["E"], classes["I"], classes["O"], classes["P"]) == ("EMER", "IMP", "AMB", "PRENC")


def listed(name: str) -> dict[str, tuple[str, str]]:
    with (MAPPINGS / "codesets" / name).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {row["code"]: (row["valid_from"], row["valid_to"]) for row in rows}


def iso(text: str) -> str:
    return date.fromisoformat(text).isoformat() if text.strip() else ""


def from_cms() -> tuple[dict[str, tuple[str, str]], dict[str, tuple[str, str]]]:
    """Read codes and modifiers with the day they were added and their last day (columns 269-276 and 285-292)."""
    codes, modifiers = {}, {}
    with zipfile.ZipFile(CMS_FILE) as archive:
        name = next(name for name in archive.namelist() if re.fullmatch(r"HCPC\d{4}_\w+_ANWEB_\d+\.txt", name))
        lines = io.StringIO(archive.read(name).decode("latin-1"))
    for line in lines:
        dates = (iso(line[268:276]), iso(line[284:292]))
        if line[10] == "3":
            codes[line[:5]] = dates
        elif line[10] == "7":
            modifiers[line[3:5]] = dates
    return codes, modifiers


@pytest.mark.skipif(not CMS_FILE.exists(), reason="the CMS file is not beside the checkout (shared/data)")
def test_the_hcpcs_lists_are_those_of_cms() -> None:
    codes, modifiers = from_cms()

    assert len(codes) == 8623
    assert listed("hcpcs.csv") == codes
    assert listed("hcpcs-modifiers.csv") == modifiers


def test_the_hcpcs_lists_are_whole() -> None:
    assert len(listed("hcpcs.csv")) == 8623
    assert len(listed("hcpcs-modifiers.csv")) == 383
