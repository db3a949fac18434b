"""The bytes of a claim: money keeps its decimals (`336.50`), keys keep their order."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Any

import orjson

from fhir_coder.claims.supporting import PAID_BY_PATIENT
from fhir_coder.model import Json


def to_bytes(value: Any, *, indent: bool = False) -> bytes:
    """Write JSON with Decimals as numbers that keep their digits (FHIR R4 2.24.0.1: precision is significant)."""
    return orjson.dumps(value, default=_decimal, option=orjson.OPT_INDENT_2 if indent else 0)


def _decimal(value: object) -> orjson.Fragment:
    if isinstance(value, Decimal):
        return orjson.Fragment(format(value, "f").encode())
    raise TypeError(type(value).__name__)


def content_hash(claim: Json) -> str:
    """A digest of what the claim bills, blind to its identifier, its making date and what it replaces.

    Of an earlier payer's decision only outcome and amounts count: the same ones may come again under another name.

    What the patient has paid since makes no other claim.

    Two claims of one digest bill the same: the second is not sent.
    """
    billed = {k: v for k, v in claim.items() if k not in ("identifier", "created", "related")}
    told = [entry for entry in claim.get("supportingInfo", ()) if not _is_payment(entry)]
    billed["supportingInfo"] = [_without_frequency({k: v for k, v in e.items() if k != "sequence"}) for e in told]
    billed["contained"] = [_without_name(resource) for resource in claim.get("contained", ())]
    return hashlib.sha256(orjson.dumps(billed, default=_decimal, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _without_name(resource: Json) -> Json:
    if resource["resourceType"] != "ClaimResponse":
        return resource
    return {k: v for k, v in resource.items() if k not in ("request", "created")}


def _is_payment(entry: Json) -> bool:
    return any(coding["code"] == PAID_BY_PATIENT for coding in entry.get("code", {}).get("coding", ()))


def _without_frequency(entry: Json) -> Json:
    """A type of bill without its last character, which says whether the claim replaces another."""
    codings = entry.get("code", {}).get("coding", [])
    if not any(c["system"].endswith("/TypeOfBill") for c in codings):
        return entry
    return entry | {"code": [c["code"][:-1] for c in codings]}
