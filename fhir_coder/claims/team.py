"""Claim.careTeam: everyone who had a part, once for each role, with role and taxonomy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fhir_coder.claims.contained import Parties
from fhir_coder.claims.elements import codeable, without_empty
from fhir_coder.model import CareTeamMember, Json, Practitioner

_ROLE = "http://terminology.hl7.org/CodeSystem/claimcareteamrole"
_CARIN_ROLE = "http://hl7.org/fhir/us/carin-bb/CodeSystem/C4BBClaimCareTeamRole"
_TAXONOMY = "http://nucc.org/provider-taxonomy"

_STANDARD_ROLES: Mapping[str, str] = {
    **dict.fromkeys(("rendering", "surgeon", "attending", "primary"), "primary"),
    "supervising": "supervisor",
    "assisting": "assist",
}
"""All others are `other` in the standard's list of four."""

_CARIN_ROLES: Mapping[str, str] = {
    "attending": "attending",
    "referring": "referring",
    "rendering": "rendering",
    "surgeon": "operating",
}
"""The roles of the uniform bill (UB-04 FL 76 to 79) and of the 837, where that list has them."""


class CareTeam:
    """Collects the care team of one claim. The first surgeon is the operating one, further ones other operating."""

    def __init__(self, parties: Parties) -> None:
        self.entries: list[Json] = []
        self._parties = parties
        self._sequences: dict[tuple[str, str], int] = {}
        self._operating = ""

    def add_all(self, members: Iterable[CareTeamMember]) -> list[int]:
        """The careTeam sequences of those who are known by more than a reference, each added once."""
        return list(dict.fromkeys(self._add(m.role, m.practitioner) for m in members if m.practitioner))

    def _add(self, role: str, person: Practitioner) -> int:
        provider = self._parties.add_practitioner(person)
        known = self._sequences.get((role, provider["reference"]))
        if known:
            return known
        sequence = len(self.entries) + 1
        entry = {
            "sequence": sequence,
            "provider": provider,
            "role": {"coding": self._codings(role, provider["reference"]), "text": role},
            "qualification": codeable(_TAXONOMY, person.taxonomy),
        }
        self.entries.append(without_empty(entry))
        self._sequences[role, provider["reference"]] = sequence
        return sequence

    def _codings(self, role: str, person: str) -> list[Json]:
        standard = {"system": _ROLE, "code": _STANDARD_ROLES.get(role, "other")}
        code = _CARIN_ROLES.get(role, "")
        if role == "surgeon":
            self._operating = self._operating or person
            code = "operating" if self._operating == person else "otheroperating"
        return [standard, {"system": _CARIN_ROLE, "code": code}] if code else [standard]
