"""The sandbox's fault list: what a spec says, and which submission it hits."""

from __future__ import annotations

import pytest

from fhir_coder.errors import SettingsError
from fhir_coder.payers.sandbox.faults import FAULT_GRAMMAR, FaultPlan, PlannedFault, parse_faults


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        ("503:1:retry-after=2", PlannedFault("http-status", status=503, retry_after=2)),
        ("429:2", PlannedFault("http-status", 2, status=429)),
        ("500", PlannedFault("http-status", status=500)),
        ("500:1:stored=yes", PlannedFault("http-status", status=500, takes_claim=True)),
        ("drop-after-read:1", PlannedFault("drop-after-read", takes_claim=True)),
        ("drop-before-read:3:on=2", PlannedFault("drop-before-read", 3, on=2)),
        ("slow:1:seconds=0.5", PlannedFault("slow", seconds=0.5, takes_claim=True)),
        ("slow:on=4", PlannedFault("slow", on=4, takes_claim=True)),
        ("html:1:status=502", PlannedFault("html", status=502)),
        ("half-body:1", PlannedFault("half-body", takes_claim=True)),
    ],
)
def test_a_spec_says_one_fault(spec: str, fault: PlannedFault) -> None:
    assert parse_faults([spec]) == (fault,)


@pytest.mark.parametrize(
    "spec",
    [
        *("", "nonsense", "200", "600", "²:1", "500:x", "500:0", "500:-1", "500:1:2", "500:1:x=1", "500:1:on=0"),
        *("500:1:stored=perhaps", "slow:1:seconds=long", "html:1:status=999", "drop-before-read:1:stored=yes"),
    ],
)
def test_a_faulty_spec_is_refused(spec: str) -> None:
    with pytest.raises(SettingsError) as error:
        parse_faults([spec])
    assert len(error.value.faults) == 1


def test_all_faults_are_listed_at_once_with_their_spec() -> None:
    with pytest.raises(SettingsError) as error:
        parse_faults(["500", "dropp", "slow:many:seconds=x"])
    assert [(f.where, f.text.split()[0]) for f in error.value.faults] == [
        ("dropp", "is"),
        ("slow:many:seconds=x", "the"),
        ("slow:many:seconds=x", "seconds"),
    ]


def hits(count: int, *specs: str) -> list[str]:
    plan = FaultPlan(parse_faults(specs))
    return [fault.name if fault else "-" for fault in (plan.next() for _ in range(count))]


def test_faults_wait_their_turn() -> None:
    assert hits(4, "html:2", "slow") == ["html", "html", "slow", "-"]


def test_on_places_a_fault_on_a_submission() -> None:
    assert hits(5, "html:2:on=3", "slow:1") == ["slow", "-", "html", "html", "-"]


def test_the_grammar_tells_every_fault() -> None:
    for name in ("drop-before-read", "drop-after-read", "half-body", "html", "slow", "on=", "retry-after=", "stored="):
        assert name in FAULT_GRAMMAR
