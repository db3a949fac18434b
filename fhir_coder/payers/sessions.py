"""HTTP sessions by the settings of a server: private authority, client certificate, least TLS version, proxy.

Certificates and host names are always checked. Nothing of the environment counts: proxies and .netrc are not of the
settings. Tokens are had over a session of their own.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Mapping
from datetime import UTC, datetime

import requests
from urllib3.exceptions import HTTPError

from fhir_coder.payers.answer import HttpAnswer, read_json, text
from fhir_coder.payers.auth import AuthError, Form
from fhir_coder.payers.connections import NoticingAdapter
from fhir_coder.settings.access import AccessSettings

FAILURES = (requests.RequestException, HTTPError, OSError)
"""What a request may raise where no answer came."""

MAX_TOKEN_BYTES = 1024 * 1024
"""More than any token or smart-configuration."""

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def open_session(access: AccessSettings) -> requests.Session:
    """A session that connects as the settings say. It follows nothing and repeats nothing by itself."""
    session = requests.Session()
    session.trust_env = False
    adapter = NoticingAdapter(_VERSIONS[access.tls_minimum])
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    if access.tls_cert and access.tls_key:
        session.cert = (str(access.tls_cert), str(access.tls_key))
    session.verify = str(access.tls_ca) if access.tls_ca else True
    if access.proxy:
        session.proxies = {"http": access.proxy, "https": access.proxy}
    return session


class SessionTokenDesk:
    """Asks for tokens over a session of its own (`payers.auth.TokenDesk`). One thread asks at a time."""

    def __init__(self, access: AccessSettings) -> None:
        self._access = access
        self._timeout = (access.connect_timeout, access.read_timeout)
        self._own = threading.local()
        self._named = ""

    def token_url(self) -> str:
        """Where tokens are had: the setting, else what the server says (SMART App Launch 2.2, conformance)."""
        if self._access.token_url or self._named:
            return self._access.token_url or self._named
        place = f"{self._access.url.rstrip('/')}/.well-known/smart-configuration"
        answer = self._asked("GET", place, {"Accept": "application/json"}, None)
        self._named = text(read_json(answer.body), "token_endpoint") if answer.status == 200 else ""
        if not self._named:
            raise AuthError("no_token_endpoint", answer.status)
        return self._named

    def post_form(self, url: str, form: Form, headers: Mapping[str, str]) -> HttpAnswer:
        """Post a form to the token endpoint. Raises AuthError where no answer came."""
        return self._asked("POST", url, {"Accept": "application/json", **headers}, form)

    def _asked(self, method: str, url: str, headers: Mapping[str, str], form: Form | None) -> HttpAnswer:
        try:
            with (
                open_session(self._access) as session,  # tokens are asked for seldom
                session.request(
                    method,
                    url,
                    headers=dict(headers),
                    data=form,
                    timeout=self._timeout,
                    allow_redirects=False,
                    stream=True,
                ) as response,
            ):
                body = response.raw.read(MAX_TOKEN_BYTES, decode_content=True)
                return HttpAnswer(response.status_code, received_at=datetime.now(UTC), body=body)
        except (*FAILURES, ValueError):
            raise AuthError("token_endpoint_not_reached") from None
