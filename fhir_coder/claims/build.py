"""A coded chart as a FHIR R4 Claim (FHIR R4 13.1), professional or institutional, with its parties contained.

Where a datum of an 837 goes is told in docs/reference/claim.md. Money stays Decimal until the bytes are written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from fhir_coder.charts import INPATIENT_CLASSES
from fhir_coder.claims.accident import accident_element, bill_code_element, bill_code_trace
from fhir_coder.claims.contained import Parties
from fhir_coder.claims.elements import codeable, without_empty
from fhir_coder.model import (
    CareTeamMember,
    ChargeFact,
    Chart,
    CodedChart,
    CodedDiagnosis,
    CodedLine,
    CodedProcedure,
    Coding,
    Json,
    Money,
    Payer,
    Practitioner,
    PriorDecision,
    Purpose,
    Site,
    System,
    Trace,
)

_CLAIM_TYPE = "http://terminology.hl7.org/CodeSystem/claim-type"
_PRIORITY = "http://terminology.hl7.org/CodeSystem/processpriority"
_ROLE = "http://terminology.hl7.org/CodeSystem/claimcareteamrole"
_DIAGNOSIS_TYPE = "http://terminology.hl7.org/CodeSystem/ex-diagnosistype"
_ON_ADMISSION = "http://terminology.hl7.org/CodeSystem/ex-diagnosis-on-admission"
_CLAIM_RELATION = "http://terminology.hl7.org/CodeSystem/ex-relatedclaimrelationship"
_TAXONOMY = "http://nucc.org/provider-taxonomy"
_POS = "https://www.cms.gov/Medicare/Coding/place-of-service-codes/Place_of_Service_Code_Set"
_INFO = "http://hl7.org/fhir/us/carin-bb/CodeSystem/C4BBSupportingInfoType"
_NUBC = "https://www.nubc.org/CodeSystem/"

_FREQUENCIES: Mapping[Purpose, str] = {Purpose.BILL: "7", Purpose.LATE_CHARGE: "5", Purpose.VOID: "8"}
"""The last character of a type of bill that is about a prior claim (837 CLM05-3), by what the claim is sent for."""

_CLAIM_TYPE_OF_CLASS: Mapping[str, str] = {
    "IMP": "institutional",
    "ACUTE": "institutional",
    "NONAC": "institutional",
    "OBSENC": "institutional",
    "EMER": "institutional",
}
"""What the settings' `claim_types` override; every other class is professional."""

_PLACE_OF_CLASS: Mapping[str, str] = {"EMER": "23", "IMP": "21", "ACUTE": "21", "HH": "12", "VR": "02", "OBSENC": "22"}
"""CMS place of service codes; the settings' `place_of_service` override them."""


@dataclass(frozen=True, slots=True)
class ClaimNumber:
    """A claim's identifier, its revision from 1, what it is sent for, and the payer-taken claim it is about, if any."""

    identifier: str
    revision: int = 1
    replaces: str = ""
    purpose: Purpose = Purpose.BILL


@dataclass(frozen=True, slots=True)
class ClaimPlace:
    """Which of the visit's claims is built: its kind, empty for the visit's own, and its payer's place in the order.

    `priors` are the decisions of the payers before.
    """

    kind: str = ""
    order: int = 1
    priors: tuple[PriorDecision, ...] = ()


@dataclass(frozen=True, slots=True)
class BuiltClaim:
    """A Claim (R4 JSON, money as Decimal), its traces with their paths, its total."""

    claim: Json
    traces: tuple[Trace, ...]
    total: Money | None


def claim_type(chart: Chart, site: Site) -> str:
    """`professional` or `institutional`, by the visit's class."""
    visit_class = chart.visit.class_code if chart.visit else ""
    return site.claim_types.get(visit_class) or _CLAIM_TYPE_OF_CLASS.get(visit_class, "professional")


def build_claim(
    coded: CodedChart,
    site: Site,
    payer: Payer | None,
    number: ClaimNumber,
    created: date,
    place: ClaimPlace = ClaimPlace(),
) -> BuiltClaim:
    """Build one claim of a coded chart. Nothing is made up: what is not known is left out, the edits say so."""
    builder = _Builder(coded, site, payer, number, place)
    return builder.build(created)


def related_prior(system: str, identifier: str) -> list[Json]:
    """Claim.related: the prior claim that this one is about, by its identifier."""
    prior = {"identifier": {"system": system, "value": identifier}}
    return [{"claim": prior, "relationship": codeable(_CLAIM_RELATION, "prior")}]


def with_frequency(bill: str, purpose: Purpose) -> str:
    """A type of bill with the frequency of a claim about a prior one."""
    return bill[:-1] + _FREQUENCIES[purpose]


class _Builder:
    def __init__(
        self, coded: CodedChart, site: Site, payer: Payer | None, number: ClaimNumber, place: ClaimPlace
    ) -> None:
        self.coded, self.chart, self.site, self.payer, self.number = coded, coded.chart, site, payer, number
        self.place = place
        self.parties = Parties()
        self.traces: list[Trace] = []
        self.care_team: list[Json] = []
        self.visit_class = self.chart.visit.class_code if self.chart.visit else ""
        self.kind = place.kind or claim_type(coded.chart, site)

    def build(self, created: date) -> BuiltClaim:
        coverages = self.chart.coverages
        patient = self.parties.add_patient(self.chart)
        provider = self.parties.add_provider(self.chart, self.site)
        insurer = self.parties.add_insurer(self.payer, coverages[self.place.order - 1] if coverages else None)
        diagnoses = [self._diagnosis(i, d) for i, d in enumerate(self.coded.diagnoses)]
        procedures = [self._procedure(i, p) for i, p in enumerate(self.coded.procedures)]
        visit_team = [self._member(m) for m in (self.chart.visit.care_team if self.chart.visit else ())]
        items = [self._item(i, line, [t for t in visit_team if t]) for i, line in enumerate(self.coded.lines)]
        total = self._total()
        claim = without_empty(
            {
                "resourceType": "Claim",
                "contained": self.parties.contained,
                "identifier": [{"system": self.site.claim_identifier_system, "value": self.number.identifier}],
                "status": "active",
                "type": codeable(_CLAIM_TYPE, self.kind),
                "use": "claim",
                "patient": patient,
                "billablePeriod": self._billable_period(),
                "created": created.isoformat(),
                "insurer": insurer if "reference" in insurer else None,
                "provider": provider,
                "priority": codeable(_PRIORITY, "normal"),
                "related": self._related(),
                "careTeam": self.care_team,
                "supportingInfo": self._supporting_info(),
                "diagnosis": diagnoses,
                "procedure": procedures,
                "insurance": self._insurance(insurer, patient),
                "accident": self._accident(),
                "item": items,
                "total": _money(total) if total else None,
            }
        )
        return BuiltClaim(claim, tuple(self.traces), total)

    # --- header

    def _related(self) -> list[Json]:
        return related_prior(self.site.claim_identifier_system, self.number.replaces) if self.number.replaces else []

    def _billable_period(self) -> Json:
        days = [w.day for w in (line.service_date for line in self.coded.lines) if w and w.day]
        visit = self.chart.visit
        start = visit.start.day if visit and visit.start and visit.start.day else min(days, default=None)
        end = (
            visit.end.day
            if visit and visit.end and visit.end.day
            else max([*days, *([start] if start else [])], default=None)
        )
        return {k: d.isoformat() for k, d in (("start", start), ("end", end)) if d}

    def _insurance(self, insurer: Json, patient: Json) -> list[Json]:
        insurances = []
        decisions = {prior.order: prior for prior in self.place.priors}
        for position, coverage in enumerate(self.chart.coverages, start=1):
            is_focal = position == self.place.order
            payor = insurer if is_focal else self._other_payor(position)
            reference = self.parties.add_coverage(coverage, position, payor, patient)
            authorised = [coverage.prior_authorization] if coverage.prior_authorization else None
            decision = decisions.get(position)
            answer = self.parties.add_decision(decision, self._about(decision, patient, payor)) if decision else None
            entry = {"sequence": position, "coverage": reference, "preAuthRef": authorised, "claimResponse": answer}
            insurances.append(without_empty(entry) | {"focal": is_focal})
        return insurances or [{"sequence": 1, "focal": True, "coverage": {"display": "not stated"}}]

    def _about(self, decision: PriorDecision, patient: Json, payor: Json) -> Json:
        """What an earlier payer's decision says of its claim, in the words of this one."""
        prior = {"identifier": {"system": self.site.claim_identifier_system, "value": decision.identifier}}
        kind = codeable(_CLAIM_TYPE, self.kind)
        return {"type": kind, "patient": patient, "insurer": payor, "request": prior}

    def _other_payor(self, position: int) -> Json:
        company = self.chart.coverages[position - 1].payer
        return self.parties.add_organization(f"payor-{position}", company) if company else {"display": "not stated"}

    def _supporting_info(self) -> list[Json]:
        visit = self.chart.visit
        if visit is None or self.kind != "institutional":
            return []
        bill = self.site.type_of_bill.get(self.visit_class, "")
        if bill and self.number.replaces:
            bill = with_frequency(bill, self.number.purpose)
        entries: list[Json] = []
        if self.visit_class in INPATIENT_CLASSES and visit.start:
            period = {k: w.text for k, w in (("start", visit.start), ("end", visit.end)) if w}
            entries.append({"category": codeable(_INFO, "admissionperiod"), "timingPeriod": period})
        coded = [
            ("typeofbill", "TypeOfBill", bill),
            ("admtype", "PriorityTypeOfAdmitOrVisit", visit.admission_type),
            ("pointoforigin", "PointOfOrigin", visit.admit_source),
            ("discharge-status", "PatDischargeStatus", visit.discharge_disposition),
        ]
        for category, system, code in coded:
            if code:
                entries.append({"category": codeable(_INFO, category), "code": codeable(_NUBC + system, code)})
        for bill_code in visit.bill_codes:
            self.traces.append(bill_code_trace(bill_code, f"Claim.supportingInfo[{len(entries)}]"))
            entries.append(bill_code_element(bill_code))
        return [{"sequence": i, **entry} for i, entry in enumerate(entries, start=1)]

    def _accident(self) -> Json | None:
        element, trace = accident_element(self.chart.visit.accident if self.chart.visit else None)
        self.traces += [trace] if trace else []
        return element

    # --- people

    def _member(self, member: CareTeamMember) -> int | None:
        """The careTeam sequence of someone with a role, added once."""
        if member.practitioner is None:
            return None
        entry = _team_entry(member, self.parties.add_practitioner(member.practitioner), member.practitioner)
        for known in self.care_team:
            if {k: v for k, v in known.items() if k != "sequence"} == entry:
                return int(known["sequence"])
        self.care_team.append({"sequence": len(self.care_team) + 1, **entry})
        return len(self.care_team)

    # --- codes

    def _diagnosis(self, position: int, diagnosis: CodedDiagnosis) -> Json:
        self.traces.append(replace(diagnosis.trace, path=f"Claim.diagnosis[{position}]"))
        is_stay = self.visit_class in INPATIENT_CLASSES
        is_admitting = is_stay and diagnosis.fact.kind == "admitting"  # nobody is admitted to an outpatient visit
        types = ["admitting"] if is_admitting else ["principal"] if position == 0 else []
        on_admission = _on_admission(diagnosis.fact.on_admission) if is_stay else None
        return without_empty(
            {
                "sequence": position + 1,
                "diagnosisCodeableConcept": _coded(diagnosis.code, diagnosis.trace),
                "type": [c for c in (codeable(_DIAGNOSIS_TYPE, t) for t in types) if c],
                "onAdmission": on_admission,
            }
        )

    def _procedure(self, position: int, procedure: CodedProcedure) -> Json:
        self.traces.append(replace(procedure.trace, path=f"Claim.procedure[{position}]"))
        for member in procedure.care_team:
            self._member(member)
        return without_empty(
            {
                "sequence": position + 1,
                "date": procedure.performed.text if procedure.performed else None,
                "procedureCodeableConcept": _coded(procedure.code, procedure.trace),
            }
        )

    def _item(self, position: int, line: CodedLine, visit_team: list[int]) -> Json:
        self.traces.append(replace(line.trace, path=f"Claim.item[{position}]"))
        own_team = [s for s in (self._member(m) for m in line.care_team) if s]
        served = line.service_date.text[:10] if line.service_date else None
        place = self.site.place_of_service.get(self.visit_class) or _PLACE_OF_CLASS.get(self.visit_class, "")
        return without_empty(
            {
                "sequence": position + 1,
                "careTeamSequence": list(dict.fromkeys(own_team or visit_team)),
                "diagnosisSequence": [i + 1 for i in line.diagnoses],
                "procedureSequence": [i + 1 for i in line.procedures],
                "productOrService": _coded(line.code, line.trace),
                "modifier": [codeable(_modifier_system(m), m.code) for m in line.modifiers],
                "servicedDate": served,
                "locationCodeableConcept": codeable(_POS, place),
                "quantity": {"value": line.quantity},
                "unitPrice": _money(line.unit_price),
                "net": _money(line.net),
                "detail": _drug(line),
            }
        )

    def _total(self) -> Money | None:
        nets = [line.net for line in self.coded.lines if line.net]
        if not nets:
            return None
        return Money(sum((n.value for n in nets), Decimal(0)), nets[0].currency)


def _team_entry(member: CareTeamMember, provider: Json, person: Practitioner) -> Json:
    code = "primary" if member.role in ("rendering", "surgeon", "attending", "primary") else "other"
    entry = {
        "provider": provider,
        "role": {"coding": [{"system": _ROLE, "code": code}], "text": member.role},
        "qualification": codeable(_TAXONOMY, person.taxonomy),
    }
    return without_empty(entry)


def _drug(line: CodedLine) -> list[Json]:
    """The National Drug Code of a line's drug (FT1-29), as its detail."""
    code = line.fact.ndc if isinstance(line.fact, ChargeFact) else ""
    return [{"sequence": 1, "productOrService": codeable(System.NDC, code)}] if code else []


def _modifier_system(modifier: Coding) -> str:
    # v2 feeds rarely name a modifier's system. Those led by a digit are CPT's, the rest are HCPCS Level II
    # (CMS manual 100-04, chapter 23).
    return modifier.system or (System.CPT if modifier.code[:1].isdigit() else System.HCPCS)


def _coded(code: Coding, trace: Trace) -> Json:
    # The words are the sender's or the table's, not the code system's: they are no `display` (R4 2.24.0.10).
    return without_empty({"coding": [{"system": code.system, "code": code.code}], "text": trace.display})


def _on_admission(indicator: str) -> Json | None:
    return codeable(_ON_ADMISSION, indicator.lower()) if indicator.upper() in ("Y", "N", "U", "W") else None


def _money(money: Money | None) -> Json | None:
    return {"value": money.value, "currency": money.currency} if money else None
