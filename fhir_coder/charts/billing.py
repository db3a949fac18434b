"""What a chart means to billing: the order of its diagnoses, whether the visit goes on, where it stands."""

from __future__ import annotations

import enum
from collections.abc import Iterable

from fhir_coder.model import Chart, DiagnosisFact, VisitFact

INPATIENT_CLASSES = frozenset({"IMP", "ACUTE", "NONAC"})
"""v3-ActCode classes of a stay that is billed after its discharge."""


class ChartStatus(enum.StrEnum):
    """Where a visit stands (docs/reference/statuses.md)."""

    PLANNED = "planned"
    OPEN = "open"
    FINISHED = "finished"
    CANCELLED = "cancelled"
    MOVED = "moved"


def chart_status(chart: Chart) -> ChartStatus:
    """Where the visit of a chart stands."""
    if chart.moved_to:
        return ChartStatus.MOVED
    if chart.cancelled:
        return ChartStatus.CANCELLED
    if not is_open(chart):
        return ChartStatus.FINISHED
    return ChartStatus.PLANNED if chart.visit and chart.visit.status == "planned" else ChartStatus.OPEN


def is_stay(chart: Chart) -> bool:
    """Whether the visit is a hospital stay."""
    return bool(chart.visit and chart.visit.class_code in INPATIENT_CLASSES)


def is_open(chart: Chart) -> bool:
    """Whether the visit still goes on, so that a claim would come too early.

    A stay is open until its discharge, a planned visit until it begins. Any other visit is open until it is finished,
    or a charge or account message says that it may be billed.
    """
    return chart.visit is not None and goes_on(chart.visit, is_charged=bool(chart.charges))


def goes_on(visit: VisitFact, *, is_charged: bool) -> bool:
    """Whether a visit still goes on; `is_charged` where a charge came."""
    if visit.end or visit.status == "finished":
        return False
    if visit.class_code in INPATIENT_CLASSES or visit.status == "planned":
        return True
    return not (visit.billable or is_charged)


def established(facts: Iterable[DiagnosisFact], visit: VisitFact | None) -> Iterable[DiagnosisFact]:
    """The diagnoses that may be coded: a suspected one only of a hospital stay.

    ICD-10-CM Official Guidelines, section IV.H: outpatient visits do not code what is probable or suspected; section
    II.H: a stay codes it as if it were there.
    """
    if visit and visit.class_code in INPATIENT_CLASSES:
        return facts
    return [fact for fact in facts if not fact.is_suspected]


def billing_order(facts: Iterable[DiagnosisFact]) -> tuple[DiagnosisFact, ...]:
    """Diagnoses in the order a claim lists them: the principal first, admitting ones last; final before unnamed kinds.

    A working diagnosis counts only while there is no other but the admitting one (ICD-10-CM Official Guidelines,
    section IV.H: suspected conditions are not coded); the reason for the visit only where nothing else is recorded.
    """
    listed = list(facts)
    if any(f.kind in ("final", "") for f in listed):
        listed = [f for f in listed if f.kind != "working"]
    if any(f.kind != "reason" for f in listed):
        listed = [f for f in listed if f.kind != "reason"]
    return tuple(sorted(listed, key=lambda f: (f.kind == "admitting", f.rank or 99, f.kind != "final")))
