"""The sandbox's open connections by their two ends, so that the application can drop the one it is asked on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import structlog
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.utils import get_local_addr, get_remote_addr

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

log = structlog.get_logger("fhir_coder")

_FAILED = b'{"resourceType":"OperationOutcome","issue":[{"severity":"fatal","code":"exception"}]}'

_open: dict[tuple[object, object], asyncio.Transport] = {}


class DroppableProtocol(H11Protocol):
    """uvicorn's HTTP protocol, whose transports are known while they are open."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Remember the transport."""
        super().connection_made(transport)
        _open[_ends(transport)] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the transport."""
        _open.pop(_ends(self.transport), None)
        super().connection_lost(exc)


def _ends(transport: asyncio.Transport) -> tuple[object, object]:
    return get_remote_addr(transport), get_local_addr(transport)


def _transport(scope: Scope) -> asyncio.Transport:
    try:
        return _open[tuple(scope["client"]), tuple(scope["server"])]
    except KeyError:
        raise RuntimeError("only the sandbox's own server can drop a connection") from None


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class Dropped(Response):
    """No answer: the connection is closed at once."""

    async def __call__(self, scope: Scope, receive: Receive, _send: Send) -> None:
        """Close instead of answering."""
        _transport(scope).abort()
        await _gone(receive)


class HalfBody(Response):
    """An answer that promises its whole length, and half of it; then the connection closes."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the head and half of the body."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        half = self.body[: len(self.body) // 2]
        await send({"type": "http.response.body", "body": bytes(half), "more_body": True})
        _transport(scope).close()
        await _gone(receive)


class QuietErrors:
    """Answers 500 for an error and logs its kind only: a traceback's text may hold what a claim says."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application."""
        try:
            await self._app(scope, receive, send)
        except ClientDisconnect:
            return
        except Exception as error:
            log.error("sandbox_failed", error=type(error).__name__)
            await Response(_FAILED, 500, media_type="application/fhir+json")(scope, receive, send)


class Dated:
    """Puts the Date of the sandbox's clock on each answer that has none."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]], clock: Callable[[], datetime]) -> None:
        self._app, self._clock = app, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application."""

        async def dated(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start" and b"date" not in dict(message["headers"]):
                date = format_datetime(self._clock().astimezone(UTC), usegmt=True)
                message["headers"] = [*message["headers"], (b"date", date.encode("ascii"))]
            await send(message)

        await self._app(scope, receive, dated)
