"""A coded chart as a FHIR R4 Claim (FHIR R4 13.1), with its parties contained.

Where a datum of an 837 goes is told in docs/reference/claim.md. What only some kinds of claim have is in `kinds`.
Money stays Decimal until the bytes are written.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from fhir_coder.charts import is_stay
from fhir_coder.claims.accident import accident_element
from fhir_coder.claims.arrange import rank_of
from fhir_coder.claims.bill import FIRST_CLAIM, Bill, ClaimNumber, ClaimPlace
from fhir_coder.claims.contained import Parties
from fhir_coder.claims.diagnoses import diagnosis_element
from fhir_coder.claims.elements import codeable, coded_element, money_element, without_empty
from fhir_coder.claims.items import item_element
from fhir_coder.claims.kinds import KINDS, claim_type
from fhir_coder.claims.supporting import supporting_info
from fhir_coder.claims.team import CareTeam
from fhir_coder.model import (
    CLAIM,
    ClaimField,
    CodedChart,
    CodedDiagnosis,
    CodedLine,
    CodedProcedure,
    Identifier,
    Json,
    Money,
    Payer,
    PriorDecision,
    Site,
    Trace,
)

_CLAIM_TYPE = "http://terminology.hl7.org/CodeSystem/claim-type"
_SUBTYPE = "http://hl7.org/fhir/us/carin-bb/CodeSystem/C4BBInstitutionalClaimSubType"
_PRIORITY = "http://terminology.hl7.org/CodeSystem/processpriority"
_PROCEDURE_TYPE = "http://terminology.hl7.org/CodeSystem/ex-procedure-type"
_CLAIM_RELATION = "http://terminology.hl7.org/CodeSystem/ex-relatedclaimrelationship"


@dataclass(frozen=True, slots=True)
class BuiltClaim:
    """A Claim (R4 JSON, money as Decimal), its traces with their paths, its total."""

    claim: Json
    traces: tuple[Trace, ...]
    total: Money | None


def build_claim(
    coded: CodedChart,
    site: Site,
    payer: Payer | None,
    number: ClaimNumber,
    created: date,
    place: ClaimPlace = FIRST_CLAIM,
) -> BuiltClaim:
    """Build one claim of a coded chart. Nothing is made up: what is not known is left out, the edits say so."""
    bill = Bill(coded, site, place.kind or claim_type(coded.chart, site), number)
    return _Builder(bill, payer, place).build(created)


def related_prior(system: str, identifier: str, original: Identifier | None = None) -> list[Json]:
    """Claim.related: the prior claim that this one is about, by its identifier, and by the payer's own number."""
    prior = {"identifier": {"system": system, "value": identifier}}
    theirs = without_empty({"system": original.system, "value": original.value}) if original else None
    return [without_empty({"claim": prior, "relationship": codeable(_CLAIM_RELATION, "prior"), "reference": theirs})]


class _Builder:
    def __init__(self, bill: Bill, payer: Payer | None, place: ClaimPlace) -> None:
        self.bill, self.coded, self.chart, self.site = bill, bill.coded, bill.chart, bill.site
        self.payer, self.place, self.kind = payer, place, KINDS[bill.kind]
        self.parties = Parties()
        self.team = CareTeam(self.parties)
        self.traces: list[Trace] = []

    def build(self, created: date) -> BuiltClaim:
        coverages, visit = self.chart.coverages, self.chart.visit
        patient = self.parties.add_patient(self.chart)
        provider = self.parties.add_provider(self.chart, self.site)
        insurer = self.parties.add_insurer(self.payer, coverages[self.place.order - 1] if coverages else None)
        diagnoses = [self._diagnosis(i, d) for i, d in enumerate(self.coded.diagnoses)]
        procedures = [self._procedure(i, p) for i, p in enumerate(self.coded.procedures)]
        visit_team = self.team.add_all(visit.care_team if visit else ())
        items = [self._item(i, line, visit_team) for i, line in enumerate(self.coded.lines)]
        total = self._total()
        claim = without_empty(
            {
                "resourceType": "Claim",
                "contained": self.parties.contained,
                "identifier": [{"system": self.site.claim_identifier_system, "value": self.bill.number.identifier}],
                "status": "active",
                "type": codeable(_CLAIM_TYPE, self.bill.kind),
                "subType": self._subtype(),
                "use": self.payer.use if self.payer else CLAIM,
                "patient": patient,
                "billablePeriod": self._billable_period(),
                "created": created.isoformat(),
                "insurer": insurer if "reference" in insurer else None,
                "provider": provider,
                "priority": codeable(_PRIORITY, "normal"),
                "related": self._related(),
                "referral": self._referral(),
                "careTeam": self.team.entries,
                "supportingInfo": self._supporting_info(),
                "diagnosis": diagnoses,
                "procedure": procedures,
                "insurance": self._insurance(insurer, patient),
                "accident": self._accident(),
                "item": items,
                "total": money_element(total),
            }
        )
        return BuiltClaim(claim, tuple(self.traces), total)

    # --- header

    def _subtype(self) -> Json | None:
        if not self.kind.has_subtype or self.bill.visit is None:
            return None
        return codeable(_SUBTYPE, "inpatient" if is_stay(self.chart) else "outpatient")

    def _related(self) -> list[Json]:
        number = self.bill.number
        if not number.replaces:
            return []
        return related_prior(self.site.claim_identifier_system, number.replaces, number.original)

    def _referral(self) -> Json | None:
        """The referral that the charges name (837 REF*9F); R4 has room for one, so two different ones are left out."""
        said = self.chart.correction(ClaimField.REFERRAL)
        numbers = [said] if said else self._named("referral")
        return {"type": "ServiceRequest", "identifier": {"value": numbers[0]}} if len(numbers) == 1 else None

    def _named(self, what: str) -> list[str]:
        """What the charges of the claim's lines say under a name, each once."""
        facts = (one.fact for line in self.coded.lines for one in (line, *line.merged))
        return list(dict.fromkeys(filter(None, (getattr(fact, what, "") for fact in facts))))

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
            is_said = is_focal and self.chart.correction(ClaimField.PRIOR_AUTHORIZATION)
            of_lines = self._named("authorization") if is_focal and not is_said else []
            numbers = [coverage.prior_authorization, *of_lines]
            authorised = list(dict.fromkeys(filter(None, numbers)))
            decision = decisions.get(position)
            answer = self.parties.add_decision(decision, self._about(decision, patient, payor)) if decision else None
            entry = {"sequence": position, "coverage": reference, "preAuthRef": authorised, "claimResponse": answer}
            insurances.append(without_empty(entry) | {"focal": is_focal})
        return insurances or [{"sequence": 1, "focal": True, "coverage": {"display": "not stated"}}]

    def _about(self, decision: PriorDecision, patient: Json, payor: Json) -> Json:
        """What an earlier payer's decision says of its claim, in the words of this one."""
        prior = {"identifier": {"system": self.site.claim_identifier_system, "value": decision.identifier}}
        kind = codeable(_CLAIM_TYPE, self.bill.kind)
        return {"type": kind, "patient": patient, "insurer": payor, "request": prior}

    def _other_payor(self, position: int) -> Json:
        company = self.chart.coverages[position - 1].payer
        return self.parties.add_organization(f"payor-{position}", company) if company else {"display": "not stated"}

    def _supporting_info(self) -> list[Json]:
        entries, traces = supporting_info(self.bill, self.kind.supporting)
        self.traces += traces
        return entries

    def _accident(self) -> Json | None:
        element, trace = accident_element(self.chart.visit.accident if self.chart.visit else None)
        self.traces += [trace] if trace else []
        return element

    # --- codes

    def _trace(self, path: str, traces: Iterable[Trace]) -> None:
        self.traces += [replace(trace, path=path) for trace in traces]

    def _diagnosis(self, position: int, diagnosis: CodedDiagnosis) -> Json:
        self._trace(f"Claim.diagnosis[{position}]", [diagnosis.trace])
        concept = coded_element(diagnosis.code, diagnosis.trace)
        return diagnosis_element(diagnosis, position, self.chart, self.bill.kind, concept)

    def _procedure(self, position: int, procedure: CodedProcedure) -> Json:
        self._trace(f"Claim.procedure[{position}]", [procedure.trace])
        self.team.add_all(procedure.care_team)
        kind = self._procedure_type(position, procedure)
        return without_empty(
            {
                "sequence": position + 1,
                "type": [kind] if kind else None,
                "date": procedure.performed.text if procedure.performed else None,
                "procedureCodeableConcept": coded_element(procedure.code, procedure.trace),
            }
        )

    def _procedure_type(self, position: int, procedure: CodedProcedure) -> Json | None:
        """Principal where the sender ranks it first or it is the only one (UB-04 FL 74); else nobody has said so."""
        is_alone = len(self.coded.procedures) == 1
        is_told = position == 0 and (is_alone or rank_of(procedure) == 1)
        return codeable(_PROCEDURE_TYPE, "primary" if is_told else "secondary" if position else "")

    def _item(self, position: int, line: CodedLine, visit_team: list[int]) -> Json:
        self._trace(f"Claim.item[{position}]", [one.trace for one in (line, *line.merged)])
        team = self.team.add_all(line.care_team) or visit_team
        of_kind: Json = {}
        for part in self.kind.line:
            of_kind |= part(self.bill, line)
        return item_element(line, position, team, of_kind)

    def _total(self) -> Money | None:
        nets = [line.net for line in self.coded.lines if line.net]
        if not nets:
            return None
        return Money(sum((n.value for n in nets), Decimal(0)), nets[0].currency)
