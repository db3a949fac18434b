"""A claim of nobody, for a payer's validator: invented parties, every element that a claim of ours always has."""

from __future__ import annotations

from datetime import date

import orjson

from fhir_coder.model import Json

_TERMS = "http://terminology.hl7.org/CodeSystem/"


def sample_claim(on: date | None = None) -> bytes:
    """A professional FHIR R4 Claim with one line, created and served on a day, by default today."""
    day = (on or date.today()).isoformat()
    made = {
        "resourceType": "Claim",
        "contained": _parties(),
        "identifier": [{"system": "urn:fhir-coder:claim", "value": "SAMPLE-1"}],
        "status": "active",
        "type": _concept(f"{_TERMS}claim-type", "professional"),
        "use": "claim",
        "patient": {"reference": "#patient"},
        "billablePeriod": {"start": day, "end": day},
        "created": day,
        "insurer": {"reference": "#payer"},
        "provider": {"reference": "#provider"},
        "priority": _concept(f"{_TERMS}processpriority", "normal"),
        "diagnosis": [
            {"sequence": 1, "diagnosisCodeableConcept": _concept("http://hl7.org/fhir/sid/icd-10-cm", "I10")}
        ],
        "insurance": [{"sequence": 1, "focal": True, "coverage": {"reference": "#coverage"}}],
        "item": [_line(day)],
        "total": _money(1),
    }
    return orjson.dumps(made)


def _line(day: str) -> Json:
    return {
        "sequence": 1,
        "diagnosisSequence": [1],
        "productOrService": _concept("https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "G0463"),
        "servicedDate": day,
        "locationCodeableConcept": _concept(
            "https://www.cms.gov/Medicare/Coding/place-of-service-codes/Place_of_Service_Code_Set", "11"
        ),
        "quantity": {"value": 1},
        "unitPrice": _money(1),
        "net": _money(1),
    }


def _parties() -> list[Json]:
    patient = {"resourceType": "Patient", "id": "patient", "name": [{"family": "Sample", "given": ["Claim"]}]}
    coverage = {
        "resourceType": "Coverage",
        "id": "coverage",
        "status": "active",
        "subscriberId": "SAMPLE",
        "beneficiary": {"reference": "#patient"},
        "payor": [{"reference": "#payer"}],
    }
    return [
        {**patient, "gender": "unknown", "birthDate": "1970-01-01"},
        coverage,
        {"resourceType": "Organization", "id": "payer", "name": "Sample Payer"},
        {"resourceType": "Organization", "id": "provider", "name": "Sample Provider"},
    ]


def _concept(system: str, code: str) -> Json:
    return {"coding": [{"system": system, "code": code}]}


def _money(value: int) -> Json:
    return {"value": value, "currency": "USD"}
