"""Edits on requests for preauthorization: what a payer that reviews services cannot do without."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fhir_coder.edits import ClaimContext
from fhir_coder.edits.preauthorization import EDITS
from fhir_coder.model import PasRules, Payer, Site, When
from tests.building import PAYER, SITE, charge, context, coverage, good_chart, patient, stay

RULES = PasRules("555-0100", service_type="1")
REVIEWER = Payer("plan", "Plan", use="preauthorization", pas=RULES)
OFFICE = replace(SITE, place_of_service={"AMB": "11"})
SOUND = context(good_chart(), site=OFFICE, payer=REVIEWER)


def asked(*, payer: Payer = REVIEWER, site: Site = OFFICE, **facts: object) -> ClaimContext:
    return context(good_chart(*facts.values()), site=site, payer=payer)  # type: ignore[arg-type]  # facts


CASES = {
    "pas-service-type": (
        asked(payer=replace(REVIEWER, pas=PasRules("1", service_types={"J*": "2"}))),
        asked(payer=replace(REVIEWER, pas=PasRules("1", service_types={"G*": "2"}))),
        "Claim.item[0].category",
    ),
    "pas-place": (asked(site=SITE), SOUND, "Claim.item[0].location"),
    "pas-party": (asked(patient=patient(name=None)), SOUND, "Claim.patient"),
    "pas-relationship": (
        asked(coverage=coverage(relationship="")),
        asked(coverage=coverage(relationship="other")),
        "Claim.insurance[0].coverage",
    ),
    "pas-full-date": (
        asked(charge=charge(service_date=When("2026-11"))),
        asked(charge=charge(service_date=When("2026-11-03T10:00:00Z"))),
        "Claim.item[0].serviced",
    ),
}


def fired(edit_id: str, of: ClaimContext) -> list[str]:
    edit = next(edit for edit in EDITS if edit.id == edit_id)
    return [edit.finding(hit).path for hit in edit.check(of)]


@pytest.mark.parametrize("edit_id", CASES)
def test_an_edit_fires_on_its_fault_and_not_beside_it(edit_id: str) -> None:
    faulty, sound, path = CASES[edit_id]
    assert fired(edit_id, faulty) == [path]
    assert fired(edit_id, sound) == []


@pytest.mark.parametrize("edit_id", CASES)
def test_claims_of_payers_that_review_nothing_pass(edit_id: str) -> None:
    faulty, _, _ = CASES[edit_id]
    assert fired(edit_id, replace(faulty, payer=PAYER)) == []


def test_every_edit_has_its_case() -> None:
    assert {edit.id for edit in EDITS} == CASES.keys()


def test_an_institutional_request_needs_a_type_of_bill() -> None:
    none = replace(OFFICE, type_of_bill={})
    assert fired("pas-place", asked(site=none, visit=stay())) == ["Claim.supportingInfo"]
    assert fired("pas-place", asked(visit=stay())) == []
