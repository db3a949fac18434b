"""What a feed's settings say about reading its messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fhir_coder.hl7v2.charset import Policy
from fhir_coder.model import System


def _default_systems() -> dict[str, str]:
    return {"DG1": System.UNKNOWN, "FT1": System.LOCAL, "PR1": System.UNKNOWN}


@dataclass(frozen=True, slots=True)
class FeedRules:
    """How one feed's messages are read.

    `time_zone` (IANA) is meant where a time has no offset. `namespace` stands before every chart key,
    so that visit 1 of two hospitals stays two visits. `default_systems` gives the system of codes that name none, by
    field (`FT1-25`) or segment (`FT1`). `concepts` are mapping tables of v2 codes (`v2-sex`, `v2-class`,
    `v2-relationship`, `v2-identifier-type`); a code without row stays the sender's.
    """

    charset: str = "utf-8"
    charset_policy: Policy = "strict"
    charset_fallback: str = "cp1252"
    time_zone: str = "UTC"
    namespace: str = ""
    default_systems: Mapping[str, str] = field(default_factory=_default_systems)
    currency: str = "USD"
    concepts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def translated(self, table: str, code: str) -> str:
        """The FHIR code for a v2 code, or the v2 code where no row translates it."""
        rows = self.concepts.get(table)
        return rows.get(code, code) if rows else code

    def default_system(self, place: str) -> str:
        """The system of codes at a field (`FT1-25`) that name none."""
        systems = self.default_systems
        return systems.get(place, systems.get(place[:3], System.UNKNOWN))
