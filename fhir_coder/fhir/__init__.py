"""FHIR R4 resources, Bundles and NDJSON lines to facts (R4: 4.0.1). Plain JSON; no model classes in the hot path."""

from __future__ import annotations

from fhir_coder.fhir.facts import facts_from_message
from fhir_coder.fhir.reader import (
    BILLED_TYPES,
    DELETE,
    is_billed,
    load,
    looks_like_fhir,
    looks_like_json,
    read_header,
    split_ndjson,
)
from fhir_coder.fhir.rules import FhirRules
from fhir_coder.fhir.types import KNOWN_TYPES

__all__ = [
    "BILLED_TYPES",
    "DELETE",
    "KNOWN_TYPES",
    "FhirRules",
    "facts_from_message",
    "is_billed",
    "load",
    "looks_like_fhir",
    "looks_like_json",
    "read_header",
    "split_ndjson",
]
