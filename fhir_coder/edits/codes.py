"""Edits on codes: valid on the date of service, and what could not be checked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

from fhir_coder.charts import is_stay
from fhir_coder.edits.edit import ClaimContext, Edit, Hit, plain_code
from fhir_coder.model import SYSTEM_TITLES, ChargeFact, Coding, Severity, System, Validity, day_of

_BRING = {
    System.CPT: "your licensed CPT file",
    System.CDT: "your licensed CDT file",
}

_Judged = tuple[str, Coding, date, Validity]

_CATEGORY = re.compile(r"[A-Z][0-9][0-9A-Z]")
_SEVENTHS = "ABCDEFGHJKMNPQRS0123456789"
_FULL_LENGTH = 7
_NOC = re.compile(r"\b(not otherwise (classif|specif)|noc\b|nos\b|unlisted|unclassified|miscellaneous)", re.IGNORECASE)


def code_not_valid(context: ClaimContext) -> Iterator[Hit]:
    """A billing code that its code set does not have, or not on this date."""
    for path, code, on in _not_valid(context):
        if not _lacks(context, code, on):
            title = SYSTEM_TITLES.get(code.system, code.system)
            yield path, f"{code.code} is not a billable {title} code on {on.isoformat()}"


def code_not_specific(context: ClaimContext) -> Iterator[Hit]:
    """A diagnosis that has codes below it: the highest number of characters is billed (guidelines, I.B.2)."""
    for path, code, on in _not_valid(context):
        if _lacks(context, code, on) == "characters":
            yield path, f"{code.code} is a heading: a code below it is billed"


def seventh_character(context: ClaimContext) -> Iterator[Hit]:
    """A diagnosis whose 7th character is missing or is none of its category (guidelines, I.A.5)."""
    for path, code, on in _not_valid(context):
        if _lacks(context, code, on) == "seventh":
            wrong = "is none that it may have" if len(plain_code(code.code)) == _FULL_LENGTH else "is missing"
            yield path, f"the 7th character of {code.code} {wrong}"


def noc_without_description(context: ClaimContext) -> Iterator[Hit]:
    """A code for what has no code of its own, without words or an NDC that say what it was (837 SV101-7)."""
    for index, line in enumerate(context.coded.lines):
        title = context.code_sets.title(line.code.system, line.code.code)
        said = line.trace.display.strip().casefold()
        has_ndc = isinstance(line.fact, ChargeFact) and bool(line.fact.ndc)
        if _NOC.search(title) and not has_ndc and said in ("", title.casefold()):
            yield f"Claim.item[{index}].productOrService", f"{line.code.code} does not say what it was, nor do words"


def code_not_checked(context: ClaimContext) -> Iterator[Hit]:
    """A billing code whose code set does not reach back to the date."""
    for path, code, on, judged in _codes(context):
        if judged is Validity.UNKNOWN:
            label = context.code_sets.loaded(code.system)
            yield path, f"{code.code} could not be checked: {label} does not cover {on.isoformat()}"


def code_set_not_loaded(context: ClaimContext) -> Iterator[Hit]:
    """A billing code of a known system whose code set is not loaded."""
    for path, code, _, judged in _codes(context):
        if judged is Validity.NOT_LOADED:
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


def _not_valid(context: ClaimContext) -> Iterator[tuple[str, Coding, date]]:
    return ((path, code, on) for path, code, on, judged in _codes(context) if judged is Validity.INVALID)


def _lacks(context: ClaimContext, code: Coding, on: date) -> str:
    """What an ICD-10-CM code lacks to be billed: its `seventh` character, more `characters`, or nothing that is known.

    The day decides: a heading of today was a code before it was split.
    """
    plain = plain_code(code.code)
    if code.system != System.ICD10CM or not _CATEGORY.match(plain):
        return ""
    stem = plain[:6].ljust(6, "X")
    sets = context.code_sets
    if any(sets.validity(System.ICD10CM, stem + sign, on) is Validity.VALID for sign in _SEVENTHS):
        return "seventh"
    return "characters" if sets.notes.is_header(plain) else ""


def _codes(context: ClaimContext) -> list[_Judged]:
    """Every billing code of the claim with its path, day and what its code set says of it; none without a day."""
    if "codes" not in context.once:
        validity = context.code_sets.validity
        dated = [(path, code, on) for path, code, on in _dated(context) if on]
        context.once["codes"] = [(path, code, on, validity(code.system, code.code, on)) for path, code, on in dated]
    judged: list[_Judged] = context.once["codes"]
    return judged


def _dated(context: ClaimContext) -> Iterator[tuple[str, Coding, date | None]]:
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
        path="Claim.diagnosis, Claim.procedure, Claim.item",
    ),
    Edit(
        "code-not-specific",
        "Code not to the highest specificity",
        Severity.REJECT,
        "Choose a code below it: fhir-coder codes show CODE lists them.",
        code_not_specific,
        path="Claim.diagnosis",
    ),
    Edit(
        "seventh-character",
        "7th character missing or wrong",
        Severity.REJECT,
        "Add the 7th character: fhir-coder codes show CODE lists those it may have.",
        seventh_character,
        path="Claim.diagnosis",
    ),
    Edit(
        "noc-description",
        "Unlisted code without description",
        Severity.REJECT,
        "Have the sender say in words what it was (FT1-8), or add the NDC (FT1-29).",
        noc_without_description,
        path="Claim.item.productOrService",
    ),
    Edit(
        "modifier-not-valid",
        "Modifier not valid on the date",
        Severity.REJECT,
        "Correct the modifier of the charge (FT1-26).",
        modifier_not_valid,
        path="Claim.item.modifier",
    ),
    Edit(
        "pcs-outside-stay",
        "ICD-10-PCS outside a stay",
        Severity.WARN,
        "Map the charge to HCPCS Level II, or to CPT by your licensed file.",
        pcs_outside_stay,
        path="Claim.item",
    ),
    Edit(
        "code-not-checked",
        "Code not checked",
        Severity.WARN,
        "Load a code set that covers the date.",
        code_not_checked,
        path="Claim.diagnosis, Claim.procedure, Claim.item",
    ),
    Edit(
        "code-set-not-loaded",
        "Code set not loaded",
        Severity.INFO,
        "The code was passed through as sent.",
        code_set_not_loaded,
        path="Claim.item",
    ),
)
"""In the order shown to the coder."""
