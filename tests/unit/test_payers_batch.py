"""Several claims in one request: what leaves, and what the answer says of each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from fhir_coder.claims.wire import to_bytes
from fhir_coder.model import Identifier, Json, Outcome, OutcomeKind
from fhir_coder.payers import BaseProfile, ClientOptions, PayerClient
from fhir_coder.payers.answer import HttpAnswer
from fhir_coder.payers.base import FHIR_HEADERS
from fhir_coder.payers.batch import answers_in, batch_of
from fhir_coder.payers.sandbox import running
from tests.sandbox import SYSTEM, held, make_claim

NAMES = ("C-1", "C-2", "C-3")


def profile(submit: str = "create") -> BaseProfile:
    return BaseProfile(submit=submit, envelope="batch", per_request=10)


def sent(url: str, *claims: Json, submit: str = "create", **options: Any) -> list[Outcome]:
    client = PayerClient(f"{url}/fhir", profile(submit), options=ClientOptions(sleep=lambda _: None, **options))
    names = [claim["identifier"][0]["value"] for claim in claims]
    prepared = [client.prepared(to_bytes(one), SYSTEM, name) for one, name in zip(claims, names, strict=True)]
    try:
        return list(client.send_all(prepared, SYSTEM, names).outcomes)
    finally:
        client.close()


@pytest.fixture
def url() -> Iterator[str]:
    with running() as address:
        yield address


def test_each_entry_is_the_request_that_the_claim_would_be_sent_with_alone() -> None:
    one = profile().submit_request(to_bytes(make_claim()), Identifier("C-1", SYSTEM))

    bundle = json.loads(batch_of([one, one], FHIR_HEADERS).body)

    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "batch")
    assert bundle["entry"][0] == bundle["entry"][1]
    assert bundle["entry"][0]["resource"] == json.loads(one.body)
    condition = one.headers["If-None-Exist"]
    assert bundle["entry"][0]["request"] == {"method": "POST", "url": "Claim", "ifNoneExist": condition}


def test_money_keeps_its_decimals_in_a_batch() -> None:
    one = profile().submit_request(to_bytes(make_claim()), Identifier("C-1", SYSTEM))

    assert b"150.25" in batch_of([one], FHIR_HEADERS).body
    assert b"10.10" in batch_of([one], FHIR_HEADERS).body


@pytest.mark.parametrize(
    ("submit", "kind"),
    [("create", OutcomeKind.TAKEN), ("operation", OutcomeKind.ANSWERED)],
    ids=["create", "operation"],
)
def test_a_batch_has_one_outcome_for_each_claim(url: str, submit: str, kind: OutcomeKind) -> None:
    outcomes = sent(url, *(make_claim(name) for name in NAMES), submit=submit)

    assert [one.kind for one in outcomes] == [kind] * 3
    assert [one["identifier"]["value"] for one in held(url)] == list(NAMES)


def test_one_claim_that_is_refused_holds_up_no_other(url: str) -> None:
    faulty = make_claim("C-2")
    del faulty["patient"]

    outcomes = sent(url, make_claim("C-1"), faulty, make_claim("C-3"))

    assert [one.kind for one in outcomes] == [OutcomeKind.TAKEN, OutcomeKind.REFUSED, OutcomeKind.TAKEN]
    assert "required at Claim.patient" in outcomes[1].reason
    assert [one["identifier"]["value"] for one in held(url)] == ["C-1", "C-3"]


def test_a_claim_that_is_there_already_is_not_made_a_second_time(url: str) -> None:
    sent(url, make_claim("C-1"), make_claim("C-2"))

    outcomes = sent(url, make_claim("C-2"), make_claim("C-3"))

    assert [one.kind for one in outcomes] == [OutcomeKind.TAKEN, OutcomeKind.TAKEN]
    assert [one["identifier"]["value"] for one in held(url)] == list(NAMES)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("drop-after-read", OutcomeKind.UNKNOWN),
        ("half-body", OutcomeKind.UNKNOWN),
        ("500", OutcomeKind.UNKNOWN),
        ("503:9", OutcomeKind.BUSY),
        ("422", OutcomeKind.NOT_SENT),
        ("html:1:status=200", OutcomeKind.UNKNOWN),
    ],
)
def test_what_hits_the_request_hits_each_of_its_claims(fault: str, kind: OutcomeKind) -> None:
    with running(faults=[fault]) as url:
        outcomes = sent(url, *(make_claim(name) for name in NAMES))

    assert [one.kind for one in outcomes] == [kind] * 3


def test_an_answer_about_another_claim_says_nothing_of_the_one_it_stands_for(url: str) -> None:
    sent(url, make_claim("C-1"))
    client = PayerClient(f"{url}/fhir", profile("operation"))
    prepared = [client.prepared(to_bytes(make_claim(name)), SYSTEM, name) for name in ("C-8", "C-9")]

    outcomes = client.send_all(prepared, SYSTEM, ["C-9", "C-8"]).outcomes
    client.close()

    assert [one.kind for one in outcomes] == [OutcomeKind.UNKNOWN] * 2


@pytest.mark.parametrize("entries", [0, 1, 3])
def test_an_answer_with_another_number_of_entries_tells_nothing(entries: int) -> None:
    entry = {"response": {"status": "201 Created", "location": "Claim/1"}}
    bundle = {"resourceType": "Bundle", "type": "batch-response", "entry": [entry] * entries}

    assert answers_in(HttpAnswer(200, body=json.dumps(bundle).encode()), 2) is None


@pytest.mark.parametrize("status", ["", "ok", "2", 201, None])
def test_an_entry_without_a_status_is_unknown(status: object) -> None:
    entry = {"response": {"status": status, "location": "Claim/1"}}
    bundle = {"resourceType": "Bundle", "type": "batch-response", "entry": [entry]}

    (answer,) = answers_in(HttpAnswer(200, body=json.dumps(bundle).encode()), 1) or []

    assert profile().read_submit(answer, Identifier("C-1", SYSTEM)).kind is OutcomeKind.UNKNOWN


def test_the_sandbox_refuses_a_batch_that_asks_for_something_else(url: str) -> None:
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": [{"request": {"method": "GET", "url": "Claim"}}]}

    answer = requests.post(f"{url}/fhir", json=bundle, timeout=10)

    assert answer.status_code == 422
    assert held(url) == []
