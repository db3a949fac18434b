"""A Claim, or a Bundle with Claims, checked as a payer's front door does: read, the structure edits, the R4 model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from fhir_coder import fhir
from fhir_coder.claims.model_check import MODEL_ADVICE, MODEL_EDIT, resource_findings
from fhir_coder.edits import EditRow, catalogue, judged_by, rejects
from fhir_coder.edits.structure import structure_findings
from fhir_coder.errors import UnreadableError
from fhir_coder.model import Finding, Json, Payer, Severity

_CARRIERS = frozenset({"Claim", "Bundle"})


def claim_findings(body: bytes, payer: Payer | None = None) -> Sequence[Finding]:
    """What is wrong with a Claim or a Bundle, as a payer judges it. The model is asked where no edit rejects.

    Raises UnreadableError: `not_json` with line and column, `repeated_member`, `no_claim`, and those of `fhir.load`.
    """
    resource = read_claim(body)
    found = structure_findings(resource)
    return judged_by(payer, found if rejects(found) else [*found, *resource_findings(resource)])


def every_edit() -> tuple[EditRow, ...]:
    """Every edit that a claim is checked by: those of `edits`, then the model's refusals."""
    model = EditRow(MODEL_EDIT, "Refused by the R4 model", Severity.REJECT, "Claim", MODEL_ADVICE, "model")
    return (*catalogue(), model)


def read_claim(body: bytes) -> Json:
    """A Claim or Bundle with its decimals kept. Raises UnreadableError."""
    try:
        read = json.loads(body, parse_float=Decimal, object_pairs_hook=_members, parse_constant=_no_json)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise UnreadableError(place, "not_json", f"the payload is not JSON: {error.msg}") from None
    except (ValueError, ArithmeticError, RecursionError):
        raise UnreadableError("", "not_json", "the payload is not JSON") from None
    fhir.load(body)
    if read["resourceType"] not in _CARRIERS:
        raise UnreadableError("resourceType", "no_claim", "neither a Claim nor a Bundle")
    resource: Json = read
    return resource


def _members(pairs: list[tuple[str, Any]]) -> Json:
    """An object whose members all have different names: of two with one name only one would be looked at."""
    members = dict(pairs)
    if len(members) < len(pairs):
        raise UnreadableError("", "repeated_member", "an object has two members of one name")
    return members


def _no_json(_constant: str) -> Any:
    raise ValueError("NaN and Infinity are no JSON")
