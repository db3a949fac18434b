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


@dataclass(frozen=True, slots=True)
class LineDecision:
    """What the payer decided on one line. Amounts are None where not said."""

    sequence: int
    paid: Money | None = None
    submitted: Money | None = None
    denied: bool = False
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Adjudication:
    """A payer's decision read from a ClaimResponse (FHIR R4 section 13.2). `status` is the claim's new status."""

    status: ClaimStatus
    outcome: str
    disposition: str = ""
    paid: Money | None = None
    reference: str = ""
    lines: tuple[LineDecision, ...] = ()
    errors: tuple[str, ...] = ()


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
