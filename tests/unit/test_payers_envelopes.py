"""The envelopes of plain FHIR R4: a claim with its parties contained, in a Bundle, or referring to a server."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from fhir_coder.claims import to_bytes
from fhir_coder.edits.structure import structure_findings
from fhir_coder.model import ClaimStatus, Identifier, Json, OutcomeKind, Payer, Severity
from fhir_coder.payers import BaseProfile, profile_of
from fhir_coder.payers.answer import HttpAnswer, read_json
from tests.building import SITE, built, good_chart

CLAIM = to_bytes(built(good_chart()).claim)
NAME = Identifier("CLM-1", SITE.claim_identifier_system)


def sent(envelope: str) -> tuple[str, dict[str, str], Json]:
    request = BaseProfile(envelope=envelope).submit_request(CLAIM, NAME)
    body: Json = read_json(request.body)
    return request.path, dict(request.headers), body


def references(element: Any) -> list[Json]:
    if isinstance(element, list):
        return [r for one in element for r in references(one)]
    if not isinstance(element, dict):
        return []
    own = [element] if "reference" in element or ("identifier" in element and "type" in element) else []
    return own + [r for value in element.values() for r in references(value)]


@pytest.mark.parametrize("envelope", ["claim", "collection", "transaction", "references"])
def test_every_envelope_passes_the_checks_of_its_structure(envelope: str) -> None:
    _, _, body = sent(envelope)
    assert [f for f in structure_findings(body) if f.severity is Severity.REJECT] == []


@pytest.mark.parametrize("envelope", ["claim", "collection", "transaction", "references"])
def test_every_envelope_keeps_the_money_as_it_was_and_is_the_same_each_time(envelope: str) -> None:
    request = BaseProfile(envelope=envelope).submit_request(CLAIM, NAME)
    total = re.search(rb'"total":\{"value":\d+\.\d\d,"currency":"USD"\}', CLAIM)
    assert total is not None
    assert total[0] in request.body
    assert request == BaseProfile(envelope=envelope).submit_request(CLAIM, NAME)


@pytest.mark.parametrize("envelope", ["collection", "transaction"])
def test_in_a_bundle_the_claim_is_first_and_every_reference_names_one_entry(envelope: str) -> None:
    _, _, bundle = sent(envelope)
    names = [entry["fullUrl"] for entry in bundle["entry"]]
    used = {r["reference"] for r in references(bundle) if "reference" in r}
    assert bundle["type"] == envelope
    assert bundle["entry"][0]["resource"]["resourceType"] == "Claim"
    assert len(set(names)) == len(names)
    assert used == set(names[1:])
    assert "contained" not in bundle["entry"][0]["resource"]


def test_a_collection_goes_to_submit_and_a_transaction_to_the_base() -> None:
    assert sent("collection")[0] == "Claim/$submit"
    path, headers, bundle = sent("transaction")
    assert path == ""
    assert "If-None-Exist" not in headers
    first, *rest = [entry["request"] for entry in bundle["entry"]]
    assert first == {
        "method": "POST",
        "url": "Claim",
        "ifNoneExist": f"identifier={NAME.system}|{NAME.value}",
    }
    assert {r["method"] for r in rest} == {"POST"}


def test_parties_with_a_number_are_named_by_it_and_the_others_stay_contained() -> None:
    path, headers, claim = sent("references")
    assert path == "Claim"
    assert "If-None-Exist" in headers
    kinds = [resource["resourceType"] for resource in claim["contained"]]
    assert "Coverage" in kinds
    assert "Patient" not in kinds
    assert claim["patient"]["type"] == "Patient"
    assert "reference" not in claim["patient"]
    assert all(r["system"] and r["value"] for r in [claim["patient"]["identifier"]])


def answer(resource: Json) -> HttpAnswer:
    return HttpAnswer(200, {}, json.dumps(resource).encode())


def test_the_answer_to_a_transaction_tells_where_the_claim_is() -> None:
    entries = [{"response": {"status": "201 Created", "location": "Claim/77/_history/1"}}, {"response": {}}]
    told = answer({"resourceType": "Bundle", "type": "transaction-response", "entry": entries})
    outcome = BaseProfile(envelope="transaction").read_submit(told, NAME)
    assert (outcome.kind, outcome.reference, outcome.http_status) == (OutcomeKind.TAKEN, "Claim/77", 200)
    nothing = answer({"resourceType": "Bundle", "type": "transaction-response", "entry": []})
    assert BaseProfile(envelope="transaction").read_submit(nothing, NAME).kind is OutcomeKind.UNKNOWN


def test_a_decision_that_comes_with_a_transactions_answer_is_read() -> None:
    response = {"resourceType": "ClaimResponse", "outcome": "complete", "request": {"reference": "Claim/77"}}
    entries = [{"response": {"status": "201", "location": "Claim/77"}}, {"resource": response}]
    told = answer({"resourceType": "Bundle", "type": "transaction-response", "entry": entries})
    outcome = BaseProfile(envelope="transaction").read_submit(told, NAME)
    assert outcome.adjudication is not None
    assert (outcome.adjudication.status, outcome.reference) == (ClaimStatus.COMPLETE, "Claim/77")


def test_an_answer_about_another_claim_says_nothing_about_this_one() -> None:
    other = {"identifier": {"system": NAME.system, "value": "CLM-9"}}
    told = answer({"resourceType": "ClaimResponse", "outcome": "complete", "request": other})
    assert BaseProfile().read_submit(told, NAME).kind is OutcomeKind.UNKNOWN
    own = answer({"resourceType": "ClaimResponse", "outcome": "complete", "request": {"identifier": _named()}})
    assert BaseProfile().read_submit(own, NAME).kind is OutcomeKind.ANSWERED


def _named() -> Json:
    return {"system": NAME.system, "value": NAME.value}


def test_the_profile_of_a_payer_is_that_of_its_settings() -> None:
    made = profile_of(Payer("p", submit="operation", envelope="references"))
    assert made == BaseProfile(submit="operation", envelope="references")
