"""What a claim tells of an accident, and the codes of the uniform bill: Claim.accident and Claim.supportingInfo."""

from __future__ import annotations

from collections.abc import Mapping

from fhir_coder.claims.elements import codeable, without_empty
from fhir_coder.model import Accident, BillCode, Coding, Json, System, Trace

_CATEGORY = "http://terminology.hl7.org/CodeSystem/claiminformationcategory"
_BILL_SYSTEMS: Mapping[str, str] = {
    "condition": "https://www.nubc.org/CodeSystem/ConditionCodes",
    "occurrence": "http://terminology.hl7.org/CodeSystem/v2-0350",
    "span": "http://terminology.hl7.org/CodeSystem/v2-0351",
    "value": "http://terminology.hl7.org/CodeSystem/v2-0153",
}
"""The systems of the National Uniform Billing Committee's codes, as HL7 Terminology names them."""


def accident_element(accident: Accident | None) -> tuple[Json | None, Trace | None]:
    """Claim.accident with the trace of its code; nothing where no date is known to the day, which FHIR requires."""
    if accident is None or accident.date is None or accident.date.day is None:
        return None, None
    coding = _accident_code(accident)
    address = {"text": accident.place, "state": accident.state}
    element = without_empty(
        {
            "date": accident.date.day.isoformat(),
            "type": codeable(coding.system, coding.code),
            "locationAddress": without_empty(address),
        }
    )
    trace = Trace(coding.system, coding.code, accident.origin, coding, path="Claim.accident") if coding.code else None
    return element, trace


def bill_code_element(code: BillCode) -> Json:
    """One condition, occurrence, occurrence span or value code as supporting information, without its sequence."""
    start, end = (when.text[:10] if when else "" for when in (code.start, code.end))
    timing: Json = {"timingDate": start} if code.kind == "occurrence" else {}
    if code.kind == "span":
        timing = {"timingPeriod": without_empty({"start": start, "end": end})}
    amount = {"valueQuantity": {"value": code.amount}} if code.amount is not None else {}
    category = codeable(_CATEGORY, "info")
    return {"category": category, "code": codeable(_BILL_SYSTEMS[code.kind], code.code), **timing, **amount}


def bill_code_trace(code: BillCode, path: str) -> Trace:
    """Where a code of the uniform bill came from."""
    coding = Coding(_BILL_SYSTEMS[code.kind], code.code)
    return Trace(coding.system, coding.code, code.origin, coding, path=path)


def _accident_code(accident: Accident) -> Coding:
    """The kind by the sender's job-related or state field, else the sender's own code; an empty one where none came."""
    if accident.kind:
        return Coding(System.ACT, accident.kind)
    codings = accident.code.codings if accident.code else ()
    return codings[0] if codings and codings[0].system else Coding(System.ACT, "")
