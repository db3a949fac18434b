"""Edits on how a claim is billed: place of service, type of bill, what was present on admission, taxonomy, status."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from fhir_coder.charts import is_stay
from fhir_coder.edits.edit import ClaimContext, Edit, Hit
from fhir_coder.model import Json, Severity, System, Validity

_POS_OF_CLASS: Mapping[str, frozenset[str]] = {
    "IMP": frozenset({"21", "31", "32", "34", "51", "55", "56", "61"}),
    "ACUTE": frozenset({"21", "51", "61"}),
    "NONAC": frozenset({"21", "31", "32", "34", "51", "55", "56", "61"}),
    "OBSENC": frozenset({"19", "22", "23"}),
    "EMER": frozenset({"20", "23"}),
    "HH": frozenset({"12", "13", "14", "33", "16"}),
    "VR": frozenset({"02", "10"}),
}
"""CMS places of service that a visit class may have; of other classes every place may be."""

_STAY_BILLS = ("11", "18", "21", "28", "41", "65", "66", "86")  # UB-04 FL 4, second and third digit
_BILL = re.compile(r"0?([1-9])([1-9])([0-9A-Z])")
_ABOUT_A_PRIOR = frozenset("5678")
_STAYS_ON = frozenset("23")
_STILL_A_PATIENT = "30"
_TAXONOMY = re.compile(r"[0-9A-Z]{9}X")
_TAXONOMY_SYSTEM = "http://nucc.org/provider-taxonomy"
_REPORTED = frozenset("YNUW")
_EXEMPT = "1"
POA_EXEMPT = "poa-exempt"
"""The list of ICD-10-CM codes that need no indicator of what was present on admission."""


def place_of_service(context: ClaimContext) -> Iterator[Hit]:
    """A line of a professional claim without its place, or with one that the visit's class cannot have."""
    if context.kind != "professional":
        return
    visit = context.coded.chart.visit
    possible = _POS_OF_CLASS.get(visit.class_code) if visit else None
    for index, item in enumerate(context.claim.get("item", ())):
        path, place = f"Claim.item[{index}].locationCodeableConcept", _code(item.get("locationCodeableConcept"))
        if not place:
            yield path, "the line has no place of service: `place_of_service` of the settings names none for its class"
        elif possible is not None and place not in possible:
            yield path, f"place of service {place} does not fit the visit's class", Severity.REJECT


def type_of_bill(context: ClaimContext) -> Iterator[Hit]:
    """An institutional claim without its type of bill, or with one that its visit or its prior claim contradicts."""
    if context.kind != "institutional":
        return
    index, bill = _supporting(context.claim, "typeofbill")
    if not bill:
        yield "Claim.supportingInfo", "no type of bill: the settings' `type_of_bill` names none for the visit's class"
        return
    path, match = f"Claim.supportingInfo[{index}]", _BILL.fullmatch(bill)
    if match is None:
        yield path, "the type of bill is not three characters, or four with a zero before them", Severity.REJECT
        return
    if (match[1] + match[2] in _STAY_BILLS) is not is_stay(context.coded.chart):
        yield path, "the type of bill is of a stay and the visit is none, or the other way", Severity.REJECT
    if (match[3] in _ABOUT_A_PRIOR) is not bool(context.claim.get("related")):
        yield path, "the frequency says a claim about a prior one, and none is named, or the other way", Severity.REJECT


def still_a_patient(context: ClaimContext) -> Iterator[Hit]:
    """The discharge status says the patient is still there, and the bill that the stay is over, or the other way."""
    _, bill = _supporting(context.claim, "typeofbill")
    index, status = _supporting(context.claim, "discharge-status")
    if not (bill and status and is_stay(context.coded.chart) and bill[-1] in "1234"):
        return
    if (status == _STILL_A_PATIENT) is not (bill[-1] in _STAYS_ON):
        text = "the discharge status and the frequency of the type of bill contradict each other"
        yield f"Claim.supportingInfo[{index}]", text


def poa_missing(context: ClaimContext) -> Iterator[Hit]:
    """A diagnosis of a stay without its indicator, though it is not exempt (CMS: POA reporting guidelines)."""
    for path, code, said in _reported(context):
        exempt = _is_exempt(context, code)
        if not said and exempt is False:
            yield path, "it does not say whether the diagnosis was present on admission", Severity.REJECT
        elif not said and exempt is None and not code.startswith(("V", "W", "X", "Y", "Z")):
            yield path, "it does not say whether the diagnosis was present on admission, and no list says it is exempt"
        elif said == _EXEMPT and exempt is False:
            yield path, "it is said to be exempt from the present on admission indicator, and is not", Severity.REJECT


def poa_of_exempt(context: ClaimContext) -> Iterator[Hit]:
    """A diagnosis that is exempt, with an indicator all the same."""
    for path, code, said in _reported(context):
        if said in _REPORTED and _is_exempt(context, code):
            yield path, "the code is exempt from the indicator of present on admission, and has one"


def taxonomy(context: ClaimContext) -> Iterator[Hit]:
    """A provider taxonomy code that is not ten characters ending in X, or that the loaded list does not have."""
    for index, resource in enumerate(context.claim.get("contained", ())):
        types = resource.get("type", ()) if resource.get("resourceType") == "Organization" else ()
        for place, entry in enumerate(types):
            if why := _taxonomy_fault(context, entry):
                yield f"Claim.contained[{index}].type[{place}]", why
    for index, member in enumerate(context.claim.get("careTeam", ())):
        if why := _taxonomy_fault(context, member.get("qualification")):
            yield f"Claim.careTeam[{index}].qualification", why


def _taxonomy_fault(context: ClaimContext, concept: Json | None) -> str:
    code = _code(concept, _TAXONOMY_SYSTEM)
    if code and not _TAXONOMY.fullmatch(code):
        return "a taxonomy code is nine characters and an X"
    known = context.code_sets.lists.get("taxonomy")
    if code and known and context.served and known.validity(code, context.served) is Validity.INVALID:
        return f"the taxonomy code is not in {known.label}"
    return ""


def _reported(context: ClaimContext) -> Iterator[tuple[str, str, str]]:
    """The diagnoses of an institutional stay, but the admitting one: path, code, indicator as sent."""
    if context.kind != "institutional" or not is_stay(context.coded.chart):
        return
    for index, diagnosis in enumerate(context.coded.diagnoses):
        if diagnosis.fact.kind != "admitting" and diagnosis.code.system == System.ICD10CM:
            yield f"Claim.diagnosis[{index}].onAdmission", diagnosis.code.code, diagnosis.fact.on_admission.upper()


def _is_exempt(context: ClaimContext, code: str) -> bool | None:
    """Whether a code needs no indicator on the day of discharge; None where no list says it."""
    known = context.code_sets.lists.get(POA_EXEMPT)
    if known is None or context.served is None:
        return None
    # The list of CMS has no dots.
    judged = {known.validity(written, context.served) for written in (code, code.replace(".", ""))}
    return True if Validity.VALID in judged else None if Validity.UNKNOWN in judged else False


def _supporting(claim: Json, category: str) -> tuple[int, str]:
    for index, entry in enumerate(claim.get("supportingInfo", ())):
        if _code(entry.get("category")) == category:
            return index, _code(entry.get("code"))
    return 0, ""


def _code(concept: Json | None, system: str = "") -> str:
    codings = (concept or {}).get("coding", ())
    return next((str(c.get("code", "")) for c in codings if not system or c.get("system") == system), "")


EDITS = (
    Edit(
        "place-of-service",
        "Place of service",
        Severity.WARN,
        "Set `place_of_service` of [site] for the visit's class.",
        place_of_service,
        path="Claim.item.locationCodeableConcept",
    ),
    Edit(
        "type-of-bill",
        "Type of bill",
        Severity.WARN,
        "Set `type_of_bill` of [site] for the visit's class.",
        type_of_bill,
        path="Claim.supportingInfo",
    ),
    Edit(
        "still-a-patient",
        "Discharge status contradicts the type of bill",
        Severity.REJECT,
        "Correct the discharge status (PV1-36), or wait for the discharge.",
        still_a_patient,
        path="Claim.supportingInfo",
    ),
    Edit(
        "poa-missing",
        "Present on admission not said",
        Severity.WARN,
        "Have the sender fill DG1-26; bring the list of exempt codes (docs/how-to/bring-licensed-files.md).",
        poa_missing,
        path="Claim.diagnosis.onAdmission",
    ),
    Edit(
        "poa-on-exempt",
        "Present on admission of an exempt code",
        Severity.WARN,
        "Leave DG1-26 empty for the code.",
        poa_of_exempt,
        path="Claim.diagnosis.onAdmission",
    ),
    Edit(
        "taxonomy-not-valid",
        "Taxonomy code not valid",
        Severity.REJECT,
        "Correct `taxonomy` of [site], or the doctor's at its source.",
        taxonomy,
        path="Claim.careTeam.qualification",
    ),
)
"""In the order shown to the coder."""
