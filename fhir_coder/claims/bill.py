"""What a claim is built from, as its parts see it: the coded chart, the site, what kind of bill, its number."""

from __future__ import annotations

from dataclasses import dataclass

from fhir_coder.model import Chart, CodedChart, Identifier, PriorDecision, Purpose, Site, VisitFact


@dataclass(frozen=True, slots=True)
class ClaimNumber:
    """A claim's identifier, its revision from 1, what it is sent for, and the payer-taken claim it is about, if any.

    `original` is the payer's own number of that claim (837 REF*F8), where its answer named one.
    """

    identifier: str
    revision: int = 1
    replaces: str = ""
    purpose: Purpose = Purpose.BILL
    original: Identifier | None = None


@dataclass(frozen=True, slots=True)
class ClaimPlace:
    """Which of the visit's claims is built: its kind, empty for the visit's own, and its payer's place in the order.

    `priors` are the decisions of the payers before.
    """

    kind: str = ""
    order: int = 1
    priors: tuple[PriorDecision, ...] = ()


FIRST_CLAIM = ClaimPlace()
"""The claim of the visit's own kind, for its first payer."""


@dataclass(frozen=True, slots=True)
class Bill:
    """One claim's coded chart with its site, its kind and its number."""

    coded: CodedChart
    site: Site
    kind: str
    number: ClaimNumber

    @property
    def chart(self) -> Chart:
        """The chart that is billed."""
        return self.coded.chart

    @property
    def visit(self) -> VisitFact | None:
        """The visit of the chart."""
        return self.chart.visit

    @property
    def visit_class(self) -> str:
        """The class of the visit, empty where none is known."""
        return self.visit.class_code if self.visit else ""
