"""Fixture in, golden claim out, by the pure stages alone: the same as the service gave (`fhir-coder replay`)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import orjson
import pytest

from fhir_coder.app import App
from fhir_coder.claims import to_bytes
from fhir_coder.model import Json
from fhir_coder.scenarios import Scenario, differences, find_scenarios, read_expected
from fhir_coder.shipped import shipped

DATA = Path(__file__).parents[3] / "shared" / "data"
NEVER_SENT = {"voided", "replaced"}


def expected_of(scenario: Scenario) -> Json:
    expected = read_expected(scenario)
    assert expected is not None, scenario.name
    return expected


def is_revised(scenario: Scenario) -> bool:
    """Whether a claim was made anew after it had gone out: a conversion makes first revisions only."""
    return any(claim["revision"] > 1 for claim in expected_of(scenario)["claims"])


SCENARIOS = find_scenarios([shipped("fixtures")])
REVISED = [scenario for scenario in SCENARIOS if is_revised(scenario)]
SINGLE = [scenario for scenario in SCENARIOS if scenario not in REVISED]


@pytest.fixture(scope="module")
def app() -> Iterator[App]:
    """The example site."""
    with App() as one:
        yield one


def is_made_alone(claim: Json) -> bool:
    """Whether a claim needs nothing of what a payer said before, and is made of the whole visit.

    Not one for a later payer, no void, and none that is asked before the visit begins.
    """
    return bool(claim["insurance"][0]["focal"]) and claim["status"] == "active" and claim["use"] == "claim"


def is_standing(claim: Json) -> bool:
    """Whether something is billed by a claim now: it was not replaced or voided, and is no void."""
    return claim["status"] not in NEVER_SENT and claim["purpose"] == "bill"


def billed(claim: Json) -> Json:
    """What a claim bills, whichever revision it is: its codes, its lines, its total."""
    diagnoses = [one["diagnosisCodeableConcept"]["coding"][0]["code"] for one in claim.get("diagnosis", ())]
    return {name: claim.get(name) for name in ("item", "procedure", "total")} | {"diagnoses": diagnoses}


@pytest.mark.parametrize("scenario", SINGLE, ids=lambda s: s.name)
def test_convert_gives_the_claims_that_the_service_gave(app: App, scenario: Scenario) -> None:
    expected = expected_of(scenario)
    wanted = [c["claim"] for c in expected["claims"] if c["status"] not in NEVER_SENT and is_made_alone(c["claim"])]
    came = [c.claim for c in app.convert(scenario.files, created=date(2026, 11, 23)).claims]
    plain = [{k: v for k, v in orjson.loads(to_bytes(c)).items() if k != "created"} for c in came]
    plain = [c for c in plain if is_made_alone(c)]
    by_identifier = sorted(plain, key=lambda c: c["identifier"][0]["value"])
    assert differences(sorted(wanted, key=lambda c: c["identifier"][0]["value"]), by_identifier) == []


@pytest.mark.parametrize("scenario", REVISED, ids=lambda s: s.name)
def test_convert_bills_what_stands_after_all_corrections(app: App, scenario: Scenario) -> None:
    wanted = [billed(c["claim"]) for c in expected_of(scenario)["claims"] if is_standing(c)]
    conversion = app.convert(scenario.files, created=date(2026, 11, 23))
    came = [billed(orjson.loads(to_bytes(c.claim))) for c in conversion.claims]
    assert sorted(came) == sorted(wanted)


def test_there_are_enough_scenarios_and_each_expects_something() -> None:
    assert len(SINGLE) >= 10
    assert len(REVISED) >= 5
    for scenario in SCENARIOS:
        expected = expected_of(scenario)
        assert expected["messages"], scenario.name
        assert list(expected["after"]) == [file.name for file in scenario.files]


def test_no_visit_is_told_of_in_two_scenarios() -> None:
    keys = [{claim["chart_key"] for claim in expected_of(scenario)["claims"]} for scenario in SCENARIOS]
    assert len(set().union(*keys)) == sum(map(len, keys))


@pytest.mark.skipif(not DATA.is_dir(), reason="the trial data are not here")
@pytest.mark.parametrize(
    "file", sorted(DATA.glob("hl7v2/*.hl7")) + sorted(DATA.glob("synthea/*.json")), ids=lambda f: f.name[:16]
)
def test_every_visit_of_the_trial_data_has_a_claim_or_a_stated_reason(app: App, file: Path) -> None:
    conversion = app.convert([file])
    assert conversion.messages
    assert conversion.unreadable == ()
    for message in conversion.messages:
        assert message.chart_keys or message.reason or message.header.type in ("Bundle", "Patient", "ADT^A40")
    for claim in conversion.claims:
        reasons = [*claim.gaps, *(f for f in claim.findings if f.severity == "reject")]
        assert (claim.status == "ready") == (not reasons)
    charted = {key for m in conversion.messages for key in m.chart_keys}
    assert charted == {c.chart_key for c in conversion.claims} | set(conversion.cancelled)


def test_a_resource_that_cannot_be_used_holds_the_visit_it_is_about(app: App) -> None:
    folder = shipped("fixtures") / "visits" / "fhir-diagnosis-corrected"
    visit = orjson.loads((folder / "01-bundle.json").read_bytes()) | {"timestamp": "2026-11-19T20:00:00Z"}
    charge = next(e["resource"] for e in visit["entry"] if e["resource"]["resourceType"] == "ChargeItem")
    later = {"meta": {"lastUpdated": "2026-11-20T08:00:00Z"}, "modifierExtension": [{"url": "urn:not"}]}
    whole = app.convert([orjson.dumps(visit)])
    held = app.convert([orjson.dumps(visit), orjson.dumps(charge | later)])
    assert [c.status for c in whole.claims] == ["ready"]
    assert [c.status for c in held.claims] == ["held"]
    assert any("modifierExtension" in finding.path for finding in held.claims[0].findings)
    assert [m.status for m in held.messages] == ["charted", "quarantined"]
