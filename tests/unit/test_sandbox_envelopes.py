"""The envelopes in which our base profile sends a claim, and what the sandbox makes of each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from fhir_coder.claims.wire import to_bytes
from fhir_coder.model import Identifier, Json, OutcomeKind
from fhir_coder.payers import BaseProfile
from fhir_coder.payers.answer import HttpAnswer, read_json
from fhir_coder.payers.sandbox import running
from tests.sandbox import SYSTEM, held, make_claim, post

NAME = Identifier("C-1", SYSTEM)


@pytest.fixture
def url() -> Iterator[str]:
    with running() as address:
        yield address


def known_parties() -> Json:
    """A claim whose parties can be named by identifiers with a system."""
    claim = make_claim()
    claim["contained"][0]["identifier"][0]["system"] = "urn:example:mrn"
    return claim


def send(url: str, envelope: str) -> HttpAnswer:
    request = BaseProfile(envelope=envelope).submit_request(to_bytes(known_parties()), NAME)
    address = f"{url}/fhir/{request.path}"
    answer = requests.post(address, request.body, headers=dict(request.headers), timeout=10, allow_redirects=False)
    return HttpAnswer(answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, answer.content)


@pytest.mark.parametrize("envelope", ["claim", "references", "collection", "transaction"])
def test_every_envelope_is_taken_once(url: str, envelope: str) -> None:
    first = BaseProfile(envelope=envelope).read_submit(send(url, envelope), NAME)
    assert (first.kind in (OutcomeKind.TAKEN, OutcomeKind.ANSWERED), first.reference) == (True, "Claim/1"), first
    send(url, envelope)
    assert [(c["id"], c["received"], c["decision"]) for c in held(url)] == [("1", 2, "paid")]


def test_a_transaction_is_answered_entry_by_entry(url: str) -> None:
    made, again = (read_json(send(url, "transaction").body) for _ in range(2))
    assert (made["type"], made["entry"][0]["response"]) == (
        "transaction-response",
        {"status": "201 Created", "location": "Claim/1"},
    )
    assert len(made["entry"]) == 4
    assert again["entry"][0]["response"] == {"status": "200 OK", "location": "Claim/1"}


def test_a_faulty_transaction_is_refused_whole(url: str) -> None:
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [{"resource": make_claim(priority=None)}]}
    assert post(url, bundle, "/").status_code == post(url, bundle, "/fhir").status_code == 422
    assert post(url, bundle | {"type": "batch", "entry": [{"resource": make_claim()}]}, "/").status_code == 422
    assert held(url) == []
