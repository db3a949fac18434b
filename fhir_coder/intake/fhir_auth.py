"""Who we are for a FHIR server: basic, bearer, OAuth 2 client credentials, SMART backend services.

SMART App Launch 2.2 "Client Authentication: Asymmetric" and "Backend Services"; RFC 6749 4.4 for client credentials.
"""

from __future__ import annotations

import base64
import secrets
import ssl
import stat
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote_plus

import orjson
from joserfc import jwk, jwt
from joserfc.errors import JoseError

from fhir_coder.intake.fhir_errors import FhirServerError
from fhir_coder.payers.answer import HttpAnswer, read_json, text
from fhir_coder.settings import FhirFeed
from fhir_coder.settings.feeds import is_guarded
from fhir_coder.settings.tokens import owned_text

_ASSERTION_SECONDS = 240
"""How long an assertion is good for: SMART allows five minutes, and clocks differ."""
_NAMED_LIFE = 300.0
"""Seconds a token is taken to live where the server does not say."""
_ALGORITHMS = {"RSA": "RS384", "P-384": "ES384"}
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

Form = Mapping[str, str]


class TokenDesk(Protocol):
    """Asks a server for tokens, over HTTP."""

    def post_form(self, url: str, form: Form, headers: Mapping[str, str]) -> HttpAnswer:
        """Post a form; the answer of any status. Raises FhirServerError where none came."""

    def token_url(self) -> str:
        """Where tokens are had. Raises FhirServerError where that cannot be found out."""


class Auth(Protocol):
    """What a request says of who sends it."""

    def authorization(self, desk: TokenDesk) -> str:
        """The Authorization header, empty where there is none. Raises FhirServerError where no token is to be had."""

    def renew(self) -> bool:
        """Forget what was answered with 401; False where there is nothing else to show."""


def auth_of(feed: FhirFeed) -> Auth:
    """What the settings of a feed say. Secrets and keys are read when needed, so that new ones need no restart."""
    if feed.auth == "client-credentials":
        return _Tokens(lambda desk: _by_secret(feed, desk))
    if feed.auth == "smart":
        return _Tokens(lambda desk: _by_assertion(feed, desk))
    return _Shown(feed)


class _Shown:
    """A password or bearer token shown as it is; read again after a 401, as its file may have a new one."""

    def __init__(self, feed: FhirFeed) -> None:
        self._feed, self._known = feed, ""

    def authorization(self, _desk: TokenDesk) -> str:
        self._known = self._known or self._read()
        return self._known

    def renew(self) -> bool:
        before, self._known = self._known, ""
        return bool(before) and self._read() != before

    def _read(self) -> str:
        if self._feed.auth == "none":
            return ""
        secret = read_secret(self._feed)
        if self._feed.auth == "bearer":
            return f"Bearer {secret}"
        return _basic(self._feed.user, secret)


def read_secret(feed: FhirFeed) -> str:
    """The secret of a feed. Raises FhirServerError (`secret_missing`) where it cannot be read."""
    try:
        return feed.secret()
    except ValueError:
        raise FhirServerError("secret_missing") from None


def _basic(user: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode("ascii")


@dataclass(frozen=True, slots=True)
class _Token:
    """An access token; `until` is on the monotonic clock."""

    value: str
    until: float


class _Tokens:
    """Access tokens that are asked for anew before they end."""

    def __init__(self, ask: Callable[[TokenDesk], HttpAnswer]) -> None:
        self._ask = ask
        self._token: _Token | None = None

    def authorization(self, desk: TokenDesk) -> str:
        if self._token is None or time.monotonic() >= self._token.until:
            self._token = _token_of(self._ask(desk), time.monotonic())
        return f"Bearer {self._token.value}"

    def renew(self) -> bool:
        had, self._token = self._token, None
        return had is not None


def _token_of(answer: HttpAnswer, now: float) -> _Token:
    said: Any = read_json(answer.body)
    value = text(said, "access_token")
    if answer.status != 200 or not value or text(said, "token_type").lower() not in ("", "bearer"):
        # RFC 6749 5.2: `error` is a fixed word (invalid_client, invalid_scope), but nothing keeps a server to it.
        raise FhirServerError("token_refused", answer.status)
    if not value.isascii() or not value.isprintable() or " " in value:
        raise FhirServerError("token_unusable", answer.status)
    lives = said.get("expires_in")
    seconds = float(lives) if isinstance(lives, int) and lives > 0 else _NAMED_LIFE
    return _Token(value, now + seconds - min(60.0, seconds / 5))


def _by_secret(feed: FhirFeed, desk: TokenDesk) -> HttpAnswer:
    # RFC 6749 2.3.1: id and secret are form-encoded before they go into the header.
    shown = _basic(quote_plus(feed.client_id), quote_plus(read_secret(feed)))
    form = {"grant_type": "client_credentials", "scope": feed.scope}
    return desk.post_form(_guarded(desk.token_url()), form, {"Authorization": shown})


def _by_assertion(feed: FhirFeed, desk: TokenDesk) -> HttpAnswer:
    url = _guarded(desk.token_url())
    form = {
        "grant_type": "client_credentials",
        "scope": feed.scope,
        "client_assertion_type": _ASSERTION_TYPE,
        "client_assertion": assertion(feed, url, int(time.time())),
    }
    return desk.post_form(url, form, {})


def _guarded(url: str) -> str:
    """A token address the server named may lead anywhere: nothing secret goes there unencrypted."""
    if not is_guarded(url):
        raise FhirServerError("token_url_not_https")
    return url


def assertion(feed: FhirFeed, audience: str, now: int) -> str:
    """A signed JWT that says who we are; `now` is in seconds since 1970. Raises FhirServerError (`key_unusable`)."""
    try:
        key = signing_key(feed)
    except ValueError:
        raise FhirServerError("key_unusable") from None
    header = {"alg": key.algorithm, "kid": key.id, "typ": "JWT"}
    claims = {
        "iss": feed.client_id,
        "sub": feed.client_id,
        "aud": audience,
        "iat": now,
        "exp": now + _ASSERTION_SECONDS,
        "jti": secrets.token_urlsafe(24),
    }
    return jwt.encode(header, claims, key.key, algorithms=[key.algorithm])


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key with the id the server knows it by and what it signs with: RS384 or ES384."""

    key: jwk.RSAKey | jwk.ECKey
    id: str
    algorithm: str


def signing_key(feed: FhirFeed) -> SigningKey:
    """The key of a feed from its file: PEM, JWK or JWK Set. Raises ValueError with the reason, never with the key."""
    assert feed.key_file is not None  # the settings ask for it
    content = owned_text(feed.key_file)
    key = _from_jwk(content, feed.key_id) if content.lstrip().startswith("{") else _from_pem(content)
    if not isinstance(key, jwk.RSAKey | jwk.ECKey) or not key.is_private:
        raise ValueError("the file holds no private RSA or EC key")
    algorithm = _ALGORITHMS.get("RSA" if isinstance(key, jwk.RSAKey) else key.curve_name)
    if algorithm is None:
        raise ValueError("the key must be RSA (RS384) or EC P-384 (ES384)")
    name = feed.key_id or key.kid
    if not name:
        raise ValueError("the key has no id: set key_id to what the server knows it by")
    return SigningKey(key, name, algorithm)


def _from_pem(content: str) -> object:
    kinds: tuple[Any, ...] = ("RSA", "EC")
    for kind in kinds:
        try:
            return jwk.import_key(content, kind)
        except (ValueError, TypeError, JoseError):
            continue
    raise ValueError("the file holds no private RSA or EC key without a passphrase")


def _from_jwk(content: str, key_id: str) -> object:
    try:
        said = orjson.loads(content)
        keys = said.get("keys", [said])
        wanted = [k for k in keys if not key_id or k.get("kid", key_id) == key_id]
        if len(wanted) != 1:
            raise ValueError("the set has several keys or not the one that key_id names")
        return jwk.import_key(wanted[0], wanted[0].get("kty"))
    except (AttributeError, TypeError, KeyError, JoseError, orjson.JSONDecodeError):
        raise ValueError("the file holds no JWK") from None


def auth_faults(feed: FhirFeed) -> list[tuple[str, str]]:
    """The settings of a feed whose secret, key or TLS files cannot be had, and why. Never the secret itself."""
    faults = []
    if feed.secret_env or feed.secret_file:
        faults += _fault("secret_env" if feed.secret_env else "secret_file", feed.secret)
    if feed.auth == "smart":
        faults += _fault("key_file", lambda: signing_key(feed))
    if feed.tls_cert and feed.tls_key:
        cert, key = feed.tls_cert, feed.tls_key
        faults += _fault("tls_key", lambda: _check_private(key))
        faults += _fault("tls_cert", lambda: ssl.create_default_context().load_cert_chain(cert, key, password=""))
    if feed.tls_ca:
        ca = feed.tls_ca
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
