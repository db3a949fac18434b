"""Fixture in, golden claim out, by the pure stages alone: the same as the service gave (`fhir-coder replay`)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import orjson
import pytest

from fhir_coder.app import App
from fhir_coder.claims import to_bytes
from fhir_coder.scenarios import Scenario, differences, find_scenarios, read_expected
from fhir_coder.shipped import shipped

SCENARIOS = find_scenarios([shipped("fixtures")])
DATA = Path(__file__).parents[3] / "shared" / "data"
NEVER_SENT = {"voided", "replaced"}


@pytest.fixture(scope="module")
def app() -> Iterator[App]:
    """The example site."""
    with App() as one:
        yield one


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_convert_gives_the_claims_that_the_service_gave(app: App, scenario: Scenario) -> None:
    expected = read_expected(scenario)
    assert expected is not None
    wanted = [c["claim"] for c in expected["claims"] if c["status"] not in NEVER_SENT]
    came = [c.claim for c in app.convert(scenario.files, created=date(2026, 11, 23)).claims]
    plain = [{k: v for k, v in orjson.loads(to_bytes(c)).items() if k != "created"} for c in came]
    by_identifier = sorted(plain, key=lambda c: c["identifier"][0]["value"])
    assert differences(sorted(wanted, key=lambda c: c["identifier"][0]["value"]), by_identifier) == []


def test_there_are_enough_scenarios_and_each_expects_something() -> None:
    assert len(SCENARIOS) >= 10
    for scenario in SCENARIOS:
        expected = read_expected(scenario)
        assert expected is not None
        assert expected["messages"], scenario.name


@pytest.mark.skipif(not DATA.is_dir(), reason="the trial data are not here")
@pytest.mark.parametrize(
    "file", sorted(DATA.glob("hl7v2/*.hl7")) + sorted(DATA.glob("synthea/*.json")), ids=lambda f: f.name[:16]
)
def test_every_visit_of_the_trial_data_has_a_claim_or_a_stated_reason(app: App, file: Path) -> None:
    conversion = app.convert([file])
    assert conversion.messages
    assert conversion.unreadable == ()
    for message in conversion.messages:
        assert message.chart_keys or message.reason or message.header.type in ("Bundle", "Patient")
    for claim in conversion.claims:
        reasons = [*claim.gaps, *(f for f in claim.findings if f.severity == "reject")]
        assert (claim.status == "ready") == (not reasons)
    charted = {key for m in conversion.messages for key in m.chart_keys}
    assert charted == {c.chart_key for c in conversion.claims} | set(conversion.cancelled)
