"""Da Vinci PAS 2.2.1 from the payer's side: what is refused, the reviews, the answers to $submit and $inquire."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

from fhir_coder.model import Json
from fhir_coder.payers.answer import codes, has_identifier, member, objects, text
from fhir_coder.payers.review import PAS, extension
from fhir_coder.payers.sandbox.adjudicate import (
    REASON_TEXT,
    TakenClaim,
    denial_reason,
    is_void,
)
from fhir_coder.payers.sandbox.rules import Rules
from fhir_coder.payers.sandbox.store import KeptClaim
from fhir_coder.payers.sandbox.validate import Received, faults_of_structure, identifier_faults, issue

CERTIFIED, NOT_CERTIFIED, PENDED, CANCELLED = "A1", "A3", "A4", "C"
"""Review codes (X12 306)."""

_REVIEW_CODES = "https://codesystem.x12.org/005010/306"
_CATEGORY = "http://terminology.hl7.org/CodeSystem/adjudication"
_CANCEL = "3"
_GOOD_FOR = timedelta(days=90)
_NAMES = uuid.UUID("0a6c1a50-70f4-5d0c-8f0c-3d1d6a1f7e52")
_ANSWERS = "urn:fhir-coder:sandbox:answer"


# --- what is refused


def faults_of(received: Received) -> list[Json]:
    """What the guide's request Bundle, its Claim and its lines must have, and what all claims must."""
    found = [*_bundle_faults(received.whole), *_claim_faults(received.claim)]
    for place, item in enumerate(objects(received.claim, "item")):
        found += _item_faults(item, f"Claim.item[{place}]")
    return [*found, *identifier_faults(received), *faults_of_structure(received)]


def _bundle_faults(bundle: Json) -> Iterator[Json]:
    if bundle.get("resourceType") != "Bundle" or text(bundle, "type") != "collection":
        yield issue("structure", "Bundle.type", "PAS takes a Bundle of type collection.")
        return
    if not text(member(bundle, "identifier"), "value"):
        yield issue("required", "Bundle.identifier", "The Bundle has no identifier.")
    if not text(bundle, "timestamp"):
        yield issue("required", "Bundle.timestamp", "The Bundle has no timestamp.")
    entries = objects(bundle, "entry")
    if [member(e, "resource").get("resourceType") for e in entries].count("Claim") != 1:
        yield issue("invariant", "Bundle.entry", "The Bundle has not exactly one Claim.")
    if not entries or member(entries[0], "resource").get("resourceType") != "Claim":
        yield issue("invariant", "Bundle.entry[0]", "The first entry is not the Claim.")
    addresses = [text(entry, "fullUrl") for entry in entries]
    for place, address in enumerate(addresses):
        if not address or address in addresses[:place]:
            yield issue("invariant", f"Bundle.entry[{place}].fullUrl", "The fullUrl is missing or used before.")


def _claim_faults(claim: Json) -> Iterator[Json]:
    if text(claim, "use") != "preauthorization":
        yield issue("value", "Claim.use", "PAS takes preauthorizations only.")
    if not any(text(i, "system") and text(i, "value") for i in objects(claim, "identifier")):
        yield issue("required", "Claim.identifier", "The request has no identifier with a system.")
    for name in ("insurer", "item"):
        if not claim.get(name):
            yield issue("required", f"Claim.{name}", f"The request has no {name}.")
    if len(objects(claim, "related")) > 1:
        yield issue("invariant", "Claim.related", "An update names one prior request.")
    for place, one in enumerate(objects(claim, "careTeam")):
        if not extension(one, "careTeamClaimScope"):
            yield issue("required", f"Claim.careTeam[{place}].extension", "The careTeamClaimScope is missing.")


def _item_faults(item: Json, place: str) -> Iterator[Json]:
    for name in ("serviceItemRequestType", "certificationType"):
        if not extension(item, name):
            yield issue("required", f"{place}.extension", f"The {name} is missing.")
    if not item.get("category"):
        yield issue("required", f"{place}.category", "The category is missing.")
    if not any(name.startswith("location") for name in item):
        yield issue("required", f"{place}.location", "The location is missing.")


# --- reviews


def decided(taken: TakenClaim, rules: Rules, at: datetime) -> Json:
    """The ClaimResponse with the review of each line. Rules about amounts and authorizations do not count."""
    asked = replace(rules, authorization_codes=frozenset())
    items = objects(taken.claim, "item")
    reasons = [_cancelled(item, taken.claim) or denial_reason(item, taken, asked) for item in items]
    number = f"AUTH{int(taken.id):06}"
    # The guide's codes for reasons (X12 886) are X12's: the reasons are told in words, as notes.
    told_for = [reason for reason in REASON_TEXT if reason in reasons]
    lines = [
        _reviewed(item, reason, number, at)
        | ({"noteNumber": [told_for.index(reason) + 1]} if reason in told_for else {})
        for item, reason in zip(items, reasons, strict=True)
    ]
    notes = [{"number": n, "type": "display", "text": REASON_TEXT[r]} for n, r in enumerate(told_for, start=1)]
    open_lines = [reason for reason in reasons if reason != _WITHDRAWN]
    certified = sum(not reason for reason in open_lines)
    told = f"{certified} of {len(open_lines)} lines are certified." if open_lines else "The request is cancelled."
    decision = {"outcome": "complete", "disposition": told, "item": lines}
    return _response(taken, at) | decision | ({"processNote": notes} if notes else {})


_WITHDRAWN = "withdrawn"


def _cancelled(item: Json, claim: Json) -> str:
    code = codes(extension(item, "certificationType").get("valueCodeableConcept"))
    return _WITHDRAWN if is_void(claim) or _CANCEL in code else ""


def pended(response: Json) -> Json:
    """The same response before the decision: each line pended (A4), with a number to ask by."""
    number = {"url": f"{PAS}extension-administrationReferenceNumber", "valueString": f"PEND-{text(response, 'id')}"}
    lines = [
        {"extension": [number], "itemSequence": item["itemSequence"], "adjudication": [_adjudication(PENDED)]}
        for item in objects(response, "item")
    ]
    told = {k: v for k, v in response.items() if k != "processNote"}
    return told | {"disposition": "The request waits for its decision.", "item": lines}


def _response(taken: TakenClaim, at: datetime) -> Json:
    claim = taken.claim
    return {
        "resourceType": "ClaimResponse",
        "id": f"{taken.id}-response",
        "meta": {"profile": [f"{PAS}profile-claimresponse"]},
        "identifier": claim["identifier"],
        "status": "active",
        "type": claim["type"],
        "use": "preauthorization",
        "patient": claim["patient"],
        "created": at.isoformat(timespec="seconds"),
        "insurer": claim["insurer"],
        "requestor": claim["provider"],
        # By identifier alone: every reference by name must lead to an entry, and the request is not sent back.
        "request": {"type": "Claim", "identifier": claim["identifier"][0]},
    }


def _reviewed(item: Json, reason: str, number: str, at: datetime) -> Json:
    """One line of the response. What is certified has a number and the days it is good for."""
    trace = extension(item, "itemTraceNumber")
    told = [trace] if trace else []
    if reason == _WITHDRAWN:
        return _line(item, told, _adjudication(CANCELLED))
    if reason:
        return _line(item, told, _adjudication(NOT_CERTIFIED))
    day = at.date()
    issued = {"url": f"{PAS}extension-itemPreAuthIssueDate", "valueDate": day.isoformat()}
    period = {"url": f"{PAS}extension-itemPreAuthPeriod", "valuePeriod": _period(day)}
    return _line(item, [*told, issued, period], _adjudication(CERTIFIED, number))


def _period(day: date) -> Json:
    return {"start": day.isoformat(), "end": (day + _GOOD_FOR).isoformat()}


def _line(item: Json, extensions: Sequence[Json], adjudication: Json) -> Json:
    line = {"itemSequence": item["sequence"], "adjudication": [adjudication]}
    return {"extension": list(extensions), **line} if extensions else line


def _adjudication(code: str, number: str = "") -> Json:
    parts: list[Json] = [{"url": "number", "valueString": number}] if number else []
    parts.append({"url": f"{PAS}extension-reviewActionCode", "valueCodeableConcept": _concept(_REVIEW_CODES, code)})
    review = {"url": f"{PAS}extension-reviewAction", "extension": parts}
    return {"extension": [review], "category": _concept(_CATEGORY, "submitted")}


def _concept(system: str, code: str) -> Json:
    return {"coding": [{"system": system, "code": code}]}


# --- answers


def response_bundle(kept: KeptClaim, response: Json, profile: str = "pas-response-bundle") -> Json:
    """A response with the parties that it names, directly or through them, as they came with the request."""
    named = {text(entry, "fullUrl"): entry for entry in kept.beside}
    named |= {_local_name(entry): entry for entry in kept.beside}
    return {
        "resourceType": "Bundle",
        "meta": {"profile": [f"{PAS}profile-{profile}"]},
        "identifier": {"system": _ANSWERS, "value": kept.id},
        "type": "collection",
        "timestamp": response["created"],
        "entry": [_entry(response), *_parties(response, named)],
    }


def _entry(response: Json) -> Json:
    return {"fullUrl": f"urn:uuid:{uuid.uuid5(_NAMES, response['id'])}", "resource": response}


def _local_name(entry: Json) -> str:
    resource = member(entry, "resource")
    return f"{text(resource, 'resourceType')}/{text(resource, 'id')}"


def _parties(response: Json, named: Mapping[str, Json]) -> list[Json]:
    found: dict[str, Json] = {}
    wanted = list(_references(response))
    while wanted:
        entry = named.get(wanted.pop(0))
        if entry and text(entry, "fullUrl") not in found:
            found[text(entry, "fullUrl")] = entry
            wanted += _references(member(entry, "resource"))
    return list(found.values())


def _references(element: object) -> Iterator[str]:
    if isinstance(element, list):
        for one in element:
            yield from _references(one)
    elif isinstance(element, dict):
        if text(element, "reference"):
            yield text(element, "reference")
        for one in element.values():
            yield from _references(one)


def inquiry_bundle(kept: KeptClaim, response: Json) -> Json:
    """The same answer as an inquiry gets it."""
    as_inquired = response | {"meta": {"profile": [f"{PAS}profile-claiminquiryresponse"]}}
    return response_bundle(kept, as_inquired, "pas-inquiry-response-bundle")


def inquiry_faults(received: Received) -> list[Json]:
    """What an inquiry must have."""
    found = [*_bundle_faults(received.whole), *identifier_faults(received)]
    if not received.claim.get("insurer"):
        found.append(issue("required", "Claim.insurer", "The inquiry has no insurer."))
    return found


def is_asked_about(inquiry: Json, kept: KeptClaim) -> bool:
    """Whether an inquiry that names requests names this one; without a name it is about all of the patient's."""
    named = objects(inquiry, "identifier")
    return not named or any(has_identifier(kept.claim, text(i, "system"), text(i, "value")) for i in named)


def inquiry_answer(bundles: Sequence[Json]) -> Json:
    """Zero to many Bundles, each with one response (OperationDefinition Claim-inquiry: `return`)."""
    told = [{"name": "return", "resource": bundle} for bundle in bundles]
    return {"resourceType": "Parameters"} | ({"parameter": told} if told else {})
