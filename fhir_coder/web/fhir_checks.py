"""What a FHIR resource must have to be taken, and what it is called. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fhir_coder.claims.model_check import resource_findings
from fhir_coder.fhir import KNOWN_TYPES
from fhir_coder.model import Json
from fhir_coder.web.refusal import issue

_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_REFERENCES = frozenset(
    {
        *("account", "beneficiary", "context", "costCenter", "encounter", "episodeOfCare", "insurer", "location"),
        *("managingOrganization", "organization", "partOf", "patient", "payor", "performingOrganization"),
        *("policyHolder", "practitioner", "provider", "reasonReference", "requestingOrganization", "service"),
        *("serviceProvider", "subject", "subscriber", "supportingInformation"),
    }
)
"""Elements of the resources that bill which are references, or lists of them."""


@dataclass(frozen=True, slots=True)
class FhirFeed:
    """An HTTP feed as FHIR senders meet it. `rejects_invalid`: what R4's model refuses is not taken."""

    name: str
    rejects_invalid: bool = False


def is_id(text: object) -> bool:
    """Whether this is an id that an address can hold (FHIR R4 section 2.24.0.1): no `.` and no `..`."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None and text.strip(".") != ""


def root_of(resource: Json) -> str:
    """How FHIRPath names a resource sent alone. A type that FHIR has not is not named: a sender may say anything."""
    name = resource.get("resourceType")
    return name if isinstance(name, str) and name in KNOWN_TYPES else "Resource"


def faults_of(resource: Json, path: str, feed: FhirFeed) -> list[Json]:
    """Why a resource cannot be taken, as issues that name the element: what every reader of it relies on.

    Where the feed asks for it, also what the R4 model refuses.
    """
    faults = list(_must_haves(resource, path))
    if faults or not feed.rejects_invalid:
        return faults
    return [issue("error", "invalid", f.text, f.path) for f in resource_findings(resource, path)]


def _must_haves(resource: Json, path: str) -> Iterator[Json]:
    if resource.get("resourceType") not in KNOWN_TYPES:
        text = "FHIR has no resource type of this name"
        yield issue("error", "not-supported", text, f"{path}.resourceType")
    if "id" in resource and not is_id(resource["id"]):
        yield issue("error", "value", "an id is 1 to 64 letters, digits, - and .", f"{path}.id")
    for name in _REFERENCES & resource.keys():
        for place, part in _parts(name, resource[name]):
            if isinstance(part, dict) and not isinstance(part.get("reference", ""), str | dict | list):
                yield issue("error", "structure", "a reference is text", f"{path}.{place}.reference")


def _parts(name: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, list):
        yield from ((f"{name}[{index}]", part) for index, part in enumerate(value))
    else:
        yield name, value


def fault_text(issues: Sequence[Json]) -> str:
    """Issues in one line, for the work item of what is kept in quarantine."""
    said = [f"{one['expression'][0]}: {one['diagnostics']}" for one in issues[:20]]
    more = f"; and {len(issues) - 20} more" if len(issues) > 20 else ""
    return "; ".join(said) + more


def identifiers_of(resource: Json) -> tuple[str, ...]:
    """The business identifiers of a resource as `system|value`; one without a system begins with the bar."""
    listed = resource.get("identifier")
    pairs = listed if isinstance(listed, list) else [listed]
    return tuple(
        f"{system}|{pair['value'].strip()}"
        for pair in pairs
        if isinstance(pair, dict)
        and isinstance(pair.get("value"), str)
        and pair["value"].strip()
        and isinstance(system := pair.get("system", ""), str)
    )
