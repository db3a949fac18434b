"""Each structure check fires on its fault, names where, and is silent on a sound claim."""

from __future__ import annotations

import copy
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from fhir_coder.edits.structure import STRUCTURE_ADVICE, structure_findings
from fhir_coder.model import Json, Severity, System


def money(value: Any) -> Json:
    return {"value": value, "currency": "USD"}


def coded(system: str, code: str) -> Json:
    return {"coding": [{"system": system, "code": code}]}


SOUND: Json = {
    "resourceType": "Claim",
    "contained": [
        {"resourceType": "Patient", "id": "patient", "identifier": [{"value": "PAT-1"}]},
        {"resourceType": "Organization", "id": "provider", "name": "Clinic"},
        {"resourceType": "Coverage", "id": "coverage", "status": "active", "beneficiary": {"reference": "#patient"}},
    ],
    "status": "active",
    "type": {"coding": [{"code": "professional"}]},
    "use": "claim",
    "patient": {"reference": "#patient"},
    "created": "2026-11-03",
    "provider": {"reference": "#provider"},
    "priority": {"coding": [{"code": "normal"}]},
    "careTeam": [{"sequence": 1, "provider": {"reference": "#provider"}}],
    "supportingInfo": [{"sequence": 1, "category": {"coding": [{"code": "typeofbill"}]}}],
    "diagnosis": [
        {"sequence": 1, "diagnosisCodeableConcept": coded(System.ICD10CM, "E11.9")},
        {"sequence": 2, "diagnosisCodeableConcept": coded(System.ICD10CM, "I10")},
    ],
    "procedure": [{"sequence": 1, "procedureCodeableConcept": coded(System.ICD10PCS, "0W9G3ZZ")}],
    "insurance": [
        {"sequence": 1, "focal": True, "coverage": {"reference": "#coverage"}},
        {"sequence": 2, "focal": False, "coverage": {"reference": "#coverage"}},
    ],
    "item": [
        {
            "sequence": 1,
            "careTeamSequence": [1],
            "diagnosisSequence": [1, 2],
            "procedureSequence": [1],
            "informationSequence": [1],
            "productOrService": coded(System.HCPCS, "G0463"),
            "quantity": {"value": Decimal(2)},
            "unitPrice": money(Decimal("150.25")),
            "net": money(Decimal("300.50")),
            "detail": [{"sequence": 1, "productOrService": coded(System.HCPCS, "J1885")}],
        },
        {
            "sequence": 2,
            "diagnosisSequence": [1],
            "productOrService": coded(System.HCPCS, "J1885"),
            "quantity": {"value": Decimal("1.5")},
            "unitPrice": money(Decimal("3.33")),
            "net": money(Decimal("5.00")),
        },
    ],
    "total": money(Decimal("305.50")),
}


def found(claim: Json) -> list[tuple[str, str]]:
    return [(f.edit, f.path) for f in structure_findings(claim)]


def changed(change: Callable[[Json], object]) -> Json:
    claim = copy.deepcopy(SOUND)
    change(claim)
    return claim


def put(value: Any, *path: str | int) -> Callable[[Json], object]:
    def change(claim: Json) -> None:
        holder: Any = claim
        for step in path[:-1]:
            holder = holder[step]
        holder[path[-1]] = value

    return change


def drop(*path: str | int) -> Callable[[Json], object]:
    def change(claim: Json) -> None:
        holder: Any = claim
        for step in path[:-1]:
            holder = holder[step]
        del holder[path[-1]]

    return change


FAULTS: list[tuple[str, str, Callable[[Json], object]]] = [
    ("pointer-to-nothing", "Claim.item[0].diagnosisSequence[1]", put([1, 3], "item", 0, "diagnosisSequence")),
    ("pointer-to-nothing", "Claim.item[0].procedureSequence[0]", put([2], "item", 0, "procedureSequence")),
    ("pointer-to-nothing", "Claim.item[0].careTeamSequence[0]", put([9], "item", 0, "careTeamSequence")),
    ("pointer-to-nothing", "Claim.item[0].informationSequence[0]", put([0], "item", 0, "informationSequence")),
    ("pointer-to-nothing", "Claim.item[0].careTeamSequence[0]", drop("careTeam")),
    ("duplicate-sequence", "Claim.item[1].sequence", put(1, "item", 1, "sequence")),
    ("duplicate-sequence", "Claim.insurance[1].sequence", put(1, "insurance", 1, "sequence")),
    ("one-focal-insurance", "Claim.insurance", put(True, "insurance", 1, "focal")),
    ("one-focal-insurance", "Claim.insurance", put(False, "insurance", 0, "focal")),
    ("net-is-product", "Claim.item[0].net", put(Decimal("150.30"), "item", 0, "unitPrice", "value")),
    ("net-is-product", "Claim.item[0].net", put(Decimal("0.5"), "item", 0, "factor")),
    ("net-is-product", "Claim.item[0].detail[0].net", lambda c: c["item"][0]["detail"][0].update(
        unitPrice=money(2), net=money(3))),
    ("total-is-sum", "Claim.total", put(Decimal("305.51"), "total", "value")),
    ("total-is-sum", "Claim.total.currency", put("EUR", "total", "currency")),
    ("money-has-currency", "Claim.total.currency", drop("total", "currency")),
    ("money-has-currency", "Claim.item[1].net.currency", put("usd", "item", 1, "net", "currency")),
    ("icd-dot", "Claim.diagnosis[0].diagnosisCodeableConcept.coding[0].code",
     put(coded(System.ICD10CM, "E119"), "diagnosis", 0, "diagnosisCodeableConcept")),
    ("reference-resolves", "Claim.patient.reference", put("#nobody", "patient", "reference")),
    ("reference-resolves", "Claim.contained[2].beneficiary.reference",
     put("#nobody", "contained", 2, "beneficiary", "reference")),
    ("required-element", "Claim.priority", drop("priority")),
    ("required-element", "Claim.insurance", drop("insurance")),
    ("required-element", "Claim.insurance[0].coverage", drop("insurance", 0, "coverage")),
    ("required-element", "Claim.diagnosis[1].diagnosis[x]", drop("diagnosis", 1, "diagnosisCodeableConcept")),
    ("required-element", "Claim.item[1].productOrService", drop("item", 1, "productOrService")),
    ("required-binding", "Claim.use", put("bill", "use")),
    ("required-binding", "Claim.status", put("done", "status")),
    ("required-binding", "Claim.status", put(["active"], "status")),
    ("empty-value", "Claim.related", put([], "related")),
    ("empty-value", "Claim.contained[1].name", put(None, "contained", 1, "name")),
    ("empty-value", "Claim.contained[1].name", put("  ", "contained", 1, "name")),
    ("empty-value", "Claim.item[0].modifier[0]", put([{}], "item", 0, "modifier")),
    ("number-as-text", "Claim.total.value", put("305.50", "total", "value")),
    ("number-as-text", "Claim.item[1].sequence", put("2", "item", 1, "sequence")),
    ("number-as-text", "Claim.item[1].diagnosisSequence[0]", put(["1"], "item", 1, "diagnosisSequence")),
]  # fmt: skip


def test_a_sound_claim_has_no_finding() -> None:
    assert found(SOUND) == []


@pytest.mark.parametrize(("edit", "path", "change"), FAULTS)
def test_each_fault_is_found_where_it_is(edit: str, path: str, change: Callable[[Json], object]) -> None:
    assert (edit, path) in found(changed(change))


def test_each_edit_has_a_fault_that_fires_it() -> None:
    assert {edit for edit, _, _ in FAULTS} == set(STRUCTURE_ADVICE)


def test_a_single_fault_of_money_is_told_once() -> None:
    assert found(changed(put(Decimal("305.51"), "total", "value"))) == [("total-is-sum", "Claim.total")]


@pytest.mark.parametrize("kind", [float, Decimal])
def test_money_is_compared_exactly_however_it_was_read(kind: type) -> None:
    def tenths(claim: Json) -> None:
        lines = [{"sequence": i, "productOrService": {"text": "x"}, "net": money(kind("0.1"))} for i in (1, 2, 3)]
        claim.update(item=lines, total=money(kind("0.3")))

    assert found(changed(tenths)) == []


def test_a_line_net_rounded_to_the_cent_is_the_product() -> None:
    assert "net-is-product" not in {edit for edit, _ in found(SOUND)}


def test_null_beside_an_extension_twin_is_not_empty() -> None:
    given = {"given": [None, "Q"], "_given": [{"id": "a"}, None]}
    assert found(changed(put([given], "contained", 0, "name"))) == []


def test_findings_reject_advise_and_show_no_value() -> None:
    claim = changed(put({"reference": "#POISON", "display": "POISON"}, "patient"))
    claim["use"] = "POISON"
    findings = structure_findings(claim)
    assert findings
    assert all(f.severity is Severity.REJECT and f.advice for f in findings)
    assert "POISON" not in repr(findings)


@pytest.mark.parametrize(
    "value", [None, 1, "x", True, [], {}, [None], [[1]], {"value": {}}, float("inf"), Decimal("1E+900000")]
)
@pytest.mark.parametrize("name", ["item", "insurance", "total", "status", "contained", "diagnosis", "patient"])
def test_no_json_breaks_the_checks(name: str, value: Any) -> None:
    structure_findings(changed(put(value, name)))
    structure_findings(changed(put([{"net": value, "unitPrice": {"value": value}, "sequence": value}], "item")))


def test_deep_nesting_does_not_break_the_checks() -> None:
    deep: Any = {"x": 1}
    for _ in range(5000):
        deep = {"extension": [deep]}
    claim = SOUND | deep
    assert structure_findings(claim) == []
