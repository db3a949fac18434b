"""The sandbox's token endpoint: OAuth 2 client credentials (RFC 6749 4.4), by secret or by signed assertion.

Assertions are those of SMART App Launch 2.2, "Client Authentication: Asymmetric": RS384 or ES384.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import parse_qsl, unquote_plus

import orjson
import requests
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from fhir_coder.model import Json
from fhir_coder.payers.answer import read_json, text
from fhir_coder.payers.sandbox.rules import Client, Rules

TOKEN_PATH = "/oauth/token"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ALGORITHMS = ["RS384", "ES384"]
_LONGEST_ASSERTION = 300
_CLOCKS_DIFFER = 30
_KEYS_TIMEOUT = 5


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A request for a token: the form as sent, the Authorization header, and the addresses an assertion may name."""

    body: bytes
    authorization: str
    audiences: frozenset[str]


class _RefusedError(Exception):
    """No token: the text is the error code of RFC 6749 5.2."""


class TokenDesk:
    """Issues tokens and knows those in force. Any thread may use it. Tokens are kept as hashes."""

    def __init__(self, rules: Rules, clock: Callable[[], datetime]) -> None:
        self._clients = {client.id: client for client in rules.clients}
        self._seconds, self._clock = rules.token_seconds, clock
        self._lock = threading.Lock()
        self._until: dict[bytes, float] = {}
        self._seen: dict[str, float] = {}

    @property
    def is_asked_for(self) -> bool:
        """Whether requests need a token at all."""
        return bool(self._clients)

    def issue(self, request: TokenRequest) -> tuple[int, Json]:
        """The answer to a request for a token: status and body."""
        form = dict(parse_qsl(request.body.decode("utf-8", "replace")))
        try:
            self._check(form, request)
        except _RefusedError as refused:
            return (401 if str(refused) == "invalid_client" else 400), {"error": str(refused)}
        token, now = secrets.token_urlsafe(32), self._clock().timestamp()
        with self._lock:
            self._until = {t: until for t, until in self._until.items() if until > now}
            self._until[_hash(token)] = now + self._seconds
        said = {"access_token": token, "token_type": "bearer", "expires_in": self._seconds}
        return 200, said | ({"scope": form["scope"]} if form.get("scope") else {})

    def accepts(self, authorization: str) -> bool:
        """Whether an Authorization header shows a token that is in force."""
        scheme, _, token = authorization.partition(" ")
        with self._lock:
            until = self._until.get(_hash(token.strip()), 0.0)
        return scheme.lower() == "bearer" and until > self._clock().timestamp()

    def revoke(self) -> None:
        """Take every token back."""
        with self._lock:
            self._until.clear()

    def _check(self, form: Mapping[str, str], request: TokenRequest) -> None:
        if form.get("grant_type") != "client_credentials":
            raise _RefusedError("unsupported_grant_type" if form.get("grant_type") else "invalid_request")
        if form.get("client_assertion"):
            self._check_assertion(form, request.audiences)
        else:
            self._check_secret(form, request.authorization)

    def _check_secret(self, form: Mapping[str, str], authorization: str) -> None:
        shown = _basic(authorization) if authorization else (form.get("client_id", ""), form.get("client_secret", ""))
        client = self._clients.get(shown[0])
        if not client or not client.secret or not hmac.compare_digest(client.secret.encode(), shown[1].encode()):
            raise _RefusedError("invalid_client")

    def _check_assertion(self, form: Mapping[str, str], audiences: frozenset[str]) -> None:
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            raise _RefusedError("invalid_request")
        client = self._clients.get(_issuer(form["client_assertion"]))
        if not client or not client.keys:
            raise _RefusedError("invalid_client")
        try:
            claims = jwt.decode(form["client_assertion"], _keys_of(client), algorithms=_ALGORITHMS).claims
        except (JoseError, ValueError, KeyError, TypeError, OSError):
            raise _RefusedError("invalid_client") from None
        if not self._is_good(claims, client, audiences):
            raise _RefusedError("invalid_client")

    def _is_good(self, claims: Mapping[str, object], client: Client, audiences: frozenset[str]) -> bool:
        now, until, name = self._clock().timestamp(), claims.get("exp"), claims.get("jti")
        if not isinstance(until, int | float) or not now < until + _CLOCKS_DIFFER:
            return False
        named = claims.get("aud")
        is_for_us = any(
            isinstance(one, str) and one in audiences for one in (named if isinstance(named, list) else [named])
        )
        is_ours = claims.get("iss") == claims.get("sub") == client.id and is_for_us
        is_short = until <= now + _LONGEST_ASSERTION + _CLOCKS_DIFFER
        return (
            is_ours and is_short and isinstance(name, str) and bool(name) and self._is_new(f"{client.id} {name}", until)
        )

    def _is_new(self, name: str, until: float) -> bool:
        """Whether an assertion was never shown before: each is good once."""
        now = self._clock().timestamp() - _CLOCKS_DIFFER
        with self._lock:
            self._seen = {n: end for n, end in self._seen.items() if end > now}
            is_new = name not in self._seen
            self._seen[name] = until
        return is_new


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _basic(authorization: str) -> tuple[str, str]:
    """Id and secret of a basic Authorization header: form-encoded, RFC 6749 2.3.1."""
    scheme, _, shown = authorization.partition(" ")
    try:
        user, _, secret = base64.b64decode(shown, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise _RefusedError("invalid_client") from None
    if scheme.lower() != "basic":
        raise _RefusedError("invalid_client")
    return unquote_plus(user), unquote_plus(secret)


def _issuer(assertion: str) -> str:
    """Who an assertion says it is from, before its signature is checked: the client whose keys are to check it."""
    parts = assertion.split(".")
    try:
        body = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
    except (IndexError, binascii.Error):
        return ""
    return text(read_json(body), "iss")


def _keys_of(client: Client) -> KeySet:
    """The client's public keys. Raises ValueError or OSError (of which requests' errors are) where there are none."""
    if client.keys.startswith(("http://", "https://")):
        answer = requests.get(client.keys, timeout=_KEYS_TIMEOUT, allow_redirects=False)
        answer.raise_for_status()
        said = answer.content
    else:
        said = Path(client.keys).read_bytes()
    return KeySet.import_key_set(orjson.loads(said))


def smart_configuration(base: str) -> Json:
    """What `.well-known/smart-configuration` says of a server at `base`, its root address."""
    return {
        "token_endpoint": f"{base}{TOKEN_PATH}",
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": _ALGORITHMS,
        "scopes_supported": ["system/Claim.*", "system/ClaimResponse.*", "system/*.*"],
        "capabilities": ["client-confidential-asymmetric", "client-confidential-symmetric", "permission-v1"],
    }
