"""The table of outcomes: what each answer of a payer means for a claim."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_coder.model import ClaimStatus, Identifier, OutcomeKind
from fhir_coder.payers import BaseProfile
from fhir_coder.payers.answer import HttpAnswer
from fhir_coder.payers.base import search_token
from fhir_coder.payers.outcomes import Failure, outcome_of_failure, outcome_of_submit, retry_after_seconds

NOW = datetime(2026, 11, 3, 9, 0, tzinfo=UTC)
NAME = Identifier("C-1", "urn:s")
BASE = BaseProfile()


def answer(status: int, body: Any = b"", **headers: str) -> HttpAnswer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpAnswer(status, named, body if isinstance(body, bytes) else json.dumps(body).encode(), received_at=NOW)


def issues(*codes: str, severity: str = "error") -> dict[str, Any]:
    return {"resourceType": "OperationOutcome", "issue": [{"severity": severity, "code": c} for c in codes]}


def response(outcome: str = "complete", **more: Any) -> dict[str, Any]:
    return {"resourceType": "ClaimResponse", "id": "9", "status": "active", "outcome": outcome} | more


def claim(name: str = "C-1", system: str = "urn:s", identity: str = "7") -> dict[str, Any]:
    return {"resourceType": "Claim", "id": identity, "identifier": [{"system": system, "value": name}]}


def bundle(*resources: Any, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": r} for r in resources]} | more


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (202, OutcomeKind.PENDING),
        (204, OutcomeKind.UNKNOWN),
        (302, OutcomeKind.UNKNOWN),
        (308, OutcomeKind.REFUSED),
        (400, OutcomeKind.REFUSED),
        (401, OutcomeKind.UNAUTHORIZED),
        (403, OutcomeKind.REFUSED),
        (404, OutcomeKind.REFUSED),
        (409, OutcomeKind.LOOK_UP),
        (410, OutcomeKind.REFUSED),
        (412, OutcomeKind.LOOK_UP),
        (422, OutcomeKind.REFUSED),
        (429, OutcomeKind.BUSY),
        (500, OutcomeKind.UNKNOWN),
        (501, OutcomeKind.UNKNOWN),
        (502, OutcomeKind.UNKNOWN),
        (503, OutcomeKind.BUSY),
        (504, OutcomeKind.UNKNOWN),
        (999, OutcomeKind.UNKNOWN),
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html>gateway</html>", b'{"resourceType":', b"\xff\xfe\x00"])
def test_a_status_means_the_same_whatever_stands_in_the_body(status: int, kind: OutcomeKind, body: bytes) -> None:
    outcome = outcome_of_submit(answer(status, body))
    assert (outcome.kind, outcome.http_status, outcome.body) == (kind, status, body)


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (Failure.CONNECTION_REFUSED, OutcomeKind.NOT_SENT),
        (Failure.NAME_NOT_RESOLVED, OutcomeKind.NOT_SENT),
        (Failure.TLS, OutcomeKind.NOT_SENT),
        (Failure.CONNECT_TIMEOUT, OutcomeKind.NOT_SENT),
        (Failure.READ_TIMEOUT, OutcomeKind.UNKNOWN),
        (Failure.CONNECTION_LOST, OutcomeKind.UNKNOWN),
    ],
)
def test_only_failures_before_sending_are_not_sent(failure: Failure, kind: OutcomeKind) -> None:
    assert outcome_of_failure(failure).kind is kind


def test_created_with_location_is_taken_under_that_name() -> None:
    outcome = outcome_of_submit(answer(201, location="https://payer.example/fhir/Claim/77/_history/1"))
    assert (outcome.kind, outcome.reference) == (OutcomeKind.TAKEN, "Claim/77")


def test_an_echoed_claim_is_taken() -> None:
    outcome = outcome_of_submit(answer(201, claim()))
    assert (outcome.kind, outcome.reference) == (OutcomeKind.TAKEN, "Claim/7")


@pytest.mark.parametrize(
    "wrapped", [lambda r: r, bundle, lambda r: {"resourceType": "Parameters", "parameter": [{"resource": r}]}]
)
def test_a_decided_claim_response_answers(wrapped: Any) -> None:
    outcome = outcome_of_submit(answer(200, wrapped(response(request={"reference": "Claim/7"}))))
    assert (outcome.kind, outcome.reference) == (OutcomeKind.ANSWERED, "Claim/7")
    assert outcome.adjudication
    assert outcome.adjudication.status is ClaimStatus.COMPLETE


def test_a_queued_claim_response_is_taken_and_not_decided() -> None:
    outcome = outcome_of_submit(answer(201, response("queued", request={"reference": "https://p.example/Claim/7"})))
    assert (outcome.kind, outcome.reference) == (OutcomeKind.TAKEN, "Claim/7")
    assert outcome.adjudication
    assert outcome.adjudication.status is ClaimStatus.QUEUED


def test_errors_in_a_2xx_are_a_refusal() -> None:
    outcome = outcome_of_submit(answer(200, issues("business-rule")))
    assert (outcome.kind, outcome.reason) == (OutcomeKind.REFUSED, "refused (business-rule)")


def test_passing_errors_in_a_2xx_are_looked_up() -> None:
    assert outcome_of_submit(answer(200, issues("transient", "timeout"))).kind is OutcomeKind.UNKNOWN


def test_information_beside_a_location_is_no_refusal() -> None:
    outcome = outcome_of_submit(answer(201, issues("informational", severity="information"), location="Claim/5"))
    assert (outcome.kind, outcome.reference) == (OutcomeKind.TAKEN, "Claim/5")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Maintenance</html>",
        b'{"resourceType": "ClaimResponse", "outcome": "com',
        b"[]",
        b"null",
        b"[" * 100_000,
        b'{"resourceType": "Patient"}',
        b'{"resourceType": "ClaimResponse"}',
        b'{"resourceType": "ClaimResponse", "outcome": "complete", "status": "entered-in-error"}',
        b'{"resourceType": "Bundle", "entry": 5}',
        b'{"resourceType": "Claim", "total": NaN}',
        b'{"resourceType": "Claim", "total": 1e999999999999999999999}',
    ],
)
@pytest.mark.parametrize("status", [200, 201])
def test_a_2xx_that_cannot_be_understood_is_looked_up(status: int, body: bytes) -> None:
    assert outcome_of_submit(answer(status, body)).kind is OutcomeKind.UNKNOWN


def test_a_2xx_cut_short_is_looked_up_even_where_its_part_reads_well() -> None:
    whole = answer(201, claim(), location="Claim/7")
    assert outcome_of_submit(HttpAnswer(201, whole.headers, whole.body, whole=False)).kind is OutcomeKind.UNKNOWN


def test_accepted_is_pending_at_its_content_location() -> None:
    outcome = outcome_of_submit(answer(202, content_location="https://payer.example/async/4"))
    assert (outcome.kind, outcome.reference) == (OutcomeKind.PENDING, "https://payer.example/async/4")


def test_a_refusal_tells_codes_and_places_and_no_values() -> None:
    told = [
        {"severity": "error", "code": "required", "expression": ["Claim.item[0].net"], "diagnostics": "POISON"},
        {"severity": "error", "code": "value", "expression": ["Claim.identifier.where(value='POISON')"]},
        {"severity": "error", "code": "POISON patient", "expression": ["Claim.POISON"]},
        {"severity": "error", "code": "value", "details": {"text": "POISON"}, "location": ["POISON"]},
    ]
    outcome = outcome_of_submit(answer(422, {"resourceType": "OperationOutcome", "issue": told}))
    assert outcome.reason == "refused (required at Claim.item[0].net, value, value)"
    assert b"POISON" in outcome.body


def test_a_long_refusal_tells_five_issues_and_counts_the_rest() -> None:
    assert outcome_of_submit(answer(400, issues(*["value"] * 7))).reason.endswith("value, 2 more)")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        (" 7 ", 7.0),
        ("Tue, 03 Nov 2026 09:01:30 GMT", 90.0),
        ("Tue, 03 Nov 2026 10:01:30 +0100", 90.0),
        ("Tue, 03 Nov 2026 09:01:30 -0000", 90.0),
        ("Tue, 03 Nov 2026 08:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("1e9", None),
        ("", None),
    ],
)
def test_retry_after_is_read_in_seconds_or_as_a_date(value: str, seconds: float | None) -> None:
    assert retry_after_seconds(value, NOW) == seconds


def test_busy_carries_the_least_wait() -> None:
    assert outcome_of_submit(answer(503, retry_after="Tue, 03 Nov 2026 09:00:05 GMT")).retry_after == 5.0


# --- look-up


def test_a_found_claim_has_exactly_this_identifier() -> None:
    outcome = BASE.read_find(answer(200, bundle(claim("c-1"), claim(system="urn:other"), claim(identity="8"))), NAME)
    assert (outcome.kind, outcome.reference) == (OutcomeKind.FOUND, "Claim/8")


@pytest.mark.parametrize("found", [bundle(), bundle(claim("C-2")), bundle(claim("c-1")), bundle(total=0)])
def test_not_found_when_the_whole_result_holds_no_such_claim(found: Any) -> None:
    assert BASE.read_find(answer(200, found), NAME).kind is OutcomeKind.NOT_FOUND


@pytest.mark.parametrize(
    "held_back",
    [
        bundle(claim("C-2"), link=[{"relation": "next", "url": "https://payer.example/next"}]),
        bundle(claim("C-2"), total=40),
        bundle(issues("not-supported")),
        claim("C-2"),
        issues("transient"),
    ],
)
def test_a_search_that_may_hold_back_is_no_not_found(held_back: Any) -> None:
    assert BASE.read_find(answer(200, held_back), NAME).kind is OutcomeKind.UNKNOWN


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (202, OutcomeKind.UNKNOWN),
        (404, OutcomeKind.REFUSED),
        (409, OutcomeKind.UNKNOWN),
        (500, OutcomeKind.UNKNOWN),
        (503, OutcomeKind.BUSY),
    ],
)
def test_a_look_up_that_fails_never_says_not_found(status: int, kind: OutcomeKind) -> None:
    assert BASE.read_find(answer(status), NAME).kind is kind


# --- asking for the decision


def test_a_poll_reads_this_claims_latest_decision_only() -> None:
    other = response("error", request={"reference": "Claim/8"}, created="2026-12-01")
    first = response("queued", request={"reference": "Claim/7"}, created="2026-11-01")
    last = response("complete", request={"reference": "Claim/7"}, created="2026-11-02")
    outcome = BASE.read_poll(answer(200, bundle(last, other, first)), "Claim/7", NAME)
    assert outcome.kind is OutcomeKind.ANSWERED
    assert outcome.adjudication
    assert outcome.adjudication.status is ClaimStatus.COMPLETE


@pytest.mark.parametrize(
    "open_answer",
    [
        bundle(),
        bundle(response("queued", request={"reference": "Claim/7"})),
        bundle(response(request={"reference": "Claim/8"})),
    ],
)
def test_a_poll_without_a_decision_on_this_claim_is_pending(open_answer: Any) -> None:
    outcome = BASE.read_poll(answer(200, open_answer), "Claim/7", NAME)
    assert (outcome.kind, outcome.reference) == (OutcomeKind.PENDING, "Claim/7")


def test_a_decision_found_by_identifier_must_name_it() -> None:
    named = response(request={"identifier": {"system": "urn:s", "value": "C-1"}, "reference": "Claim/7"})
    foreign = response(request={"identifier": {"system": "urn:s", "value": "C-2"}})
    assert BASE.read_poll(answer(200, bundle(foreign)), "", NAME).kind is OutcomeKind.PENDING
    assert BASE.read_poll(answer(200, bundle(foreign, named)), "", NAME).reference == "Claim/7"


def test_the_decision_at_the_address_of_a_202_counts() -> None:
    outcome = BASE.read_poll(answer(200, response()), "https://payer.example/async/4", NAME)
    assert outcome.kind is OutcomeKind.ANSWERED


def test_a_poll_still_pending_keeps_the_reference() -> None:
    assert BASE.read_poll(answer(202), "Claim/7", NAME).reference == "Claim/7"


# --- requests


def test_create_is_conditional_on_the_identifier() -> None:
    request = BASE.submit_request(b"{}", NAME)
    assert (request.method, request.path, request.headers["If-None-Exist"]) == ("POST", "Claim", "identifier=urn:s|C-1")
    assert request.headers["Accept"] == "application/fhir+json"
    assert request.headers["Content-Type"].startswith("application/fhir+json")


def test_the_operation_goes_to_submit() -> None:
    assert BaseProfile(submit="operation").submit_request(b"{}", NAME).path == "Claim/$submit"


def test_search_tokens_escape_what_fhir_and_urls_read() -> None:
    assert search_token(Identifier("a|b,c&d e", "urn:s")) == "urn:s|a%5C%7Cb%5C%2Cc%26d%20e"


def test_a_poll_asks_by_name_else_by_identifier_else_at_the_address() -> None:
    asked = [BASE.poll_request(r, NAME).path for r in ("Claim/7", "", "https://payer.example/async/4")]
    assert asked == [
        "ClaimResponse?request=Claim/7",
        "ClaimResponse?request.identifier=urn:s|C-1",
        "https://payer.example/async/4",
    ]


KEYS = st.sampled_from(
    [
        *("resourceType", "status", "outcome", "item", "adjudication", "category", "coding", "code", "amount", "value"),
        *("currency", "total", "payment", "error", "issue", "severity", "expression", "entry", "resource", "request"),
        *("reference", "identifier", "system", "itemSequence", "link", "relation", "id"),
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=20,
)
KINDS = st.sampled_from(["ClaimResponse", "OperationOutcome", "Bundle", "Claim", "Parameters"])


@given(st.dictionaries(KEYS, JSON, max_size=8), KINDS, st.sampled_from([200, 201, 202, 400, 503]))
def test_no_json_breaks_the_reading(body: dict[str, Any], kind: str, status: int) -> None:
    got = answer(status, body | {"resourceType": kind, "outcome": "complete", "status": "active"})
    for outcome in (
        BASE.read_submit(got, NAME),
        BASE.read_find(got, NAME),
        BASE.read_poll(got, "Claim/7", NAME),
        BASE.read_poll(got, "", NAME),
    ):
        assert outcome.http_status == status
