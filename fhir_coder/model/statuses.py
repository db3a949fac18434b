"""Statuses of messages and claims, and how much a finding weighs."""

from __future__ import annotations

import enum


class MessageStatus(enum.StrEnum):
    """What became of a message (docs/reference/statuses.md)."""

    RECEIVED = "received"
    CHARTED = "charted"
    IGNORED = "ignored"
    QUARANTINED = "quarantined"
    CONFLICT = "conflict"
    SUPERSEDED = "superseded"


class ClaimStatus(enum.StrEnum):
    """Where a claim stands (docs/reference/statuses.md)."""

    HELD = "held"
    READY = "ready"
    SENT = "sent"
    UNKNOWN = "unknown"
    QUEUED = "queued"
    COMPLETE = "complete"
    PARTIAL = "partial"
    DENIED = "denied"
    REPLACED = "replaced"
    VOIDED = "voided"


TAKEN_BY_PAYER = frozenset({ClaimStatus.QUEUED, ClaimStatus.COMPLETE, ClaimStatus.PARTIAL, ClaimStatus.DENIED})
"""The payer has such a claim: a changed chart must replace it, not overwrite it."""

DECIDED = frozenset({ClaimStatus.COMPLETE, ClaimStatus.PARTIAL, ClaimStatus.DENIED})
"""The payer has decided on such a claim."""

STANDS = TAKEN_BY_PAYER - {ClaimStatus.DENIED}
"""The payer pays, or may pay, such a claim: it is taken back where it should not be. A denied one bills nothing."""

IN_FLIGHT = frozenset({ClaimStatus.SENT, ClaimStatus.UNKNOWN})
"""Nobody knows yet whether the payer has such a claim: a changed chart waits for the answer."""

GONE = frozenset({ClaimStatus.REPLACED, ClaimStatus.VOIDED})
"""Such a claim is over: another took its place, or nothing is billed for it."""


class PayerState(enum.StrEnum):
    """Whether claims go to a payer (docs/reference/statuses.md)."""

    UP = "up"
    DOWN = "down"
    PROBING = "probing"


class Purpose(enum.StrEnum):
    """What a claim is sent for (docs/reference/statuses.md)."""

    BILL = "bill"
    LATE_CHARGE = "late-charge"
    VOID = "void"


class Severity(enum.StrEnum):
    """How much a finding weighs: `reject` holds the claim."""

    REJECT = "reject"
    WARN = "warn"
    INFO = "info"
