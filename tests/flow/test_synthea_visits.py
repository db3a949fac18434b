"""The Synthea sample bundles: every Encounter has a claim, or a reason is stated why it cannot go out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import pytest

from fhir_coder.app import App
from fhir_coder.edits import rejects
from fhir_coder.model import ICD10_BEGAN, ClaimDraft, ClaimStatus, Severity

SYNTHEA = Path(__file__).parents[3] / "shared" / "data" / "synthea"
BUNDLES = sorted(SYNTHEA.glob("[A-G]*.json"))
pytestmark = pytest.mark.skipif(not BUNDLES, reason="the Synthea sample bundles are not on this machine")
VISITS, SINCE_ICD10 = 44, 17


@pytest.fixture(scope="module")
def claims() -> dict[str, ClaimDraft]:
    """The claim of each visit, by chart key, of all bundles together with what they refer to."""
    with App() as app:
        converted = app.convert(sorted(SYNTHEA.glob("*.json")), created=date(2026, 11, 23))
    assert converted.cancelled == ()
    assert not converted.unreadable
    return {claim.chart_key: claim for claim in converted.claims}


def encounters() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every Encounter of the bundles with its chart key, read without a line of ours."""
    for bundle in BUNDLES:
        for entry in orjson.loads(bundle.read_bytes())["entry"]:
            visit = entry["resource"]
            if visit["resourceType"] == "Encounter":
                patient = visit["subject"]["reference"].removeprefix("urn:uuid:")
                yield f"Patient/{patient}/Encounter/{visit['id']}", visit


def test_every_encounter_has_one_claim_and_no_claim_is_without_encounter(claims: dict[str, ClaimDraft]) -> None:
    keys = [key for key, _ in encounters()]
    assert len(keys) == VISITS
    assert sorted(keys) == sorted(claims)


def test_a_claim_goes_out_or_states_why_not(claims: dict[str, ClaimDraft]) -> None:
    for key, claim in claims.items():
        reasons = [gap.text for gap in claim.gaps]
        reasons += [finding.text for finding in claim.findings if finding.severity is Severity.REJECT]
        is_held = claim.status is ClaimStatus.HELD
        assert is_held == bool(claim.gaps or rejects(claim.findings)), key
        assert all(reasons), key
        assert bool(reasons) == is_held, key


def test_visits_before_icd_10_say_so_and_all_later_ones_are_coded_or_ask(claims: dict[str, ClaimDraft]) -> None:
    later = 0
    for key, visit in encounters():
        claim = claims[key]
        said = {finding.edit for finding in claim.findings}
        is_before = date.fromisoformat(visit["period"]["start"][:10]) < ICD10_BEGAN
        assert ("before-icd10" in said) == is_before, key
        if not is_before:
            later += 1
            assert claim.claim.get("item") or claim.gaps or "no-billable-line" in said, key
    assert later == SINCE_ICD10


def test_no_part_of_the_bundles_is_unusable(claims: dict[str, ClaimDraft]) -> None:
    assert not [key for key, claim in claims.items() if any(f.edit == "unusable-part" for f in claim.findings)]
