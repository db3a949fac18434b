"""What a feed's settings say about reading its messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fhir_coder.hl7v2.charset import Policy
from fhir_coder.hl7v2.places import Relocations
from fhir_coder.model import System

DEFAULT_SYSTEMS: Mapping[str, str] = {"DG1": System.UNKNOWN, "FT1": System.LOCAL, "PR1": System.UNKNOWN}
"""The systems of codes that name none, by segment, where a feed says nothing else."""


@dataclass(frozen=True, slots=True)
class FeedRules:
    """How one feed's messages are read.

    `time_zone` (IANA) is meant where a time has no offset. `namespace` stands before every chart key,
    so that visit 1 of two hospitals stays two visits. `default_systems` gives the system of codes that name none, by
    field (`FT1-25`) or segment (`FT1`); `code_systems` the systems that names of the sender (in capitals) mean.
    `bill` and `ignore` are message types (`ORU^R01`, `ORU^*`) read besides, or in spite of, what is read by default.
    `relocations` are fields that stand elsewhere. `concepts` are mapping tables of v2 codes (`v2-sex`, `v2-class`,
    `v2-relationship`, `v2-identifier-type`, `v2-admission-type`, `v2-discharge-disposition`); a code without row
    stays the sender's.
    """

    charset: str = "utf-8"
    charset_policy: Policy = "strict"
    charset_fallback: str = "cp1252"
    time_zone: str = "UTC"
    namespace: str = ""
    default_systems: Mapping[str, str] = field(default_factory=lambda: DEFAULT_SYSTEMS)
    code_systems: Mapping[str, str] = field(default_factory=dict)
    bill: frozenset[str] = frozenset()
    ignore: frozenset[str] = frozenset()
    relocations: Relocations = field(default_factory=dict)
    currency: str = "USD"
    concepts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def translated(self, table: str, code: str) -> str:
        """The code of FHIR or of the bill for a v2 code, or the v2 code where no row translates it."""
        rows = self.concepts.get(table)
        return rows.get(code, code) if rows else code

    def default_system(self, place: str) -> str:
        """The system of codes at a field (`FT1-25`) that name none."""
        systems = self.default_systems
        return systems.get(place, systems.get(place[:3], System.UNKNOWN))
