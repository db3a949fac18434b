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

from fhir_coder.app import V2_TABLES
from fhir_coder.hl7v2 import FeedRules, facts_from_message, read_header
from fhir_coder.model import (
    Coding,
    CodingContext,
    Concept,
    Gap,
    Kind,
    Message,
    Origin,
    System,
    Validity,
    VisitFact,
)
from fhir_coder.terminology.check import check_tables, days_to_check
from fhir_coder.terminology.check_digits import has_check_digit
from fhir_coder.terminology.codesets import CodeSets, open_codesets
from fhir_coder.terminology.loading import load_tables, read_layers
from fhir_coder.terminology.table import MappingTable, Row
from fhir_coder.terminology.tables import Tables

REPO = Path(__file__).resolve().parents[2]
MAPPINGS = REPO / "mappings"
EXAMPLE_SITE = MAPPINGS / "example-site"
README = MAPPINGS / "README.md"
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
    findings = {
        row.source_code for table, row in rows_of(tables, Kind.DIAGNOSIS) if table.source_system == System.SNOMED
    }
    coded = {
        row.source_code
        for table, row in rows_of(tables, Kind.PROCEDURE)
        if table.id == "snomed-to-procedures" and row.target
    }

    assert len(findings) >= 900
    assert len(coded) >= 200
    assert min(rows[kind] for kind in Kind) > 0


def test_no_two_rows_of_a_table_hold_under_the_same_conditions(tables: list[MappingTable]) -> None:
    keys = Counter((table.id, row.source_code, row.conditions, row.priority) for table, row in rows_of(tables))

    assert [key[:2] for key, times in keys.items() if times > 1] == []


def test_the_rows_stand_in_the_order_of_their_codes(tables: list[MappingTable]) -> None:
    for table in tables:
        lines = sorted((row.line, row.source_code) for rows in table.rows.values() for row in rows)
        codes = [code for _, code in lines]

        in_order = sorted(codes, key=int) if all(map(str.isdecimal, codes)) else sorted(codes)
        assert codes == in_order, table.id


def test_a_concept_is_either_coded_or_not_billed(tables: list[MappingTable]) -> None:
    coded, silent = (
        {code for table in tables if table.id == name for code in table.rows}
        for name in ("snomed-to-icd10cm", "snomed-not-billable")
    )

    assert coded & silent == set()


def test_the_readme_counts_the_rows(tables: list[MappingTable]) -> None:
    said = dict(
        re.findall(r"^\| (\S+) \| \w+: .* \| (\d+) \| \d+ \| \d+ \| \d+ \|", README.read_text(encoding="utf-8"), re.M)
    )
    there = {table.id: str(len(table)) for table in tables}

    assert {name.rsplit("/", 1)[-1]: rows for name, rows in said.items()} == there


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


def test_the_admission_type_and_the_discharge_disposition_of_v2_are_those_of_the_bill(shipped: Tables) -> None:
    concepts = {name: shipped.concept(name) for name in V2_TABLES}
    pv1 = "PV1|1|I|4W^412^A|C||||||||||7|||||V100^^^HOSP" + "|" * 17 + "3"
    body = "\r".join(["MSH|^~\\&|A|B|||20260301120000||ADT^A03|C1|P|2.5.1", "PID|1||555^^^HOSP^MR", pv1]).encode()

    facts = facts_from_message(Message("m-1", body, read_header(body)), FeedRules(concepts=concepts)).facts

    [visit] = [filed.fact for filed in facts if isinstance(filed.fact, VisitFact)]
    assert (visit.admission_type, visit.discharge_disposition) == ("3", "03")


@pytest.mark.parametrize(
    ("code", "day", "answer"),
    [
        ("202882003", date(2026, 9, 30), "M72.2"),
        ("202882003", date(2026, 10, 1), "needs_detail"),
        ("440028005", date(2019, 9, 30), "I48.2"),
        ("440028005", date(2019, 10, 1), "I48.21"),
        ("57406009", date(2026, 10, 1), "needs_detail"),
    ],
)
def test_a_code_that_was_split_or_needs_a_side_is_never_guessed(
    shipped: Tables, code: str, day: date, answer: str
) -> None:
    context = CodingContext(service_date=day, birth_date=date(1960, 1, 1), sex="female", encounter_class="AMB")

    chosen = shipped.choose(Kind.DIAGNOSIS, Concept((Coding(System.SNOMED, code),)), context, Origin("m", "p"), "c")

    assert (chosen.reason if isinstance(chosen, Gap) else chosen.trace.code) == answer


@pytest.mark.parametrize(
    ("code", "encounter_class", "answer"),
    [
        ("443681002", "IMP", "0SRD0JZ"),
        ("443681002", "AMB", "needs_detail"),
        ("431316002", "IMP", "0UT94ZL"),
        ("444463001", "IMP", "needs_detail"),
        ("171208001", "AMB", "G0442"),
    ],
)
def test_a_procedure_is_coded_by_the_class_of_the_visit(
    shipped: Tables, code: str, encounter_class: str, answer: str
) -> None:
    context = CodingContext(
        service_date=date(2026, 10, 20), birth_date=date(1960, 1, 1), sex="female", encounter_class=encounter_class
    )

    chosen = shipped.choose(Kind.PROCEDURE, Concept((Coding(System.SNOMED, code),)), context, Origin("m", "p"), "c")

    assert (chosen.reason if isinstance(chosen, Gap) else chosen.trace.code) == answer


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
