"""Choices, traces and gaps, and the chart with its billing codes."""

from __future__ import annotations

import enum
from datetime import date
from decimal import Decimal

from fhir_coder.model.charts import Chart
from fhir_coder.model.facts import ChargeFact, DiagnosisFact, ImmunizationFact, ProcedureFact, VisitFact
from fhir_coder.model.frozen import dataclass
from fhir_coder.model.values import CareTeamMember, Coding, Money, Origin, When


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
    """What the conditions of a row may ask. None or empty means unknown: a row that asks it cannot be decided.

    `care_setting` is a CMS place of service code, `laterality` left, right or bilateral, `use` principal or secondary.
    `codes` are all codes of the chart as `system|code`; `episode` is the episode of care as the 7th character of an
    injury says it: A, D or S.
    """

    service_date: date | None = None
    sex: str = ""
    birth_date: date | None = None
    encounter_class: str = ""
    payer: str = ""
    care_setting: str = ""
    feed: str = ""
    laterality: str = ""
    use: str = ""
    codes: frozenset[str] | None = None
    episode: str = ""


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
    """A table's answer. `code` is None where the row says not billable.

    `also` are the answers that belong to the same fact: one for each further group of a combination, and the
    administration code that a row brings. `modifiers`, `units` (billed for one of the source) and the `revenue_code` of
    an institutional line come from the row. `pointers` are the diagnoses that a person has the line point to.
    """

    code: Coding | None
    trace: Trace
    unit_price: Decimal | None = None
    modifiers: tuple[Coding, ...] = ()
    units: Decimal = Decimal(1)
    also: tuple[Choice, ...] = ()
    revenue_code: str = ""
    pointers: tuple[str, ...] = ()


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


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked about one fact that may be billed: of which kind of table, in which context, and the answer."""

    kind: Kind
    context: CodingContext
    answer: Choice | Gap


class Validity(enum.StrEnum):
    """What a code set says of a code on a date. `unknown`: not covered. `not-loaded`: no such set."""

    VALID = "valid"
    INVALID = "invalid"
    UNKNOWN = "unknown"
    NOT_LOADED = "not-loaded"


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

    `unit_price` is None where neither the message nor a fee table has one. `list_price` is what the charge master or
    the fee table has for one of what was charged, whatever the message says. `unit` is the UCUM code of what is
    counted, where it is more than pieces (`min`, `d`). `merged` are the lines that were made one with this one.
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
    list_price: Money | None = None
    revenue_code: str = ""
    unit: str = ""
    merged: tuple[CodedLine, ...] = ()


@dataclass(frozen=True, slots=True)
class CodedChart:
    """A chart with its codes, in claim order, and what could not be coded.

    `not_billable` are traces of facts a table answered with "nothing is billed". `notes` are problems of coding that
    are not gaps (fixed reason codes: `before_icd10`). `asked` has one entry for each fact that may be billed.
    """

    chart: Chart
    diagnoses: tuple[CodedDiagnosis, ...]
    procedures: tuple[CodedProcedure, ...]
    lines: tuple[CodedLine, ...]
    gaps: tuple[Gap, ...]
    not_billable: tuple[Trace, ...] = ()
    notes: tuple[str, ...] = ()
    asked: tuple[Asked, ...] = ()
