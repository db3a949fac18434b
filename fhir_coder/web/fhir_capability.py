"""What a FHIR sender may ask, as `GET /fhir/metadata` says it (FHIR R4 CapabilityStatement)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from fhir_coder import __version__
from fhir_coder.fhir import BILLED_TYPES
from fhir_coder.model import Json
from fhir_coder.web.terminology_capability import RESOURCES

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


_TERMINOLOGY = "Tables and code sets that claims are coded by are asked with the token of [http]: see /openapi.json."


@dataclass(frozen=True, slots=True)
class Offer:
    """What is offered below an address: taking records for a feed, the terminology of the service, with a token."""

    takes_records: bool
    has_terminology: bool = False
    token_asked: bool = False


def capability_statement(offer: Offer, since: date, fhir_version: str = "4.0.1") -> Json:
    """The CapabilityStatement of one address. `since`: when the service was started."""
    security: Json = {"cors": False}
    if offer.token_asked:
        security["description"] = "A bearer token in Authorization (RFC 6750)."
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": since.isoformat(),
        "kind": "instance",
        "software": {"name": "fhir_coder", "version": __version__},
        "implementation": {"description": "A billing adapter: takes clinical and financial records, sends claims"},
        "fhirVersion": fhir_version,
        "format": ["application/fhir+json", "json"],
        "rest": [
            {
                "mode": "server",
                "documentation": " ".join(_documentation(offer)),
                "security": security,
                "resource": _resources(offer),
                **({"interaction": [{"code": "transaction"}, {"code": "batch"}]} if offer.takes_records else {}),
            }
        ],
    }


def _documentation(offer: Offer) -> list[str]:
    told = [_DOCUMENTATION] if offer.takes_records else []
    return [*told, _TERMINOLOGY] if offer.has_terminology else told


def _resources(offer: Offer) -> list[Json]:
    types = sorted(BILLED_TYPES - {"Bundle"}) if offer.takes_records else []
    resources = [{"type": name} | _RESOURCE for name in types]
    return sorted([*resources, *(RESOURCES if offer.has_terminology else ())], key=lambda one: str(one["type"]))
