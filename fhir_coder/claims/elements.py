"""Small FHIR elements every part of a claim is made of."""

from __future__ import annotations

from fhir_coder.model import Json


def codeable(system: str, code: str) -> Json | None:
    """A CodeableConcept of one code, None where there is no code."""
    return {"coding": [{"system": system, "code": code}]} if code else None


def without_empty(resource: Json) -> Json:
    """The resource without members that have nothing to say (FHIR R4 2.24.0: no empty values on the wire)."""
    return {k: v for k, v in resource.items() if v not in (None, "", [], {})}
