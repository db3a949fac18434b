"""A service that a claim of another visit bills too, looked at without a ledger."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fhir_coder.edits.duplicates import duplicate_service
from fhir_coder.model import CareTeamMember, Coding, Identifier
from tests.building import charge, context, doctor, good_chart, patient

ROLE = (CareTeamMember("rendering", doctor()),)


def claim(**said: Any) -> Any:
    person = patient(identifiers=(Identifier(said.pop("number", "PAT-1"), "urn:oid:1.2.3", "MR"),))
    return context(good_chart(person, charge(**{"care_team": ROLE} | said)))


def places(**said: Any) -> list[str]:
    looked_at = replace(claim(), elsewhere=(claim(**said).claim,))
    return [path for path, *_ in duplicate_service(looked_at)]


def test_the_same_service_of_the_same_patient_and_doctor_is_told_with_its_claim() -> None:
    looked_at = replace(claim(), elsewhere=(claim().claim,))

    ((path, text, *_),) = duplicate_service(looked_at)
    assert (path, "CLM-1" in text) == ("Claim.item[0]", True)


@pytest.mark.parametrize(
    "said",
    [
        {"number": "PAT-2"},
        {"code": "T1015"},
        {"care_team": (CareTeamMember("rendering", doctor("2000000002")),)},
        {"modifiers": (Coding("", "XE"),)},
    ],
    ids=["another patient in the same message", "another code", "another doctor", "a modifier tells them apart"],
)
def test_what_differs_is_no_duplicate(said: dict[str, Any]) -> None:
    assert places(**said) == []


def test_nothing_is_known_of_other_visits_without_a_ledger() -> None:
    assert list(duplicate_service(claim())) == []
