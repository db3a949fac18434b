"""Settings of the service itself: tables, store, HTTP, worker, log."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from fhir_coder.settings.section import Section


class TableSettings(Section):
    """Which mapping tables are used."""

    dir: Path | None = None
    shipped: bool = True


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
    """Where the HTTP server listens."""

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)


class WorkerSettings(Section):
    """How many claims and charts are worked on at once, and how long a visit must be quiet before its claim is made."""

    threads: int = Field(default=4, ge=1, le=64)
    quiet_seconds: float = Field(default=0.5, ge=0)


class LogSettings(Section):
    """How the log is written (to standard error)."""

    format: Literal["console", "json"] = "console"
    level: Literal["debug", "info", "warning", "error"] = "info"
