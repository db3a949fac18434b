"""A claim that takes back one the payer has: the same lines, status cancelled, frequency 8, `related` to it."""

from __future__ import annotations

from datetime import date

from fhir_coder.claims.build import related_prior
from fhir_coder.claims.supporting import with_frequency
from fhir_coder.model import Identifier, Json, Purpose


def void_claim(prior: Json, identifier: str, created: date, original: Identifier | None = None) -> Json:
    """The claim (R4 JSON) that voids `prior`, under an identifier of its own. `original` is the payer's."""
    named = prior["identifier"][0]
    changed = {
        "identifier": [named | {"value": identifier}],
        "status": "cancelled",
        "created": created.isoformat(),
        "related": related_prior(named["system"], named["value"], original),
    }
    if "supportingInfo" in prior:
        changed["supportingInfo"] = [_voided(entry) for entry in prior["supportingInfo"]]
    return prior | changed


def _voided(entry: Json) -> Json:
    """A type of bill with the frequency of a void; anything else as it is."""
    codings = entry.get("code", {}).get("coding", [])
    if not any(c["system"].endswith("/TypeOfBill") for c in codings):
        return entry
    return entry | {"code": {"coding": [c | {"code": with_frequency(c["code"], Purpose.VOID)} for c in codings]}}
