"""What an HTTP answer, or the lack of one, means for a claim: one table, docs/reference/outcomes.md.

The rule behind it: only what surely did not reach the payer may be sent again without asking the payer first.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from fhir_coder.model import Adjudication, ClaimStatus, Json, Outcome, OutcomeKind
from fhir_coder.payers.adjudication import claim_asked_about, is_decision, read_claim_response
from fhir_coder.payers.answer import HttpAnswer, objects, resources_in, text

PENDING, UNKNOWN, REFUSED = OutcomeKind.PENDING, OutcomeKind.UNKNOWN, OutcomeKind.REFUSED

STATUS_TABLE: Mapping[int, tuple[OutcomeKind, str]] = {
    202: (PENDING, "the payer works on it"),
    301: (UNKNOWN, "redirected"),
    302: (UNKNOWN, "redirected"),
    303: (UNKNOWN, "redirected"),
    307: (REFUSED, "the payer's address has changed"),
    308: (REFUSED, "the payer's address has changed"),
    401: (OutcomeKind.UNAUTHORIZED, "not authorised"),
    408: (UNKNOWN, "the payer gave up waiting"),
    409: (OutcomeKind.LOOK_UP, "the payer may have it already"),
    412: (OutcomeKind.LOOK_UP, "the payer may have it already"),
    429: (OutcomeKind.BUSY, "too many requests"),
    500: (UNKNOWN, "the payer failed"),
    502: (UNKNOWN, "a gateway failed"),
    503: (OutcomeKind.BUSY, "the payer is not available"),
    504: (UNKNOWN, "a gateway gave up waiting"),
}
"""HTTP status -> what it means. 200 and 201 are read by their body."""

REST_OF_TABLE: Mapping[int, tuple[OutcomeKind, str]] = {
    2: (UNKNOWN, "the answer says nothing"),
    3: (UNKNOWN, "redirected"),
    4: (REFUSED, "refused"),
    5: (UNKNOWN, "the payer failed"),
}
"""First digit of any other status -> what it means."""


class Failure(enum.Enum):
    """Why there is no HTTP answer."""

    CONNECTION_REFUSED = "connection refused"
    NAME_NOT_RESOLVED = "name not resolved"
    CONNECT_TIMEOUT = "no connection in time"
    TLS = "TLS handshake failed"
    NOT_CONNECTED = "no connection"
    NOT_MADE = "the request could not be made"
    NO_TOKEN = "no access token, secret or key to be had"
    READ_TIMEOUT = "no answer in time"
    CONNECTION_LOST = "connection lost after sending"


FAILURE_TABLE: Mapping[Failure, OutcomeKind] = {
    Failure.CONNECTION_REFUSED: OutcomeKind.NOT_SENT,
    Failure.NAME_NOT_RESOLVED: OutcomeKind.NOT_SENT,
    Failure.CONNECT_TIMEOUT: OutcomeKind.NOT_SENT,
    Failure.TLS: OutcomeKind.NOT_SENT,
    Failure.NOT_CONNECTED: OutcomeKind.NOT_SENT,
    Failure.NOT_MADE: OutcomeKind.NOT_SENT,
    Failure.NO_TOKEN: OutcomeKind.NOT_SENT,
    Failure.READ_TIMEOUT: UNKNOWN,
    Failure.CONNECTION_LOST: UNKNOWN,
}
"""Failure -> what it means. Only what happened before the first byte of the request left is `not-sent`."""

PASSING_ISSUES = frozenset({"transient", "lock-error", "no-store", "timeout", "incomplete", "throttled"})
"""OperationOutcome issue codes (R4 issue-type) that pass by themselves."""

_ISSUE_CODE = re.compile(r"[a-z][a-z-]{1,30}")
_FHIR_PATH = re.compile(r"[A-Z][A-Za-z]{1,40}(\.[a-z][A-Za-z0-9]{0,40}(\[(\d{1,4}|x)\])?){0,12}")
_CLAIM_NAME = re.compile(r"(?:^|/)(Claim/[A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?/?$")
_ISSUES_TOLD = 5


def outcome_of_failure(failure: Failure) -> Outcome:
    """What a request without an answer came to."""
    return Outcome(FAILURE_TABLE[failure], failure.value)


def outcome_of_status(answer: HttpAnswer) -> Outcome:
    """What an answer means by its status alone."""
    kind, reason = STATUS_TABLE.get(answer.status) or REST_OF_TABLE.get(answer.status // 100, (UNKNOWN, "not HTTP"))
    if kind is REFUSED:
        reason = " ".join([reason, *_issues_told(answer.resource)])
    reference = answer.headers.get("content-location") or answer.headers.get("location", "")
    return Outcome(
        kind,
        reason,
        http_status=answer.status,
        retry_after=retry_after_seconds(answer.headers.get("retry-after", ""), answer.received_at),
        reference=(claim_name(reference) or reference) if kind is PENDING else "",
        body=answer.body,
    )


def outcome_of_submit(answer: HttpAnswer) -> Outcome:
    """What the answer to a claim's sending means. A 2xx that cannot be read is unknown: the claim is looked up."""
    if answer.status not in (200, 201):
        return outcome_of_status(answer)
    outcome = _outcome_of_body(answer)
    return replace(outcome, http_status=answer.status, body=answer.body)


def _outcome_of_body(answer: HttpAnswer) -> Outcome:
    location = claim_name(answer.headers.get("location", ""))
    if not answer.whole:
        return Outcome(UNKNOWN, "the answer was cut short")
    if not answer.body.strip():
        return Outcome(OutcomeKind.TAKEN, "taken", reference=location) if location else Outcome(UNKNOWN, "empty answer")
    told = list(resources_in(answer.resource or {}))
    for resource in told:
        outcome = _outcome_of_resource(resource, location, told)
        if outcome:
            return outcome
    return Outcome(UNKNOWN, "the answer cannot be read")


def _outcome_of_resource(resource: Json, location: str, told: Sequence[Json]) -> Outcome | None:
    """The outcome one resource of the answer tells, None where it tells none; `told` is all that came with it."""
    kind = resource.get("resourceType")
    if is_decision(resource):
        return outcome_of_decision(read_claim_response(resource, told), claim_of_response(resource) or location)
    if kind == "Claim":
        name = text(resource, "id")
        return Outcome(OutcomeKind.TAKEN, "taken", reference=f"Claim/{name}" if name else location)
    if kind == "OperationOutcome":
        return _outcome_of_issues(resource, location)
    return None


def outcome_of_decision(adjudication: Adjudication, reference: str) -> Outcome:
    """Answered where the payer has decided, taken where it has the claim in its queue."""
    if adjudication.status is ClaimStatus.QUEUED:
        return Outcome(OutcomeKind.TAKEN, "queued", reference=reference, adjudication=adjudication)
    return Outcome(OutcomeKind.ANSWERED, "decided", reference=reference, adjudication=adjudication)


def _outcome_of_issues(resource: Json, location: str) -> Outcome | None:
    errors = [i for i in objects(resource, "issue") if text(i, "severity") in ("error", "fatal")]
    if errors and all(text(i, "code") in PASSING_ISSUES for i in errors):
        return Outcome(UNKNOWN, " ".join(["the payer failed", *_issues_told(resource)]))
    if errors:
        return Outcome(REFUSED, " ".join(["refused", *_issues_told(resource)]))
    return Outcome(OutcomeKind.TAKEN, "taken", reference=location) if location else None


def _issues_told(resource: Json | None) -> list[str]:
    """`(required at Claim.provider, value)`: issue codes and plain element paths only, all else may hold values."""
    if not resource or resource.get("resourceType") != "OperationOutcome":
        return []
    told = [issue for issue in map(_issue_told, objects(resource, "issue")) if issue]
    more = [f"{len(told) - _ISSUES_TOLD} more"] if len(told) > _ISSUES_TOLD else []
    return [f"({', '.join(told[:_ISSUES_TOLD] + more)})"] if told else []


def _issue_told(issue: Json) -> str:
    code = text(issue, "code")
    expressions = issue.get("expression")
    paths = expressions if isinstance(expressions, list) else []
    path = next((p for p in paths if isinstance(p, str) and _FHIR_PATH.fullmatch(p)), "")
    if not _ISSUE_CODE.fullmatch(code):
        return ""
    return f"{code} at {path}" if path else code


def claim_name(reference: str) -> str:
    """`Claim/17` of any reference or address that ends so, else empty."""
    found = _CLAIM_NAME.search(reference.partition("?")[0])
    return found[1] if found else ""


def claim_of_response(response: Json) -> str:
    """The claim a ClaimResponse answers, as `Claim/17`, empty where it names none."""
    return claim_name(text(claim_asked_about(response), "reference"))


def retry_after_seconds(value: str, now: datetime) -> float | None:
    """Retry-After (RFC 9110 10.2.3), seconds or a date, as seconds from now; None where there is none to read."""
    value = value.strip()
    if re.fullmatch(r"[0-9]{1,9}", value):
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, IndexError, OverflowError):
        return None
    # RFC 5322 leaves the offset of "-0000" open; HTTP dates are UTC.
    aware = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (aware - now).total_seconds())
