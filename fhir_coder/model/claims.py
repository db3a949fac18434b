"""Payers, sites, findings and the claim as built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from fhir_coder.model.billing import BillingRule
from fhir_coder.model.coding import Gap, Trace
from fhir_coder.model.preauthorization import PasRules
from fhir_coder.model.statuses import ClaimStatus, Purpose, Severity
from fhir_coder.model.values import Address, Json, Money

CLAIM = "claim"
"""The `use` of a Claim that asks for payment; every other one asks for a payer's word before the service."""

MAX_POINTERS = 4
"""Diagnosis pointers a claim line carries (837P SV107, 837I by the same limit)."""

PREAUTHORIZATION = "preauthorization"
"""The `use` of a Claim that asks whether the payer will pay."""

_ASKED_AHEAD: Mapping[str, str] = {PREAUTHORIZATION: "auth", "predetermination": "det"}


@dataclass(frozen=True, slots=True)
class Limits:
    """How many lines a claim carries, and how many diagnoses: on an institutional claim principal and other ones."""

    lines: int
    diagnoses: int


STANDARD_LIMITS: Mapping[str, Limits] = {"professional": Limits(50, 12), "institutional": Limits(999, 25)}
"""What the 837 carries, by kind of claim (005010X222 and 005010X223, loops 2300 and 2400)."""


@dataclass(frozen=True, slots=True)
class Payer:
    """Who a claim goes to. `plans` are the IN1-2 / IN1-3 codes and names, or Coverage payor names, that mean it.

    `corrections`, `voids` and `late_charges` say what becomes of a claim it took; their words are those of
    docs/reference/settings.md. `timely_filing_days` count from the day of service. `severities` are those of edits that
    it judges otherwise than they do themselves; None is off. `use` is what it is asked: to pay a claim, or ahead of a
    planned visit for its preauthorization or predetermination. `consolidate_lines` makes one line of those that are
    alike. `limits` are those it has of its own, by kind of claim. `notes`: it takes a person's note with a claim.
    `profile`, `submit`, `envelope` and `pas` say how business is done with it.
    """

    name: str
    title: str = ""
    url: str = ""
    plans: tuple[str, ...] = ()
    profile: str = "base"
    identifier: str = ""
    prior_auth_codes: frozenset[str] | None = None
    corrections: str = "replace"
    voids: str = "claim"
    late_charges: str = "replace"
    timely_filing_days: int | None = None
    secondary_when_paid_in_full: bool = False
    when: str = ""
    hold_days: int | None = None
    severities: Mapping[str, Severity | None] = field(default_factory=dict, hash=False)
    use: str = CLAIM
    consolidate_lines: bool = False
    limits: Mapping[str, Limits] = field(default_factory=dict, hash=False)
    submit: str = "create"
    envelope: str = "claim"
    batch_size: int = 20
    pas: PasRules | None = None
    notes: bool = False

    def limits_of(self, kind: str) -> Limits:
        """What a claim of a kind carries at this payer."""
        return self.limits.get(kind) or STANDARD_LIMITS[kind]

    def rule(self, otherwise: BillingRule) -> BillingRule:
        """When its claims are made: its own words over those of the site or the feed."""
        hold_days = otherwise.hold_days if self.hold_days is None else self.hold_days
        return BillingRule(self.when or otherwise.when, hold_days)


@dataclass(frozen=True, slots=True)
class Site:
    """The billing provider and its habits, from the settings."""

    name: str = ""
    npi: str = ""
    tax_id: str = ""
    taxonomy: str = ""
    address: Address | None = None
    claim_identifier_system: str = "urn:fhir-coder:claim"
    currency: str = "USD"
    claim_types: Mapping[str, str] = field(default_factory=dict)
    place_of_service: Mapping[str, str] = field(default_factory=dict)
    type_of_bill: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Slot:
    """Which of a visit's claims: its kind, its place in the order of benefits from 1, its use.

    `part` counts from 1 the claims that those of more lines or diagnoses than one carries are split into.
    """

    kind: str
    order: int = 1
    part: int = 1
    use: str = CLAIM

    @property
    def name(self) -> str:
        """As the ledger has it: `institutional-1`, `professional.2-1` (second part), `professional.auth-1`."""
        ahead = f".{_ASKED_AHEAD[self.use]}" if self.use != CLAIM else ""
        part = f".{self.part}" if self.part > 1 else ""
        return f"{self.kind}{ahead}{part}-{self.order}"


def is_asked_ahead(slot: str) -> bool:
    """Whether a slot, by its name, is of a preauthorization or predetermination."""
    return bool(set(slot.rpartition("-")[0].split(".")[1:]) & set(_ASKED_AHEAD.values()))


@dataclass(frozen=True, slots=True)
class PriorDecision:
    """What a payer before this one decided: its place in the order of benefits, its claim, its ClaimResponse (R4 JSON).

    `created` is when the response was made, or came where it does not say.
    """

    order: int
    identifier: str
    response: Json
    paid: Money | None
    created: str


@dataclass(frozen=True, slots=True)
class DeniedBefore:
    """A payer's denials of a code for a reason (empty where it gave none): in `claims` of those `decided` with it."""

    payer: str
    code: str
    reason: str
    claims: int
    decided: int


Denied = Mapping[tuple[str, str], tuple[DeniedBefore, ...]]
"""What payers often denied, by payer and code."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What an edit says about a claim: which edit, how bad, where (FHIR path), what, and what to do."""

    edit: str
    severity: Severity
    path: str
    text: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class ClaimDraft:
    """A claim as built from a coded chart, before it has a place in the ledger.

    `claim` is FHIR R4 JSON whose money is Decimal; `fhir_coder.claims.wire.to_bytes` writes it with its decimals kept.
    `replaces` is the identifier of the claim it replaces, adds to or voids. `due_at` is when a bill hold ends,
    `file_by` the payer's last day for it.
    """

    chart_key: str
    payer: str
    identifier: str
    revision: int
    status: ClaimStatus
    claim: Json
    traces: tuple[Trace, ...]
    findings: tuple[Finding, ...]
    gaps: tuple[Gap, ...]
    total: Money | None
    slot: str
    replaces: str = ""
    purpose: Purpose = Purpose.BILL
    due_at: datetime | None = None
    file_by: date | None = None
