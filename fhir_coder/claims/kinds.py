"""The kinds of claim, one row each: what a bill of that kind says beside what every claim says.

A new kind is a row here, with functions of its own in `supporting` and `items` where it has data of its own, and its
limits in `model.STANDARD_LIMITS` (docs/explanation/claim-kinds.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fhir_coder.charts import INPATIENT_CLASSES
from fhir_coder.claims import items, supporting
from fhir_coder.claims.items import LinePart
from fhir_coder.claims.supporting import SupportingInfo
from fhir_coder.model import Chart, Site

INSTITUTIONAL, PROFESSIONAL = "institutional", "professional"


@dataclass(frozen=True, slots=True)
class ClaimKind:
    """A kind of claim: its supporting information and the elements of its lines, each in this order.

    `has_subtype`: it says whether it is of an inpatient or an outpatient.
    """

    supporting: tuple[SupportingInfo, ...]
    line: tuple[LinePart, ...]
    has_subtype: bool = False


KINDS: Mapping[str, ClaimKind] = {
    PROFESSIONAL: ClaimKind(
        (supporting.hospitalized, supporting.patient_paid, supporting.note), (items.place_of_service,)
    ),
    INSTITUTIONAL: ClaimKind(
        (
            supporting.admission_period,
            supporting.type_of_bill,
            supporting.admission,
            supporting.bill_codes,
            supporting.patient_paid,
            supporting.note,
        ),
        (items.revenue, items.place_of_service),
        has_subtype=True,
    ),
}

_KIND_OF_CLASS: Mapping[str, str] = {
    **dict.fromkeys(INPATIENT_CLASSES, INSTITUTIONAL),
    "OBSENC": INSTITUTIONAL,
    "EMER": INSTITUTIONAL,
}
"""What the settings' `claim_types` override; every other class is professional."""


def claim_type(chart: Chart, site: Site) -> str:
    """The kind of a visit's own claim, by its class."""
    visit_class = chart.visit.class_code if chart.visit else ""
    return site.claim_types.get(visit_class) or _KIND_OF_CLASS.get(visit_class, PROFESSIONAL)
