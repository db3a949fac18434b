"""What a FHIR feed must say about itself before its resources can be read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FhirRules:
    """A feed's habits. `namespace` stands before every topic, so that `Patient/1` of two servers stay two patients.

    `time_zone` (IANA name) is given to times without an offset, `currency` (ISO 4217) to amounts without one.
    """

    namespace: str = ""
    time_zone: str = "UTC"
    currency: str = "USD"
