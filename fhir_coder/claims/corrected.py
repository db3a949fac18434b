"""What people corrected on a claim, put in the place of what the messages say. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fhir_coder.claims.bill import ClaimNumber
from fhir_coder.model import Chart, ClaimField, CodedChart, Identifier, Payer, Slot

_OF_COVERAGE: Mapping[str, str] = {
    ClaimField.PRIOR_AUTHORIZATION: "prior_authorization",
    ClaimField.MEMBER_ID: "subscriber_id",
    ClaimField.GROUP: "group",
    ClaimField.RELATIONSHIP: "relationship",
}
"""Fields of the coverage that the claim bills, by the attribute they stand in; the others the claim is built with."""


def corrected(coded: CodedChart, slot: Slot, payer: Payer | None) -> CodedChart:
    """The coded chart with what people corrected on the claim of one slot, and nothing of the visit's other claims.

    A note goes along only to a payer that takes notes.
    """
    if not coded.chart.corrections:
        return coded
    own = tuple(
        one
        for one in coded.chart.corrections
        if one.slot == slot.name and (one.field != ClaimField.NOTE or (payer is not None and payer.notes))
    )
    told: dict[str, Any] = {_OF_COVERAGE[one.field]: one.value for one in own if one.field in _OF_COVERAGE}
    if "prior_authorization" in told:  # the days that came are those of the number that came
        told |= {"authorized_from": None, "authorized_to": None}
    return replace(coded, chart=replace(_with_coverage(coded.chart, slot.order, told), corrections=own))


def with_original(number: ClaimNumber, chart: Chart) -> ClaimNumber:
    """A claim's number with the payer's number of the claim it replaces, where a person says it."""
    said = chart.correction(ClaimField.ORIGINAL_REFERENCE)
    if not said or not number.replaces:
        return number
    return replace(number, original=Identifier(said, number.original.system if number.original else ""))


def _with_coverage(chart: Chart, order: int, told: Mapping[str, Any]) -> Chart:
    if not told or len(chart.coverages) < order:
        return chart
    coverage = replace(chart.coverages[order - 1], **told)
    return replace(chart, coverages=(*chart.coverages[: order - 1], coverage, *chart.coverages[order:]))
