"""What the terminology routes offer, as `GET /fhir/metadata` says it (CapabilityStatement, TerminologyCapabilities)."""

from __future__ import annotations

from datetime import date

from fhir_coder import __version__
from fhir_coder.model import Json, System
from fhir_coder.terminology.codesets.book import SetSummary
from fhir_coder.terminology.codesets.lists import KINDS
from fhir_coder.web.terminology_maps import SEARCH

_DEFINITIONS = "http://hl7.org/fhir/OperationDefinition"
_SEARCH_TYPES = {"code": "token", "uri": "uri", "string": "string"}
_URIS = {"icd10cm": System.ICD10CM, "icd10pcs": System.ICD10PCS} | {kind.name: kind.system for kind in KINDS}

RESOURCES: tuple[Json, ...] = (
    {
        "type": "CodeSystem",
        "operation": [
            {"name": "lookup", "definition": f"{_DEFINITIONS}/CodeSystem-lookup"},
            {"name": "validate-code", "definition": f"{_DEFINITIONS}/CodeSystem-validate-code"},
        ],
    },
    {
        "type": "ConceptMap",
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        "versioning": "no-version",
        "searchParam": [
            {"name": one.name, "type": _SEARCH_TYPES[one.kind], "documentation": one.text}
            for one in SEARCH
            if one.name not in ("_count", "_offset", "_summary", "source-code", "status", "version")
        ]
        + [{"name": name, "type": "token"} for name in ("source-code", "status", "version")],
        "operation": [{"name": "translate", "definition": f"{_DEFINITIONS}/ConceptMap-translate"}],
    },
)
"""What the CapabilityStatement says of terminology, below `rest.resource`."""


def terminology_capabilities(sets: list[SetSummary], since: date, fhir_version: str) -> Json:
    """The TerminologyCapabilities: the code sets that are loaded, in their editions, and what may be asked of them."""
    editions: dict[str, list[Json]] = {}
    for one in sets:
        if uri := _URIS.get(one.name):
            editions.setdefault(uri, []).append({"code": one.edition})
    said: Json = {
        "resourceType": "TerminologyCapabilities",
        "status": "active",
        "date": since.isoformat(),
        "kind": "instance",
        "software": {"name": "fhir_coder", "version": __version__},
        "implementation": {"description": "The mapping tables and code sets that claims are coded by"},
        "codeSystem": [{"uri": uri, "version": versions} for uri, versions in editions.items()],
        "validateCode": {"translations": False},
        "translation": {"needsMap": False},
    }
    if fhir_version.startswith("5"):
        said["codeSystem"] = [{**one, "content": "complete"} for one in said["codeSystem"]]
    return said
