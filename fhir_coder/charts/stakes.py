"""What the worklist orders a visit's items by: inpatient or not, its specialty, whether it is urgent, its money."""

from __future__ import annotations

from decimal import Decimal

from fhir_coder.charts.billing import is_stay
from fhir_coder.model import Care, ChargeFact, Chart, Money, VisitStakes

_EMERGENCIES = frozenset({"1", "5"})
"""NUBC types of admission (UB-04 FL 14) of visits that could not wait."""
_IN_CHARGE = ("attending", "rendering", "surgeon", "primary")


def stakes_of_visit(chart: Chart) -> VisitStakes:
    """The stakes of a visit as it is known now."""
    care = Care.INPATIENT if is_stay(chart) else Care.OUTPATIENT
    visit = chart.visit
    urgent = bool(visit and (visit.class_code == "EMER" or visit.admission_type in _EMERGENCIES))
    return VisitStakes(care, _specialty(chart), urgent, _charged(chart))


def _specialty(chart: Chart) -> str:
    """The taxonomy of who is in charge; where no message says one, the ward or clinic."""
    if not chart.visit:
        return ""
    told = {m.role: m.practitioner.taxonomy for m in chart.visit.care_team if m.practitioner}
    return next((told[role] for role in _IN_CHARGE if told.get(role)), chart.visit.location)


def _charged(chart: Chart) -> Money | None:
    amounts = [amount for amount in map(_amount, chart.charges) if amount]
    if len({one.currency for one in amounts}) != 1:
        return None
    return Money(sum((one.value for one in amounts), Decimal(0)), amounts[0].currency)


def _amount(charge: ChargeFact) -> Money | None:
    each = charge.unit_amount
    return charge.amount or (Money(each.value * charge.quantity, each.currency) if each else None)
