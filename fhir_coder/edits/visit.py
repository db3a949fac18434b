"""Edits on the visit and its lines: is it over, does it bill anything, do the dates and amounts fit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal

from fhir_coder.charts import is_stay
from fhir_coder.edits.edit import ClaimContext, Edit, Hit
from fhir_coder.model import STANDARD_LIMITS, ChargeFact, Json, Problem, Severity

_HALF_A_CENT = Decimal("0.005")
_FILING_DAYS_LEFT = 15
_MAX_MODIFIERS = 4  # 837P SV101, 837I SV202


def visit_open(context: ClaimContext) -> Iterator[Hit]:
    """The visit is not to be billed yet, by the rule of the payer, the feed or the site."""
    if context.waits_for:
        yield "Claim.billablePeriod", context.waits_for


def waits_for_primary(context: ClaimContext) -> Iterator[Hit]:
    """A payer before this one in the order of benefits has not decided."""
    if context.is_prior_open:
        yield context.coverage_path, "a payer before this one in the order of benefits has not decided"


def primary_paid_in_full(context: ClaimContext) -> Iterator[Hit]:
    """The payers before this one have paid all that is charged."""
    if context.is_paid_in_full:
        yield context.coverage_path, "the payers before this one have paid all of it: nothing is left to bill"


def coverage_not_billed(context: ClaimContext) -> Iterator[Hit]:
    """A later coverage that no payer names: one that takes what no other takes is not known to be the one."""
    for order in context.unbilled:
        yield f"Claim.insurance[{order - 1}].coverage", "no payer's plans name this coverage: it gets no claim"


def timely_filing(context: ClaimContext) -> Iterator[Hit]:
    """The claim is made close to the last day the payer takes it, or after it."""
    served, payer = context.coded.chart.service_date, context.payer
    if served is None or payer is None or payer.timely_filing_days is None:
        return
    file_by = served + timedelta(days=payer.timely_filing_days)
    left = (file_by - date.fromisoformat(context.claim["created"])).days
    if left < 0:
        yield "Claim.created", f"the payer's last day for it was {file_by.isoformat()}"
    elif left <= _FILING_DAYS_LEFT:
        yield "Claim.created", f"the payer's last day for it is {file_by.isoformat()}"


def visit_unknown(context: ClaimContext) -> Iterator[Hit]:
    """Diagnoses or services came, but not the visit they belong to."""
    chart = context.coded.chart
    if chart.visit is None:
        yield "Claim.billablePeriod", "the visit itself (PV1 or Encounter) has not come"


def patient_unknown(context: ClaimContext) -> Iterator[Hit]:
    """The visit's patient has not come."""
    if context.coded.chart.patient is None:
        yield "Claim.patient", "the patient (PID or Patient) has not come"


def before_icd10(context: ClaimContext) -> Iterator[Hit]:
    """The service was before ICD-10 (45 CFR 162.1002)."""
    if "before_icd10" in context.coded.notes:
        yield (
            "Claim.diagnosis",
            "the service was before 2015-10-01: ICD-10 does not apply and ICD-9 claims are not made",
        )


def unusable_part(context: ClaimContext) -> Iterator[Hit]:
    """A part of a message could not be used."""
    for problem in context.coded.chart.problems:
        yield problem_path(problem), problem.text


UNUSABLE_PART = "unusable-part"
PAID_IN_FULL = "primary-paid-in-full"


def problem_path(problem: Problem) -> str:
    """Where a problem is: the message and the path in it."""
    return f"{problem.origin.message} {problem.origin.path}"


def no_billable_line(context: ClaimContext) -> Iterator[Hit]:
    """Nothing is billed: no charge, no priced service, no row for the visit."""
    coded = context.coded
    if coded.lines or "before_icd10" in coded.notes:
        return
    asked = [g for g in coded.gaps if g.reason]
    if coded.not_billable and not asked and (coded.chart.charges or coded.chart.procedures):
        yield "Claim.item", "no billable line: the tables say that nothing of this visit is billed"
    elif not coded.chart.charges:
        yield "Claim.item", "no charge came, and no table says what the visit itself is billed with"
    else:
        yield "Claim.item", "no billable line: none of the charges has a billing code"


def no_diagnosis(context: ClaimContext) -> Iterator[Hit]:
    """A claim needs a diagnosis that is not only the admitting one."""
    coded = context.coded
    recorded = {d.origin for d in coded.chart.diagnoses}
    if "before_icd10" in coded.notes or any(g.origin in recorded for g in coded.gaps):
        return
    if not coded.diagnoses:
        yield "Claim.diagnosis", "no diagnosis with a billing code came for this visit"
    elif all(d.fact.kind == "admitting" for d in coded.diagnoses) and is_stay(context.coded.chart):
        yield "Claim.diagnosis", "only an admitting diagnosis came: a stay needs its principal diagnosis"


def date_outside_visit(context: ClaimContext) -> Iterator[Hit]:
    """A line's date of service outside the visit's dates."""
    visit = context.coded.chart.visit
    start = visit.start.day if visit and visit.start else None
    end = visit.end.day if visit and visit.end else None
    for index, item in enumerate(context.claim.get("item", ())):
        served = item.get("servicedDate", "")
        if len(served) == 10 and _is_outside(date.fromisoformat(served), start, end):
            yield f"Claim.item[{index}].servicedDate", "the date of service is outside the visit"


def missing_service_date(context: ClaimContext) -> Iterator[Hit]:
    """A line without a date to the day."""
    for index, item in enumerate(context.claim.get("item", ())):
        if len(item.get("servicedDate", "")) != 10:
            yield f"Claim.item[{index}].servicedDate", "the line has no date of service to the day"


def missing_charge(context: ClaimContext) -> Iterator[Hit]:
    """A line without an amount."""
    for index, item in enumerate(context.claim.get("item", ())):
        if "net" not in item:
            yield f"Claim.item[{index}].net", "no amount came, and no charge master or fee table has a price"


def bad_quantity(context: ClaimContext) -> Iterator[Hit]:
    """Units that are zero or below."""
    for index, item in enumerate(context.claim.get("item", ())):
        if item["quantity"]["value"] <= 0:
            yield f"Claim.item[{index}].quantity", "the number of units is not above zero"


def amounts_disagree(context: ClaimContext) -> Iterator[Hit]:
    """FT1-11 is not FT1-10 times FT1-12."""
    for index, line in enumerate(context.coded.lines):
        fact = line.fact
        if not isinstance(fact, ChargeFact) or fact.unit_amount is None or fact.amount is None:
            continue
        if abs(fact.unit_amount.value * fact.quantity - fact.amount.value) > _HALF_A_CENT:
            yield f"Claim.item[{index}].net", "the amount as sent is not units times the unit amount as sent"


def mixed_currencies(context: ClaimContext) -> Iterator[Hit]:
    """Lines in more than one currency cannot be added up."""
    currencies = {line.net.currency for line in context.coded.lines if line.net}
    if len(currencies) > 1:
        yield "Claim.total", "the lines are in more than one currency"


def duplicate_line(context: ClaimContext) -> Iterator[Hit]:
    """The same service twice on one day without a modifier that says so."""
    seen: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for index, item in enumerate(context.claim.get("item", ())):
        seen[(_codes(item), item.get("servicedDate", ""), str(item.get("modifier", "")))].append(index)
    for positions in seen.values():
        for index in positions[1:]:
            yield f"Claim.item[{index}]", f"the same code, date and modifiers as line {positions[0] + 1}"


def procedure_without_charge(context: ClaimContext) -> Iterator[Hit]:
    """A billing code came as a procedure while the visit is billed by charges."""
    if "procedure_without_charge" in context.coded.notes:
        yield "Claim.item", "a procedure came with a billing code but without a charge: no line was made of it"


def pointer_lost(context: ClaimContext) -> Iterator[Hit]:
    """A line names a diagnosis that is not on the claim, and points to the visit's diagnoses instead."""
    if "pointer_lost" in context.coded.notes:
        yield "Claim.item", "a line names only diagnoses that are not on the claim: it points to the visit's instead"


def too_many(context: ClaimContext) -> Iterator[Hit]:
    """More diagnoses, lines or modifiers than a claim carries (837P: 12 and 50; 837I: 25 and 999; 4 modifiers)."""
    limits = context.payer.limits_of(context.kind) if context.payer else STANDARD_LIMITS[context.kind]
    is_apart = _has_its_own_place if context.kind == "institutional" else lambda _: False
    counted = [d for d in context.claim.get("diagnosis", ()) if not is_apart(d)]
    numbers = {"diagnosis": (len(counted), limits.diagnoses), "item": (len(context.coded.lines), limits.lines)}
    for element, (number, limit) in numbers.items():
        if number > limit:
            yield f"Claim.{element}", f"more than {limit}: a claim of this kind carries no more"
    for index, item in enumerate(context.claim.get("item", ())):
        if len(item.get("modifier", ())) > _MAX_MODIFIERS:
            yield f"Claim.item[{index}].modifier", f"more than {_MAX_MODIFIERS}: a line carries no more"


def _has_its_own_place(diagnosis: Json) -> bool:
    """Whether an institutional bill has a place of its own for it, beside principal and other diagnoses."""
    types = {coding["code"] for kind in diagnosis.get("type", ()) for coding in kind["coding"]}
    return bool(types & {"admitting", "patientreasonforvisit", "externalcauseofinjury"})


def _codes(item: Json) -> str:
    return "|".join(f"{c.get('system', '')}#{c['code']}" for c in item["productOrService"]["coding"])


def _is_outside(served: date, start: date | None, end: date | None) -> bool:
    return bool((start and served < start) or (end and served > end))


EDITS = (
    Edit(
        "visit-open",
        "Visit still open",
        Severity.REJECT,
        "It is released by what it waits for.",
        visit_open,
        resolves_itself=True,
        path="Claim.billablePeriod",
    ),
    Edit(
        "waits-for-primary",
        "Waits for the payer before",
        Severity.REJECT,
        "It is released by the decision of the payer before.",
        waits_for_primary,
        resolves_itself=True,
        path="Claim.insurance.coverage",
    ),
    Edit(
        PAID_IN_FULL,
        "Paid in full before",
        Severity.REJECT,
        "Nothing is to be done. The setting secondary_when_paid_in_full sends such claims all the same.",
        primary_paid_in_full,
        resolves_itself=True,
    ),
    Edit(
        "visit-missing",
        "Visit not received",
        Severity.REJECT,
        "Check that the feed sends the registration.",
        visit_unknown,
        resolves_itself=True,
        path="Claim.billablePeriod",
    ),
    Edit(
        "patient-missing",
        "Patient not received",
        Severity.REJECT,
        "Check that the feed sends the patient.",
        patient_unknown,
        resolves_itself=True,
        path="Claim.patient",
    ),
    Edit(
        "before-icd10",
        "Service before ICD-10",
        Severity.REJECT,
        "Bill it by hand if it can still be filed.",
        before_icd10,
        resolves_itself=True,
        path="Claim.diagnosis",
    ),
    Edit(
        UNUSABLE_PART,
        "Part of a message not usable",
        Severity.REJECT,
        "Look at the message and have the sender correct it.",
        unusable_part,
    ),
    Edit(
        "no-billable-line",
        "No billable line",
        Severity.REJECT,
        "Send the charges, or give the visit a row in a visit table.",
        no_billable_line,
        path="Claim.item",
    ),
    Edit(
        "no-diagnosis",
        "No diagnosis",
        Severity.REJECT,
        "Ask the clinician for the diagnosis.",
        no_diagnosis,
        path="Claim.diagnosis",
    ),
    Edit(
        "date-outside-visit",
        "Line date outside the visit",
        Severity.REJECT,
        "Correct the charge's date, or the visit's.",
        date_outside_visit,
        path="Claim.item.serviced[x]",
    ),
    Edit(
        "missing-service-date",
        "Line without date",
        Severity.REJECT,
        "Have the sender fill FT1-4.",
        missing_service_date,
        path="Claim.item.serviced[x]",
    ),
    Edit(
        "missing-charge",
        "Line without amount",
        Severity.REJECT,
        "Add a price to the charge master or the fee table.",
        missing_charge,
        path="Claim.item.net",
    ),
    Edit(
        "bad-quantity",
        "Units not above zero",
        Severity.REJECT,
        "Correct the units of the charge.",
        bad_quantity,
        path="Claim.item.quantity",
    ),
    Edit(
        "amounts-disagree",
        "Units, unit amount and amount disagree",
        Severity.REJECT,
        "Have the sender correct FT1-10 to FT1-12.",
        amounts_disagree,
        path="Claim.item.net",
    ),
    Edit(
        "mixed-currencies",
        "More than one currency",
        Severity.REJECT,
        "Correct the currency of the charges.",
        mixed_currencies,
        path="Claim.total.currency",
    ),
    Edit(
        "duplicate-line",
        "Duplicate line",
        Severity.REJECT,
        "Take one away, or add the modifier that says it was done twice.",
        duplicate_line,
        path="Claim.item",
    ),
    Edit(
        "procedure-without-charge",
        "Procedure without charge",
        Severity.WARN,
        "Check whether a charge is missing.",
        procedure_without_charge,
        path="Claim.procedure",
    ),
    Edit(
        "pointer-lost",
        "Diagnosis of a line not on the claim",
        Severity.WARN,
        "Check FT1-19.",
        pointer_lost,
        path="Claim.item.diagnosisSequence",
    ),
    Edit(
        "coverage-not-billed",
        "Later coverage not billed",
        Severity.WARN,
        "Add its plan to the plans of its payer, or bill it by hand.",
        coverage_not_billed,
        path="Claim.insurance.coverage",
    ),
    Edit(
        "timely-filing",
        "Close to the payer's last day",
        Severity.WARN,
        "See that it goes out in time, or ask the payer for an exception.",
        timely_filing,
        path="Claim.created",
    ),
    Edit("too-many", "More than a claim carries", Severity.REJECT, "Split the claim.", too_many, path="Claim.item"),
)
"""In the order shown to the coder."""
