"""Small builders of facts, messages, charts and tables, with defaults that bill: a test names only what matters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from fhir_coder import fhir, hl7v2
from fhir_coder.charts import fold_chart
from fhir_coder.claims import wait_of
from fhir_coder.claims.bill import ClaimNumber
from fhir_coder.claims.build import BuiltClaim, build_claim
from fhir_coder.coding import code_chart
from fhir_coder.edits import ClaimContext
from fhir_coder.model import (
    Address,
    BillingRule,
    CareTeamMember,
    ChargeFact,
    Chart,
    ClaimDraft,
    CodedChart,
    Coding,
    Concept,
    CoverageFact,
    DiagnosisFact,
    Fact,
    FiledFact,
    Identifier,
    ImmunizationFact,
    Kind,
    MessageFacts,
    Money,
    Name,
    Organization,
    Origin,
    PatientFact,
    Payer,
    Practitioner,
    ProcedureFact,
    Site,
    System,
    Validity,
    VisitFact,
    When,
)
from fhir_coder.pipeline import Occasion, Rulebook, billed_slots, draft_claim
from fhir_coder.terminology import CodeSets, Tables
from fhir_coder.terminology.conditions import Conditions
from fhir_coder.terminology.table import Header, MappingTable, Row

KEY = "CLINIC/VN/V1"
DAY = date(2026, 11, 3)
NOON = datetime(2026, 11, 3, 18, 0, tzinfo=UTC)
GOOD_NPI, OTHER_NPI = "1234567893", "2000000002"


def origin(path: str = "X[1]", message: str = "m1") -> Origin:
    return Origin(message, path)


def money(value: str, currency: str = "USD") -> Money:
    return Money(Decimal(value), currency)


def coded(system: str, *codes: str) -> Concept:
    return Concept(tuple(Coding(system, code) for code in codes))


def icd(code: str) -> Concept:
    return coded(System.ICD10CM, code)


def hcpcs(code: str) -> Concept:
    return coded(System.HCPCS, code)


def sct(code: str) -> Concept:
    return coded(System.SNOMED, code)


def doctor(npi: str = GOOD_NPI, family: str = "Rivers", taxonomy: str = "") -> Practitioner:
    return Practitioner(Name(family), (Identifier(npi, System.NPI, "NPI"),) if npi else (), taxonomy)


def member(role: str = "rendering", npi: str = GOOD_NPI, family: str = "Rivers") -> CareTeamMember:
    return CareTeamMember(role, doctor(npi, family))


# --- facts


def patient(**said: Any) -> PatientFact:
    known: dict[str, Any] = {
        "identifiers": (Identifier("PAT-1", "urn:oid:1.2.3", "MR"),),
        "name": Name("Testcase", ("Tess",)),
        "birth_date": When("1980-02-29"),
        "sex": "female",
    }
    return PatientFact(origin("PID"), **known | said)


def visit(**said: Any) -> VisitFact:
    known: dict[str, Any] = {
        "class_code": "AMB",
        "status": "finished",
        "start": When("2026-11-03T09:00:00-06:00"),
        "end": When("2026-11-03T10:00:00-06:00"),
    }
    return VisitFact(origin("PV1"), **known | said)


def stay(**said: Any) -> VisitFact:
    """An inpatient stay of three days."""
    known: dict[str, Any] = {
        "class_code": "IMP",
        "start": When("2026-11-01T09:00:00-06:00"),
        "end": When("2026-11-03T10:00:00-06:00"),
    }
    return visit(**known | said)


def diagnosis(code: str | Concept = "I10", identity: str = "", **said: Any) -> DiagnosisFact:
    concept = icd(code) if isinstance(code, str) else code
    return DiagnosisFact(origin("DG1[1]"), identity or concept.key, concept, **said)


def charge(code: str | Concept = "G0463", identity: str = "T1", **said: Any) -> ChargeFact:
    concept = hcpcs(code) if isinstance(code, str) else code
    known: dict[str, Any] = {"service_date": When("2026-11-03"), "amount": money("100.00")}
    return ChargeFact(origin("FT1[1]"), identity, concept, **known | said)


def procedure(concept: Concept, identity: str = "P1", **said: Any) -> ProcedureFact:
    return ProcedureFact(origin("PR1[1]"), identity, concept, **{"performed": When("2026-11-03")} | said)


def vaccination(cvx: str = "140", identity: str = "R1", **said: Any) -> ImmunizationFact:
    concept = coded(System.CVX, cvx)
    return ImmunizationFact(origin("RXA[1]"), identity, concept, **{"given": When("2026-11-03")} | said)


def coverage(identity: str = "IN1/1", **said: Any) -> CoverageFact:
    known: dict[str, Any] = {
        "payer": Organization("Lakeshore PPO", (Identifier("LAKE1"),)),
        "subscriber_id": "MEM-1",
        "relationship": "self",
    }
    return CoverageFact(origin("IN1[1]"), identity, **known | said)


# --- messages and charts


def said(*facts: Fact | FiledFact, message: str = "m1", at: str | None = "2026-11-03T10:00:00Z") -> MessageFacts:
    """A message about the visit `KEY`; its facts get its id as their origin."""
    filed = [f if isinstance(f, FiledFact) else FiledFact(KEY, f) for f in facts]
    own = [replace(f, fact=replace(f.fact, origin=Origin(message, f.fact.origin.path))) for f in filed]
    return MessageFacts(message, When(at) if at else None, tuple(own), (KEY,))


def folded(*messages: MessageFacts) -> Chart:
    return fold_chart(KEY, messages)


def chart_of(*facts: Fact, **changed: Any) -> Chart:
    """The chart of one message."""
    return replace(folded(said(*facts)), **changed)


def good_chart(*facts: Fact) -> Chart:
    """A finished office visit with everything a payer asks for; `facts` come on top or in the place of those alike."""
    known: dict[type[Fact], Fact] = {
        PatientFact: patient(),
        VisitFact: visit(care_team=(member("attending"),)),
        DiagnosisFact: diagnosis(),
        ChargeFact: charge(),
        CoverageFact: coverage(),
    }
    kept = [fact for kind, fact in known.items() if not any(isinstance(f, kind) for f in facts)]
    return chart_of(*kept, *facts)


# --- tables, code sets, rulebook


class NoCodeSets(CodeSets):
    """Judges no code: nothing is opened that has to be closed."""

    def validity(self, system: str, code: str, on: date) -> Validity:
        return Validity.NOT_LOADED


SITE = Site(
    name="Test Clinic",
    npi=GOOD_NPI,
    tax_id="00-0000000",
    address=Address(("1 Test Street",), "Testville", "IL", "60000", "US"),
    claim_identifier_system="https://clinic.example/claims",
    type_of_bill={"IMP": "0111"},
)
PAYER = Payer("lakeshore", "Lakeshore PPO", "http://127.0.0.1:1/fhir", prior_auth_codes=frozenset())
NUMBER = ClaimNumber("CLM-1")


def row(source: str, target: str = "", price: str = "", **changed: Any) -> Row:
    """`target` is `system|code`, empty for not billable; `needs_detail=True` leaves it to a person."""
    system, _, code = target.rpartition("|")
    known: dict[str, Any] = {
        "table": "t",
        "version": "t@1",
        "line": 2,
        "source_code": source,
        "display": "",
        "target": Coding(system, code) if target else None,
        "needs_detail": False,
        "conditions": Conditions(),
        "priority": 1,
        "unit_price": Decimal(price) if price else None,
        "note": "",
    }
    return Row(**known | changed)


def table(kind: Kind, source_system: str, *rows: Row, id: str = "t") -> MappingTable:
    by_code: dict[str, tuple[Row, ...]] = {}
    for number, one in enumerate(rows, start=2):
        by_code[one.source_code] = (
            *by_code.get(one.source_code, ()),
            replace(one, table=id, version=f"{id}@1", line=number),
        )
    return MappingTable(Header(id, id, kind, source_system, (), "1"), f"{id}.csv", ".", f"{id}@1", by_code)


def tables(*listed: MappingTable) -> Tables:
    return Tables([listed])


def rulebook(*listed: MappingTable, payers: Sequence[Payer] = (PAYER,), site: Site = SITE) -> Rulebook:
    return Rulebook(
        site=site,
        payers=tuple(payers),
        tables=tables(*listed),
        code_sets=NoCodeSets(),
        hl7v2_rules=hl7v2.FeedRules(),
        fhir_rules=fhir.FhirRules(),
    )


# --- coded charts and claims


def coded_chart(chart: Chart, *listed: MappingTable, payer: str = "lakeshore") -> CodedChart:
    return code_chart(chart, tables(*listed), payer)


def built(
    chart: Chart, *listed: MappingTable, site: Site = SITE, payer: Payer | None = PAYER, number: ClaimNumber = NUMBER
) -> BuiltClaim:
    return build_claim(coded_chart(chart, *listed), site, payer, number, DAY)


def context(
    chart: Chart,
    *listed: MappingTable,
    site: Site = SITE,
    payer: Payer | None = PAYER,
    code_sets: CodeSets | None = None,
) -> ClaimContext:
    """What the edits look at, for the claim of a chart."""
    codes = coded_chart(chart, *listed)
    claim = build_claim(codes, site, payer, NUMBER, DAY).claim
    wait = wait_of(chart, BillingRule(), NOON, False)
    return ClaimContext(claim, codes, payer, code_sets or NoCodeSets(), waits_for=wait.text if wait else "")


def drafted(chart: Chart, book: Rulebook | None = None, revision: int = 1, replaces: str = "") -> ClaimDraft:
    """The first of the claims that a chart gives."""
    ours = book or rulebook()
    first, *_ = billed_slots(chart, ours)
    number = ClaimNumber(first.identifier(revision), revision, replaces)
    return draft_claim(first, ours, number, Occasion(NOON))
