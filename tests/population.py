"""An invented population as a FHIR bulk export writes it: a file for each type, any number of visits, always the same.

`python -m tests.population FOLDER VISITS` writes one. All of it is made up; its codes are those of the shipped tables.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

VISITS_OF_A_PATIENT = 4
PRACTITIONERS = 200
_KINDS = ("Organization", "Practitioner", "Patient", "Coverage", "Condition", "Procedure", "Encounter")
_CONDITIONS = ("38341003", "44054006", "10509002", "444814009", "195967001", "284551006", "40055000")
_PROCEDURES = ("430193006", "274474001", "76601001")
_FAMILIES = ("Placeholder", "Example", "Imaginary", "Sample", "Inventado", "Testcase")
_FIRST_DAY = date(2026, 1, 5)
_PAYER = "payer-sw"


def write_export(folder: Path, visits: int, kinds: tuple[str, ...] = _KINDS) -> list[Path]:
    """Write the files of an export with so many Encounters; answers their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{kind}.ndjson" for kind in kinds]
    for kind, path in zip(kinds, paths, strict=True):
        with path.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(one, separators=(",", ":")) + "\n" for one in resources(kind, visits))
    return paths


def resources(kind: str, visits: int) -> Iterator[dict[str, Any]]:
    """All resources of one type."""
    patients = -(-visits // VISITS_OF_A_PATIENT)
    number = {"Organization": 1, "Practitioner": min(PRACTITIONERS, visits), "Patient": patients, "Coverage": patients}
    for n in range(number.get(kind, visits)):
        if kind != "Procedure" or n % 3 == 0:
            yield {"resourceType": kind} | _MAKERS[kind](n)


def _organization(_: int) -> dict[str, Any]:
    return {
        "id": _PAYER,
        "identifier": [{"system": "https://lakeshore.example/payers", "value": "SWMCD"}],
        "name": "Statewide Medicaid",
    }


def _practitioner(n: int) -> dict[str, Any]:
    return {
        "id": f"doc-{n}",
        "identifier": [{"system": "http://hl7.org/fhir/sid/us-npi", "value": _npi(n)}],
        "name": [{"family": _FAMILIES[n % len(_FAMILIES)], "given": ["Lou"], "prefix": ["Dr."]}],
    }


def _patient(n: int) -> dict[str, Any]:
    number_type = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]}
    return {
        "id": f"p-{n}",
        "identifier": [{"type": number_type, "system": "https://lakeshore.example/mrn", "value": f"LK{n:08}"}],
        "name": [{"use": "official", "family": _FAMILIES[n % 6], "given": [f"Tim{n % 97}"]}],
        "gender": ("male", "female")[n % 2],
        "birthDate": (date(1950, 1, 1) + timedelta(days=n * 7919 % 25000)).isoformat(),
        "address": [{"line": [f"{n % 900 + 1} Test Lane"], "city": "Lakeshore", "state": "IL", "postalCode": "60000"}],
    }


def _coverage(n: int) -> dict[str, Any]:
    relationship = {"system": "http://terminology.hl7.org/CodeSystem/subscriber-relationship", "code": "self"}
    return {
        "id": f"cov-{n}",
        "status": "active",
        "subscriberId": f"SWM-{n:08}",
        "beneficiary": {"reference": f"Patient/p-{n}"},
        "relationship": {"coding": [relationship]},
        "period": {"start": "2026-01-01", "end": "2026-12-31"},
        "payor": [{"reference": f"Organization/{_PAYER}"}],
    }


def _condition(n: int) -> dict[str, Any]:
    return {
        "id": f"dx-{n}",
        "clinicalStatus": _coded("http://terminology.hl7.org/CodeSystem/condition-clinical", "active"),
        "verificationStatus": _coded("http://terminology.hl7.org/CodeSystem/condition-ver-status", "confirmed"),
        "code": _coded("http://snomed.info/sct", _CONDITIONS[n * 13 % len(_CONDITIONS)]),
        "subject": _subject(n),
        "encounter": {"reference": f"Encounter/e-{n}"},
    }


def _procedure(n: int) -> dict[str, Any]:
    return {
        "id": f"pr-{n}",
        "status": "completed",
        "code": _coded("http://snomed.info/sct", _PROCEDURES[n * 7 % len(_PROCEDURES)]),
        "subject": _subject(n),
        "encounter": {"reference": f"Encounter/e-{n}"},
        "performedDateTime": _at(n, "09:20"),
        "reasonReference": [{"reference": f"Condition/dx-{n}"}],
    }


def _encounter(n: int) -> dict[str, Any]:
    role = {"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "ATND"}
    doctor = {"reference": f"Practitioner/doc-{n * 31 % PRACTITIONERS}"}
    return {
        "id": f"e-{n}",
        "identifier": [{"system": "https://lakeshore.example/visits", "value": f"VN-{n:09}"}],
        "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "type": [_coded("http://snomed.info/sct", "185347001")],
        "subject": _subject(n),
        "participant": [{"type": [{"coding": [role]}], "individual": doctor}],
        "period": {"start": _at(n, "09:00"), "end": _at(n, "09:40")},
        "diagnosis": [{"condition": {"reference": f"Condition/dx-{n}"}, "rank": 1}],
    }


_MAKERS: dict[str, Callable[[int], dict[str, Any]]] = {
    "Organization": _organization,
    "Practitioner": _practitioner,
    "Patient": _patient,
    "Coverage": _coverage,
    "Condition": _condition,
    "Procedure": _procedure,
    "Encounter": _encounter,
}


def _coded(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


def _subject(visit: int) -> dict[str, Any]:
    return {"reference": f"Patient/p-{visit // VISITS_OF_A_PATIENT}"}


def _at(visit: int, time: str) -> str:
    return f"{_FIRST_DAY + timedelta(days=visit * 37 % 300)}T{time}:00-06:00"


def _npi(n: int) -> str:
    """An NPI with its check digit (ISO 7812, prefix 80840); none of them was given out: they begin with 3."""
    body = f"3{n:08}"
    digits = [int(c) for c in f"80840{body}"]
    total = sum(d if i % 2 else (d * 2 - 9 if d > 4 else d * 2) for i, d in enumerate(reversed(digits)))
    return f"{body}{-total % 10}"


if __name__ == "__main__":
    write_export(Path(sys.argv[1]), int(sys.argv[2]))
