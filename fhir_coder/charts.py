"""Facts to a chart: a pure fold of everything that all messages say about one visit, in event order.

The fold knows repeats (identity), removals, credits, cancels and references. It never reads the clock or the ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeVar

from fhir_coder.model import (
    CancelFact,
    CareTeamMember,
    ChargeFact,
    Chart,
    CoverageFact,
    DiagnosisFact,
    DirectoryFact,
    Fact,
    FiledFact,
    GuarantorFact,
    ImmunizationFact,
    MessageFacts,
    Organization,
    PatientFact,
    Practitioner,
    Problem,
    ProcedureFact,
    VisitFact,
    When,
)

INPATIENT_CLASSES = frozenset({"IMP", "ACUTE", "NONAC"})
"""v3-ActCode classes of a stay that is billed after its discharge."""

_USES_THAT_COUNT = {"DD": 0, "AD": 2}

_Person = TypeVar("_Person", PatientFact, VisitFact)
_Listed = TypeVar("_Listed", DiagnosisFact, ProcedureFact, ImmunizationFact, CoverageFact)


def topics_reached(key: str, messages: Iterable[MessageFacts]) -> set[str]:
    """The topics a chart draws on: its own, and every topic that a fact of a reached topic refers to."""
    by_topic: dict[str, set[str]] = {}
    for message in messages:
        for filed in message.facts:
            by_topic.setdefault(filed.topic, set()).update(filed.refs)
    reached: set[str] = set()
    waiting = {key}
    while waiting:
        topic = waiting.pop()
        reached.add(topic)
        waiting |= by_topic.get(topic, set()) - reached
    return reached


def fold_chart(key: str, messages: Sequence[MessageFacts]) -> Chart:
    """Fold all messages that mention a visit (in order of arrival) into its chart.

    Messages may hold facts of other visits: only those of topics reached from `key` count.
    """
    reached = topics_reached(key, messages)
    fold = _Fold(key)
    for message in sorted(messages, key=_event_order):
        facts = [filed for filed in message.facts if filed.topic in reached]
        problems = [p for p in message.problems if p.topic == key]
        if facts or problems:
            fold.messages.append(message.message)
            fold.settle(facts, problems)
            fold.take(facts)
    return fold.chart()


def is_stay(chart: Chart) -> bool:
    """Whether the visit is a hospital stay."""
    return bool(chart.visit and chart.visit.class_code in INPATIENT_CLASSES)


def is_open(chart: Chart) -> bool:
    """Whether the visit still goes on, so that a claim would come too early.

    A stay is open until its discharge, a planned visit until it begins. Any other visit is open until it is finished,
    or a charge or account message says that it may be billed.
    """
    visit = chart.visit
    if visit is None or visit.end or visit.status == "finished":
        return False
    if is_stay(chart) or visit.status == "planned":
        return True
    return not (visit.billable or chart.charges)


def _event_order(message: MessageFacts) -> datetime:
    # A message without a time of its own counts as the latest: it says what its sender knows now.
    return _moment(message.event_at) if message.event_at else datetime.max.replace(tzinfo=UTC)


def _moment(when: When) -> datetime:
    if when.instant:
        return when.instant
    padded = when.text + "-01-01"[len(when.text) - 4 :] if len(when.text) < 10 else when.text
    return datetime.fromisoformat(padded).replace(tzinfo=UTC)


@dataclass
class _Fold:
    key: str
    patient: PatientFact | None = None
    visit: VisitFact | None = None
    diagnoses: dict[str, DiagnosisFact] = field(default_factory=dict)
    procedures: dict[str, ProcedureFact] = field(default_factory=dict)
    immunizations: dict[str, ImmunizationFact] = field(default_factory=dict)
    coverages: dict[str, CoverageFact] = field(default_factory=dict)
    charges: dict[str, ChargeFact] = field(default_factory=dict)
    credits: dict[str, ChargeFact] = field(default_factory=dict)
    taken_back: dict[str, str] = field(default_factory=dict)
    never_charged: dict[str, ChargeFact] = field(default_factory=dict)
    directory: dict[str, DirectoryFact] = field(default_factory=dict)
    guarantor: GuarantorFact | None = None
    cancelled: bool = False
    messages: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def settle(self, facts: Iterable[FiledFact], problems: Sequence[Problem]) -> None:
        """Keep a message's problems; those of earlier messages go where this one says the same thing anew."""
        said = {p.identity for p in problems}
        if self.problems:
            for filed in facts:
                said |= {filed.topic, str(getattr(filed.fact, "identity", ""))}
        self.problems = [p for p in self.problems if not (p.identity and _is_said(p, said))] + list(problems)

    def take(self, facts: Iterable[FiledFact]) -> None:
        for filed in facts:
            self._take_one(filed.topic, filed.fact)

    def _take_one(self, topic: str, fact: Fact) -> None:
        match fact:
            case PatientFact():
                self.patient = None if fact.removed else _merged(self.patient, fact)
            case VisitFact():
                self.visit = _merged(self.visit, fact)
                self.cancelled = self.cancelled and fact.status in ("cancelled", "entered-in-error", "")
            case DiagnosisFact():
                _keep(self.diagnoses, fact)
            case ProcedureFact():
                _keep(self.procedures, fact)
            case ImmunizationFact():
                _keep(self.immunizations, fact)
            case CoverageFact():
                _keep(self.coverages, fact)
            case ChargeFact():
                self._take_charge(fact)
            case GuarantorFact():
                self.guarantor = fact
            case CancelFact():
                self._cancel(fact)
            case DirectoryFact():
                self.directory[topic] = fact

    def _cancel(self, fact: CancelFact) -> None:
        if fact.what != "discharge":
            self.cancelled = True
        elif self.visit:
            self.visit = replace(self.visit, end=None, status="in-progress", discharge_disposition="")

    def _take_charge(self, fact: ChargeFact) -> None:
        if fact.kind == "CR":
            self._credit(fact)
        elif fact.kind == "AJ":
            self.problems.append(
                Problem(
                    fact.origin, "adjustment", "an adjustment (AJ) changes an amount: a person decides how", self.key
                )
            )
        elif fact.removed:
            self.charges.pop(fact.identity, None)
        else:
            self._charge(fact)

    def _charge(self, fact: ChargeFact) -> None:
        known = self.never_charged.get(fact.identity)
        if known and replace(fact, origin=known.origin) == known:
            return  # a repeat of a charge that was taken back before it came
        credit = max(self.credits.values(), key=lambda c: _fit(c, fact), default=None)
        if credit and _fit(credit, fact):
            del self.credits[credit.identity]
            self.taken_back[credit.identity] = fact.identity
            self.never_charged[fact.identity] = fact
        else:
            self.charges[fact.identity] = fact

    def _credit(self, credit: ChargeFact) -> None:
        if credit.identity in self.taken_back:
            # A repeat, or a second reversal under one id: it takes its own charge back, never another that looks alike.
            self.charges.pop(self.taken_back[credit.identity], None)
            return
        charge = max(self.charges.values(), key=lambda c: _fit(credit, c), default=None)
        if charge and _fit(credit, charge):
            del self.charges[charge.identity]
            self.taken_back[credit.identity] = charge.identity
        else:
            self.credits[credit.identity] = credit  # the charge it takes back may still come

    def _problem_of_credit(self, credit: ChargeFact) -> Problem:
        rule, text = "credit_without_charge", "a credit (CR) takes back a charge that never came"
        if (credit.reverses or credit.identity) in self.charges:
            rule, text = "partial_credit", "a credit (CR) is not of the amount of its charge: a person decides"
        return Problem(credit.origin, rule, text, self.key)

    def chart(self) -> Chart:
        problems = tuple(self.problems) + tuple(map(self._problem_of_credit, self.credits.values()))
        return Chart(
            key=self.key,
            patient=self.patient,
            visit=self._resolved_visit(),
            diagnoses=self._diagnoses(),
            procedures=tuple(replace(p, care_team=self._team(p.care_team)) for p in self.procedures.values()),
            charges=tuple(replace(c, care_team=self._team(c.care_team)) for c in self.charges.values()),
            immunizations=tuple(replace(i, care_team=self._team(i.care_team)) for i in self.immunizations.values()),
            coverages=tuple(sorted(map(self._resolved_coverage, self.coverages.values()), key=lambda c: c.order)),
            guarantor=self.guarantor,
            cancelled=self.cancelled,
            messages=tuple(self.messages),
            problems=problems,
        )

    def _diagnoses(self) -> tuple[DiagnosisFact, ...]:
        # A condition may be admitting and discharge diagnosis of one stay: what it was found to be counts.
        said = sorted(self.visit.diagnosis_uses if self.visit else (), key=lambda u: _USES_THAT_COUNT.get(u.use, 1))
        uses = {u.ref: u for u in reversed(said)}
        facts = []
        for fact in self.diagnoses.values():
            use = uses.get(fact.identity)
            kind = {"AD": "admitting", "DD": "final"}.get(use.use, fact.kind) if use else fact.kind
            facts.append(replace(fact, kind=kind, rank=use.rank if use and use.rank else fact.rank))
        return billing_order(facts)

    def _resolved_visit(self) -> VisitFact | None:
        if self.visit is None:
            return None
        facility = self.visit.facility or self._organization(self.visit.facility_ref)
        return replace(self.visit, care_team=self._team(self.visit.care_team), facility=facility)

    def _resolved_coverage(self, coverage: CoverageFact) -> CoverageFact:
        return replace(coverage, payer=coverage.payer or self._organization(coverage.payer_ref))

    def _team(self, members: tuple[CareTeamMember, ...]) -> tuple[CareTeamMember, ...]:
        return tuple(m if m.practitioner else replace(m, practitioner=self._practitioner(m.ref)) for m in members)

    def _practitioner(self, ref: str) -> Practitioner | None:
        entry = self.directory.get(ref)
        if entry is None or not entry.practitioner_ref:
            return entry.practitioner if entry else None
        person = self.directory.get(entry.practitioner_ref)
        if person is None or person.practitioner is None:
            return entry.practitioner
        taxonomy = entry.practitioner.taxonomy if entry.practitioner else ""
        return replace(person.practitioner, taxonomy=taxonomy or person.practitioner.taxonomy)

    def _organization(self, ref: str) -> Organization | None:
        entry = self.directory.get(ref)
        return entry.organization if entry else None


def billing_order(facts: Iterable[DiagnosisFact]) -> tuple[DiagnosisFact, ...]:
    """Diagnoses in the order a claim lists them: the principal first, admitting ones last.

    A working diagnosis counts only while there is no other but the admitting one (ICD-10-CM Official Guidelines,
    section IV.H: suspected conditions are not coded); the reason for the visit only where nothing else is recorded.
    """
    listed = list(facts)
    if any(f.kind in ("final", "") for f in listed):
        listed = [f for f in listed if f.kind != "working"]
    if any(f.kind != "reason" for f in listed):
        listed = [f for f in listed if f.kind != "reason"]
    return tuple(sorted(listed, key=lambda f: (f.kind == "admitting", f.rank or 99)))


def _is_said(problem: Problem, said: set[str]) -> bool:
    # A visit's topic is its patient's reference and its own; a problem of the visit knows only its own.
    of_visit = problem.topic in said and problem.topic.endswith(f"/{problem.identity}")
    return of_visit or problem.identity in said


def _keep(facts: dict[str, _Listed], fact: _Listed) -> None:
    if fact.removed:
        facts.pop(fact.identity, None)
    else:
        facts[fact.identity] = fact


def _merged(known: _Person | None, said: _Person) -> _Person:
    """The later fact over the earlier one; what it leaves out stays as it was (HL7 v2 chapter 2: empty is not said)."""
    if known is None:
        return said
    values = {f.name: getattr(said, f.name) for f in fields(said)}
    kept = {name: getattr(known, name) for name, value in values.items() if value in ("", None, ())}
    return replace(said, **kept)


def _fit(credit: ChargeFact, charge: ChargeFact) -> int:
    """How surely a credit takes back a charge: 2 it names it, 1 it is alike, 0 it does not (or only a part of it)."""
    if charge.identity == (credit.reverses or credit.identity):
        return 2 if _is_whole(credit, charge) else 0
    alike = (
        not credit.reverses
        and credit.concept.key == charge.concept.key
        and _day(credit) == _day(charge)
        and abs(credit.quantity) == abs(charge.quantity)
        and _total(credit) == _total(charge)
    )
    return int(alike)


def _is_whole(credit: ChargeFact, charge: ChargeFact) -> bool:
    back, charged = _total(credit), _total(charge)
    if back is None or charged is None:
        return abs(credit.quantity) == abs(charge.quantity)
    return back == charged


def _total(charge: ChargeFact) -> Decimal | None:
    if charge.amount:
        return abs(charge.amount.value)
    return abs(charge.unit_amount.value * charge.quantity) if charge.unit_amount else None


def _day(charge: ChargeFact) -> str:
    return charge.service_date.text[:10] if charge.service_date else ""
