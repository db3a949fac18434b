"""ClaimResponse (FHIR R4 13.2) and ExplanationOfBenefit (13.10) to what they mean for the claim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fhir_coder.model import Adjudication, ClaimStatus, Json, LineDecision, Money, Payment
from fhir_coder.payers.amounts import (
    ALLOWED_CATEGORIES,
    PAID_CATEGORIES,
    Amounts,
    amounts_of,
    first,
    money,
    owed_by_patient,
    summed,
)
from fhir_coder.payers.answer import codes, member, objects, resources_in, text
from fhir_coder.payers.review import (
    CERTIFIED_IN_PART,
    NOT_CERTIFIED,
    Review,
    extension,
    requests_in,
    review_of,
    texts_of,
)

DENIED_CATEGORIES = frozenset({"denied", "noncovered"})

_KINDS = frozenset({"ClaimResponse", "ExplanationOfBenefit"})
_OUTCOMES = frozenset({"queued", "complete", "error", "partial"})


def is_decision(response: Json) -> bool:
    """Whether this answers a claim and is in force: active, with an outcome of the standard (remittance-outcome)."""
    is_response = response.get("resourceType") in _KINDS and text(response, "outcome") in _OUTCOMES
    return is_response and response.get("status", "active") == "active"


def claim_asked_about(response: Json) -> Json:
    """The reference to the claim that a response answers."""
    return member(response, "request") or member(response, "claim")


def name_of(response: Json) -> str:
    """The payer's name for a response: `ClaimResponse/3`, empty where it has none."""
    identity = text(response, "id")
    return f"{text(response, 'resourceType') or 'ClaimResponse'}/{identity}" if identity else ""


def read_claim_response(response: Json, beside: Sequence[Json] = ()) -> Adjudication:
    """Read a payer's decision. Never fails; what cannot be read is left out.

    `outcome` complete is not an acceptance: a claim of which every line is denied and nothing is paid is denied, one of
    which a review is pended (PAS A4) is queued. `beside` are the other resources of the answer: requests for documents,
    payments.
    """
    outcome, review = text(response, "outcome"), review_of(response)
    lines = _lines(response, review)
    paid = _paid(response, lines)
    pended = any(line.pended for line in lines) or review.is_open
    start, end = _authorized(response)
    return Adjudication(
        status=ClaimStatus.QUEUED if pended and outcome != "error" else _status(outcome, response, lines, paid),
        outcome=outcome,
        disposition=text(response, "disposition"),
        paid=paid,
        reference=name_of(response),
        lines=lines,
        errors=_errors(response),
        patient=owed_by_patient(amounts_of(response, "total")) or _all_owed(lines),
        payment=_payment(response, beside),
        pended=pended,
        requests=requests_in(beside),
        authorization=_authorization(response, review, lines),
        authorized_from=start,
        authorized_to=end,
        texts=_notes(response),
    )


def decision_named(answer: object, reference: str) -> Json | None:
    """The decision of an answer that `reference` (`ClaimResponse/3`) names, else the only one in it.

    An ExplanationOfBenefit is given with its lines numbered as a ClaimResponse numbers them.
    """
    found = [r for r in resources_in(answer) if is_decision(r)] if isinstance(answer, dict) else []
    decided = [r for r in found if r["outcome"] != "queued"]
    named = [r for r in decided if reference and reference == name_of(r)]
    chosen = named or decided
    if not (len(chosen) == 1 or named):
        return None
    if chosen[0]["resourceType"] == "ClaimResponse":
        return chosen[0]
    return chosen[0] | {"item": [item | {"itemSequence": _sequence(item)} for item in objects(chosen[0], "item")]}


# --- status


def _status(outcome: str, response: Json, lines: Sequence[LineDecision], paid: Money | None) -> ClaimStatus:
    if outcome == "queued":
        return ClaimStatus.QUEUED
    if outcome == "error":
        return ClaimStatus.DENIED
    nothing_paid = paid is None or paid.value == 0
    whole, review = amounts_of(response, "total"), review_of(response)
    denied = [line.denied for line in lines] or [_is_denied(whole, _reasons(response), review)]
    if all(denied) and nothing_paid:
        return ClaimStatus.DENIED
    in_part = any(line.review in CERTIFIED_IN_PART for line in lines) or review.code in CERTIFIED_IN_PART
    return ClaimStatus.PARTIAL if any(denied) or in_part or outcome == "partial" else ClaimStatus.COMPLETE


def _is_denied(amounts: Amounts, reasons: Sequence[str], review: Review) -> bool:
    """Nothing is paid and the payer says so: by a review, by category, by a reason, or by finding nothing eligible.

    A benefit of zero is no denial where something is eligible: the deductible may have taken it.
    """
    if review.code:
        return review.code in NOT_CERTIFIED
    paid = first(amounts, *PAID_CATEGORIES)
    if paid is not None and paid.value != 0:
        return False
    if any(_counts(amounts, category) for category in DENIED_CATEGORIES):
        return True
    eligible, submitted = first(amounts, *ALLOWED_CATEGORIES), amounts.get("submitted")
    if paid is None or (eligible is not None and eligible.value > 0):
        return False
    return bool(reasons) or submitted is None or submitted.value > 0


def _counts(amounts: Amounts, category: str) -> bool:
    amount = amounts.get(category)
    return category in amounts and (amount is None or amount.value != 0)


# --- lines


def _lines(response: Json, whole: Review) -> tuple[LineDecision, ...]:
    """The lines of the claim as decided. Lines the payer added stand for those they name, where nothing else does."""
    items = {_sequence(item): item for item in reversed(objects(response, "item")) if _sequence(item)}
    for added in objects(response, "addItem"):
        named = added.get("itemSequence")
        for sequence in named if isinstance(named, list) else []:
            if type(sequence) is int:
                items.setdefault(sequence, added)
    return tuple(_line(sequence, items[sequence], whole) for sequence in sorted(items))


def _sequence(item: Json) -> int:
    """The claim line that an item is about; an ExplanationOfBenefit numbers its lines as the claim did."""
    number = item.get("itemSequence", item.get("sequence"))
    return number if type(number) is int else 0


def _line(sequence: int, item: Json, whole: Review) -> LineDecision:
    amounts, own = amounts_of(item, "adjudication"), review_of(item)
    review = own if own.code else whole
    reasons = tuple(dict.fromkeys(_reasons(item) + own.reasons))
    told = [entry.get("reason") for entry in objects(item, "adjudication")]
    return LineDecision(
        sequence=sequence,
        paid=first(amounts, *PAID_CATEGORIES),
        submitted=amounts.get("submitted"),
        denied=_is_denied(amounts, reasons, review),
        reasons=reasons,
        allowed=first(amounts, *ALLOWED_CATEGORIES),
        patient=owed_by_patient(amounts),
        texts=tuple(dict.fromkeys(texts_of(told) + own.texts)),
        pended=review.is_open,
        review=review.code,
        authorization=own.number,
    )


def _reasons(item: Json) -> tuple[str, ...]:
    found = [code for entry in objects(item, "adjudication") for code in codes(entry.get("reason"))]
    return tuple(dict.fromkeys(found))


# --- money


def _paid(response: Json, lines: Sequence[LineDecision]) -> Money | None:
    """What is paid: payment.amount, else the totals, else the lines where each says it in one currency."""
    stated = money(member(response, "payment").get("amount")) or first(amounts_of(response, "total"), *PAID_CATEGORIES)
    if stated or any(line.paid is None for line in lines):
        return stated
    return summed(line.paid for line in lines)


def _all_owed(lines: Sequence[LineDecision]) -> Money | None:
    return summed(line.patient for line in lines)


def _payment(response: Json, beside: Sequence[Json]) -> Payment | None:
    """The payment a response tells of, else that of a PaymentReconciliation (13.9) beside it that names it."""
    payment = member(response, "payment")
    if payment:
        number = text(member(payment, "identifier"), "value")
        return Payment(money(payment.get("amount")), text(payment, "date"), number)
    own = name_of(response)
    for notice in beside:
        for detail in objects(notice, "detail") if notice.get("resourceType") == "PaymentReconciliation" else []:
            if own and text(member(detail, "response"), "reference").endswith(own):
                number = text(member(notice, "paymentIdentifier"), "value")
                day = text(detail, "date") or text(notice, "paymentDate")
                return Payment(money(detail.get("amount")), day, number)
    return None


# --- the rest


def _authorization(response: Json, review: Review, lines: Sequence[LineDecision]) -> str:
    """The number of an authorisation; empty where the lines have several and the whole has none."""
    whole = text(response, "preAuthRef") or review.number
    numbers = {line.authorization for line in lines if line.authorization}
    return whole or (numbers.pop() if len(numbers) == 1 else "")


def _authorized(response: Json) -> tuple[str, str]:
    """The days an authorisation is good for: the response's, else that of the first line that tells them."""
    periods = [member(response, "preAuthPeriod")]
    periods += [member(extension(item, "itemPreAuthPeriod"), "valuePeriod") for item in objects(response, "item")]
    found: Mapping[str, str] = next((period for period in periods if period), {})
    return text(found, "start")[:10], text(found, "end")[:10]


def _notes(response: Json) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text(note, "text") for note in objects(response, "processNote") if text(note, "text")))


def _errors(response: Json) -> tuple[str, ...]:
    """`code at item 2` for each error; codes only, no text of the payer's."""
    found = []
    for error in objects(response, "error"):
        place = f" at item {error['itemSequence']}" if type(error.get("itemSequence")) is int else ""
        found += [f"{code}{place}" for code in codes(error.get("code"))]
    return tuple(dict.fromkeys(found))
