"""Claims, and resources that come in, against the R4 model of fhir.resources (R4B: its Claim is that of 4.0.1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from pydantic import ValidationError

from fhir_coder.claims.model_parts import ReadParts
from fhir_coder.model import Finding, Json, Severity

MODEL_EDIT = "r4-model"
MODEL_ADVICE = "Correct the element, or have its source corrected: the standard's model refuses it."
_OTHER_FAULTS = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
_REFUSALS = (ValidationError, *_OTHER_FAULTS)


@cache
def _claim_model() -> Any:
    # Imported when the first claim comes: the models cost a third of a second.
    from fhir.resources.R4B.claim import Claim  # noqa: PLC0415 - as said above

    return Claim


@cache
def _model_of(resource_type: str) -> Any:
    from fhir.resources.R4B import get_fhir_model_class  # noqa: PLC0415 - loaded by feeds that ask for it

    return get_fhir_model_class(resource_type)


def model_findings(claim: Json) -> list[Finding]:
    """What the R4 model refuses in a claim: place and kind of each fault. Its own texts show values, these do not."""
    try:
        _CLAIM_PARTS.read(_claim_model(), claim)
    except _REFUSALS:  # read whole: so each fault has its place in the claim
        return _findings(_claim_model, claim, "Claim", _place)
    return []


_CLAIM_PARTS = ReadParts(_model_of)


def resource_findings(resource: Json, path: str = "") -> list[Finding]:
    """What the R4 model refuses in a resource that came in; `path` is where in its payload it stands."""
    name = str(resource.get("resourceType"))
    return _findings(lambda: _model_of(name), resource, path or name, _known_place)


def _findings(
    model: Callable[[], Any], resource: Json, path: str, place: Callable[[Any], Sequence[str | int]]
) -> list[Finding]:
    try:
        model().model_validate(resource)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        return list(dict.fromkeys(_finding(_path(path, place(fault)), fault["type"]) for fault in faults))
    except _OTHER_FAULTS:
        return [_finding(path, "unreadable")]
    return []


def _place(fault: Any) -> Sequence[str | int]:
    return tuple(fault["loc"])


def _known_place(fault: Any) -> Sequence[str | int]:
    # An element that FHIR does not have is not named: a sender may have put a value there.
    return _place(fault)[:-1] if fault["type"] == "extra_forbidden" else _place(fault)


def _path(root: str, place: Sequence[str | int]) -> str:
    return root + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)


def _finding(path: str, kind: str) -> Finding:
    return Finding(MODEL_EDIT, Severity.REJECT, path, f"the R4 model refuses it: {kind}", MODEL_ADVICE)
