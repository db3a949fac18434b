"""The values that flow through the rooms: messages, facts, charts, codes, claims, findings, answers.

Everything here is a frozen value. No I/O, no clock, no settings. The words are those of docs/glossary.md.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

Json = dict[str, Any]


# --- code systems ---------------------------------------------------------------------------------


class System:
    """URIs of the code systems met on the way (HL7 Terminology; FHIR R4 section 4.3)."""

    ICD10CM = "http://hl7.org/fhir/sid/icd-10-cm"
    ICD10PCS = "http://www.cms.gov/Medicare/Coding/ICD10"
    ICD9CM = "http://hl7.org/fhir/sid/icd-9-cm"
    HCPCS = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
    CPT = "http://www.ama-assn.org/go/cpt"
    CDT = "http://www.ada.org/cdt"
    SNOMED = "http://snomed.info/sct"
    LOINC = "http://loinc.org"
    CVX = "http://hl7.org/fhir/sid/cvx"
    NDC = "http://hl7.org/fhir/sid/ndc"
    RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
    ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
    NPI = "http://hl7.org/fhir/sid/us-npi"
    LOCAL = "urn:fhir-coder:local"
    UNKNOWN = ""


SYSTEM_SHORT_NAMES: Mapping[str, str] = {
    "sct": System.SNOMED,
    "icd10cm": System.ICD10CM,
    "icd10pcs": System.ICD10PCS,
    "icd9cm": System.ICD9CM,
    "hcpcs": System.HCPCS,
    "cpt": System.CPT,
    "cdt": System.CDT,
    "loinc": System.LOINC,
    "cvx": System.CVX,
    "ndc": System.NDC,
    "rxnorm": System.RXNORM,
    "actcode": System.ACT,
    "local": System.LOCAL,
}
"""The names people type (`--system sct`) and table rows use."""

SYSTEM_TITLES: Mapping[str, str] = {
    System.SNOMED: "SNOMED CT",
    System.ICD10CM: "ICD-10-CM",
    System.ICD10PCS: "ICD-10-PCS",
    System.ICD9CM: "ICD-9-CM",
    System.HCPCS: "HCPCS Level II",
    System.CPT: "CPT",
    System.CDT: "CDT",
    System.LOINC: "LOINC",
    System.CVX: "CVX",
    System.NDC: "NDC",
    System.RXNORM: "RxNorm",
    System.ACT: "encounter class",
    System.LOCAL: "local code",
    System.UNKNOWN: "code of an unnamed system",
}
"""What a screen calls a system."""

BILLING_SYSTEMS = frozenset({System.ICD10CM, System.ICD10PCS, System.HCPCS, System.CPT, System.CDT})
"""Systems whose codes a payer takes as they are."""


# --- statuses -------------------------------------------------------------------------------------


class MessageStatus(enum.StrEnum):
    """What became of a message (docs/reference/statuses.md)."""

    RECEIVED = "received"
    CHARTED = "charted"
    IGNORED = "ignored"
    QUARANTINED = "quarantined"
    CONFLICT = "conflict"


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

IN_FLIGHT = frozenset({ClaimStatus.SENT, ClaimStatus.UNKNOWN})
"""Nobody knows yet whether the payer has such a claim: a changed chart waits for the answer."""


class Severity(enum.StrEnum):
    """How much a finding weighs: `reject` holds the claim."""

    REJECT = "reject"
    WARN = "warn"
    INFO = "info"


# --- small values ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a fact came from: the message's id and the path inside it (`DG1[2]`, `Bundle.entry[3].resource`)."""

    message: str
    path: str


@dataclass(frozen=True, slots=True, order=True)
class When:
    """A date or time that keeps its precision, as a FHIR R4 dateTime: `2026`, `2026-11-03`, or with time and offset."""

    text: str

    @property
    def day(self) -> date | None:
        """The calendar day at the place it was written, None where only the month or year is known."""
        return date.fromisoformat(self.text[:10]) if len(self.text) >= 10 else None

    @property
    def instant(self) -> datetime | None:
        """The aware moment, None where no time of day is known."""
        return datetime.fromisoformat(self.text.replace("Z", "+00:00")) if len(self.text) > 10 else None


@dataclass(frozen=True, slots=True)
class Money:
    """An amount with its ISO 4217 currency."""

    value: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class Coding:
    """One code of one system. `system` is a URI, empty where the sender named none."""

    system: str
    code: str
    display: str = ""


@dataclass(frozen=True, slots=True)
class Concept:
    """What a sender said about one thing: codings that mean the same, first named first, and free text."""

    codings: tuple[Coding, ...] = ()
    text: str = ""

    @property
    def key(self) -> str:
        """`system|code` of the first coding, else the text: what makes two mentions the same thing."""
        return f"{self.codings[0].system}|{self.codings[0].code}" if self.codings else self.text


@dataclass(frozen=True, slots=True)
class Identifier:
    """An identifier with its assigner's system (URI, OID or bare name) and v2 table 0203 type (`MR`, `VN`, `NPI`)."""

    value: str
    system: str = ""
    type: str = ""


@dataclass(frozen=True, slots=True)
class Name:
    """A person's name."""

    family: str = ""
    given: tuple[str, ...] = ()
    prefix: str = ""
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Address:
    """A postal address."""

    lines: tuple[str, ...] = ()
    city: str = ""
    state: str = ""
    postal_code: str = ""
    country: str = ""


@dataclass(frozen=True, slots=True)
class Organization:
    """A facility, department, payer or employer."""

    name: str = ""
    identifiers: tuple[Identifier, ...] = ()
    address: Address | None = None


@dataclass(frozen=True, slots=True)
class Practitioner:
    """A person who gave, ordered or referred a service. `taxonomy` is a NUCC provider taxonomy code."""

    name: Name | None = None
    identifiers: tuple[Identifier, ...] = ()
    taxonomy: str = ""

    @property
    def npi(self) -> str:
        """The National Provider Identifier, empty where none came."""
        return npi_of(self.identifiers)


def npi_of(identifiers: tuple[Identifier, ...]) -> str:
    """The first identifier that is an NPI by its system or type, else empty."""
    return next((i.value for i in identifiers if i.system == System.NPI or i.type == "NPI"), "")


@dataclass(frozen=True, slots=True)
class CareTeamMember:
    """Who did what: role is attending, referring, consulting, admitting, rendering, surgeon, ordering or primary.

    `ref` names a directory topic (`Practitioner/9`) where the message only points to the person; the fold fills
    `practitioner` from it.
    """

    role: str
    practitioner: Practitioner | None = None
    ref: str = ""


# --- facts ----------------------------------------------------------------------------------------
# A fact's `identity` makes a repeat recognisable: two facts of one kind and one identity are one thing, the later
# one wins. `removed` is true where the message takes the thing back (action code D, status entered-in-error).


@dataclass(frozen=True, slots=True)
class PatientFact:
    """PID, or a FHIR Patient. `sex` is a FHIR administrative gender."""

    origin: Origin
    identifiers: tuple[Identifier, ...] = ()
    name: Name | None = None
    birth_date: When | None = None
    sex: str = ""
    address: Address | None = None
    phone: str = ""
    removed: bool = False


@dataclass(frozen=True, slots=True)
class VisitFact:
    """PV1 and PV2, or a FHIR Encounter.

    `class_code` is a FHIR v3-ActCode (AMB, EMER, IMP ...) or the sender's own where no row translates it.
    `status` is planned, in-progress, finished, cancelled or entered-in-error, empty where not said.
    `billable` is the sender's word that the account may be billed (BAR, or a charge message), None where not said.
    """

    origin: Origin
    number: Identifier | None = None
    account: Identifier | None = None
    patient_ref: str = ""
    class_code: str = ""
    status: str = ""
    types: tuple[Concept, ...] = ()
    start: When | None = None
    end: When | None = None
    admission_type: str = ""
    admit_source: str = ""
    discharge_disposition: str = ""
    location: str = ""
    facility: Organization | None = None
    facility_ref: str = ""
    care_team: tuple[CareTeamMember, ...] = ()
    diagnosis_uses: tuple[DiagnosisUse, ...] = ()
    billable: bool | None = None


@dataclass(frozen=True, slots=True)
class DiagnosisUse:
    """Encounter.diagnosis: what a condition is to the visit. `use` is the FHIR diagnosis-role code (AD, DD, CC ...)."""

    ref: str
    use: str = ""
    rank: int | None = None


@dataclass(frozen=True, slots=True)
class DiagnosisFact:
    """DG1, FT1-19, a FHIR Condition, or Encounter.reasonCode.

    `kind` is admitting, working, final, reason (for the visit) or empty. `rank` 1 is the principal diagnosis.
    `on_admission` is Y, N, U, W, 1 (exempt) or empty.
    """

    origin: Origin
    identity: str
    concept: Concept
    kind: str = ""
    rank: int | None = None
    recorded: When | None = None
    on_admission: str = ""
    removed: bool = False


@dataclass(frozen=True, slots=True)
class ProcedureFact:
    """PR1, or a FHIR Procedure. `reasons` are diagnosis identities, `reason_concepts` diagnoses named only by code.

    `unknown_modifier` names a FHIR modifierExtension this program does not know: it makes a gap.
    """

    origin: Origin
    identity: str
    concept: Concept
    performed: When | None = None
    modifiers: tuple[Coding, ...] = ()
    care_team: tuple[CareTeamMember, ...] = ()
    reasons: tuple[str, ...] = ()
    reason_concepts: tuple[Concept, ...] = ()
    rank: int | None = None
    unknown_modifier: str = ""
    removed: bool = False


@dataclass(frozen=True, slots=True)
class ChargeFact:
    """FT1, or a FHIR ChargeItem.

    `kind` is CG (charge), CR (credit, takes a charge back) or AJ (adjustment). `concept` is the service to bill
    (FT1-25 before FT1-7), `item` the charge code as sent. Amounts are as sent: `unit_amount` for one unit, `amount`
    for all.
    """

    origin: Origin
    identity: str
    concept: Concept
    kind: str = "CG"
    item: Concept | None = None
    service_date: When | None = None
    quantity: Decimal = Decimal(1)
    unit_amount: Money | None = None
    amount: Money | None = None
    modifiers: tuple[Coding, ...] = ()
    diagnoses: tuple[Concept, ...] = ()
    diagnosis_refs: tuple[str, ...] = ()
    care_team: tuple[CareTeamMember, ...] = ()
    location: str = ""
    ndc: str = ""
    reverses: str = ""
    service_refs: tuple[str, ...] = ()
    removed: bool = False


@dataclass(frozen=True, slots=True)
class ImmunizationFact:
    """RXA, or a FHIR Immunization: a vaccination given (status completed)."""

    origin: Origin
    identity: str
    concept: Concept
    given: When | None = None
    lot: str = ""
    care_team: tuple[CareTeamMember, ...] = ()
    removed: bool = False


@dataclass(frozen=True, slots=True)
class CoverageFact:
    """IN1 with IN2, or a FHIR Coverage. `order` 1 is primary. `relationship` is a FHIR subscriber-relationship code.

    `plan` is the plan's code at the sender (IN1-2); `payer` with its identifiers (IN1-3) says who pays.
    """

    origin: Origin
    identity: str
    order: int = 1
    plan: str = ""
    payer: Organization | None = None
    payer_ref: str = ""
    subscriber_id: str = ""
    group: str = ""
    relationship: str = ""
    subscriber: Name | None = None
    start: When | None = None
    end: When | None = None
    prior_authorization: str = ""
    kind: str = ""
    removed: bool = False


@dataclass(frozen=True, slots=True)
class GuarantorFact:
    """GT1: who answers for the bill."""

    origin: Origin
    identity: str
    identifiers: tuple[Identifier, ...] = ()
    name: Name | None = None
    address: Address | None = None
    relationship: str = ""


@dataclass(frozen=True, slots=True)
class CancelFact:
    """A message takes an event back: `what` is admit (A11), discharge (A13) or visit (FHIR Encounter cancelled)."""

    origin: Origin
    what: str


@dataclass(frozen=True, slots=True)
class DirectoryFact:
    """A FHIR Practitioner, PractitionerRole, Organization or Location that others point to."""

    origin: Origin
    practitioner: Practitioner | None = None
    organization: Organization | None = None
    location: str = ""
    practitioner_ref: str = ""
    organization_ref: str = ""
    removed: bool = False


Fact = (
    PatientFact
    | VisitFact
    | DiagnosisFact
    | ProcedureFact
    | ChargeFact
    | ImmunizationFact
    | CoverageFact
    | GuarantorFact
    | CancelFact
    | DirectoryFact
)


@dataclass(frozen=True, slots=True)
class FiledFact:
    """A fact under the topic it belongs to.

    A topic is a chart key for what belongs to one visit, or a FHIR reference (`Patient/1`, `Practitioner/9`) for what
    many visits share. `refs` are the topics this fact points to: a chart is folded from its own topic and from all
    topics reached from it.
    """

    topic: str
    fact: Fact
    refs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MessageFacts:
    """Everything one message says. `event_at` (EVN-6, EVN-2, MSH-7; meta.lastUpdated) orders messages of one chart.

    `charts` are the chart keys whose own topic occurs. `problems` are parts that could not be used, each with its path
    and rule and without its value; they become findings on the chart.
    """

    message: str
    event_at: When | None
    facts: tuple[FiledFact, ...]
    charts: tuple[str, ...]
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """A part of a message that could not be used: where and which rule, never the value. `topic` is the chart key."""

    origin: Origin
    rule: str
    text: str
    topic: str = ""


# --- messages -------------------------------------------------------------------------------------


class MessageFormat(enum.StrEnum):
    """How a payload is written."""

    HL7V2 = "hl7v2"
    FHIR = "fhir"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Header:
    """What must be known of a payload before it is kept: enough to acknowledge, order and recognise it.

    `type` is `DFT^P03` or a FHIR resource type. `sender` is MSH-3|MSH-4, empty for FHIR.
    """

    format: MessageFormat
    type: str = ""
    control_id: str = ""
    sender: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """One payload as received, byte for byte."""

    id: str
    body: bytes
    header: Header


# --- charts ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything known about one visit: references filled in, repeats and removals resolved.

    Diagnoses stand in billing order (principal first), coverages in order of benefits.
    """

    key: str
    patient: PatientFact | None
    visit: VisitFact | None
    diagnoses: tuple[DiagnosisFact, ...]
    procedures: tuple[ProcedureFact, ...]
    charges: tuple[ChargeFact, ...]
    immunizations: tuple[ImmunizationFact, ...]
    coverages: tuple[CoverageFact, ...]
    guarantor: GuarantorFact | None
    cancelled: bool
    messages: tuple[str, ...]
    problems: tuple[Problem, ...] = ()

    @property
    def service_date(self) -> date | None:
        """The day codes are judged on: discharge, else the end of the visit's last service, else the start."""
        days = [self.visit.end.day] if self.visit and self.visit.end else []
        if not any(days):
            days = [c.service_date.day for c in self.charges if c.service_date]
            days += [p.performed.day for p in self.procedures if p.performed]
            days += [i.given.day for i in self.immunizations if i.given]
        if not any(days) and self.visit and self.visit.start:
            days = [self.visit.start.day]
        return max((d for d in days if d), default=None)


# --- terminology ----------------------------------------------------------------------------------


class Kind(enum.StrEnum):
    """What a mapping table is asked about."""

    DIAGNOSIS = "diagnosis"
    PROCEDURE = "procedure"
    IMMUNIZATION = "immunization"
    CHARGE = "charge"
    VISIT = "visit"
    FEE = "fee"
    CONCEPT = "concept"


@dataclass(frozen=True, slots=True)
class CodingContext:
    """What the conditions of a row may ask. None or empty means unknown: a row that asks it cannot be decided."""

    service_date: date | None = None
    sex: str = ""
    birth_date: date | None = None
    encounter_class: str = ""
    payer: str = ""


@dataclass(frozen=True, slots=True)
class Trace:
    """Why a billing code was chosen: the field it came from, the row and version of the table, or that it came coded.

    `path` is filled when the claim is built (`Claim.diagnosis[0]`). `row` is the line in the table's CSV. `source` is
    the coding the sender used, `display` the table's words for it, else the sender's.
    """

    system: str
    code: str
    origin: Origin
    source: Coding
    table: str = ""
    row: int | None = None
    version: str = ""
    path: str = ""
    note: str = ""
    display: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """A table's answer. `code` is None where the row says not billable."""

    code: Coding | None
    trace: Trace
    unit_price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """A fact that no row, or more than one row, fits. `reason` is a fixed code, `text` says what would settle it."""

    chart_key: str
    origin: Origin
    system: str
    code: str
    reason: str
    text: str = ""
    display: str = ""


class Validity(enum.StrEnum):
    """What a code set says of a code on a date. `unknown`: not covered. `not-loaded`: no such set."""

    VALID = "valid"
    INVALID = "invalid"
    UNKNOWN = "unknown"
    NOT_LOADED = "not-loaded"


# --- coded charts ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CodedDiagnosis:
    """A diagnosis with its billing code."""

    code: Coding
    fact: DiagnosisFact
    trace: Trace


@dataclass(frozen=True, slots=True)
class CodedProcedure:
    """A procedure with its ICD-10-PCS code (Claim.procedure). `care_team` is who did it, from every fact of it."""

    code: Coding
    fact: ProcedureFact | ChargeFact
    trace: Trace
    performed: When | None
    care_team: tuple[CareTeamMember, ...] = ()


@dataclass(frozen=True, slots=True)
class CodedLine:
    """A claim line. `diagnoses` and `procedures` are positions in the coded chart, in pointer order.

    `unit_price` is None where neither the message nor a fee table has one.
    """

    code: Coding
    fact: ChargeFact | ProcedureFact | ImmunizationFact | VisitFact
    trace: Trace
    service_date: When | None
    quantity: Decimal
    unit_price: Money | None
    net: Money | None
    modifiers: tuple[Coding, ...] = ()
    diagnoses: tuple[int, ...] = ()
    procedures: tuple[int, ...] = ()
    care_team: tuple[CareTeamMember, ...] = ()
    item: Coding | None = None


@dataclass(frozen=True, slots=True)
class CodedChart:
    """A chart with its codes, in claim order, and what could not be coded.

    `not_billable` are traces of facts a table answered with "nothing is billed". `notes` are problems of coding that
    are not gaps (fixed reason codes: `before_icd10`).
    """

    chart: Chart
    diagnoses: tuple[CodedDiagnosis, ...]
    procedures: tuple[CodedProcedure, ...]
    lines: tuple[CodedLine, ...]
    gaps: tuple[Gap, ...]
    not_billable: tuple[Trace, ...] = ()
    notes: tuple[str, ...] = ()


# --- claims ---------------------------------------------------------------------------------------


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


# --- answers --------------------------------------------------------------------------------------


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
