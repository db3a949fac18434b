"""Who may ask: bearer tokens compared in constant time (RFC 6750), and headers that keep what is shown from others."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Awaitable, Callable

from fastapi import Request
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fhir_coder.web.refusal import RefusalError

_REALM = 'realm="fhir-coder"'
SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""What every answer carries, unless a page says it more exactly."""
_ONLY_TLS = "max-age=31536000"


def token_needed(token: str, *, with_basic: bool = False) -> Callable[[Request], Awaitable[None]]:
    """A dependency that refuses a request (401) without the token; an empty token refuses nobody.

    `with_basic`: a browser may send the token as the password of any user (RFC 7617).
    """
    expected = token.encode()
    challenge = f"Bearer {_REALM}" + (f", Basic {_REALM}" if with_basic else "")

    async def check(request: Request) -> None:
        given = _given_token(request.headers.get("authorization", ""), with_basic=with_basic)
        if expected and not hmac.compare_digest(given, expected):
            raise RefusalError(401, "login", "a token is needed", {"WWW-Authenticate": challenge})

    return check


def _given_token(header: str, *, with_basic: bool) -> bytes:
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip().encode("latin-1")
    if with_basic and scheme.lower() == "basic":
        try:
            return base64.b64decode(value.strip(), validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):
            return b""
    return b""


def actor_of(request: Request) -> str:
    """Who asks, as events name them: who was logged in on the way here, else whoever has the token of the pages."""
    return str(getattr(request.state, "actor", "") or "http")


class SecurityHeaders:
    """ASGI middleware that adds the security headers an answer does not have yet."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                if scope.get("scheme") == "https":
                    headers.setdefault("Strict-Transport-Security", _ONLY_TLS)
            await send(message)

        await self._app(scope, receive, send_guarded)
