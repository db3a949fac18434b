"""Settings of who we are at another FHIR server, a payer or one that is read, and how its connections are made."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from fhir_coder.settings.section import Section
from fhir_coder.settings.service import is_loopback
from fhir_coder.settings.tokens import read_token

WEB_ADDRESS = r"^https?://[^/?#@\s]+(/[^?#\s]*)?$"
_PROXY = r"^$|^https?://[^/?#@\s]+/?$"


class AccessSettings(Section):
    """Authentication and TLS of a server that is asked. Secrets are named here, never written."""

    url: str = Field(pattern=WEB_ADDRESS)
    auth: Literal["none", "basic", "bearer", "client-credentials", "smart"] = "none"
    user: str = ""
    secret_env: str = ""
    secret_file: Path | None = None
    secret_keyring: str = Field(default="", pattern=r"^$|^[^/\s]+/[^/\s]+$")
    client_id: str = ""
    key_file: Path | None = None
    key_id: str = ""
    token_url: str = Field(default="", pattern=rf"^$|{WEB_ADDRESS}")
    scope: str = "system/*.read"
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_ca: Path | None = None
    tls_minimum: Literal["1.2", "1.3"] = "1.2"
    proxy: str = Field(default="", pattern=_PROXY)
    connect_timeout: float = Field(default=5.0, gt=0)
    read_timeout: float = Field(default=60.0, gt=0)

    @model_validator(mode="after")
    def _access_is_whole(self) -> Self:
        missing = [key for key in _AUTH_NEEDS[self.auth] if not getattr(self, key)]
        if missing:
            raise ValueError(f'auth = "{self.auth}" needs {" and ".join(missing)}')
        named = [key for key in SECRETS if getattr(self, key)]
        if self.auth in _AUTH_BY_SECRET and not named:
            raise ValueError(f'auth = "{self.auth}" needs secret_env, secret_file or secret_keyring')
        if named and self.auth not in _AUTH_BY_SECRET:
            raise ValueError(f'{named[0]} is not used with auth = "{self.auth}"')
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together")
        if self.auth != "none" and not all(map(is_guarded, self.addresses())):
            raise ValueError("nothing secret is sent over http:// to another machine: use https://")
        return self

    def addresses(self) -> tuple[str, ...]:
        """Every address that is shown who we are."""
        return (self.url, self.token_url) if self.token_url else (self.url,)

    def secret(self) -> str:
        """The password, bearer token or client secret, empty where none is named. Raises ValueError with the reason."""
        return read_token(self.secret_env, self.secret_file, self.secret_keyring)


SECRETS = ("secret_env", "secret_file", "secret_keyring")
"""The settings that say where a secret is; the first that is set counts."""

_AUTH_NEEDS = {
    "none": (),
    "basic": ("user",),
    "bearer": (),
    "client-credentials": ("client_id",),
    "smart": ("client_id", "key_file"),
}
_AUTH_BY_SECRET = frozenset({"basic", "bearer", "client-credentials"})


def is_guarded(address: str) -> bool:
    """Whether what is sent to an address cannot be read on the way: by TLS, or because it stays on this machine."""
    parts = urlsplit(address)
    return parts.scheme == "https" or is_loopback(parts.hostname or "")
