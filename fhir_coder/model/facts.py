"""Facts: one thing a message says, each with its origin."""

from __future__ import annotations

from decimal import Decimal

from fhir_coder.model.frozen import dataclass
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
    """PID, or a FHIR Patient. `sex` is a FHIR administrative gender.

    `cleared` names the attributes of this fact that the sender deletes (HL7 v2 `""`): what was said of them before
    goes.
    """

    origin: Origin
    identifiers: tuple[Identifier, ...] = ()
    name: Name | None = None
    birth_date: When | None = None
    sex: str = ""
    address: Address | None = None
    phone: str = ""
    removed: bool = False
    cleared: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Accident:
    """ACC: the accident that a visit is about. `kind` is a v3-ActCode (WPA at work, MVA of a motor vehicle), or empty.

    `code` is the sender's own (ACC-2), `place` a text, `state` that of a motor vehicle accident.
    """

    origin: Origin
    date: When | None = None
    kind: str = ""
    code: Concept | None = None
    place: str = ""
    state: str = ""


@dataclass(frozen=True, slots=True)
class BillCode:
    """A code of the uniform bill (UB1, UB2) as sent. `kind` is condition, occurrence, span (of occurrence) or value."""

    origin: Origin
    kind: str
    code: str
    start: When | None = None
    end: When | None = None
    amount: Decimal | None = None


@dataclass(frozen=True, slots=True)
class VisitFact:
    """PV1 and PV2, or a FHIR Encounter.

    `class_code` is a FHIR v3-ActCode (AMB, EMER, IMP ...) or the sender's own where no row translates it.
    `status` is planned, in-progress, finished, cancelled or entered-in-error, empty where not said.
    `billable` is the sender's word that the account may be billed (BAR, or a charge message), None where not said;
    `account_message` says that it was an account message (BAR P01 or P05).
    `closed` is when the account was closed to charges (BAR P06). `cleared`: as of a PatientFact.
    `account_refs` are topics of the accounts it is billed to.
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
    account_message: bool | None = None
    closed: When | None = None
    cleared: tuple[str, ...] = ()
    account_refs: tuple[str, ...] = ()
    accident: Accident | None = None
    bill_codes: tuple[BillCode, ...] = ()


@dataclass(frozen=True, slots=True)
class DiagnosisUse:
    """Encounter.diagnosis: what a condition is to the visit. `use` is the FHIR diagnosis-role code (AD, DD, CC ...).

    `on_admission` as in a DiagnosisFact.
    """

    ref: str
    use: str = ""
    rank: int | None = None
    on_admission: str = ""


@dataclass(frozen=True, slots=True)
class DiagnosisFact:
    """DG1, FT1-19, a FHIR Condition, or Encounter.reasonCode.

    `kind` is admitting, working, final, reason (for the visit) or empty. `rank` 1 is the principal diagnosis.
    `on_admission` is Y, N, U, W, 1 (exempt) or empty. `is_suspected`: it was not established yet, which an
    outpatient visit does not bill (ICD-10-CM guidelines, section IV.H). `laterality` is left, right, bilateral, or
    empty where the sender does not say it beside the code.
    """

    origin: Origin
    identity: str
    concept: Concept
    kind: str = ""
    rank: int | None = None
    recorded: When | None = None
    on_admission: str = ""
    removed: bool = False
    is_suspected: bool = False
    laterality: str = ""


@dataclass(frozen=True, slots=True)
class ProcedureFact:
    """PR1, or a FHIR Procedure. `reasons` are diagnosis identities, `reason_concepts` diagnoses named only by code.

    `anesthesia_minutes` (PR1-10) are those of the anaesthesia given for it.

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
    anesthesia_minutes: Decimal | None = None


@dataclass(frozen=True, slots=True)
class ChargeFact:
    """FT1, or a FHIR ChargeItem.

    `kind` is CG (charge), CR (credit, takes a charge back), AJ (adjustment) or CO (a co-payment that the patient made,
    of `amount`). `concept` is the service to bill
    (FT1-25 before FT1-7), `item` the charge code as sent. Amounts are as sent: `unit_amount` for one unit, `amount`
    for all. `department` is the code of the department that charges (FT1-13). `unit` is the UCUM code of the quantity
    where the sender names one; `drug_quantity` is how much of the drug `ndc` was given, in `drug_unit` as sent.
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
    department: str = ""
    ndc: str = ""
    reverses: str = ""
    service_refs: tuple[str, ...] = ()
    removed: bool = False
    unit: str = ""
    drug_quantity: Decimal | None = None
    drug_unit: str = ""
    revenue_code: str = ""
    referral: str = ""
    authorization: str = ""


@dataclass(frozen=True, slots=True)
class ImmunizationFact:
    """RXA, or a FHIR Immunization: a vaccination given (status completed).

    `reasons` and `reason_concepts` as in a ProcedureFact.
    """

    origin: Origin
    identity: str
    concept: Concept
    given: When | None = None
    lot: str = ""
    care_team: tuple[CareTeamMember, ...] = ()
    removed: bool = False
    reasons: tuple[str, ...] = ()
    reason_concepts: tuple[Concept, ...] = ()


@dataclass(frozen=True, slots=True)
class CoverageFact:
    """IN1 with IN2, or a FHIR Coverage. `order` 1 is primary. `relationship` is a FHIR subscriber-relationship code.

    `plan` is the plan's code at the sender (IN1-2); `payer` with its identifiers (IN1-3) says who pays. What is
    authorised (`prior_authorization`) counts from `authorized_from` to `authorized_to`, both inclusive (IN3-9, IN3-10).
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
    authorized_from: When | None = None
    authorized_to: When | None = None


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
class AccountFact:
    """A FHIR Account: its number, whose benefits come first, and (R5) in which order its diagnoses are billed.

    `coverage_order` are identities of coverages with their priority, 1 first. It is filed under its own topic and under
    that of its patient, for visits that name no account.
    """

    origin: Origin
    identity: str
    number: Identifier | None = None
    coverage_order: tuple[tuple[str, int], ...] = ()
    diagnosis_uses: tuple[DiagnosisUse, ...] = ()
    removed: bool = False


@dataclass(frozen=True, slots=True)
class CancelFact:
    """A message takes an event back.

    `what` is admit (A11), discharge (A13), planned (A27, A38: nothing where the visit has begun) or visit (a FHIR
    Encounter that is cancelled).
    """

    origin: Origin
    what: str


@dataclass(frozen=True, slots=True)
class MergeFact:
    """Two patient records were one person's: HL7 v2 A40 and its kin, or FHIR Patient.link. `removed`: not so (A37).

    `prior` and `survivor` are topics of patients; the fact is filed under `prior`. `patient` is what the message says
    of the person, None where the survivor's own facts say it (FHIR). `identifier` is the prior one.
    """

    origin: Origin
    prior: str
    survivor: str
    patient: PatientFact | None = None
    identifier: Identifier | None = None
    removed: bool = False


@dataclass(frozen=True, slots=True)
class PersonFact:
    """HL7 v2 A28, A31: what is said of a person outside any visit, filed under each of the person's numbers.

    It counts for visits that may not be billed yet; for all others their own messages say who the patient was.
    """

    origin: Origin
    patient: PatientFact


@dataclass(frozen=True, slots=True)
class MoveFact:
    """A visit has another chart key from now on: HL7 v2 A35, A41, A42, A45, A50 and their kin.

    It is filed under the key it had, and `to` draws on that key. `new_patient`: the visit is another person's, so the
    patient, coverages and guarantor said of it before are not this visit's.
    """

    origin: Origin
    to: str
    new_patient: bool = False


@dataclass(frozen=True, slots=True)
class PlaceFact:
    """The chart key of a FHIR Encounter by the subject it has now; filed under the Encounter's own topic."""

    origin: Origin
    key: str


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
    | AccountFact
    | CancelFact
    | MergeFact
    | PersonFact
    | MoveFact
    | PlaceFact
    | DirectoryFact
)


@dataclass(frozen=True, slots=True)
class Stamp:
    """Which version of a FHIR resource says a fact: its topic, meta.lastUpdated and meta.versionId, where known."""

    resource: str
    updated: When | None = None
    version: str = ""


@dataclass(frozen=True, slots=True)
class FiledFact:
    """A fact under the topic it belongs to.

    A topic is a chart key for what belongs to one visit, or a FHIR reference (`Patient/1`, `Practitioner/9`) for what
    many visits share. `refs` are the topics this fact points to: a chart is folded from its own topic and from all
    topics reached from it. A fact whose `stamp` is older than one known of the same resource does not count.
    """

    topic: str
    fact: Fact
    refs: tuple[str, ...] = ()
    stamp: Stamp | None = None


@dataclass(frozen=True, slots=True)
class MessageFacts:
    """Everything one message says. `event_at` (EVN-6, EVN-2, MSH-7; meta.lastUpdated) orders messages of one chart.

    Between messages of one event time `sent_at` (MSH-7) decides, then `sequence` (MSH-13), then the order of arrival.
    `charts` are the chart keys whose own topic occurs. `problems` are parts that could not be used, each with its path
    and rule and without its value; they become findings on the chart.
    """

    message: str
    event_at: When | None
    facts: tuple[FiledFact, ...]
    charts: tuple[str, ...]
    problems: tuple[Problem, ...] = ()
    sent_at: When | None = None
    sequence: int | None = None


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
