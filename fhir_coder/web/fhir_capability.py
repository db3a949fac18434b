"""What a FHIR sender may ask, as `GET /fhir/metadata` says it (FHIR R4 CapabilityStatement)."""

from __future__ import annotations

from datetime import date

from fhir_coder import __version__
from fhir_coder.fhir import BILLED_TYPES
from fhir_coder.model import Json

_RESOURCE: Json = {
    "interaction": [{"code": "create"}, {"code": "update"}, {"code": "delete"}],
    "versioning": "versioned",
    "readHistory": False,
    "updateCreate": True,
    "conditionalCreate": True,
    "conditionalUpdate": False,
    "conditionalDelete": "not-supported",
}
_DOCUMENTATION = (
    "Takes what bills. Ids are the sender's: a create with an id keeps it, one without an id is given one. "
    "A conditional create is taken by identifier=system|value only. Resources of other types are taken and bill "
    "nothing. Nothing is read back: the resources stay the sender's."
)


def capability_statement(token_asked: bool, since: date) -> Json:
    """The CapabilityStatement of one feed. `since`: when the service was started."""
    security: Json = {"cors": False}
    if token_asked:
        security["description"] = "A bearer token in Authorization (RFC 6750)."
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": since.isoformat(),
        "kind": "instance",
        "software": {"name": "fhir_coder", "version": __version__},
        "implementation": {"description": "A billing adapter: takes clinical and financial records, sends claims"},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "rest": [
            {
                "mode": "server",
                "documentation": _DOCUMENTATION,
                "security": security,
                "resource": [{"type": name} | _RESOURCE for name in sorted(BILLED_TYPES - {"Bundle"})],
                "interaction": [{"code": "transaction"}, {"code": "batch"}],
            }
        ],
    }
