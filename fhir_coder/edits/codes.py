"""Edits on codes: valid on the date of service, and what could not be checked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from fhir_coder.charts import is_stay
from fhir_coder.edits.edit import ClaimContext, Edit, Hit
from fhir_coder.model import SYSTEM_TITLES, Coding, Severity, System, Validity, day_of

_BRING = {
    System.CPT: "your licensed CPT file",
    System.CDT: "your licensed CDT file",
}


def code_not_valid(context: ClaimContext) -> Iterator[Hit]:
    """A billing code that its code set does not have, or not on this date."""
    for path, code, on in _codes(context):
        if on is None:
            continue
        if context.code_sets.validity(code.system, code.code, on) is Validity.INVALID:
            title = SYSTEM_TITLES.get(code.system, code.system)
            yield path, f"{code.code} is not a billable {title} code on {on.isoformat()}"


def code_not_checked(context: ClaimContext) -> Iterator[Hit]:
    """A billing code whose code set does not reach back to the date."""
    for path, code, on in _codes(context):
        if on and context.code_sets.validity(code.system, code.code, on) is Validity.UNKNOWN:
            label = context.code_sets.loaded(code.system)
            yield path, f"{code.code} could not be checked: {label} does not cover {on.isoformat()}"


def code_set_not_loaded(context: ClaimContext) -> Iterator[Hit]:
    """A billing code of a known system whose code set is not loaded."""
    for path, code, on in _codes(context):
        if on and context.code_sets.validity(code.system, code.code, on) is Validity.NOT_LOADED:
            title = SYSTEM_TITLES.get(code.system, code.system)
            file = _BRING.get(code.system, "a code list")
            advice = f"bring {file} (docs/how-to/bring-licensed-files.md)"
            yield path, f"{title} codes are not checked: no {title} code set is loaded, {advice}"


def modifier_not_valid(context: ClaimContext) -> Iterator[Hit]:
    """A modifier that its list, of HCPCS Level II or of CPT, does not have, or not on this date."""
    on = context.coded.chart.service_date
    for index, line in enumerate(context.coded.lines):
        day = day_of(line.service_date) or on
        for position, modifier in enumerate(line.modifiers):
            if day and context.code_sets.modifier_validity(modifier.code, day) is Validity.INVALID:
                text = f"not a {_modifier_title(modifier.code)} modifier on {day.isoformat()}"
                yield f"Claim.item[{index}].modifier[{position}]", text


def _modifier_title(code: str) -> str:
    return "CPT" if code[:1].isdigit() else "HCPCS Level II"


def pcs_outside_stay(context: ClaimContext) -> Iterator[Hit]:
    """ICD-10-PCS on a visit that is no hospital stay (45 CFR 162.1002: PCS is for hospital inpatient procedures)."""
    if is_stay(context.coded.chart):
        return
    for index, line in enumerate(context.coded.lines):
        if line.code.system == System.ICD10PCS:
            yield f"Claim.item[{index}]", "an ICD-10-PCS code bills a line of a visit that is no hospital stay"


def _codes(context: ClaimContext) -> Iterator[tuple[str, Coding, date | None]]:
    coded = context.coded
    on = coded.chart.service_date
    for index, diagnosis in enumerate(coded.diagnoses):
        yield f"Claim.diagnosis[{index}]", diagnosis.code, on
    for index, procedure in enumerate(coded.procedures):
        yield f"Claim.procedure[{index}]", procedure.code, day_of(procedure.performed) or on
    for index, line in enumerate(coded.lines):
        yield f"Claim.item[{index}]", line.code, day_of(line.service_date) or on


EDITS = (
    Edit(
        "code-not-valid",
        "Code not valid on the date",
        Severity.REJECT,
        "Choose a code that is valid on the date of service.",
        code_not_valid,
    ),
    Edit(
        "modifier-not-valid",
        "Modifier not valid on the date",
        Severity.REJECT,
        "Correct the modifier of the charge (FT1-26).",
        modifier_not_valid,
    ),
    Edit(
        "pcs-outside-stay",
        "ICD-10-PCS outside a stay",
        Severity.WARN,
        "Map the charge to HCPCS Level II, or to CPT by your licensed file.",
        pcs_outside_stay,
    ),
    Edit(
        "code-not-checked", "Code not checked", Severity.WARN, "Load a code set that covers the date.", code_not_checked
    ),
    Edit(
        "code-set-not-loaded",
        "Code set not loaded",
        Severity.INFO,
        "The code was passed through as sent.",
        code_set_not_loaded,
    ),
)
"""In the order shown to the coder."""
