"""People's work over HTTP: lists, one item, and everything that a person does with it. JSON in, JSON out.

Whoever may ask is decided before a route is reached; who asks is `auth.actor_of`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Depends, Request, Response

from fhir_coder.claims import to_bytes
from fhir_coder.errors import ConflictError, FhirCoderError, NotFoundError
from fhir_coder.logs import log
from fhir_coder.model import ItemStatus, Json
from fhir_coder.screens_work import case_json, item_json, queues_json, what_if_json
from fhir_coder.web.auth import actor_of
from fhir_coder.web.body import read_body
from fhir_coder.web.console.site import ConsoleSite
from fhir_coder.web.refusal import RefusalError
from fhir_coder.web.work_actions import ACTIONS, DESK_ACTIONS, Wanted, wanted_of
from fhir_coder.worklist import Queue, Workplace, find_item, list_items, open_case, parts_of, queues, what_if

PREFIX = "/api/work"
_TYPES = frozenset({"application/json", "text/json"})
_MOST = 1 << 20


def work_routes(site: ConsoleSite) -> APIRouter:
    """The routes of people's work."""
    routes = APIRouter(prefix=PREFIX)
    _add_lists(routes, site)
    _add_items(routes, site)

    @routes.post("/items/{item_id}/{action}")
    async def act(item_id: int, action: str, request: Request, actor: str = Depends(actor_of)) -> Response:
        wanted = await _wanted(request, item_id, actor)
        return await _done(site, action, ACTIONS, wanted)

    @routes.post("/{action}")
    async def act_at_the_desk(action: str, request: Request, actor: str = Depends(actor_of)) -> Response:
        wanted = await _wanted(request, 0, actor)
        return await _done(site, action, DESK_ACTIONS, wanted)

    return routes


def _add_lists(routes: APIRouter, site: ConsoleSite) -> None:
    @routes.get("/items")
    async def listed(request: Request, limit: int = 50, after: str = "") -> Response:
        queue = _queue(request.query_params)
        return await _answer(lambda: _page(site.app.workplace, queue, limit, after))

    @routes.get("/queues")
    async def all_queues() -> Response:
        return await _answer(lambda: {"queues": queues_json(queues(site.ledger))})


def _add_items(routes: APIRouter, site: ConsoleSite) -> None:
    @routes.get("/items/{item_id}")
    async def one(item_id: int, chart: str = "") -> Response:
        return await _answer(lambda: case_json(open_case(site.app.workplace, item_id, chart)))

    @routes.get("/items/{item_id}/charts")
    async def charts(item_id: int, limit: int = 100, after: int = 0) -> Response:
        return await _answer(lambda: _charts(site.app.workplace, item_id, max(1, limit), after))

    @routes.get("/items/{item_id}/what-if")
    async def what_it_changes(item_id: int, all_charts: bool = False) -> Response:
        return await _answer(lambda: what_if_json(what_if(site.app.workplace, item_id, all_charts=all_charts)))


def _queue(said: Mapping[str, str]) -> Queue:
    names = ("care", "specialty", "payer", "kind", "reason", "assigned_to", "taken_by")
    return Queue(**{name: said[name] for name in names if name in said}, status=said.get("status", ItemStatus.OPEN))


def _page(place: Workplace, queue: Queue, limit: int, after: str) -> Json:
    page = list_items(place.ledger, queue, max(1, limit), after)
    return {"items": [item_json(one) for one in page.items], "after": page.after or None}


def _charts(place: Workplace, item_id: int, limit: int, after: int) -> Json:
    item = find_item(place.ledger, item_id)
    parts = parts_of(place.ledger, item.id, limit, after)
    told = [asdict(p) | {"amount": str(p.amount), "opened_at": p.opened_at.isoformat()} for p in parts]
    return {"charts": told, "after": parts[-1].id if len(parts) == limit else None}


async def _wanted(request: Request, item_id: int, actor: str) -> Wanted:
    return wanted_of(await read_body(request, _TYPES, _MOST), item_id, actor)


async def _done(
    site: ConsoleSite, name: str, actions: Mapping[str, Callable[[Workplace, Wanted], Json]], wanted: Wanted
) -> Response:
    if name not in actions:
        raise RefusalError(404, "not-found", f"there is no such action: {', '.join(actions)}")
    answer = await _answer(lambda: actions[name](site.app.workplace, wanted))
    log.info("work_item_changed", work_item=wanted.item_id, kind=name)
    site.wake()
    return answer


async def _answer(ask: Callable[[], Any]) -> Response:
    """What a question gives, as JSON; asked off the loop. Raises RefusalError with the reason where it is refused."""
    try:
        said = await asyncio.to_thread(ask)
    except NotFoundError as error:
        raise RefusalError(404, "not-found", str(error)) from None
    except ConflictError as error:
        raise RefusalError(409, "conflict", str(error)) from None
    except FhirCoderError as error:
        raise RefusalError(422, "business-rule", str(error)) from None
    return Response(to_bytes(said), media_type="application/json")
