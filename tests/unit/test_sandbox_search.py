"""Searching the sandbox: which claims each parameter finds, and page by page."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from fhir.resources.R4B.bundle import Bundle

from fhir_coder.payers.sandbox import Rules, running
from fhir_coder.payers.sandbox.search import period_of
from tests.sandbox import SYSTEM, make_claim, post

START = datetime(2026, 11, 3, 9, 0, tzinfo=UTC)


def person(value: str, system: str = "urn:example:mrn") -> Any:
    def change(claim: Any) -> Any:
        claim["contained"][0]["identifier"] = [{"system": system, "value": value}]
        return claim

    return change


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Four claims; the last of them waits for its decision."""
    now = [START]
    with running(rules=Rules(pend_seconds=60, pend_codes=frozenset({"G0101"})), clock=lambda: now[0]) as address:
        for name, patient, created, more in (
            ("A", "P1", "2026-11-01", {}),
            ("B", "P1", "2026-11-02T23:30:00-05:00", {"status": "cancelled"}),
            ("C", "P2", "2026-11-03", {"use": "predetermination"}),
            ("D,1", "P2", "2026-12", {}),
        ):
            claim = person(patient)(make_claim(name, created=created, **more))
            if name == "D,1":
                claim["item"][0]["productOrService"]["coding"][0]["code"] = "G0101"
            assert post(address, claim).status_code == 201, name
            now[0] += timedelta(seconds=1)
        yield address


def found(url: str, kind: str = "Claim", **asked: str) -> str:
    """The names of the claims that are found, one letter each."""
    answer = requests.get(f"{url}/{kind}", {k.replace("__", "."): v for k, v in asked.items()}, timeout=10)
    assert answer.status_code == 200, answer.text
    bundle = answer.json()
    Bundle.model_validate(bundle)
    resources = [e["resource"] for e in bundle.get("entry", [])]
    names = [r["request"]["identifier"]["value"] if kind != "Claim" else r["identifier"][0]["value"] for r in resources]
    return "".join(name[0] for name in names)


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ({"identifier": f"{SYSTEM}|A"}, "A"),
        ({"identifier": "A,C"}, "AC"),
        ({"identifier": "D\\,1"}, "D"),
        ({"identifier": f"{SYSTEM}|"}, "ABCD"),
        ({"identifier": "urn:other|A"}, ""),
        ({"patient__identifier": "urn:example:mrn|P1"}, "AB"),
        ({"patient:identifier": "P2"}, "CD"),
        ({"patient": "Patient/1"}, ""),
        ({"status": "active"}, "ACD"),
        ({"status": "active,cancelled"}, "ABCD"),
        ({"status": "active", "patient__identifier": "P1"}, "A"),
        ({"use": "predetermination"}, "C"),
        ({"_id": "2,3"}, "BC"),
        ({"created": "2026-11-01"}, "A"),
        ({"created": "2026-11-03"}, "BC"),
        ({"created": "2026-11"}, "ABC"),
        ({"created": "ge2026-11-03"}, "BCD"),
        ({"created": "gt2026-11-03"}, "D"),
        ({"created": "lt2026-11-03"}, "A"),
        ({"created": "le2026-11-01"}, "A"),
        ({"created": "sa2026-11"}, "D"),
        ({"created": "eb2026-11-03"}, "A"),
        ({"created": "ne2026-11"}, "D"),
        ({"created": "2026-11-02T23:30:00-05:00"}, "B"),
    ],
)
def test_claims_are_found(url: str, asked: dict[str, str], names: str) -> None:
    assert found(url, **asked) == names


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ({"request": "Claim/1"}, "A"),
        ({"request": "2"}, "B"),
        ({"request__identifier": "C"}, "C"),
        ({"outcome": "complete"}, "ABC"),
        ({"outcome": "queued"}, "D"),
        ({"status": "active", "patient__identifier": "P2"}, "CD"),
        ({"status": "cancelled"}, ""),
        ({"created": "2026-11-03T09:00:01Z"}, "B"),
        ({"created": "ge2026-11-03T09:00:02Z"}, "CD"),
        ({"_id": "4-response"}, "D"),
    ],
)
def test_responses_are_found(url: str, asked: dict[str, str], names: str) -> None:
    assert found(url, "ClaimResponse", **asked) == names


def test_a_search_goes_page_by_page_and_finds_each_once(url: str) -> None:
    pages, address = [], f"{url}/fhir/Claim?status=active&_count=2"
    while address:
        page = requests.get(address, timeout=10).json()
        assert page["total"] == 3
        pages.append([e["resource"]["identifier"][0]["value"] for e in page["entry"]])
        address = next((link["url"] for link in page["link"] if link["relation"] == "next"), "")
    assert pages == [["A", "C"], ["D,1"]]


def test_a_count_of_zero_tells_the_total_only(url: str) -> None:
    page = requests.get(f"{url}/Claim?status=active&_count=0", timeout=10).json()
    assert (page["total"], "entry" in page) == (3, False)


@pytest.mark.parametrize(
    "query",
    [
        "created=yesterday",
        "created=2026-13",
        "created=9999-12-31",
        "_count=many",
        "status=active&_count=-1",
        "identifier=",
        "colour=red",
    ],
)
def test_a_search_that_cannot_be_understood_is_refused(url: str, query: str) -> None:
    answer = requests.get(f"{url}/Claim?{query}", timeout=10)
    assert (answer.status_code, answer.json()["resourceType"]) == (400, "OperationOutcome")


def test_an_unknown_parameter_is_refused_only_where_the_client_is_strict(url: str) -> None:
    asked = f"{url}/Claim?status=active&colour=POISON"
    lenient = requests.get(asked, timeout=10)
    strict = requests.get(asked, headers={"Prefer": "handling=strict"}, timeout=10)
    assert (lenient.json()["total"], strict.status_code, "POISON" in strict.text) == (3, 400, False)
    assert "colour" not in lenient.json()["link"][0]["url"]


def test_a_patient_of_a_bundle_is_found_by_reference() -> None:
    claim = make_claim()
    patient, provider, coverage = claim.pop("contained")
    claim |= {"patient": {"reference": "Patient/patient"}, "provider": {"reference": "Organization/provider"}}
    claim["insurance"][0]["coverage"] = {"reference": "Coverage/coverage"}
    coverage["beneficiary"] = {"reference": "Patient/patient"}
    named = (
        (r, f"http://h.example/{r['resourceType']}/{r.get('id', '1')}") for r in (claim, patient, provider, coverage)
    )
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"fullUrl": u, "resource": r} for r, u in named],
    }
    with running() as url:
        answer = post(url, bundle, "/Claim/$submit")
        assert answer.status_code == 200, answer.text
        found = [
            requests.get(f"{url}/Claim", {"patient": p}, timeout=10).json()["total"]
            for p in ("patient", "http://x/Patient/patient", "Patient/2")
        ]
    assert found == [1, 1, 0]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2026", 365 * 86_400),
        ("2024-02", 29 * 86_400),
        ("2026-12", 31 * 86_400),
        ("2026-11-03", 86_400),
        ("2026-11-03T09:00", 60),
        ("2026-11-03T09:00+01:00", 60),
        ("2026-11-03T09:00:30Z", 1),
        ("2026-11-03T09:00:30.5-05:00", 1),
    ],
)
def test_a_date_is_as_long_as_its_precision(value: str, seconds: int) -> None:
    start, end = period_of(value)
    assert end - start == seconds
