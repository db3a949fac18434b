"""Several claims in one HTTP request: a Bundle of type batch (R4 3.1.0.11), one outcome for each.

Each entry is the request that the claim would be sent with alone, so that what is kept for a claim is the same either
way, and a claim of a batch may be repeated alone. A payer does each entry by itself: one that fails undoes no other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson

from fhir_coder.claims.wire import to_bytes
from fhir_coder.model import Json
from fhir_coder.payers.answer import HttpAnswer, member, objects, text
from fhir_coder.payers.profile import PayerRequest


def batch_of(requests: Sequence[PayerRequest], headers: Mapping[str, str]) -> PayerRequest:
    """The Bundle that carries some requests, in their order."""
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": [_entry(one) for one in requests]}
    return PayerRequest("POST", "", headers, orjson.dumps(bundle))


def _entry(request: PayerRequest) -> Json:
    condition = request.headers.get("If-None-Exist")
    told = {"method": request.method, "url": request.path} | ({"ifNoneExist": condition} if condition else {})
    return {"resource": orjson.Fragment(request.body), "request": told}


def answers_in(answer: HttpAnswer, number: int) -> list[HttpAnswer] | None:
    """The answer to each of `number` entries, as if it had been sent alone; None where there are none of them.

    Entries are told apart by their order alone (R4 3.1.0.11.3): where their number differs, none is known.
    """
    bundle = answer.resource or {}
    entries = objects(bundle, "entry")
    if answer.status not in (200, 201) or bundle.get("type") != "batch-response" or len(entries) != number:
        return None
    return [_answer(entry, answer) for entry in entries]


def _answer(entry: Json, whole: HttpAnswer) -> HttpAnswer:
    response = member(entry, "response")
    status = text(response, "status")[:3]
    resource = member(entry, "resource") or member(response, "outcome")
    headers = {"location": text(response, "location")} if text(response, "location") else {}
    body = to_bytes(resource) if resource else b""
    said = resource if isinstance(resource.get("resourceType"), str) else None
    return HttpAnswer(int(status) if status.isdecimal() else 0, headers, body, True, whole.received_at, said)
