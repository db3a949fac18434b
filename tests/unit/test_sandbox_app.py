"""The sandbox payer over real HTTP: takes, refuses, decides, remembers and fails as told."""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from fhir.resources.R4B.claimresponse import ClaimResponse
from fhir.resources.R4B.operationoutcome import OperationOutcome

from fhir_coder.claims.wire import to_bytes
from fhir_coder.model import ClaimStatus, Json, OutcomeKind
from fhir_coder.payers import BaseProfile, ClientOptions, PayerClient
from fhir_coder.payers.answer import read_json
from fhir_coder.payers.sandbox import Rules, running
from tests.sandbox import SYSTEM, held, line, make_claim, money, post


@pytest.fixture
def url() -> Iterator[str]:
    with running() as address:
        yield address


@pytest.fixture(scope="module")
def refusing() -> Iterator[str]:
    """A sandbox for what is not taken: shared, as it keeps nothing of it."""
    with running() as address:
        yield address


@pytest.mark.parametrize("prefix", ["", "/fhir"])
def test_a_claim_is_created_and_found_again(url: str, prefix: str) -> None:
    created = post(url, make_claim(), f"{prefix}/Claim")
    assert (created.status_code, created.headers["Location"]) == (201, f"{url}{prefix}/Claim/1")
    assert created.headers["Content-Type"] == "application/fhir+json"
    assert read_json(created.content) == make_claim() | {"id": "1"}
    assert b"160.35" in created.content
    found = requests.get(f"{url}{prefix}/Claim", {"identifier": f"{SYSTEM}|C-1"}, timeout=10).json()
    Bundle.model_validate(found)
    assert [e["fullUrl"] for e in found["entry"]] == [f"{url}{prefix}/Claim/1"]
    assert requests.get(f"{url}{prefix}/Claim/1", timeout=10).json()["id"] == "1"


def test_the_operation_answers_with_a_valid_claim_response(url: str) -> None:
    answer = post(url, make_claim(), "/Claim/$submit")
    body = answer.json()
    ClaimResponse.model_validate(body)
    assert (answer.status_code, body["outcome"], body["request"]["reference"]) == (200, "complete", "Claim/1")
    assert b'"value":128.28' in answer.content


def urn(number: int) -> str:
    return f"urn:uuid:00000000-0000-4000-8000-{number:012}"


def test_the_operation_takes_a_bundle(url: str) -> None:
    claim = make_claim()
    patient, provider, coverage = claim.pop("contained")
    entries = [claim, patient, provider, coverage]
    claim |= {"patient": {"reference": urn(1)}, "provider": {"reference": "Organization/provider"}}
    claim["insurance"][0]["coverage"] = {"reference": urn(3)}
    coverage |= {"subscriberId": "INACTIVE-9", "beneficiary": {"reference": urn(1)}}
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"fullUrl": urn(n), "resource": r} for n, r in enumerate(entries)],
    }
    assert post(url, bundle, "/Claim/$submit").json()["disposition"] == "0 of 2 lines are accepted."


def test_if_none_exist_answers_with_the_claim_it_has(url: str) -> None:
    condition = f"identifier={SYSTEM}|C-1"
    first, second = (post(url, make_claim(), If_None_Exist=condition) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.headers["Location"] == first.headers["Location"]
    assert [(c["id"], c["received"]) for c in held(url)] == [("1", 2)]


def test_a_blind_repeat_is_a_counted_conflict(url: str) -> None:
    post(url, make_claim())
    repeat = post(url, make_claim())
    assert (repeat.status_code, repeat.json()["issue"][0]["code"]) == (409, "duplicate")
    assert [(c["id"], c["received"]) for c in held(url)] == [("1", 2)]
    seen = requests.get(f"{url}/_sandbox/requests", timeout=10).json()
    assert seen == [{"identifier": {"system": SYSTEM, "value": "C-1"}, "requests": 2, "answers": ["201", "409"]}]


def test_many_at_once_make_one_claim(url: str) -> None:
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(post(url, make_claim()).status_code)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [201, *[409] * 5]
    assert len(held(url)) == 1


def prior(name: str) -> Json:
    claim = {"identifier": {"system": SYSTEM, "value": name}}
    return {"claim": claim, "relationship": {"coding": [{"code": "prior"}]}}


def drop(name: str) -> Callable[[Json], object]:
    return lambda claim: claim.pop(name)


REFUSED: list[tuple[str, str, Callable[[Json], object]]] = [
    ("required", "Claim.identifier", drop("identifier")),
    ("required", "Claim.item", drop("item")),
    ("required", "Claim.diagnosis", drop("diagnosis")),
    ("required", "Claim.priority", drop("priority")),
    ("required", "Claim.patient", lambda c: c["contained"][0].pop("identifier")),
    ("required", "Claim.provider", lambda c: c["contained"][1].pop("identifier")),
    ("invariant", "Claim.item[1].diagnosisSequence[0]", lambda c: c["item"][1].update(diagnosisSequence=[2])),
    ("business-rule", "Claim.total", lambda c: c.update(total=money("160.36"))),
    ("business-rule", "Claim.status", lambda c: c.update(status="draft")),
    ("value", "Claim.contained[0].birthDate", lambda c: c["contained"][0].update(birthDate="POISON")),
    ("structure", "Claim.colour", lambda c: c.update(colour="red")),
    ("value", "Claim.contained[2].resourceType", lambda c: c["contained"][2].update(resourceType="Nothing")),
    ("not-found", "Claim.related[0].claim", lambda c: c.update(related=[prior("C-0")])),
]


@pytest.mark.parametrize(("code", "path", "change"), REFUSED)
def test_a_faulty_claim_is_refused_with_its_place(
    refusing: str, code: str, path: str, change: Callable[[Json], object]
) -> None:
    claim = copy.deepcopy(make_claim("C-9"))
    change(claim)
    answer = post(refusing, claim)
    OperationOutcome.model_validate(answer.json())
    assert answer.status_code == 422
    assert (code, [path]) in [(i["code"], i.get("expression")) for i in answer.json()["issue"]]
    assert "POISON" not in answer.text
    assert held(refusing) == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"<x/>", 400),
        (b"[]", 400),
        (b"[" * 100_000, 400),
        (b'{"resourceType":"Patient"}', 422),
        (b'{"resourceType":"Bundle","entry":[{}]}', 422),
        (b'{"resourceType":"Claim","item":[3],"status":[]}', 422),
    ],
)
def test_what_is_no_claim_is_refused(refusing: str, body: bytes, status: int) -> None:
    answer = requests.post(f"{refusing}/Claim", body, timeout=10)
    assert (answer.status_code, answer.json()["resourceType"]) == (status, "OperationOutcome")


@pytest.mark.parametrize("path", ["/Claim/9", "/Claim/x", "/ClaimResponse/9", "/ClaimResponse/9-response"])
def test_what_is_not_there_is_not_found(refusing: str, path: str) -> None:
    assert requests.get(refusing + path, timeout=10).status_code == 404


@pytest.mark.parametrize("path", ["/Claim", "/ClaimResponse"])
def test_a_search_without_its_parameter_is_refused(refusing: str, path: str) -> None:
    assert requests.get(refusing + path, timeout=10).status_code == 400


def test_the_capability_statement_is_valid(refusing: str) -> None:
    statement = requests.get(f"{refusing}/fhir/metadata", timeout=10).json()
    CapabilityStatement.model_validate(statement)
    assert (statement["fhirVersion"], statement["implementation"]["url"]) == ("4.0.1", f"{refusing}/fhir")


def test_a_replacement_marks_the_prior_claim(url: str) -> None:
    post(url, make_claim())
    prior = {
        "claim": {"identifier": {"system": SYSTEM, "value": "C-1"}},
        "relationship": {"coding": [{"code": "prior"}]},
    }
    assert post(url, make_claim("C-1-2", related=[prior])).status_code == 201
    assert [(c["id"], c["replaced_by"]) for c in held(url)] == [("1", "2"), ("2", None)]


def test_a_cancelled_claim_is_taken_and_nothing_is_paid(url: str) -> None:
    post(url, make_claim(status="cancelled"))
    assert [(c["decision"], c["paid"]) for c in held(url)] == [("cancelled", None)]


@pytest.mark.parametrize(
    "asked",
    [
        {"request": "Claim/1"},
        {"request": "http://other.example/fhir/Claim/1"},
        {"request.identifier": f"{SYSTEM}|C-1"},
        {"request:Claim.identifier": f"{SYSTEM}|C-1"},
        {"identifier": "C-1"},
    ],
)
def test_the_decision_is_found_by_claim_or_identifier(url: str, asked: dict[str, str]) -> None:
    post(url, make_claim())
    found = requests.get(f"{url}/ClaimResponse", asked, timeout=10).json()
    assert [e["resource"]["id"] for e in found["entry"]] == ["1-response"]
    assert requests.get(f"{url}/ClaimResponse/1-response", timeout=10).json()["request"]["reference"] == "Claim/1"


# --- decisions, through the client


@pytest.fixture
def client_of() -> Iterator[Callable[..., PayerClient]]:
    made: list[PayerClient] = []

    def make(url: str, **more: Any) -> PayerClient:
        made.append(PayerClient(url, options=ClientOptions(sleep=lambda _: None), **more))
        return made[-1]

    yield make
    for client in made:
        client.close()


def decide(client: PayerClient, claim: Json) -> Any:
    taken = client.submit(to_bytes(claim), SYSTEM, claim["identifier"][0]["value"])
    assert taken.kind is OutcomeKind.TAKEN
    return client.poll(taken.reference, SYSTEM, claim["identifier"][0]["value"]).adjudication


def test_lines_are_paid_at_eighty_percent(url: str, client_of: Callable[..., PayerClient]) -> None:
    decision = decide(client_of(f"{url}/fhir"), make_claim())
    assert decision.status is ClaimStatus.COMPLETE
    assert [str(d.paid.value) for d in decision.lines] == ["120.20", "8.08"]
    assert str(decision.paid.value) == "128.28"


def test_the_rules_can_be_set(client_of: Callable[..., PayerClient]) -> None:
    with running(rules=Rules(paid_percent=Decimal(50), denied_codes=frozenset({"J1885"}))) as url:
        decision = decide(client_of(url), make_claim())
    assert decision.status is ClaimStatus.PARTIAL
    assert [(d.denied, d.reasons, str(d.paid.value)) for d in decision.lines] == [
        (False, (), "75.13"),
        (True, ("not-covered",), "0.00"),
    ]


def test_an_inactive_coverage_is_denied_with_its_reason(url: str, client_of: Callable[..., PayerClient]) -> None:
    decision = decide(client_of(url), make_claim(subscriber="INACTIVE-7"))
    assert decision.status is ClaimStatus.DENIED
    assert {reason for d in decision.lines for reason in d.reasons} == {"coverage-inactive"}


@pytest.mark.parametrize("submit", ["create", "operation"])
def test_a_pended_claim_is_queued_then_decided(submit: str) -> None:
    now = [datetime(2026, 11, 3, 9, 0, tzinfo=UTC)]
    path = "/Claim/$submit" if submit == "operation" else "/Claim"
    with running(rules=Rules(pend_seconds=60), clock=lambda: now[0]) as url:
        answer = post(url, make_claim(), path)
        if submit == "operation":
            assert answer.json()["outcome"] == "queued"
            ClaimResponse.model_validate(answer.json())
        assert (outcome_now(url), held(url)[0]["decision"]) == ("queued", "queued")
        now[0] += timedelta(seconds=60)
        assert (outcome_now(url), held(url)[0]["decision"]) == ("complete", "paid")


def outcome_now(url: str) -> str:
    outcome: str = requests.get(f"{url}/ClaimResponse/1-response", timeout=10).json()["outcome"]
    return outcome


def test_a_file_outlives_the_process(tmp_path: Path) -> None:
    for count in (1, 2):
        with running(store_path=tmp_path / "payer.db") as url:
            post(url, make_claim())
            assert [(c["id"], c["received"]) for c in held(url)] == [("1", count)]


# --- faults, through the client


def settle(fault: str, client_of: Callable[..., PayerClient], timeout: float = 10.0) -> tuple[Any, Any, list[Json]]:
    """Send one claim into a fault, then look it up: both outcomes, and what the payer holds."""
    with running(faults=[fault]) as url:
        client = client_of(url, timeout=(5.0, timeout))
        sent = client.submit(to_bytes(make_claim()), SYSTEM, "C-1")
        looked_up = client.find(SYSTEM, "C-1")
        return sent, looked_up, held(url)


@pytest.mark.parametrize(
    "fault",
    ["drop-after-read", "half-body", "slow:1:seconds=0.6", "500:1:stored=yes", "html:1:stored=yes", "504:1:stored=yes"],
)
def test_a_claim_taken_without_an_answer_is_unknown_and_found(
    fault: str, client_of: Callable[..., PayerClient]
) -> None:
    sent, looked_up, books = settle(fault, client_of, timeout=0.3 if fault.startswith("slow") else 10.0)
    assert (sent.kind, looked_up.kind, looked_up.reference) == (OutcomeKind.UNKNOWN, OutcomeKind.FOUND, "Claim/1")
    assert [c["received"] for c in books] == [1]


@pytest.mark.parametrize("fault", ["drop-before-read", "500", "502", "html", "html:1:status=504"])
def test_a_claim_not_taken_is_unknown_and_not_found(fault: str, client_of: Callable[..., PayerClient]) -> None:
    sent, looked_up, books = settle(fault, client_of)
    assert (sent.kind, looked_up.kind, books) == (OutcomeKind.UNKNOWN, OutcomeKind.NOT_FOUND, [])


def test_a_dropped_connection_is_no_http_answer() -> None:
    with running(faults=["drop-after-read", "drop-before-read", "half-body"]) as url:
        for _ in range(3):
            with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
                post(url, make_claim())


def test_busy_is_waited_out_and_taken_once(client_of: Callable[..., PayerClient]) -> None:
    with running(faults=["503:1:retry-after=1", "429:1"]) as url:
        sent = client_of(url).submit(to_bytes(make_claim()), SYSTEM, "C-1")
        seen = requests.get(f"{url}/_sandbox/requests", timeout=10).json()[0]["answers"]
    assert (sent.kind, seen) == (OutcomeKind.TAKEN, ["503", "429", "201"])


def test_faults_hit_the_submission_they_are_placed_on(client_of: Callable[..., PayerClient]) -> None:
    with running(faults=["422:1:on=2"]) as url:
        client = client_of(url)
        kinds = [client.submit(to_bytes(make_claim(f"C-{n}")), SYSTEM, f"C-{n}").kind for n in range(3)]
    assert kinds == [OutcomeKind.TAKEN, OutcomeKind.REFUSED, OutcomeKind.TAKEN]


def test_questions_are_never_faulty() -> None:
    with running(faults=["500:9"]) as url:
        assert requests.get(f"{url}/Claim", {"identifier": "x"}, timeout=10).status_code == 200


def test_the_client_sends_by_operation_where_the_payer_wants_it(
    url: str, client_of: Callable[..., PayerClient]
) -> None:
    outcome = client_of(url, profile=BaseProfile(submit="operation")).submit(to_bytes(make_claim()), SYSTEM, "C-1")
    assert (outcome.kind, outcome.reference) == (OutcomeKind.ANSWERED, "Claim/1")


def test_nothing_of_a_patient_is_logged(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    caplog.set_level(logging.DEBUG)
    broken = make_claim("C-2", item=[line(1, "G0463", "1")], total={"value": Decimal("1E+900000"), "currency": "USD"})
    broken["item"][0]["net"]["value"] = broken["item"][0]["unitPrice"]["value"] = Decimal("1E+900000")
    with running(faults=["half-body:1:on=2", "drop-after-read:1:on=3"]) as url:
        for claim in (make_claim(), make_claim("C-3"), make_claim("C-4"), broken):
            try:
                post(url, claim)
            except requests.RequestException:
                continue
    told = caplog.text + "".join(capfd.readouterr())
    assert "POISON" not in told.upper()


def about(prior: str, **more: Any) -> Json:
    """What makes a claim one about a prior claim."""
    named = {"identifier": {"system": SYSTEM, "value": prior}}
    return {"related": [{"claim": named, "relationship": {"coding": [{"code": "prior"}]}}]} | more


def test_a_void_takes_a_claim_back_once(url: str) -> None:
    post(url, make_claim("C-1"))

    assert post(url, make_claim("V-1", **about("C-1", status="cancelled"))).status_code == 201
    assert post(url, make_claim("V-2", **about("C-1", status="cancelled"))).status_code == 422
    assert post(url, make_claim("R-1", **about("C-1"))).status_code == 422
    assert [(h["decision"], h["voided"]) for h in held(url)] == [("paid", True), ("cancelled", False)]


def test_a_void_of_a_claim_it_never_had_is_refused(url: str) -> None:
    assert post(url, make_claim("V-1", **about("C-1", status="cancelled"))).status_code == 422
    assert held(url) == []


def test_late_charges_leave_the_claim_they_are_added_to_as_it_is(url: str) -> None:
    post(url, make_claim("C-1"))
    bill = {"coding": [{"system": "https://www.nubc.org/CodeSystem/TypeOfBill", "code": "0115"}]}
    info = [{"sequence": 1, "category": {"coding": [{"code": "typeofbill"}]}, "code": bill}]

    assert post(url, make_claim("L-1", **about("C-1", supportingInfo=info))).status_code == 201
    assert [h["replaced_by"] for h in held(url)] == [None, None]
