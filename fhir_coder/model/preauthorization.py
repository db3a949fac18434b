"""What a payer's preauthorizations say besides the claim."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase


@dataclass(frozen=True, slots=True)
class PasRules:
    """A payer's part of a Da Vinci PAS request, from `[payers.pas]` (docs/reference/settings.md says each).

    Codes are those of the X12 278: `request_type` 1525, `service_type` and the values of `service_types` 1365 (its keys
    are patterns of billing codes), `level_of_service` 1338. `identifier_system` is that of identifiers without one.
    """

    contact_phone: str
    contact_name: str = ""
    request_type: str = "HS"
    service_type: str = ""
    service_types: Mapping[str, str] = field(default_factory=dict, hash=False)
    level_of_service: str = ""
    identifier_system: str = "urn:fhir-coder:identifier"
    sender: str = ""
    receiver: str = ""

    def kind_of_service(self, billed: Iterable[str]) -> str:
        """The kind of service (X12 1365) of a line by its codes; the first pattern that fits counts. Empty: none."""
        codes = tuple(billed)
        kinds = self.service_types.items()
        return next((kind for pattern, kind in kinds if any(fnmatchcase(c, pattern) for c in codes)), self.service_type)
