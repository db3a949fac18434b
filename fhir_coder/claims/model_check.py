"""A claim against the R4 model of fhir.resources (R4B: its Claim is that of 4.0.1)."""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import ValidationError

from fhir_coder.model import Finding, Json, Severity

MODEL_EDIT = "r4-model"
MODEL_ADVICE = "Correct the element, or have its source corrected: the standard's model refuses it."
_OTHER_FAULTS = (ValueError, LookupError, TypeError, AttributeError, RecursionError)


@cache
def _claim_model() -> Any:
    # Imported when the first claim comes: the models cost a third of a second.
    from fhir.resources.R4B.claim import Claim  # noqa: PLC0415 - as said above

    return Claim


def model_findings(claim: Json) -> list[Finding]:
    """What the R4 model refuses in a claim: place and kind of each fault. Its own texts show values, these do not."""
    try:
        _claim_model().model_validate(claim)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        return [_finding(_path(fault["loc"]), fault["type"]) for fault in faults]
    except _OTHER_FAULTS:
        return [_finding("Claim", "unreadable")]
    return []


def _path(place: tuple[str | int, ...]) -> str:
    return "Claim" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)


def _finding(path: str, kind: str) -> Finding:
    return Finding(MODEL_EDIT, Severity.REJECT, path, f"the R4 model refuses it: {kind}", MODEL_ADVICE)
