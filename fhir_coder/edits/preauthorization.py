"""Edits on requests for preauthorization: what a payer that reviews services by Da Vinci PAS cannot do without."""

from __future__ import annotations

from collections.abc import Iterator

from fhir_coder.edits.edit import ClaimContext, Edit, Hit
from fhir_coder.model import Json, Severity

_BILL = "https://www.nubc.org/CodeSystem/TypeOfBill"


def no_service_type(context: ClaimContext) -> Iterator[Hit]:
    """A line whose kind of service (X12 1365) the settings do not name."""
    rules = context.payer.pas if context.payer else None
    for place, item in enumerate(context.claim.get("item", ())) if rules else ():
        codings = item.get("productOrService", {}).get("coding", ())
        if rules and not rules.kind_of_service(c["code"] for c in codings):
            yield f"Claim.item[{place}].category", "no kind of service is set for the line's code"


def no_place(context: ClaimContext) -> Iterator[Hit]:
    """A line of which the place of service is not known, or on an institutional claim the type of bill."""
    if not _is_reviewed(context):
        return
    if context.kind == "institutional":
        told = [c for info in context.claim.get("supportingInfo", ()) for c in info.get("code", {}).get("coding", ())]
        if not any(c.get("system") == _BILL for c in told):
            yield "Claim.supportingInfo", "no type of bill is set for the visit's class"
        return
    for place, item in enumerate(context.claim.get("item", ())):
        if "locationCodeableConcept" not in item:
            yield f"Claim.item[{place}].location", "no place of service is set for the visit's class"


def no_party(context: ClaimContext) -> Iterator[Hit]:
    """A party without what US Core asks of it: its name, a patient's or a subscriber's number."""
    if not _is_reviewed(context):
        return
    for role, needs in (("patient", ("name", "identifier")), ("provider", ("name",)), ("insurer", ("name",))):
        resource = _contained(context.claim, context.claim.get(role, {}))
        missing = [name for name in needs if not resource.get(name)]
        if missing:
            yield f"Claim.{role}", f"the request needs its {' and '.join(missing)}"


def no_relationship(context: ClaimContext) -> Iterator[Hit]:
    """A coverage of which nobody told what the patient is to the subscriber."""
    if _is_reviewed(context) and context.coverage and not context.coverage.relationship:
        yield context.coverage_path, "a request needs the patient's relationship to the subscriber (IN1-17)"


def no_full_date(context: ClaimContext) -> Iterator[Hit]:
    """A line of which the date of service is not known to the day."""
    for place, item in enumerate(context.claim.get("item", ())) if _is_reviewed(context) else ():
        if 0 < len(item.get("servicedDate", "")) < len("2026-01-01"):
            yield f"Claim.item[{place}].serviced", "the date is not known to the day"


def _is_reviewed(context: ClaimContext) -> bool:
    return context.payer is not None and context.payer.pas is not None


def _contained(claim: Json, reference: Json) -> Json:
    wanted = reference.get("reference", "").removeprefix("#")
    return next((r for r in claim.get("contained", ()) if wanted and r["id"] == wanted), {})


EDITS = (
    Edit(
        "pas-service-type",
        "No kind of service",
        Severity.REJECT,
        "Set `service_types` or `service_type` in the payer's [payers.pas].",
        no_service_type,
        path="Claim.item.category",
    ),
    Edit(
        "pas-place",
        "No place of service",
        Severity.REJECT,
        "Set `place_of_service` or `type_of_bill` in [site] for the visit's class.",
        no_place,
        path="Claim.item.location",
    ),
    Edit(
        "pas-party",
        "A party is not named",
        Severity.REJECT,
        "Have registration add it; the provider's is `name` in [site].",
        no_party,
        path="Claim",
    ),
    Edit(
        "pas-relationship",
        "No relationship to the subscriber",
        Severity.REJECT,
        "Have registration add the relationship.",
        no_relationship,
        path="Claim.insurance.coverage",
    ),
    Edit(
        "pas-full-date",
        "Date not to the day",
        Severity.REJECT,
        "Have the sender tell the whole date.",
        no_full_date,
        path="Claim.item.serviced",
    ),
)
"""In the order shown to the coder. They look at requests only: claims of payers without [payers.pas] pass."""
