"""The sandbox as a Da Vinci PAS payer: what our own requests are answered, judged by the guide's package."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from fhir.resources.R4B.capabilitystatement import CapabilityStatement

from fhir_coder.claims import to_bytes
from fhir_coder.model import ClaimStatus, Identifier, Json, OutcomeKind, PasRules, Payer
from fhir_coder.payers import DaVinciPas
from fhir_coder.payers.answer import HttpAnswer
from fhir_coder.payers.profile import PayerRequest
from fhir_coder.payers.sandbox import Rules, running
from tests import pas
from tests.building import SITE, built, charge, coverage, diagnosis, good_chart, visit
from tests.sandbox import held, make_claim, post

RULES = PasRules("555-0100", contact_name="Authorisations", service_type="1")
PROFILE = DaVinciPas(RULES)
PAYER = Payer("plan", "Plan", "http://127.0.0.1:1", use="preauthorization", identifier="PLAN", pas=RULES)
OFFICE = replace(SITE, place_of_service={"AMB": "11"}, taxonomy="")
needs_package = pytest.mark.skipif(
    not pas.PACKAGE.is_file(), reason="the Da Vinci PAS package is not in ../shared/data"
)


def claim_of(name: str, **changed: Any) -> tuple[bytes, Identifier]:
    """A preauthorization claim of ours, and its name."""
    identifier = Identifier(name, SITE.claim_identifier_system)
    chart = good_chart(visit(), coverage(), diagnosis(), charge())
    claim = built(chart, site=OFFICE, payer=PAYER).claim
    named = {"identifier": [{"system": identifier.system, "value": name}]}
    return to_bytes(claim | named | changed), identifier


def bundle_of(name: str, **changed: Any) -> Json:
    found: Json = json.loads(PROFILE.submit_request(*claim_of(name, **changed)).body)
    return found


def send(url: str, request: PayerRequest) -> HttpAnswer:
    address = f"{url}/fhir/{request.path}"
    answer = requests.request(request.method, address, data=request.body, headers=dict(request.headers), timeout=10)
    return HttpAnswer(answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, answer.content)


@pytest.fixture
def url() -> Iterator[str]:
    with running(profile="davinci-pas") as address:
        yield address


def submitted(url: str, name: str = "PA-1", **changed: Any) -> Any:
    claim, identifier = claim_of(name, **changed)
    answer = send(url, PROFILE.submit_request(claim, identifier))
    assert answer.status == 200, answer.body
    return PROFILE.read_submit(answer, identifier)


def asked(url: str, name: str = "PA-1") -> Any:
    claim, identifier = claim_of(name)
    return PROFILE.read_find(send(url, PROFILE.find_request(identifier, claim)), identifier)


def test_a_request_is_certified_with_a_number(url: str) -> None:
    outcome = submitted(url)
    assert (outcome.kind, outcome.adjudication.status) == (OutcomeKind.ANSWERED, ClaimStatus.COMPLETE)
    assert outcome.adjudication.authorization == "AUTH000001"
    assert [c["decision"] for c in held(url)] == ["certified"]


def test_what_is_not_covered_is_not_certified() -> None:
    with running(profile="davinci-pas", rules=Rules(covered_codes=frozenset({"none"}))) as url:
        outcome = submitted(url)
        assert (outcome.adjudication.status, held(url)[0]["decision"]) == (ClaimStatus.DENIED, "denied")
    assert "The service is not covered." in outcome.adjudication.texts


def test_a_pended_request_is_told_by_inquiry_until_it_is_decided() -> None:
    now = [datetime(2026, 11, 3, 9, 0, tzinfo=UTC)]
    with running(profile="davinci-pas", rules=Rules(pend_seconds=60), clock=lambda: now[0]) as url:
        outcome = submitted(url)
        assert (outcome.kind, outcome.adjudication.status) == (OutcomeKind.TAKEN, ClaimStatus.QUEUED)
        assert (asked(url).adjudication.status, held(url)[0]["decision"]) == (ClaimStatus.QUEUED, "queued")
        now[0] += timedelta(seconds=60)
        assert (asked(url).adjudication.status, held(url)[0]["decision"]) == (ClaimStatus.COMPLETE, "certified")


def test_an_inquiry_finds_only_what_is_there(url: str) -> None:
    assert asked(url).kind is OutcomeKind.NOT_FOUND
    submitted(url)
    assert (asked(url).kind, asked(url, "PA-2").kind) == (OutcomeKind.FOUND, OutcomeKind.NOT_FOUND)


def test_an_inquiry_about_another_patient_tells_nothing(url: str) -> None:
    submitted(url)
    claim, identifier = claim_of("PA-1")
    bundle = json.loads(PROFILE.find_request(identifier, claim).body)
    patient = next(e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Patient")
    patient["identifier"][0]["value"] = "SOMEBODY-ELSE"
    assert post(url, bundle, "/Claim/$inquire").json() == {"resourceType": "Parameters"}


def test_a_prior_request_is_replaced_by_its_update_and_withdrawn_by_its_cancelling(url: str) -> None:
    def about(name: str) -> list[Json]:
        named = {"identifier": {"system": SITE.claim_identifier_system, "value": name}}
        relation = {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/ex-relatedclaimrelationship", "code": "prior"}]
        }
        return [{"claim": named, "relationship": relation}]

    submitted(url, "PA-1")
    assert submitted(url, "PA-2", related=about("PA-1")).adjudication.status is ClaimStatus.COMPLETE
    submitted(url, "PA-3", related=about("PA-2"), status="cancelled")
    told = [(c["decision"], c["replaced_by"], c["voided"]) for c in held(url)]
    assert told == [("certified", "2", False), ("certified", "3", True), ("cancelled", None, False)]


@needs_package
@pytest.mark.parametrize("rules", [Rules(), Rules(denied_codes=frozenset({"99213", "G0463"})), Rules(pend_seconds=60)])
def test_the_answers_follow_the_guide(rules: Rules) -> None:
    with running(profile="davinci-pas", rules=rules) as url:
        answer = post(url, bundle_of("PA-1"), "/Claim/$submit")
        claim, identifier = claim_of("PA-1")
        inquired = send(url, PROFILE.find_request(identifier, claim))
    assert pas.faults_of(answer.json(), "pas-response-bundle") == []
    parameters = json.loads(inquired.body)["parameter"]
    assert [p["name"] for p in parameters] == ["return"]
    assert pas.faults_of(parameters[0]["resource"], "pas-inquiry-response-bundle") == []


def first_claim(bundle: Json) -> Json:
    claim: Json = bundle["entry"][0]["resource"]
    return claim


FAULTY: list[tuple[str, Callable[[Json], object]]] = [
    ("Bundle.type", lambda b: b.update(type="batch")),
    ("Bundle.identifier", lambda b: b.pop("identifier")),
    ("Bundle.timestamp", lambda b: b.pop("timestamp")),
    ("Bundle.entry[0]", lambda b: b["entry"].append(b["entry"].pop(0))),
    ("Bundle.entry[1].fullUrl", lambda b: b["entry"][1].update(fullUrl=b["entry"][0]["fullUrl"])),
    ("Claim.use", lambda b: first_claim(b).update(use="claim")),
    ("Claim.identifier", lambda b: first_claim(b)["identifier"][0].pop("system")),
    ("Claim.insurer", lambda b: first_claim(b).pop("insurer")),
    ("Claim.item[0].extension", lambda b: first_claim(b)["item"][0].pop("extension")),
    ("Claim.item[0].category", lambda b: first_claim(b)["item"][0].pop("category")),
    ("Claim.item[0].location", lambda b: first_claim(b)["item"][0].pop("locationCodeableConcept")),
    ("Bundle.entry[0].resource.priority", lambda b: first_claim(b).pop("priority")),
]


@pytest.mark.parametrize(("path", "change"), FAULTY)
def test_a_request_that_does_not_follow_the_guide_is_refused(
    url: str, path: str, change: Callable[[Json], object]
) -> None:
    bundle = bundle_of("PA-1")
    change(bundle)
    answer = post(url, bundle, "/Claim/$submit")
    assert (answer.status_code, held(url)) == (422, [])
    assert path in [p for i in answer.json()["issue"] for p in i.get("expression", ())]


def test_a_claim_without_its_bundle_is_refused(url: str) -> None:
    assert post(url, make_claim(), "/Claim/$submit").status_code == 422


def test_there_is_neither_create_nor_search(url: str) -> None:
    assert post(url, make_claim()).status_code in (404, 405)
    assert requests.get(f"{url}/Claim", {"identifier": "x"}, timeout=10).status_code in (404, 405)
    told = requests.get(f"{url}/metadata", timeout=10).json()
    CapabilityStatement.model_validate(told)
    assert [o["name"] for o in told["rest"][0]["resource"][0]["operation"]] == ["submit", "inquire"]


def test_an_inquiry_may_be_hit_by_a_fault(url: str) -> None:
    requests.post(f"{url}/_sandbox/faults", json={"specs": ["503:1:at=question", "other-claim"]}, timeout=10)
    claim, identifier = claim_of("PA-1")
    assert send(url, PROFILE.find_request(identifier, claim)).status == 503
    told = PROFILE.read_submit(send(url, PROFILE.submit_request(claim, identifier)), identifier)
    assert told.kind is OutcomeKind.UNKNOWN
    assert asked(url).kind is OutcomeKind.FOUND
