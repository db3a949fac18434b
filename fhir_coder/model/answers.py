"""What a payer says: outcomes of requests and decisions on claims."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from fhir_coder.model.statuses import ClaimStatus
from fhir_coder.model.values import Money


class OutcomeKind(enum.StrEnum):
    """What one request to a payer came to (docs/reference/outcomes.md)."""

    ANSWERED = "answered"
    TAKEN = "taken"
    BUSY = "busy"
    NOT_SENT = "not-sent"
    REFUSED = "refused"
    UNAUTHORIZED = "unauthorized"
    LOOK_UP = "look-up"
    UNKNOWN = "unknown"
    FOUND = "found"
    NOT_FOUND = "not-found"
    PENDING = "pending"


class AnswerStatus(enum.StrEnum):
    """What became of an answer that a payer sent unasked (docs/reference/statuses.md)."""

    RECEIVED = "received"
    APPLIED = "applied"
    REPEATED = "repeated"
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class LineDecision:
    """What the payer decided on one line. Amounts are None where not said.

    `patient` is what the patient owes of it, `texts` are the payer's words for `reasons`. `review` is the X12 306 code
    of a preauthorization (A1 certified ...), `pended` one without a decision yet, `authorization` its number.
    """

    sequence: int
    paid: Money | None = None
    submitted: Money | None = None
    denied: bool = False
    reasons: tuple[str, ...] = ()
    allowed: Money | None = None
    patient: Money | None = None
    texts: tuple[str, ...] = ()
    pended: bool = False
    review: str = ""
    authorization: str = ""


@dataclass(frozen=True, slots=True)
class DocumentRequest:
    """What the payer asks for before it decides: codes (LOINC) of the documents, the lines they are about.

    `kind` is `documents` or `questionnaire`, `due` the day (ISO) it is wanted by, `reference` the payer's name for it.
    """

    kind: str
    codes: tuple[str, ...] = ()
    lines: tuple[int, ...] = ()
    due: str = ""
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Payment:
    """The payment a decision is part of: its amount, day (ISO) and number (check or transfer), as far as said."""

    amount: Money | None = None
    day: str = ""
    number: str = ""


@dataclass(frozen=True, slots=True)
class Adjudication:
    """A payer's decision read from a ClaimResponse (FHIR R4 section 13.2) or an ExplanationOfBenefit (13.10).

    `status` is the claim's new status. `pended` is a review that waits (PAS A4), `requests` what is wanted for it.
    `authorization` is the number of a preauthorization, `authorized_from` and `authorized_to` its days (ISO).
    `patient` is what the patient owes, `texts` the payer's notes.
    """

    status: ClaimStatus
    outcome: str
    disposition: str = ""
    paid: Money | None = None
    reference: str = ""
    lines: tuple[LineDecision, ...] = ()
    errors: tuple[str, ...] = ()
    patient: Money | None = None
    payment: Payment | None = None
    pended: bool = False
    requests: tuple[DocumentRequest, ...] = ()
    authorization: str = ""
    authorized_from: str = ""
    authorized_to: str = ""
    texts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """One request's outcome: the kind, why in a fixed phrase, and what came back.

    `retry_after` is the least number of seconds to wait. `reference` is the payer's name for the claim (Location).
    """

    kind: OutcomeKind
    reason: str
    http_status: int | None = None
    retry_after: float | None = None
    reference: str = ""
    body: bytes = b""
    adjudication: Adjudication | None = None
