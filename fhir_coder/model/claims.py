"""Payers, sites, findings and the claim as built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fhir_coder.model.coding import Gap, Trace
from fhir_coder.model.statuses import ClaimStatus, Severity
from fhir_coder.model.values import Address, Json, Money


@dataclass(frozen=True, slots=True)
class Payer:
    """Who a claim goes to. `plans` are the IN1-2 / IN1-3 codes and names, or Coverage payor names, that mean it."""

    name: str
    title: str = ""
    url: str = ""
    plans: tuple[str, ...] = ()
    profile: str = "base"
    identifier: str = ""
    prior_auth_codes: frozenset[str] | None = None


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
