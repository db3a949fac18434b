"""Payers, sites, findings and the claim as built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from fhir_coder.model.billing import BillingRule
from fhir_coder.model.coding import Gap, Trace
from fhir_coder.model.statuses import ClaimStatus, Purpose, Severity
from fhir_coder.model.values import Address, Json, Money


@dataclass(frozen=True, slots=True)
class Payer:
    """Who a claim goes to. `plans` are the IN1-2 / IN1-3 codes and names, or Coverage payor names, that mean it.

    `corrections`, `voids` and `late_charges` say what becomes of a claim it took; their words are those of
    docs/reference/settings.md. `timely_filing_days` count from the day of service.
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
    """Which of a visit's claims: professional or institutional, and its place in the order of benefits from 1."""

    kind: str
    order: int = 1

    @property
    def name(self) -> str:
        """As the ledger has it: `institutional-1`."""
        return f"{self.kind}-{self.order}"


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
