"""Settings of the ways in."""

from __future__ import annotations

from datetime import date
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from fhir_coder.settings.access import AccessSettings
from fhir_coder.settings.rules import Codec, FeedRuleSettings
from fhir_coder.settings.section import Section
from fhir_coder.settings.tokens import read_token


class MllpFeed(Section):
    """An HL7 v2 listener (MLLP)."""

    name: str
    kind: Literal["mllp"]
    host: str = "127.0.0.1"
    port: int = Field(ge=0, le=65535)
    max_frame_bytes: int = Field(default=16 * 1024 * 1024, ge=1024)
    max_buffered_bytes: int = Field(default=256 * 1024 * 1024, ge=1024)
    max_connections: int = Field(default=256, ge=1)
    idle_seconds: float = Field(default=3600.0, gt=0)
    ack: Literal["auto", "original", "enhanced"] = "auto"
    allow: tuple[str, ...] = ()
    allow_names: tuple[str, ...] = ()
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    tls_minimum: Literal["1.2", "1.3"] = "1.2"
    charset: Codec = "utf-8"
    namespace: str = ""
    rules: FeedRuleSettings = FeedRuleSettings()

    @field_validator("allow")
    @classmethod
    def _networks_are_known(cls, listed: tuple[str, ...]) -> tuple[str, ...]:
        for network in listed:
            try:
                ip_network(network)
            except ValueError:
                raise ValueError("must be addresses or networks, such as 10.1.2.3 or 10.0.0.0/8") from None
        return listed

    @model_validator(mode="after")
    def _a_frame_has_room(self) -> Self:
        if self.max_buffered_bytes < self.max_frame_bytes:
            raise ValueError("max_buffered_bytes must be at least max_frame_bytes")
        return self

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together")
        if self.tls_client_ca and not self.tls_cert:
            raise ValueError("tls_client_ca needs tls_cert and tls_key")
        if self.allow_names and not self.tls_client_ca:
            raise ValueError("allow_names needs tls_client_ca: without it no peer shows a certificate")
        return self


FolderName = Annotated[str, Field(pattern=r"^[^/.][^/]*$")]


class FolderFeed(Section):
    """A watched folder. `done`, `failed` and `duplicate` are the names of its subfolders."""

    name: str
    kind: Literal["folder"]
    path: Path
    pattern: str = Field(default="*", min_length=1)
    settle_seconds: float = Field(default=0.3, ge=0)
    after: Literal["move", "delete"] = "move"
    done: FolderName = "done"
    failed: FolderName = "failed"
    duplicate: FolderName = "duplicate"
    max_message_bytes: int = Field(default=64 * 1024 * 1024, ge=1024)
    charset: Codec = "utf-8"
    namespace: str = ""
    rules: FeedRuleSettings = FeedRuleSettings()


class HttpFeed(Section):
    """POST /hl7v2 and POST /fhir. Without a token of its own it asks for that of `[http]`."""

    name: str
    kind: Literal["http"]
    token_env: str = ""
    token_file: Path | None = None
    charset: Codec = "utf-8"
    namespace: str = ""
    rules: FeedRuleSettings = FeedRuleSettings()

    def token(self) -> str:
        """The feed's own bearer token, empty where none is configured. Raises ValueError with the reason."""
        return read_token(self.token_env, self.token_file)


FhirType = Literal[
    "Account", "ChargeItem", "Condition", "Coverage", "Encounter", "ExplanationOfBenefit", "Immunization", "Procedure"
]
EXPORT_LEVEL = r"system|patient|group/[A-Za-z0-9.-]{1,64}"
"""What `bulk` may say: of whom an export is asked for."""
_BETWEEN_SEARCHES, _BETWEEN_EXPORTS = 60.0, 86400.0


class FhirFeed(AccessSettings):
    """A FHIR server that is asked for what is new: by searches, or by bulk exports where `bulk` says of whom."""

    charset: ClassVar[str] = "utf-8"  # FHIR JSON has no other

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    kind: Literal["fhir"]
    since: date
    types: tuple[FhirType, ...] = ("Encounter", "Condition", "Procedure", "ChargeItem", "Immunization", "Account")
    bulk: str = Field(default="", pattern=rf"^({EXPORT_LEVEL}|)$")
    interval_seconds: float | None = Field(default=None, gt=0)
    overlap_seconds: float = Field(default=60.0, ge=0)
    count: int = Field(default=100, ge=1, le=10_000)
    pages_per_poll: int = Field(default=100, ge=1)
    hosts: tuple[str, ...] = ()
    namespace: str = ""
    rules: FeedRuleSettings = FeedRuleSettings()

    @field_validator("types")
    @classmethod
    def _is_about_something(cls, listed: tuple[str, ...]) -> tuple[str, ...]:
        if not listed or len(set(listed)) != len(listed):
            raise ValueError("must name at least one resource type, and each once")
        return listed

    @field_validator("hosts")
    @classmethod
    def _are_origins(cls, listed: tuple[str, ...]) -> tuple[str, ...]:
        if not all(is_origin(host) for host in listed):
            raise ValueError("must be addresses without a path, such as https://files.example.org")
        return listed

    def addresses(self) -> tuple[str, ...]:
        """Its own, that of its tokens, and the hosts it may lead to."""
        return (*super().addresses(), *self.hosts)

    def pause_seconds(self) -> float:
        """Seconds from one reading to the next where all went well."""
        return self.interval_seconds or (_BETWEEN_EXPORTS if self.bulk else _BETWEEN_SEARCHES)


def is_origin(address: str) -> bool:
    """Whether an address is scheme, host and port alone."""
    parts = urlsplit(address)
    return parts.scheme in ("http", "https") and bool(parts.netloc) and address == f"{parts.scheme}://{parts.netloc}"


Feed = Annotated[MllpFeed | FolderFeed | HttpFeed | FhirFeed, Field(discriminator="kind")]
