"""What the shipped tables must answer: all that the sample data names, and vaccines with a public code of giving."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fhir_coder.model import Coding, Concept, Kind, System
from fhir_coder.terminology import Tables, load_tables

REPO = Path(__file__).resolve().parents[2]
SYNTHEA = REPO.parent / "shared" / "data" / "synthea"
KINDS = {
    "Condition": ("code", (Kind.DIAGNOSIS,)),
    "Procedure": ("code", (Kind.PROCEDURE,)),
    "Immunization": ("vaccineCode", (Kind.IMMUNIZATION, Kind.DIAGNOSIS)),
}


@pytest.fixture(scope="module")
def shipped() -> Tables:
    return load_tables([REPO / "mappings"])


@pytest.fixture(scope="module")
def resources() -> list[dict[str, Any]]:
    if not SYNTHEA.is_dir():
        pytest.skip("no sample data of Synthea beside the checkout")
    bundles = (json.loads(file.read_text(encoding="utf-8")) for file in sorted(SYNTHEA.glob("*.json")))
    return [entry["resource"] for bundle in bundles for entry in bundle.get("entry", ())]


def codings(resource: dict[str, Any], name: str) -> Iterator[Coding]:
    said = resource.get(name, [])
    for concept in said if isinstance(said, list) else [said]:
        yield from (Coding(one["system"], one["code"]) for one in concept.get("coding", ()))


@pytest.mark.parametrize("kind", KINDS)
def test_everything_the_sample_data_names_has_a_row(
    shipped: Tables, resources: list[dict[str, Any]], kind: str
) -> None:
    element, asked = KINDS[kind]
    named = {one for r in resources if r["resourceType"] == kind for one in codings(r, element)}

    assert named
    for table_kind in asked:
        assert {one.code for one in named if not shipped.has(table_kind, Concept((one,)))} == set()


def test_every_reason_for_a_visit_in_the_sample_data_has_a_row(
    shipped: Tables, resources: list[dict[str, Any]]
) -> None:
    named = {one for r in resources if r["resourceType"] == "Encounter" for one in codings(r, "reasonCode")}

    assert named
    assert {one.code for one in named if not shipped.has(Kind.DIAGNOSIS, Concept((one,)))} == set()


GIVEN = {"G0008": "influenza", "G0009": "pneumococcal", "G0010": "hepatitis b"}
"""The codes of CMS for giving a vaccine, and how our own words for such a vaccine begin."""


@pytest.mark.parametrize(("code", "word"), GIVEN.items())
def test_every_vaccine_with_a_public_code_of_giving_has_it(shipped: Tables, code: str, word: str) -> None:
    [table] = shipped.tables_for(Kind.IMMUNIZATION, System.CVX)
    rows = [row for of_code in table.by_code() for row in of_code if row.display.lower().startswith(word)]
    vaccines = [row for row in rows if "globulin" not in row.display]

    assert vaccines
    assert {row.source_code for row in vaccines if row.target != Coding(System.HCPCS, code, row.display)} == set()
