"""Tables as FHIR ConceptMaps, R4 and R5, and back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fhir_coder.errors import TableError
from fhir_coder.model import Kind, System
from fhir_coder.shipped import shipped
from fhir_coder.terminology.concept_map import TO_R4, TO_R5, concept_map, read_concept_map
from fhir_coder.terminology.csv_table import load_table, rows_by_code
from fhir_coder.terminology.exporting import export_text
from fhir_coder.terminology.rows import COLUMNS, Cells, RowReader, cells_of
from fhir_coder.terminology.table import MappingTable

SHIPPED = shipped("mappings")
HEADER = """id = "site_rows"
title = "Every column"
kind = "procedure"
source_system = "sct"
target_system = ["hcpcs", "icd10pcs"]
version = "2026"
licence = "the site's"
publisher = "Site"
valid_from = "2020-01-01"
when_unknown = "default-row"
equal_rows = "ask"
layer = "payer"
note = "a \\"quoted\\" note"
"""
FULL = {
    "source_code": "38341003",
    "display": "Words, with a comma",
    "target_system": "hcpcs",
    "target_code": "G0463",
    "sex": "female",
    "age": "28d-11m",
    "encounter_class": "AMB EMER",
    "payer": "acme",
    "priority": "2",
    "valid_from": "2021-01-01",
    "valid_to": "2021-12-31",
    "note": "why",
    "care_setting": "11 22",
    "feed": "clinic",
    "laterality": "left",
    "use": "principal",
    "with": "sct|214264003 icd10cm|I10",
    "group": "2",
    "relationship": "equivalent",
    "modifiers": "LT 59",
    "units": "2.5",
    "administration": "hcpcs|G0008",
    "revenue_code": "0636",
    "administration_revenue_code": "0771",
}
ROWS = [
    FULL,
    {"source_code": "38341003", "target_code": "not-billable", "priority": "3"},
    {"source_code": "38341003", "target_code": "needs-detail", "note": "which side", "sex": "male"},
    {
        "source_code": "84229001",
        "target_system": "icd10pcs",
        "target_code": "0DTJ4ZZ",
        "relationship": TO_R5["narrower"],
    },
]


def written(folder: Path, rows: list[dict[str, str]], header: str) -> MappingTable:
    lines = [",".join(COLUMNS), *(",".join(f'"{row.get(name, "")}"' for name in COLUMNS) for row in rows)]
    (folder / "t.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "t.toml").write_text(header, encoding="utf-8")
    return load_table(folder / "t.csv")


def contents(table: MappingTable) -> list[list[tuple[str, str]]]:
    return sorted(sorted(cells_of(row).items()) for of_code in table.by_code() for row in of_code)


def read_back(resource: Any) -> MappingTable:
    draft = read_concept_map(resource, "map.json")
    reader = RowReader("map.json", draft.header, "v", [])
    rows = [reader.row(line, {k: v for k, v in cells.items() if v}) for line, cells in enumerate(draft.rows, 2)]
    by_code = rows_by_code((row for row in rows if row), reader)
    assert reader.faults == []
    return MappingTable(draft.header, "map.json", "", f"{draft.header.id}@", by_code)


@pytest.mark.parametrize("is_r5", [False, True], ids=["R4", "R5"])
def test_a_table_with_everything_goes_to_a_concept_map_and_back_without_loss(tmp_path: Path, is_r5: bool) -> None:
    table = written(tmp_path, ROWS, HEADER)

    again = read_back(concept_map(table, is_r5))

    assert contents(again) == contents(table)
    assert again.header == table.header


@pytest.mark.parametrize("is_r5", [False, True], ids=["R4", "R5"])
@pytest.mark.parametrize("file", [file for file in sorted(SHIPPED.rglob("*.toml")) if file.parent.name != "codesets"])
def test_every_shipped_table_comes_back_as_it_was(file: Path, is_r5: bool) -> None:
    table = load_table(file.with_suffix(".csv"))

    again = read_back(concept_map(table, is_r5))

    assert contents(again) == contents(table)
    assert again.header == table.header


def test_a_table_exported_as_csv_reads_as_the_same(tmp_path: Path) -> None:
    table = written(tmp_path, ROWS, HEADER)
    body, header = export_text(table, "csv")
    (tmp_path / "u.csv").write_text(body, encoding="utf-8")
    (tmp_path / "u.toml").write_text(header, encoding="utf-8")

    again = load_table(tmp_path / "u.csv")

    assert (contents(again), again.header) == (contents(table), table.header)


@pytest.mark.parametrize(("equivalence", "relationship"), TO_R5.items())
def test_r4_equivalences_become_r5_relationships(equivalence: str, relationship: str) -> None:
    [cells] = read_concept_map(foreign({"code": "I10", "equivalence": equivalence}), "m").rows

    if relationship == "not-related-to":
        assert cells["target_code"] == "needs-detail"
    else:
        assert (cells["relationship"] or "related-to", cells["target_code"]) == (relationship, "I10")


def test_r5_relationships_have_an_r4_equivalence_each() -> None:
    assert {TO_R5[equivalence] for equivalence in TO_R4.values()} == set(TO_R4)


def foreign(target: dict[str, Any], source: str = System.SNOMED, to: str = System.ICD10CM) -> dict[str, Any]:
    """A ConceptMap as others write it."""
    group = {"source": source, "target": to, "element": [{"code": "38341003", "target": [target]}]}
    return {"resourceType": "ConceptMap", "id": "theirs", "status": "active", "group": [group]}


def test_a_concept_map_of_others_is_read_with_systems_kinds_and_versions() -> None:
    resource = foreign(
        {"code": "I10", "relationship": "equivalent"}, f"{System.SNOMED}|http://snomed.info/sct/731000124108"
    )

    header = read_concept_map(resource, "m").header

    assert (header.id, header.kind, header.source_system) == ("theirs", Kind.DIAGNOSIS, System.SNOMED)


def test_an_element_without_target_is_left_to_a_person() -> None:
    resource = foreign({})
    resource["group"][0]["element"][0] = {"code": "38341003", "noMap": True}

    [cells] = read_concept_map(resource, "m").rows
    assert cells["target_code"] == "needs-detail"


def _without(name: str) -> Callable[[], Any]:
    def made() -> Any:
        resource = foreign({"code": "I10", "equivalence": "equivalent"})
        del resource["group"][0][name]
        return resource

    return made


BAD: dict[str, tuple[Any, str]] = {
    "no resource": ([], "resourceType"),
    "another resource": ({"resourceType": "Claim"}, "resourceType"),
    "no groups": ({"resourceType": "ConceptMap"}, "ConceptMap.group"),
    "a group that is a text": ({"resourceType": "ConceptMap", "group": ["x"]}, "ConceptMap.group"),
    "no source system": (_without("source")(), "ConceptMap.group[0].source"),
    "no target system": (_without("target")(), "ConceptMap.group[0].element[0].target[0]"),
    "no equivalence": (foreign({"code": "I10"}), "ConceptMap.group[0].element[0].target[0]"),
    "a condition that is not ours": (
        foreign({"code": "I10", "equivalence": "equal", "dependsOn": [{"property": "urn:x", "value": "y"}]}),
        "ConceptMap.group[0].element[0].target[0].dependsOn[0]",
    ),
}


@pytest.mark.parametrize(("resource", "path"), BAD.values(), ids=list(BAD))
def test_what_cannot_be_read_whole_is_refused_with_its_path(resource: Any, path: str) -> None:
    with pytest.raises(TableError) as caught:
        read_concept_map(resource, "m")

    assert caught.value.faults[0].where == path


def test_cells_of_a_row_read_as_the_row(tmp_path: Path) -> None:
    table = written(tmp_path, ROWS, HEADER)
    reader = RowReader("t", table.header, table.version, [])

    for of_code in table.by_code():
        for row in of_code:
            cells: Cells = cells_of(row)
            assert reader.row(row.line, cells) == row
