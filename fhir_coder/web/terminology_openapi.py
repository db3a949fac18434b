"""The OpenAPI document of the terminology routes, made of the parameters that they take."""

from __future__ import annotations

from collections.abc import Sequence

from fhir_coder import __version__
from fhir_coder.model import Json
from fhir_coder.web.refusal import FHIR_JSON
from fhir_coder.web.terminology_codes import LOOKUP, VALIDATE
from fhir_coder.web.terminology_maps import READ, SEARCH
from fhir_coder.web.terminology_parameters import LONGEST, Parameter
from fhir_coder.web.terminology_translate import translate_parameters

_TEXT: Json = {"type": "string", "minLength": 1, "maxLength": LONGEST}
_SCHEMAS: dict[str, Json] = {
    **dict.fromkeys(("code", "uri", "string"), _TEXT),
    "dateTime": {"type": "string", "format": "date"},
    "boolean": {"type": "boolean"},
    "integer": {"type": "integer", "minimum": 0, "maximum": 999_999_999},
}
_FORMAT: Json = {
    "name": "_format",
    "in": "query",
    "description": "`application/fhir+json`, with `; fhirVersion=5.0` for R5. As Accept; empty says nothing.",
    "schema": {"type": "string", "enum": ["", "json", FHIR_JSON, f"{FHIR_JSON}; fhirVersion=5.0"]},
}
_ID: Json = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "The id of a ConceptMap.",
    "schema": {"type": "string", "pattern": r"^[A-Za-z0-9.\-]{1,64}$"},
    "example": "snomed-to-icd10cm",
}
_REFUSALS = {
    "400": "A parameter is missing, not known or cannot be read; `expression` names it.",
    "401": "The token is missing or another.",
    "403": "The texts of the code set are licensed to the site.",
    "404": "No table of this url or id, no loaded code set of this system, no such code.",
    "406": "Answers are JSON of FHIR 4.0, 4.3 or 5.0.",
    "422": "It can be read and cannot be answered.",
    "503": "The tables or code sets cannot be read.",
}
_BODY_REFUSALS = {"413": "The body is larger than 1 MiB.", "415": "The body is not of a type that is taken."}
_OUTCOME: Json = {"$ref": "#/components/schemas/OperationOutcome"}
_CODING: Json = {
    "type": "object",
    "properties": {"system": _SCHEMAS["uri"], "code": _SCHEMAS["code"], "display": _SCHEMAS["string"]},
}
_CONCEPT: Json = {
    "type": "object",
    "properties": {"coding": {"type": "array", "items": _CODING}, "text": {"type": "string"}},
}

_EXAMPLES: dict[str, list[Json]] = {
    "ConceptMap-translate": [
        {"name": "system", "valueUri": "http://snomed.info/sct"},
        {"name": "code", "valueCode": "38341003"},
        {
            "name": "dependency",
            "part": [
                {"name": "element", "valueUri": "urn:fhir-coder:row:age"},
                {"name": "concept", "valueCodeableConcept": {"text": "70"}},
            ],
        },
    ],
    "CodeSystem-lookup": [
        {"name": "coding", "valueCoding": {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "E11.9"}},
        {"name": "date", "valueDateTime": "2026-11-03"},
    ],
    "CodeSystem-validate-code": [
        {"name": "url", "valueUri": "http://hl7.org/fhir/sid/icd-10-cm"},
        {"name": "code", "valueCode": "E11.9"},
    ],
}
_ANSWERS: dict[str, list[Json]] = {
    "ConceptMap-translate": [
        {"name": "result", "valueBoolean": True},
        {
            "name": "match",
            "part": [
                {"name": "equivalence", "valueCode": "relatedto"},
                {
                    "name": "concept",
                    "valueCoding": {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "I10"},
                },
                {"name": "source", "valueUri": "urn:fhir-coder:table:snomed-to-icd10cm|2026.11"},
                {"name": "table", "valueString": "snomed-to-icd10cm"},
                {"name": "row", "valueInteger": 42},
                {"name": "version", "valueString": "snomed-to-icd10cm@0123abcd"},
            ],
        },
    ],
    "CodeSystem-lookup": [
        {"name": "name", "valueString": "ICD-10-CM"},
        {"name": "display", "valueString": "Type 2 diabetes mellitus without complications"},
        {
            "name": "property",
            "part": [{"name": "code", "valueCode": "billable"}, {"name": "value", "valueBoolean": True}],
        },
    ],
    "CodeSystem-validate-code": [
        {"name": "result", "valueBoolean": True},
        {"name": "display", "valueString": "Type 2 diabetes mellitus without complications"},
    ],
}


def openapi() -> Json:
    """The document (OpenAPI 3.1)."""
    translate = translate_parameters()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "fhir_coder: terminology",
            "version": __version__,
            "description": "The mapping tables and code sets that claims are coded by, as FHIR operations. "
            "What feeds send is described in docs/reference/http.md.",
        },
        "security": [{"bearer": []}, {}],
        "paths": {
            "/fhir/metadata": _metadata(),
            "/fhir/ConceptMap/$translate": _operation("ConceptMap-translate", "Translate a code", translate),
            "/fhir/ConceptMap/{id}/$translate": _operation(
                "ConceptMap-translate", "Translate a code by one table", translate, [_ID]
            ),
            "/fhir/ConceptMap": {"get": _search("searchConceptMaps", [*map(_in_query, SEARCH), _FORMAT])},
            "/fhir/ConceptMap/_search": {"post": _search("searchConceptMapsByForm", []) | {"requestBody": _form()}},
            "/fhir/ConceptMap/{id}": {"get": _read()},
            "/fhir/CodeSystem/$lookup": _operation("CodeSystem-lookup", "What a code means on a date", LOOKUP),
            "/fhir/CodeSystem/$validate-code": _operation(
                "CodeSystem-validate-code", "Whether a code is valid on a date", VALIDATE
            ),
        },
        "components": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}, "schemas": _schemas()},
    }


def _operation(name: str, title: str, takes: Sequence[Parameter], path: Sequence[Json] = ()) -> Json:
    by_id = "OfTable" if path else ""
    said = {"summary": title, "tags": ["terminology"], "responses": _responses("Parameters", name)}
    said["description"] = f"The FHIR operation http://hl7.org/fhir/OperationDefinition/{name}."
    query = [*path, *(_in_query(one) for one in takes if one.is_plain), _FORMAT]
    body: Json = {"schema": _body_schema(takes), "example": _parameters(_EXAMPLES[name])}
    identity = name.replace("-", "_") + by_id
    return {
        "get": {"operationId": f"{identity}_get", "parameters": query, **said},
        "post": {
            "operationId": f"{identity}_post",
            "parameters": list(path),
            "requestBody": {"required": True, "content": {FHIR_JSON: body}},
            **said,
            "responses": _responses("Parameters", name, _BODY_REFUSALS),
        },
    }


def _in_query(one: Parameter) -> Json:
    schema = _SCHEMAS[one.kind]
    said: Json = {"name": one.name, "in": "query", "description": one.text}
    said["schema"] = {"type": "array", "items": schema} if one.repeats else schema
    return said | ({"example": one.example} if one.example else {})


def _responses(schema: str, name: str = "", more: dict[str, str] | None = None) -> Json:
    good: Json = {"schema": {"$ref": f"#/components/schemas/{schema}"}}
    if name:
        good["example"] = _parameters(_ANSWERS[name])
    said: Json = {"200": {"description": "The answer.", "content": {FHIR_JSON: good}}}
    for status, text in {**_REFUSALS, **(more or {})}.items():
        said[status] = {"description": text, "content": {FHIR_JSON: {"schema": _OUTCOME}}}
    return said


def _search(identity: str, query: Sequence[Json]) -> Json:
    return {
        "operationId": identity,
        "summary": "Find mapping tables",
        "description": "Tables come without their rows, tagged SUBSETTED, unless `_summary=false` asks for them.",
        "tags": ["terminology"],
        "parameters": list(query),
        "responses": _responses("Bundle", more=_BODY_REFUSALS),
    }


def _form() -> Json:
    properties = {one.name: _SCHEMAS[one.kind] for one in SEARCH}
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {"required": False, "content": {"application/x-www-form-urlencoded": {"schema": schema}}}


def _read() -> Json:
    return {
        "operationId": "readConceptMap",
        "summary": "A mapping table as ConceptMap",
        "description": "Without its rows, tagged SUBSETTED, where they are licensed or more than 50,000.",
        "tags": ["terminology"],
        "parameters": [_ID, *map(_in_query, READ), _FORMAT],
        "responses": _responses("ConceptMap"),
    }


def _metadata() -> Json:
    mode = {"type": "string", "enum": ["full", "normative", "terminology"]}
    return {
        "get": {
            "operationId": "metadata",
            "summary": "What is offered: a CapabilityStatement, or with mode=terminology a TerminologyCapabilities",
            "tags": ["terminology"],
            "parameters": [{"name": "mode", "in": "query", "schema": mode}, _FORMAT],
            "responses": _responses("Capabilities"),
        }
    }


def _parameters(listed: list[Json]) -> Json:
    return {"resourceType": "Parameters", "parameter": listed}


def _body_schema(takes: Sequence[Parameter]) -> Json:
    return {
        "type": "object",
        "required": ["resourceType", "parameter"],
        "properties": {
            "resourceType": {"const": "Parameters"},
            "parameter": {"type": "array", "minItems": 1, "items": {"oneOf": [_item(one) for one in takes]}},
        },
    }


def _item(one: Parameter) -> Json:
    key = f"value{one.kind[0].upper()}{one.kind[1:]}"
    value = {"Coding": _CODING, "CodeableConcept": _CONCEPT}.get(one.kind) or _SCHEMAS.get(one.kind)
    if value is None:
        key, value = "part", _dependency()
    return {
        "type": "object",
        "description": one.text,
        "required": ["name", key],
        "properties": {"name": {"const": one.name}, key: value},
    }


def _dependency() -> Json:
    element = {"type": "object", "properties": {"name": {"const": "element"}, "valueUri": _SCHEMAS["uri"]}}
    concept = {"type": "object", "properties": {"name": {"const": "concept"}, "valueCodeableConcept": _CONCEPT}}
    element |= {"required": ["name", "valueUri"]}
    concept |= {"required": ["name", "valueCodeableConcept"]}
    return {"type": "array", "prefixItems": [element, concept], "items": False, "minItems": 2}


def _schemas() -> Json:
    return {
        "Parameters": _resource("Parameters", {"parameter": {"type": "array", "items": _ANSWER_ITEM}}, ["parameter"]),
        "ConceptMap": _resource(
            "ConceptMap",
            {"id": {"type": "string"}, "url": {"type": "string"}, "status": {"const": "active"}, "group": _LIST},
            ["id", "url", "status"],
        ),
        "Bundle": _resource(
            "Bundle", {"type": {"const": "searchset"}, "total": {"type": "integer"}, "entry": _LIST}, ["type", "total"]
        ),
        "Capabilities": {
            "type": "object",
            "required": ["resourceType", "status", "kind"],
            "properties": {"resourceType": {"enum": ["CapabilityStatement", "TerminologyCapabilities"]}},
        },
        "OperationOutcome": _resource("OperationOutcome", {"issue": _ISSUES}, ["issue"]),
    }


_LIST: Json = {"type": "array", "minItems": 1, "items": {"type": "object"}}
_ANSWER_ITEM: Json = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
_ISSUES: Json = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "required": ["severity", "code", "diagnostics"],
        "properties": {
            "severity": {"enum": ["fatal", "error", "warning", "information"]},
            "code": {"type": "string"},
            "diagnostics": {"type": "string"},
            "expression": {"type": "array", "items": {"type": "string"}},
        },
    },
}


def _resource(name: str, properties: Json, required: Sequence[str]) -> Json:
    return {
        "type": "object",
        "required": ["resourceType", *required],
        "properties": {"resourceType": {"const": name}, **properties},
    }
