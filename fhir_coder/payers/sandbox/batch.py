"""Batches at the sandbox: a Bundle whose entries are submissions, each taken or refused by itself (R4 3.1.0.11)."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from fhir_coder.claims.wire import to_bytes
from fhir_coder.model import Json
from fhir_coder.payers.answer import member, objects, read_json, text
from fhir_coder.payers.sandbox.desk import Post, Reply

MOST_ENTRIES = 100
"""Claims of one batch; more is a refusal of it all."""

_PATHS = ("Claim", "Claim/$submit")


def posts_of(post: Post) -> list[Post] | None:
    """The submissions of a batch, in the order of its entries; None where what was sent is no batch of submissions."""
    bundle = read_json(post.body)
    if not isinstance(bundle, dict) or bundle.get("type") != "batch":
        return None
    entries = objects(bundle, "entry")
    requests = [member(entry, "request") for entry in entries]
    are_submissions = all(text(r, "method") == "POST" and text(r, "url") in _PATHS for r in requests)
    if not entries or len(entries) > MOST_ENTRIES or not are_submissions:
        return None
    return [_post(post, *one) for one in zip(entries, requests, strict=True)]


def _post(post: Post, entry: Json, request: Json) -> Post:
    kept = {name: value for name, value in post.headers.items() if name != "if-none-exist"}
    condition = text(request, "ifNoneExist")
    headers = kept | ({"if-none-exist": condition} if condition else {})
    resource = member(entry, "resource")
    return Post(to_bytes(resource), f"/{text(request, 'url')}", headers, resource)


def answer_of(replies: Sequence[Reply]) -> Reply:
    """The answer to a batch: one entry for each that was sent, in the same order."""
    return Reply(200, {"resourceType": "Bundle", "type": "batch-response", "entry": [_entry(one) for one in replies]})


def _entry(reply: Reply) -> Json:
    response = {"status": f"{reply.status} {HTTPStatus(reply.status).phrase}"}
    if reply.status >= 400:
        return {"response": response | {"outcome": reply.resource}}
    return {"resource": reply.resource, "response": response | ({"location": reply.location} if reply.location else {})}
