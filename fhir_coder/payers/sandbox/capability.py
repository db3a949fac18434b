"""What the sandbox says it can do: the CapabilityStatement (FHIR R4 5.1)."""

from __future__ import annotations

from collections.abc import Iterable

from fhir_coder.model import Json
from fhir_coder.payers.sandbox.dialect import Dialect
from fhir_coder.payers.sandbox.search import PARAMETERS
from fhir_coder.payers.sandbox.tokens import TOKEN_PATH

_KIND_OF_PARAMETER = {"created": "date", "patient": "reference", "request": "reference"}
_SUBMIT = {"name": "submit", "definition": "http://hl7.org/fhir/OperationDefinition/Claim-submit"}
_PAS = "http://hl7.org/fhir/us/davinci-pas/"
_OPERATIONS = (("submit", "submit"), ("inquire", "inquiry"))
_OAUTH_URIS = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
_SECURITY_SERVICE = "http://terminology.hl7.org/CodeSystem/restful-security-service"


def capabilities(base: str, root: str, dialect: Dialect, has_login: bool) -> Json:
    """The statement of a server at the FHIR address `base`; the token endpoint stands below `root`."""
    claim = _inquired() if dialect.is_inquired else _created()
    response = _resource("ClaimResponse", ("read",) if dialect.is_inquired else ("read", "search-type"))
    subscription = {"type": "Subscription", "interaction": [{"code": c} for c in ("create", "read", "delete")]}
    rest: Json = {
        "mode": "server",
        "resource": [claim, response, subscription],
    }
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": "2026-11-24",
        "kind": "instance",
        "implementation": {"description": "Sandbox payer", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["json"],
        "rest": [rest | ({"security": _security(root)} if has_login else {})],
    }


def _resource(kind: str, interactions: Iterable[str]) -> Json:
    # Chains and modifiers are written by clients, not declared (R4 5.1: searchParam.name is the parameter's own).
    names = [name for name in PARAMETERS[kind] if name.replace("_", "").isalpha()]
    parameters = [{"name": name, "type": _KIND_OF_PARAMETER.get(name, "token")} for name in names]
    told = {"type": kind, "interaction": [{"code": code} for code in interactions]}
    return told | ({"searchParam": parameters} if "search-type" in interactions else {})


def _created() -> Json:
    claim = _resource("Claim", ("create", "read", "search-type"))
    return claim | {"conditionalCreate": True, "operation": [_SUBMIT]}


def _inquired() -> Json:
    """Claims of Da Vinci PAS: its two operations."""
    operations = [{"name": name, "definition": f"{_PAS}OperationDefinition/Claim-{page}"} for name, page in _OPERATIONS]
    return _resource("Claim", ("read",)) | {"operation": operations}


def _security(root: str) -> Json:
    token = {"url": "token", "valueUri": f"{root}{TOKEN_PATH}"}
    return {
        "extension": [{"url": _OAUTH_URIS, "extension": [token]}],
        "service": [{"coding": [{"system": _SECURITY_SERVICE, "code": "SMART-on-FHIR"}]}],
    }
