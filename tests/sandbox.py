"""Claims for the sandbox payer, and sending them over HTTP."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import requests

from fhir_coder.claims.wire import to_bytes
from fhir_coder.model import Json, System

SYSTEM = "urn:example:claim"


def money(amount: str) -> Json:
    return {"value": Decimal(amount), "currency": "USD"}


def line(sequence: int, code: str, amount: str) -> Json:
    return {
        "sequence": sequence,
        "diagnosisSequence": [1],
        "productOrService": {"coding": [{"system": System.HCPCS, "code": code}]},
        "quantity": {"value": Decimal(1)},
        "unitPrice": money(amount),
        "net": money(amount),
    }


def make_claim(name: str = "C-1", subscriber: str = "SUB-1", **more: Any) -> Json:
    claim: Json = {
        "resourceType": "Claim",
        "contained": [
            {
                "resourceType": "Patient",
                "id": "patient",
                "identifier": [{"value": "POISON-1"}],
                "name": [{"family": "Poison"}],
            },
            {
                "resourceType": "Organization",
                "id": "provider",
                "identifier": [{"system": System.NPI, "value": "1234567893"}],
            },
            {
                "resourceType": "Coverage",
                "id": "coverage",
                "status": "active",
                "subscriberId": subscriber,
                "beneficiary": {"reference": "#patient"},
                "payor": [{"display": "Payer"}],
            },
        ],
        "identifier": [{"system": SYSTEM, "value": name}],
        "status": "active",
        "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/claim-type", "code": "professional"}]},
        "use": "claim",
        "patient": {"reference": "#patient"},
        "created": "2026-11-03",
        "provider": {"reference": "#provider"},
        "priority": {"coding": [{"code": "normal"}]},
        "diagnosis": [
            {"sequence": 1, "diagnosisCodeableConcept": {"coding": [{"system": System.ICD10CM, "code": "E11.9"}]}}
        ],
        "insurance": [{"sequence": 1, "focal": True, "coverage": {"reference": "#coverage"}}],
        "item": [line(1, "G0463", "150.25"), line(2, "J1885", "10.10")],
        "total": money("160.35"),
    }
    return claim | more


def post(url: str, claim: Json, path: str = "/Claim", **headers: str) -> requests.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.post(url + path, to_bytes(claim), headers=named, timeout=10)


def held(url: str) -> list[Json]:
    found: list[Json] = requests.get(f"{url}/_sandbox/claims", timeout=10).json()
    return found
