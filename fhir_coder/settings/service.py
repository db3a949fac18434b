"""Settings of the service itself: tables, store, HTTP, worker, log."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from fhir_coder.settings.section import Section
from fhir_coder.settings.tokens import read_token


class TableSettings(Section):
    """Which mapping tables are used."""

    dir: Path | None = None
    shipped: bool = True
    when_unknown: Literal["gap", "default-row"] = "gap"
    replace_ended_codes: bool = False
    serve_licensed: bool = False


class StoreSettings(Section):
    """Where the ledger is."""

    url: str = "sqlite:///fhir-coder.db"

    @field_validator("url")
    @classmethod
    def _is_sqlite(cls, url: str) -> str:
        if not url.removeprefix("sqlite:///") or not url.startswith("sqlite:///"):
            raise ValueError("must be sqlite:///FILE")
        return url


class HttpSettings(Section):
    """Where the HTTP server listens, and who may ask it."""

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    token_env: str = ""
    token_file: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    tls_minimum: Literal["1.2", "1.3"] = "1.2"
    behind_proxy: bool = False
    max_body_bytes: int = Field(default=16 * 1024 * 1024, ge=1024)

    @model_validator(mode="after")
    def _is_guarded(self) -> HttpSettings:
        if bool(self.tls_cert) != bool(self.tls_key):
            raise ValueError("tls_cert and tls_key belong together")
        if self.tls_client_ca and not self.tls_cert:
            raise ValueError("tls_client_ca needs tls_cert and tls_key")
        if not self.behind_proxy and not is_loopback(self.host):
            self._check_open_to_others()
        return self

    def _check_open_to_others(self) -> None:
        """Refuse an address that others reach without TLS or without authentication: what comes in is PHI."""
        missing = [] if self.tls_cert else ["TLS (tls_cert, tls_key)"]
        if not (self.token_env or self.token_file or self.tls_client_ca):
            missing.append("authentication (token_env, token_file or tls_client_ca)")
        if missing:
            raise ValueError(
                f"host is reached from other machines without {' and '.join(missing)}; "
                "behind_proxy = true where a proxy in front does both"
            )

    def token(self) -> str:
        """The bearer token of status, metrics and pages. Raises ValueError with the reason."""
        return read_token(self.token_env, self.token_file)


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class WorkerSettings(Section):
    """How many claims and charts are worked on at once, and how long a visit must be quiet before its claim is made."""

    threads: int = Field(default=4, ge=1, le=64)
    quiet_seconds: float = Field(default=0.5, ge=0)


class LogSettings(Section):
    """How the log is written (to standard error)."""

    format: Literal["console", "json"] = "console"
    level: Literal["debug", "info", "warning", "error"] = "info"
