"""Chart to coded chart: a billing code for every diagnosis and service, each with its trace, or a gap.

Never guesses: what no row, or more than one row, fits is a gap. Pure: tables and code sets are handed in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from functools import cached_property

from fhir_coder.charts import choice_of, decision_about, is_stay
from fhir_coder.model import (
    BILLING_SYSTEMS,
    ICD10_BEGAN,
    MAX_POINTERS,
    Asked,
    ChargeFact,
    Chart,
    Choice,
    CodedChart,
    CodedDiagnosis,
    CodedLine,
    CodedProcedure,
    Coding,
    CodingContext,
    Concept,
    DiagnosisFact,
    Gap,
    ImmunizationFact,
    Kind,
    Money,
    Origin,
    ProcedureFact,
    System,
    Trace,
    VisitFact,
    When,
    day_of,
)
from fhir_coder.terminology import Tables
from fhir_coder.terminology.translate import EPISODE_TABLE

_Service = ChargeFact | ProcedureFact | ImmunizationFact | VisitFact

_KIND_OF_SYSTEM = {System.SNOMED: Kind.PROCEDURE, System.CVX: Kind.IMMUNIZATION}
_CENT = Decimal("0.01")


_SIDES = {"LT": "left", "RT": "right", "50": "bilateral"}


@dataclass(frozen=True, slots=True)
class VisitPlace:
    """What the site knows of a visit besides its chart: the feed it came by, and its CMS place of service code."""

    feed: str = ""
    care_setting: str = ""


def code_chart(
    chart: Chart, tables: Tables, payer: str = "", currency: str = "USD", place: VisitPlace = VisitPlace()
) -> CodedChart:
    """Choose the billing codes of one chart.

    Charges make the lines. Where none came, procedures, vaccinations and the visit itself do, priced by the fee
    tables: a service is never billed from two sources.
    """
    coder = _Coder(chart, tables, payer, currency, place)
    if chart.service_date and chart.service_date < ICD10_BEGAN:
        return CodedChart(chart, (), (), (), (), notes=("before_icd10",))
    coder.code_diagnoses()
    coder.code_services()
    return coder.coded()


@dataclass
class _Coder:
    chart: Chart
    tables: Tables
    payer: str
    currency: str
    place: VisitPlace = VisitPlace()
    diagnoses: list[CodedDiagnosis] = field(default_factory=list)
    procedures: list[CodedProcedure] = field(default_factory=list)
    lines: list[CodedLine] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    not_billable: list[Trace] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    positions: dict[str, tuple[int, ...]] = field(default_factory=dict)
    brought: list[tuple[Choice, _Service]] = field(default_factory=list)

    def coded(self) -> CodedChart:
        return CodedChart(
            self.chart,
            tuple(self.diagnoses),
            tuple(self.procedures),
            tuple(self.lines),
            tuple(self.gaps),
            tuple(self.not_billable),
            tuple(self.notes),
            tuple(self.asked),
        )

    # --- diagnoses

    def code_diagnoses(self) -> None:
        for fact in self.chart.diagnoses:
            self._code_diagnosis(fact)
        if not self.chart.diagnoses:
            self._diagnoses_of_vaccinations()

    def _code_diagnosis(self, fact: DiagnosisFact) -> None:
        choice = self._choose(Kind.DIAGNOSIS, fact.concept, fact.origin, self._context(self.chart.service_date, fact))
        if choice is None or choice.code is None:
            return
        places = []
        for one in (choice, *choice.also):
            assert one.code is not None
            known = self._position(one.code.code, fact)
            if known is None:
                known = len(self.diagnoses)
                self.diagnoses.append(CodedDiagnosis(one.code, fact, one.trace))
            self.positions.setdefault(one.code.code, (known,))
            places.append(known)
        for name in (fact.identity, *(f"{c.system}|{c.code}" for c in fact.concept.codings)):
            self.positions.setdefault(name, tuple(places))

    def _position(self, code: str, fact: DiagnosisFact) -> int | None:
        # A stay names its admitting diagnosis beside the principal one, be it the same (UB-04 FL 67 and 69).
        is_apart = fact.kind == "admitting" and is_stay(self.chart)
        for position, known in enumerate(self.diagnoses):
            if known.code.code == code and (known.fact.kind == "admitting" or not is_apart):
                return position
        return None

    def _diagnoses_of_vaccinations(self) -> None:
        """Where nothing else is recorded, the vaccination itself is the reason (ICD-10-CM guidelines, I.C.21.c.2)."""
        for fact in self.chart.immunizations:
            if self.tables.has(Kind.DIAGNOSIS, fact.concept, self.chart.service_date):
                self._code_diagnosis(DiagnosisFact(fact.origin, fact.identity, fact.concept, recorded=fact.given))

    # --- services

    def code_services(self) -> None:
        for charge in self.chart.charges:
            self._code_charge(charge)
        for procedure in self.chart.procedures:
            self._code_procedure(procedure)
        if not self.chart.charges:
            for immunization in self.chart.immunizations:
                self._code_immunization(immunization)
            if self.chart.visit:
                self._code_visit(self.chart.visit)
        self._bill_brought()

    def _bill_brought(self) -> None:
        """What rows bring beside their code, unless the visit bills it already: a service has one source."""
        billed = {(line.code.code, day_of(line.service_date)) for line in self.lines}
        for choice, fact in self.brought:
            assert choice.code is not None
            when = _when(fact)
            if (choice.code.code, day_of(when)) not in billed:
                self._add_priced_line(choice, fact, when, self._pointers(self._reasons(fact)))

    def _code_charge(self, fact: ChargeFact) -> None:
        on = day_of(fact.service_date) or self.chart.service_date
        concepts = [c for c in (fact.concept, fact.item) if c]
        kind = _service_kind(fact.concept)
        choice = self._choose(kind, fact.concept, fact.origin, self._context(on, fact), also=concepts[1:])
        if choice is None or choice.code is None:
            return
        self.brought += [(one, fact) for one in choice.also]
        charged = self._charged(fact, choice, on)
        list_price = self._price(charged, choice.code, on)
        unit, net = self._amounts(fact, choice, list_price)
        line = CodedLine(
            choice.code,
            fact,
            choice.trace,
            fact.service_date,
            fact.quantity * choice.units,
            unit,
            net,
            modifiers=_modifiers(fact, choice),
            diagnoses=self._pointers(choice.pointers or self._reasons(fact)),
            care_team=fact.care_team,
            list_price=list_price,
            revenue_code=fact.revenue_code or charged.revenue_code or choice.revenue_code,
        )
        self._add_line(line)

    def _code_procedure(self, fact: ProcedureFact) -> None:
        context = self._context(day_of(fact.performed) or self.chart.service_date, fact)
        if fact.unknown_modifier:
            text = "a modifier extension that is not known changes its meaning"
            gap = self._made_gap(fact.origin, fact.concept, "unknown_modifier", text)
            self._add_gap(Kind.PROCEDURE, context, gap)
            return
        if self.chart.charges and not is_stay(self.chart) and not _came_coded(fact.concept):
            return  # an outpatient visit is billed by its charges
        choice = self._choose(Kind.PROCEDURE, fact.concept, fact.origin, context)
        if choice is None or choice.code is None:
            return
        for one in (choice, *choice.also):
            self._bill_procedure(one, fact)

    def _bill_procedure(self, choice: Choice, fact: ProcedureFact) -> None:
        assert choice.code is not None
        if choice.code.system == System.ICD10PCS:
            self._add_procedure(CodedProcedure(choice.code, fact, choice.trace, fact.performed, fact.care_team))
        elif self.chart.charges:
            if all(line.code.code != choice.code.code for line in self.lines):
                self.notes.append("procedure_without_charge")
        else:
            self._add_priced_line(choice, fact, fact.performed, self._pointers(self._reasons(fact)))

    def _code_immunization(self, fact: ImmunizationFact) -> None:
        on = day_of(fact.given) or self.chart.service_date
        choice = self._choose(Kind.IMMUNIZATION, fact.concept, fact.origin, self._context(on))
        if choice and choice.code:
            self._add_priced_line(choice, fact, fact.given, self._pointers(self._reasons(fact)))
            self.brought += [(one, fact) for one in choice.also]

    def _code_visit(self, visit: VisitFact) -> None:
        """What the visit itself is billed with: a row for its type, else for its class where nothing else is billed."""
        by_class = Concept((Coding(System.ACT, visit.class_code),)) if visit.class_code and not self.lines else None
        concepts = visit.types or ((by_class,) if by_class else ())
        on = self.chart.service_date
        known = [c for c in concepts if self.tables.has(Kind.VISIT, c, on)] or [
            c for c in (by_class,) if c and self.tables.has(Kind.VISIT, c, on)
        ]
        if known:
            # Types that mean different things to the tables are a gap, as different codings of one type are.
            concept = Concept(tuple(coding for one in known for coding in one.codings))
            choice = self._choose(Kind.VISIT, concept, visit.origin, self._context(self.chart.service_date))
            if choice and choice.code:
                for one in (choice, *choice.also):
                    self._add_priced_line(one, visit, visit.start, self._pointers([]))

    def _reasons(self, fact: _Service) -> list[str]:
        """The names of the diagnoses that a service points to."""
        match fact:
            case ChargeFact():
                return [*fact.diagnosis_refs, *(c.key for c in fact.diagnoses)]
            case ProcedureFact():
                return [*fact.reasons, *(c.key for c in fact.reason_concepts)]
            case ImmunizationFact():
                # Its reason is as often "routine" as it is a diagnosis: only one that was coded is pointed to.
                names = [fact.identity, *fact.reasons, *(c.key for c in fact.reason_concepts)]
                return [name for name in names if name in self.positions]
            case _:
                return []

    def _add_priced_line(
        self,
        choice: Choice,
        fact: _Service,
        when: When | None,
        pointers: tuple[int, ...],
    ) -> None:
        assert choice.code is not None
        net = self._price(choice, choice.code, day_of(when) or self.chart.service_date)
        line = CodedLine(
            choice.code,
            fact,
            choice.trace,
            when,
            choice.units,
            _each(net, choice.units),
            net,
            modifiers=_modifiers(fact, choice),
            diagnoses=self._pointers(choice.pointers) if choice.pointers else pointers,
            care_team=fact.care_team,
            revenue_code=choice.revenue_code,
        )
        self._add_line(line)

    def _add_line(self, line: CodedLine) -> None:
        if line.code.system == System.ICD10PCS and isinstance(line.fact, ChargeFact | ProcedureFact):
            position = self._add_procedure(
                CodedProcedure(line.code, line.fact, line.trace, line.service_date, line.care_team)
            )
            line = replace(line, procedures=(position,))
        self.lines.append(line)

    def _add_procedure(self, procedure: CodedProcedure) -> int:
        for position, known in enumerate(self.procedures):
            if (known.code.code, day_of(known.performed)) == (procedure.code.code, day_of(procedure.performed)):
                team = dict.fromkeys((*known.care_team, *procedure.care_team))
                told = procedure.fact if isinstance(procedure.fact, ProcedureFact) else known.fact  # it has the rank
                self.procedures[position] = replace(known, fact=told, care_team=tuple(team))
                return position
        self.procedures.append(procedure)
        return len(self.procedures) - 1

    # --- choosing

    def _choose(
        self, kind: Kind, concept: Concept, origin: Origin, context: CodingContext, also: Sequence[Concept] = ()
    ) -> Choice | None:
        """The choice for a concept, or for what else names the same thing; None where it became a gap."""
        first: Gap | None = None
        for candidate in (concept, *also):
            of = kind if candidate is concept else _service_kind(candidate)
            answer = self._answer(of, candidate, origin, context)
            if isinstance(answer, Choice):
                if answer.code is None:
                    self.not_billable.append(answer.trace)
                self.asked.append(Asked(kind, context, answer))
                return answer
            first = first or answer
        assert first is not None
        self._add_gap(kind, context, first)
        return None

    def _answer(self, kind: Kind, concept: Concept, origin: Origin, context: CodingContext) -> Choice | Gap:
        decided = decision_about(self.chart.decisions, concept)
        if decided:
            return choice_of(decided, concept, origin)
        coded = _coded_as_sent(kind, concept)
        if len(coded) > 1:
            return self._made_gap(origin, concept, "ambiguous", "it came with two different billing codes")
        if coded:
            code = coded[0]
            if instead := self.tables.in_its_place(code, context, origin):
                return _without_words(instead)
            return Choice(code, Trace(code.system, code.code, origin, code, note="came coded", display=code.display))
        return _without_words(self.tables.choose(kind, concept, context, origin, self.chart.key))

    def _context(
        self, on: date | None, fact: DiagnosisFact | ChargeFact | ProcedureFact | None = None
    ) -> CodingContext:
        context = self._dated.get(on) or self._dated.setdefault(on, replace(self._visit_context, service_date=on))
        if isinstance(fact, DiagnosisFact):
            return replace(context, use=self._use(fact), laterality=fact.laterality or self._side_of_services(fact))
        return replace(context, laterality=_side(fact.modifiers)) if fact and fact.modifiers else context

    @cached_property
    def _dated(self) -> dict[date | None, CodingContext]:
        """The visit's context on each day that something is coded for."""
        return {}

    @cached_property
    def _visit_context(self) -> CodingContext:
        patient, visit = self.chart.patient, self.chart.visit
        return CodingContext(
            sex=patient.sex if patient else "",
            birth_date=patient.birth_date.day if patient and patient.birth_date else None,
            encounter_class=visit.class_code if visit else "",
            payer=self.payer,
            care_setting=self.place.care_setting,
            feed=self.place.feed,
            codes=frozenset(f"{c.system}|{c.code}" for concept in _concepts(self.chart) for c in concept.codings),
            episode=self._episode(),
        )

    def _side_of_services(self, fact: DiagnosisFact) -> str:
        """The side of the services that name a diagnosis as their reason; empty unless each has one, and the same."""
        names = (fact.identity, *(f"{c.system}|{c.code}" for c in fact.concept.codings))
        sides = {side for name in names for side in self._sides_of_reasons.get(name, ())}
        return sides.pop() if len(sides) == 1 else ""

    @cached_property
    def _sides_of_reasons(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        services: list[ChargeFact | ProcedureFact] = [*self.chart.charges, *self.chart.procedures]
        for service in services:
            for name in self._reasons(service):
                found.setdefault(name, set()).add(_side(service.modifiers))
        return found

    def _use(self, fact: DiagnosisFact) -> str:
        """Whether a diagnosis is the visit's principal one; an admitting diagnosis is neither."""
        if fact.kind == "admitting":
            return ""
        first = next((one for one in self.chart.diagnoses if one.kind != "admitting"), fact)
        return "principal" if first is fact else "secondary"

    def _episode(self) -> str:
        """The episode of care by the site's table: of the visit's types, else of its class; empty where not told."""
        visit, known = self.chart.visit, self.tables.concept(EPISODE_TABLE)
        if not visit or not known:
            return ""
        told = {known[c.code] for one in visit.types for c in one.codings if c.code in known}
        told = told or ({known[visit.class_code]} if visit.class_code in known else set())
        return told.pop() if len(told) == 1 else ""

    def _add_gap(self, kind: Kind, context: CodingContext, gap: Gap) -> None:
        self.gaps.append(gap)
        self.asked.append(Asked(kind, context, gap))

    def _made_gap(self, origin: Origin, concept: Concept, reason: str, text: str) -> Gap:
        coding = concept.codings[0] if concept.codings else Coding("", "")
        return Gap(self.chart.key, origin, coding.system, coding.code, reason, text)

    def _pointers(self, names: Sequence[str]) -> tuple[int, ...]:
        """Positions of the named diagnoses; where none is named, all that are not admitting-only, in billing order."""
        named = dict.fromkeys(place for n in names if n in self.positions for place in self.positions[n])
        if names and not named and not self.gaps:
            self.notes.append("pointer_lost")
        everything = [i for i, d in enumerate(self.diagnoses) if d.fact.kind != "admitting"] or range(
            len(self.diagnoses)
        )
        return tuple(named or everything)[:MAX_POINTERS]

    # --- money

    def _amounts(self, fact: ChargeFact, choice: Choice, list_price: Money | None) -> tuple[Money | None, Money | None]:
        """Unit price and net of a charge as sent (FT1-12, FT1-11), else by the charge master or the fee table."""
        unit, net = fact.unit_amount, fact.amount
        if unit is None and net is None:
            unit = list_price
        if net is None and unit is not None:
            net = Money((unit.value * fact.quantity).quantize(_CENT, ROUND_HALF_UP), unit.currency)
        if unit is None or choice.units != 1:
            unit = _each(net, fact.quantity * choice.units)
        return unit, net

    def _charged(self, fact: ChargeFact, choice: Choice, on: date | None) -> Choice:
        """The charge master's answer for what was charged (FT1-7) where FT1-25 came coded the same; else the choice."""
        if choice.unit_price is None and fact.item and fact.item != fact.concept:
            item = self._answer(_service_kind(fact.item), fact.item, fact.origin, self._context(on, fact))
            if isinstance(item, Choice) and item.code and choice.code and item.code.code == choice.code.code:
                return item
        return choice

    def _price(self, choice: Choice, code: Coding, on: date | None) -> Money | None:
        """The price of one of the source: the row's, else that of its billed units by the fee tables."""
        price = choice.unit_price
        if price is None:
            found = self.tables.price(code, self._context(on))
            price = found[0] * choice.units if found else None
        return None if price is None else Money(price, self.currency)


def _without_words(answer: Choice | Gap) -> Choice | Gap:
    """A table's words name the source, not the billing code: they belong to the trace, not into the claim."""
    if isinstance(answer, Gap) or answer.code is None:
        return answer
    words = answer.code.display
    also = tuple(one for other in answer.also if isinstance(one := _without_words(other), Choice))
    return replace(answer, code=replace(answer.code, display=""), trace=replace(answer.trace, display=words), also=also)


def _each(net: Money | None, quantity: Decimal) -> Money | None:
    """The price of one billed unit, None where it would not be whole cents."""
    if net is None or not quantity:
        return None
    each = (net.value / quantity).quantize(_CENT, ROUND_HALF_UP)
    return Money(each, net.currency) if each * quantity == net.value else None


def _modifiers(fact: _Service, choice: Choice) -> tuple[Coding, ...]:
    """The sender's modifiers, then those of the row that are not among them."""
    sent = fact.modifiers if isinstance(fact, ChargeFact | ProcedureFact) else ()
    codes = {one.code for one in sent}
    return (*sent, *(one for one in choice.modifiers if one.code not in codes))


def _side(modifiers: Sequence[Coding]) -> str:
    sides = {_SIDES[one.code] for one in modifiers if one.code in _SIDES}
    return sides.pop() if len(sides) == 1 else ""


def _when(fact: _Service) -> When | None:
    match fact:
        case ChargeFact():
            return fact.service_date
        case ProcedureFact():
            return fact.performed
        case ImmunizationFact():
            return fact.given
        case _:
            return fact.start


def _concepts(chart: Chart) -> Iterator[Concept]:
    """Everything a chart names by code."""
    yield from (fact.concept for fact in chart.diagnoses)
    yield from (fact.concept for fact in chart.procedures)
    yield from (fact.concept for fact in chart.immunizations)
    yield from (fact.concept for fact in chart.charges)


def _service_kind(concept: Concept) -> Kind:
    systems = [c.system for c in concept.codings]
    return next((_KIND_OF_SYSTEM[s] for s in systems if s in _KIND_OF_SYSTEM), Kind.CHARGE)


def _coded_as_sent(kind: Kind, concept: Concept) -> list[Coding]:
    wanted = {System.ICD10CM} if kind is Kind.DIAGNOSIS else BILLING_SYSTEMS - {System.ICD10CM}
    found = [c for c in concept.codings if c.system in wanted]
    if kind is Kind.CHARGE and not found:
        found = [c for c in concept.codings if c.system == System.REVENUE]  # a bed is billed by this alone
    return list({(c.system, c.code): c for c in found}.values())


def _came_coded(concept: Concept) -> bool:
    return bool(_coded_as_sent(Kind.PROCEDURE, concept))
