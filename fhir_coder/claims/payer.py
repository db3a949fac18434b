"""Which payer a chart's claim goes to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from fhir_coder.charts import ChartStatus, chart_status
from fhir_coder.model import CLAIM, Chart, CoverageFact, Payer, Severity

_NOT_ASKED_AHEAD = ("missing-charge", "prior-auth-missing", "prior-auth-list-missing", "timely-filing")
"""Edits on what a request before the service cannot have: its price, the authorisation that it asks for."""


def choose_payer(chart: Chart, payers: Sequence[Payer]) -> Payer | None:
    """The payer of the chart's first coverage.

    A payer is met by one of its `plans` (plan code, company id or name of the coverage); one without plans takes every
    coverage that no other payer takes. None where payers are configured and none fits. Without configured payers the
    coverage itself names the payer.
    """
    coverage = chart.coverages[0] if chart.coverages else None
    if not payers:
        return Payer(payer_name(coverage)) if coverage else None
    paying = [p for p in payers if p.use == CLAIM]
    return _named(coverage, paying) or next((p for p in paying if not p.plans), None)


def payers_in_order(chart: Chart, payers: Sequence[Payer]) -> list[tuple[int, Payer | None]]:
    """Who is billed, by their place in the order of benefits from 1: the first coverage's payer, whoever it is.

    A later coverage is billed only where a payer of the settings names it among its `plans`: a payer that takes what
    no other takes is not known to be the one.
    """
    found: list[tuple[int, Payer | None]] = [(1, choose_payer(chart, payers))]
    paying = [p for p in payers if p.use == CLAIM]
    for order, coverage in enumerate(chart.coverages[1:], start=2):
        named = _named(coverage, paying)
        if named:
            found.append((order, named))
    return found


def payers_asked_ahead(chart: Chart, payers: Sequence[Payer]) -> list[Payer]:
    """Who is asked before a planned visit begins, by the plans they name: one for each use that is no claim."""
    if chart_status(chart) is not ChartStatus.PLANNED or not chart.coverages:
        return []
    asked: dict[str, Payer] = {}
    for payer in payers:
        if payer.use != CLAIM and _named(chart.coverages[0], [payer]):
            severities: dict[str, Severity | None] = dict.fromkeys(_NOT_ASKED_AHEAD)
            asked.setdefault(payer.use, replace(payer, severities={**severities, **payer.severities}))
    return list(asked.values())


def coverages_not_billed(chart: Chart, payers: Sequence[Payer]) -> tuple[int, ...]:
    """The places, from 2, of coverages that `payers_in_order` leaves out; none where no payers are configured."""
    billed = {order for order, _ in payers_in_order(chart, payers)}
    return tuple(order for order in range(2, len(chart.coverages) + 1) if order not in billed) if payers else ()


def _named(coverage: CoverageFact | None, payers: Sequence[Payer]) -> Payer | None:
    names = _names(coverage) if coverage else frozenset()
    return next((p for p in payers if names & {_folded(x) for x in p.plans}), None)


def payer_name(coverage: CoverageFact) -> str:
    """A short name for a coverage's payer: its name in lower case with hyphens, else its id."""
    company = coverage.payer
    name = (company.name or next((i.value for i in company.identifiers), "")) if company else ""
    return re.sub(r"[^a-z0-9]+", "-", (name or coverage.plan or "unnamed").lower()).strip("-")


def _names(coverage: CoverageFact) -> frozenset[str]:
    company = coverage.payer
    values = [coverage.plan]
    if company:
        values += [company.name, *(i.value for i in company.identifiers)]
    return frozenset(_folded(v) for v in values if v)


def _folded(name: str) -> str:
    return " ".join(name.split()).casefold()
