"""The Subscription for decisions on pended requests (PAS 2.2.1; Subscriptions R5 Backport)."""

from __future__ import annotations

from fhir_coder.claims.elements import without_empty
from fhir_coder.claims.wire import to_bytes
from fhir_coder.model import Json
from fhir_coder.payers.davinci_pas.codes import BACKPORT, PROFILES, TOPIC


def subscription(organization: str, endpoint: str, token: str = "") -> bytes:
    """The Subscription to post to a payer: news of all requests of an organization, by its identifier.

    The payer posts to `endpoint`, showing `token` where there is one.
    """
    made = {
        "resourceType": "Subscription",
        "meta": {"profile": [f"{PROFILES}profile-subscription"]},
        "status": "requested",
        "reason": "Decisions on pended requests of this organization",
        "criteria": TOPIC,
        "_criteria": _extended("backport-filter-criteria", "valueString", f"orgIdentifier={organization}"),
        "channel": without_empty(
            {
                "type": "rest-hook",
                "endpoint": endpoint,
                "payload": "application/fhir+json",
                "_payload": _extended("backport-payload-content", "valueCode", "full-resource"),
                "header": [f"Authorization: Bearer {token}"] if token else None,
            }
        ),
    }
    return to_bytes(made)


def _extended(name: str, value: str, said: str) -> Json:
    return {"extension": [{"url": f"{BACKPORT}{name}", value: said}]}
