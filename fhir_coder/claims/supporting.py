"""Claim.supportingInfo: what a bill says beside its codes. One function a datum; `kinds` says which kind has which."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal

from fhir_coder.charts import is_stay
from fhir_coder.claims.accident import bill_code_element, bill_code_trace
from fhir_coder.claims.bill import Bill
from fhir_coder.claims.elements import codeable
from fhir_coder.model import BillCode, ClaimField, Coding, Json, Purpose, Trace, VisitFact

Told = tuple[Json, Trace | None]
"""An entry without its sequence, and where its code came from where that is told."""

SupportingInfo = Callable[[Bill], Iterable[Told]]

INFO = "http://hl7.org/fhir/us/carin-bb/CodeSystem/C4BBSupportingInfoType"
_CATEGORY = "http://terminology.hl7.org/CodeSystem/claiminformationcategory"
_ADJUDICATION = "http://hl7.org/fhir/us/carin-bb/CodeSystem/C4BBAdjudication"
_CURRENCIES = "urn:iso:std:iso:4217"
_NUBC = "https://www.nubc.org/CodeSystem/"

PAID_BY_PATIENT = "paidbypatient"
"""The code of what the patient has paid."""

_FREQUENCIES: Mapping[Purpose, str] = {Purpose.BILL: "7", Purpose.LATE_CHARGE: "5", Purpose.VOID: "8"}
"""The last character of a type of bill that is about a prior claim (837 CLM05-3), by what the claim is sent for."""


def with_frequency(bill: str, purpose: Purpose) -> str:
    """A type of bill with the frequency of a claim about a prior one."""
    return bill[:-1] + _FREQUENCIES[purpose]


def supporting_info(bill: Bill, told: Iterable[SupportingInfo]) -> tuple[list[Json], list[Trace]]:
    """The numbered entries of a claim, and their traces with their paths."""
    entries: list[Json] = []
    traces: list[Trace] = []
    for entry, trace in (one for part in told for one in part(bill)):
        if trace:
            traces.append(replace(trace, path=f"Claim.supportingInfo[{len(entries)}]"))
        entries.append({"sequence": len(entries) + 1, **entry})
    return entries, traces


def admission_period(bill: Bill) -> Iterator[Told]:
    """Admission and discharge of a stay."""
    yield from _period(bill, INFO, "admissionperiod")


def hospitalized(bill: Bill) -> Iterator[Told]:
    """The stay in which the services of a professional claim were given (837P DTP*435 and *096)."""
    yield from _period(bill, _CATEGORY, "hospitalized")


def type_of_bill(bill: Bill) -> Iterator[Told]:
    """The site's type of bill for the visit's class, with the frequency of a claim about a prior one."""
    code = bill.site.type_of_bill.get(bill.visit_class, "") if bill.visit else ""
    if code and bill.number.replaces:
        code = with_frequency(code, bill.number.purpose)
    yield from _coded("typeofbill", "TypeOfBill", code)


def admission(bill: Bill) -> Iterator[Told]:
    """Priority and point of origin of the admission, and the discharge status."""
    visit = bill.visit
    if visit:
        yield from _coded("admtype", "PriorityTypeOfAdmitOrVisit", visit.admission_type)
        yield from _coded("pointoforigin", "PointOfOrigin", visit.admit_source)
        yield from _coded("discharge-status", "PatDischargeStatus", visit.discharge_disposition)


def bill_codes(bill: Bill) -> Iterator[Told]:
    """Condition, occurrence, occurrence span and value codes as sent."""
    sent: tuple[BillCode, ...] = bill.visit.bill_codes if bill.visit else ()
    for code in sent:
        yield bill_code_element(code), bill_code_trace(code, "")


def patient_paid(bill: Bill) -> Iterator[Told]:
    """What the patient has paid (837 AMT*F5), once for the visit: not again with charges that came late."""
    paid = [(fact, fact.amount) for fact in bill.chart.copayments if fact.amount]
    currencies = {amount.currency for _, amount in paid}
    if len(currencies) != 1 or bill.number.purpose is Purpose.LATE_CHARGE:
        return
    (currency,) = currencies
    total = sum((abs(amount.value) for _, amount in paid), Decimal(0))
    value = {"value": total, "unit": currency, "system": _CURRENCIES, "code": currency}
    entry = {"category": codeable(_CATEGORY, "info"), "code": codeable(_ADJUDICATION, PAID_BY_PATIENT)}
    origin, coding = paid[0][0].origin, Coding(_ADJUDICATION, PAID_BY_PATIENT)
    yield entry | {"valueQuantity": value}, Trace(_ADJUDICATION, PAID_BY_PATIENT, origin, coding)


def note(bill: Bill) -> Iterator[Told]:
    """What a person has to say to the payer, such as why a denial is appealed (837 NTE)."""
    said = bill.chart.correction(ClaimField.NOTE)
    if said:
        yield {"category": codeable(_CATEGORY, "info"), "valueString": said}, None


def _period(bill: Bill, system: str, category: str) -> Iterator[Told]:
    visit: VisitFact | None = bill.visit
    if visit and visit.start and is_stay(bill.chart):
        period = {k: w.text for k, w in (("start", visit.start), ("end", visit.end)) if w}
        yield {"category": codeable(system, category), "timingPeriod": period}, None


def _coded(category: str, system: str, code: str) -> Iterator[Told]:
    if code:
        yield {"category": codeable(INFO, category), "code": codeable(_NUBC + system, code)}, None
