"""A coded chart as it stands on a claim of a kind: diagnoses and procedures in order, units by kind, lines made one."""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal

from fhir_coder.claims.diagnoses import in_bill_order
from fhir_coder.model import (
    MAX_POINTERS,
    ChargeFact,
    Chart,
    CodedChart,
    CodedLine,
    CodedProcedure,
    Money,
    Payer,
    ProcedureFact,
    System,
    day_of,
)

MINUTES, DAYS = "min", "d"
"""UCUM codes of what an 837 calls MJ and DA (SV104, SV205)."""

_ANESTHESIA = frozenset({"AA", "AD", "QK", "QX", "QY", "QZ"})
"""HCPCS Level II modifiers that say who gave the anaesthesia: a line with one is counted in minutes."""

_ACCOMMODATION = re.compile(r"0(1\d|20|21)\d")
"""Revenue codes of a bed, intensive care among them: their units are days (CMS manual 100-04, chapter 25, FL 46)."""

_CENT = Decimal("0.01")


def arranged(coded: CodedChart, kind: str, payer: Payer | None) -> CodedChart:
    """The coded chart as a claim of this kind lists it for this payer."""
    ordered = with_units(in_procedure_order(in_bill_order(coded, kind)))
    return consolidated(ordered) if payer and payer.consolidate_lines else ordered


def with_authorization(coded: CodedChart, order: int, number: str) -> CodedChart:
    """The coded chart with a payer's authorisation number where its coverage came without one."""
    coverages = coded.chart.coverages
    if not number or len(coverages) < order or coverages[order - 1].prior_authorization:
        return coded
    told = replace(coverages[order - 1], prior_authorization=number)
    chart = replace(coded.chart, coverages=(*coverages[: order - 1], told, *coverages[order:]))
    return replace(coded, chart=chart)


def in_procedure_order(coded: CodedChart) -> CodedChart:
    """Procedures by the sender's rank (PR1-14), the principal one first; unranked ones keep their order behind."""
    order = sorted(range(len(coded.procedures)), key=lambda p: rank_of(coded.procedures[p]) or 99)
    if order == list(range(len(order))):
        return coded
    places = {old: new for new, old in enumerate(order)}
    lines = tuple(replace(line, procedures=tuple(places[p] for p in line.procedures)) for line in coded.lines)
    return replace(coded, procedures=tuple(coded.procedures[p] for p in order), lines=lines)


def rank_of(procedure: CodedProcedure) -> int | None:
    """The sender's rank of a procedure, 1 for the principal one; a charge has none."""
    return procedure.fact.rank if isinstance(procedure.fact, ProcedureFact) else None


def with_units(coded: CodedChart) -> CodedChart:
    """Lines of a bed in days, those of anaesthesia in minutes where they are told."""
    lines = tuple(_with_unit(line, coded.chart) for line in coded.lines)
    return coded if lines == coded.lines else replace(coded, lines=lines)


def _with_unit(line: CodedLine, chart: Chart) -> CodedLine:
    if line.unit:
        return line
    sent = line.fact.unit if isinstance(line.fact, ChargeFact) else ""
    if sent in (MINUTES, DAYS):
        return replace(line, unit=sent)
    if _ACCOMMODATION.fullmatch(line.revenue_code or _revenue_alone(line)):
        return replace(line, unit=DAYS)
    minutes = _minutes(line, chart)
    return _in_minutes(line, minutes) if minutes else line


def _revenue_alone(line: CodedLine) -> str:
    return line.code.code if line.code.system == System.REVENUE else ""


def _minutes(line: CodedLine, chart: Chart) -> Decimal | None:
    """The anaesthesia minutes of the day (PR1-10), where the line is anaesthesia and one number of them was told."""
    on = day_of(line.service_date)
    if on is None or _ANESTHESIA.isdisjoint(m.code for m in line.modifiers):
        return None
    told = {p.anesthesia_minutes for p in chart.procedures if p.anesthesia_minutes and day_of(p.performed) == on}
    return told.pop() if len(told) == 1 else None


def _in_minutes(line: CodedLine, minutes: Decimal) -> CodedLine:
    """The line in minutes, its amount as it was; a unit price only where it is whole cents."""
    price = None
    if line.net and line.net.value == (each := line.net.value / minutes).quantize(_CENT, ROUND_HALF_UP) * minutes:
        price = Money(each.quantize(_CENT), line.net.currency)
    return replace(line, quantity=minutes, unit=MINUTES, unit_price=price)


def consolidated(coded: CodedChart) -> CodedChart:
    """One line of those with the same code, day, modifiers, price, revenue code, drug, doctors and procedures.

    Units and amounts are added up, and the line points to the diagnoses of all. Where those are more than a line may
    point to, or an amount is not known, the lines stay apart.
    """
    places: dict[Hashable, int] = {}
    lines: list[CodedLine] = []
    for line in coded.lines:
        place = places.get(_likeness(line))
        merged = _merged(lines[place], line) if place is not None else None
        if merged and place is not None:
            lines[place] = merged
        else:
            places.setdefault(_likeness(line), len(lines))
            lines.append(line)
    return replace(coded, lines=tuple(lines)) if len(lines) < len(coded.lines) else coded


def _likeness(line: CodedLine) -> Hashable:
    drug = (line.fact.ndc, line.fact.drug_unit) if isinstance(line.fact, ChargeFact) else ()
    alike = (line.code.system, line.code.code, day_of(line.service_date), tuple(m.code for m in line.modifiers))
    price = (line.unit_price, line.list_price, line.unit, line.revenue_code)
    return (*alike, *price, drug, line.care_team, line.procedures)


def _merged(first: CodedLine, second: CodedLine) -> CodedLine | None:
    pointers = tuple(dict.fromkeys((*first.diagnoses, *second.diagnoses)))
    if len(pointers) > MAX_POINTERS or not (first.net and second.net and day_of(first.service_date)):
        return None
    return replace(
        first,
        quantity=first.quantity + second.quantity,
        net=Money(first.net.value + second.net.value, first.net.currency),
        diagnoses=pointers,
        merged=(*first.merged, second),
    )
