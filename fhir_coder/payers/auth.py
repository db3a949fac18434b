"""Who we are for a FHIR server: basic, bearer, OAuth 2 client credentials, SMART backend services.

SMART App Launch 2.2 "Client Authentication: Asymmetric" and "Backend Services"; RFC 6749 4.4 for client credentials.
Payers and the servers that are read share it.
"""

from __future__ import annotations

import base64
import secrets
import ssl
import stat
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote_plus

from joserfc import jwt

from fhir_coder.errors import FhirCoderError
from fhir_coder.payers.answer import HttpAnswer, read_json, text
from fhir_coder.payers.keys import signing_key
from fhir_coder.settings.access import SECRETS, AccessSettings, is_guarded

_ASSERTION_SECONDS = 240
"""How long an assertion is good for: SMART allows five minutes, and clocks differ."""
_NAMED_LIFE = 300.0
"""Seconds a token is taken to live where the server does not say."""
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

Form = Mapping[str, str]


class AuthError(FhirCoderError):
    """We cannot say who we are: no secret, no key, or no token. `reason` is a fixed word (`token_refused`)."""

    def __init__(self, reason: str, http_status: int | None = None) -> None:
        super().__init__(f"no access: {reason}")
        self.reason, self.http_status = reason, http_status


class TokenDesk(Protocol):
    """Asks a server for tokens, over HTTP."""

    def post_form(self, url: str, form: Form, headers: Mapping[str, str]) -> HttpAnswer:
        """Post a form; the answer of any status. Raises FhirCoderError where none came."""

    def token_url(self) -> str:
        """Where tokens are had. Raises FhirCoderError where that cannot be found out."""


class Auth(Protocol):
    """What a request says of who sends it. Many threads may ask."""

    def authorization(self, desk: TokenDesk) -> str:
        """The Authorization header, empty where there is none. Raises FhirCoderError where no token is to be had."""

    def renew(self, refused: str) -> bool:
        """Forget the header that was answered with 401; False where there is nothing else to show."""


def auth_of(access: AccessSettings) -> Auth:
    """What the settings say. Secrets and keys are read when needed, so that new ones need no restart."""
    if access.auth == "client-credentials":
        return _Tokens(lambda desk: _by_secret(access, desk))
    if access.auth == "smart":
        return _Tokens(lambda desk: _by_assertion(access, desk))
    return _Shown(access)


class _Shown:
    """A password or bearer token shown as it is; read again after a 401, as its file may have a new one."""

    def __init__(self, access: AccessSettings) -> None:
        self._access, self._known = access, ""

    def authorization(self, _desk: TokenDesk) -> str:
        self._known = self._known or self._read()
        return self._known

    def renew(self, refused: str) -> bool:
        if not refused:
            return False
        self._known = self._read()
        return self._known != refused

    def _read(self) -> str:
        if self._access.auth == "none":
            return ""
        secret = _read_secret(self._access)
        if self._access.auth == "bearer":
            return f"Bearer {secret}"
        return _basic(self._access.user, secret)


def _read_secret(access: AccessSettings) -> str:
    try:
        return access.secret()
    except ValueError:
        raise AuthError("secret_missing") from None


def _basic(user: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode("ascii")


@dataclass(frozen=True, slots=True)
class _Token:
    """An access token as it is shown; `until` is on the monotonic clock."""

    shown: str
    until: float


class _Tokens:
    """Access tokens that are asked for anew before they end: by one thread, while the others wait for it."""

    def __init__(self, ask: Callable[[TokenDesk], HttpAnswer]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._token: _Token | None = None

    def authorization(self, desk: TokenDesk) -> str:
        with self._lock:
            if self._token is None or time.monotonic() >= self._token.until:
                self._token = _token_of(self._ask(desk), time.monotonic())
            return self._token.shown

    def renew(self, refused: str) -> bool:
        with self._lock:
            if self._token is not None and self._token.shown == refused:  # else another thread has done so already
                self._token = None
            return bool(refused)


def _token_of(answer: HttpAnswer, now: float) -> _Token:
    said: Any = read_json(answer.body)
    value = text(said, "access_token")
    if answer.status != 200 or not value or text(said, "token_type").lower() not in ("", "bearer"):
        # RFC 6749 5.2: `error` is a fixed word (invalid_client, invalid_scope), but nothing keeps a server to it.
        raise AuthError("token_refused", answer.status)
    if not value.isascii() or not value.isprintable() or " " in value:
        raise AuthError("token_unusable", answer.status)
    lives = said.get("expires_in")
    seconds = float(lives) if isinstance(lives, int) and lives > 0 else _NAMED_LIFE
    return _Token(f"Bearer {value}", now + seconds - min(60.0, seconds / 5))


def _by_secret(access: AccessSettings, desk: TokenDesk) -> HttpAnswer:
    # RFC 6749 2.3.1: id and secret are form-encoded before they go into the header.
    shown = _basic(quote_plus(access.client_id), quote_plus(_read_secret(access)))
    form = {"grant_type": "client_credentials", "scope": access.scope}
    return desk.post_form(_guarded(desk.token_url()), form, {"Authorization": shown})


def _by_assertion(access: AccessSettings, desk: TokenDesk) -> HttpAnswer:
    url = _guarded(desk.token_url())
    form = {
        "grant_type": "client_credentials",
        "scope": access.scope,
        "client_assertion_type": _ASSERTION_TYPE,
        "client_assertion": assertion(access, url, int(time.time())),
    }
    return desk.post_form(url, form, {})


def _guarded(url: str) -> str:
    """A token address the server named may lead anywhere: nothing secret goes there unencrypted."""
    if not is_guarded(url):
        raise AuthError("token_url_not_https")
    return url


def assertion(access: AccessSettings, audience: str, now: int) -> str:
    """A signed JWT that says who we are; `now` is in seconds since 1970. Raises AuthError (`key_unusable`)."""
    try:
        key = signing_key(access)
    except ValueError:
        raise AuthError("key_unusable") from None
    header = {"alg": key.algorithm, "kid": key.id, "typ": "JWT"}
    claims = {
        "iss": access.client_id,
        "sub": access.client_id,
        "aud": audience,
        "iat": now,
        "exp": now + _ASSERTION_SECONDS,
        "jti": secrets.token_urlsafe(24),
    }
    return jwt.encode(header, claims, key.key, algorithms=[key.algorithm])


def auth_faults(access: AccessSettings) -> list[tuple[str, str]]:
    """The settings whose secret, key or TLS files cannot be had, and why. Never the secret itself."""
    named = next((key for key in SECRETS if getattr(access, key)), "")
    faults = _fault(named, access.secret) if named else []
    if access.auth == "smart":
        faults += _fault("key_file", lambda: signing_key(access))
    if access.tls_cert and access.tls_key:
        cert, key = access.tls_cert, access.tls_key
        faults += _fault("tls_key", lambda: _check_private(key))
        faults += _fault("tls_cert", lambda: ssl.create_default_context().load_cert_chain(cert, key, password=""))
    if access.tls_ca:
        ca = access.tls_ca
        faults += _fault("tls_ca", lambda: ssl.create_default_context(cafile=str(ca)))
    return faults


def _check_private(file: Path) -> None:
    if file.stat().st_mode & stat.S_IROTH:
        raise ValueError("everybody may read the key: chmod 600")


def _fault(key: str, read: Callable[[], object]) -> list[tuple[str, str]]:
    try:
        read()
    except ssl.SSLError as error:
        return [(key, f"the file cannot be used: {error.reason or 'no PEM'}")]
    except OSError as error:
        return [(key, f"the file cannot be read: {error.strerror or 'unknown'}")]
    except ValueError as error:
        return [(key, str(error))]
    return []
