"""Settings of the ways in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from fhir_coder.settings.section import Section


class MllpFeed(Section):
    """An HL7 v2 listener (MLLP)."""

    name: str
    kind: Literal["mllp"]
    host: str = "127.0.0.1"
    port: int = Field(ge=0, le=65535)
    max_frame_bytes: int = Field(default=16 * 1024 * 1024, ge=1024)
    charset: str = "utf-8"
    namespace: str = ""


class FolderFeed(Section):
    """A watched folder."""

    name: str
    kind: Literal["folder"]
    path: Path
    charset: str = "utf-8"
    namespace: str = ""


class HttpFeed(Section):
    """POST /hl7v2 and POST /fhir."""

    name: str
    kind: Literal["http"]
    charset: str = "utf-8"
    namespace: str = ""


Feed = Annotated[MllpFeed | FolderFeed | HttpFeed, Field(discriminator="kind")]
