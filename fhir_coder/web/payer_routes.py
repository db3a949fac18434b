"""What payers ask of us and send us: our public keys, and the addresses where answers are called back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from fastapi import APIRouter, Depends, Request, Response

from fhir_coder.claims import to_bytes
from fhir_coder.logs import log
from fhir_coder.model import Json
from fhir_coder.payers.answer import read_json
from fhir_coder.payers.notices import Notice, notice_of
from fhir_coder.store import Ledger, answers, work
from fhir_coder.store.work import LOCAL, Lane, lane_name
from fhir_coder.web.auth import token_needed
from fhir_coder.web.body import read_body
from fhir_coder.web.refusal import RefusalError, not_stored

JWKS_PATH = "/.well-known/jwks.json"

_TYPES = frozenset({"application/fhir+json", "application/json", "text/json"})
_FOR_FIVE_MINUTES = {"Cache-Control": "public, max-age=300"}


@dataclass(frozen=True, slots=True)
class PayerAccess:
    """What payers may do here: the token of each that may call back, our public keys, and who is told of new work.

    `keys` gives a JWK Set and raises ValueError with the reason; None where nobody signs with keys.
    """

    tokens: dict[str, str]
    keys: Callable[[], Json] | None
    wake: Callable[[], None]


def jwks_route(keys: Callable[[], Json]) -> APIRouter:
    """`GET /.well-known/jwks.json` (RFC 7517), open to everybody: public halves only."""
    routes = APIRouter()

    @routes.get(JWKS_PATH)
    def jwks() -> Response:
        try:
            shown = keys()
        except ValueError:
            log.error("keys_refused", reason="key_unusable")
            raise RefusalError(503, "exception", "the keys cannot be read now") from None
        return Response(to_bytes(shown), media_type="application/jwk-set+json", headers=_FOR_FIVE_MINUTES)

    return routes


def notification_routes(ledger: Ledger, payer: str, access: PayerAccess, limit: int) -> APIRouter:
    """Where one payer calls back: POST of a decision or a notification, PUT of a resource (R4 rest-hook)."""
    prefix = f"/payers/{payer}/notifications"
    routes = APIRouter(prefix=prefix, dependencies=[Depends(token_needed(access.tokens[payer]))])

    async def take(request: Request) -> Response:
        body = await read_body(request, _TYPES, limit)
        await asyncio.to_thread(_take, ledger, payer, body)
        access.wake()
        return Response(status_code=200)

    routes.add_api_route("", take, methods=["POST"])
    routes.add_api_route("/{resource_type}/{resource_id}", take, methods=["PUT"])
    return routes


def _take(ledger: Ledger, payer: str, body: bytes) -> None:
    """Keep what a payer sent; what only says that something has changed has its open claims asked after."""
    notice = _read(body)
    if notice.is_silent:
        return
    try:
        at = ledger.clock()
        with ledger.writing() as connection:
            if not (notice.told or notice.addresses):
                work.bring_forward(connection, lane_name("poll", payer), at)
                return
            lane = LOCAL if notice.told else Lane(lane_name("poll", payer))
            _, is_new = answers.keep(connection, payer, body, at, lane)
    except Exception:
        raise not_stored() from None
    log.info("answer_received", payer=payer, status="received" if is_new else "repeated")


def _read(body: bytes) -> Notice:
    """What was sent. Raises RefusalError (400) for what is neither empty nor a FHIR resource."""
    if not body.strip():
        return Notice()
    resource = read_json(body)
    if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
        raise RefusalError(400, "structure", "the body is no FHIR resource in JSON")
    return notice_of(resource)
