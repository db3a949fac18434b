"""Facts: one thing a message says, each with its origin."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from fhir_coder.model.values import (
    Address,
    CareTeamMember,
    Coding,
    Concept,
    Identifier,
    Money,
    Name,
    Organization,
    Origin,
    Practitioner,
    When,
)

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
    """A part of a message that could not be used: where and which rule, never the value. `topic` is the chart key.

    `identity` is that of the fact it is about, where known: a later message that says the fact anew settles it.
    """

    origin: Origin
    rule: str
    text: str
    topic: str = ""
    identity: str = ""
