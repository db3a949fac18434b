"""Parts of claims that the R4 model has read before: codings, amounts, organizations come again in claim after claim.

The model reads a whole claim in a millisecond, most of it for parts that it has read a thousand times. A part of the
same bytes is the same part: it stands in the claim as what the model made of it then, and the model goes past it.
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from functools import cache
from typing import Any

from fhir_coder.claims.wire import to_bytes
from fhir_coder.model import Json

_MOST_PARTS = 2_000
"""About 10 MB of what the model makes of them, kept twice."""


class ReadParts:
    """What the model made of parts it took; safe to use from many threads. `model_of` has the models of resources.

    Parts of one person do not come again: what was not asked for while `most` others came is forgotten.
    """

    def __init__(self, model_of: Callable[[str], Any], most: int = _MOST_PARTS) -> None:
        self._model_of, self._most = model_of, most
        self._known: dict[tuple[Any, bytes], Any] = {}
        self._former: dict[tuple[Any, bytes], Any] = {}

    def read(self, model: Any, resource: Json) -> Any:
        """What a model makes of a resource. Raises what the model raises for one that it refuses."""
        return model.model_validate(self._with_known(model, resource))

    def _with_known(self, model: Any, holder: Json) -> Json:
        """The same element with its parts as the model has read them, those that it took."""
        parts = _parts_of(model)
        known = dict(holder)
        for name, value in holder.items():
            if isinstance(value, dict):
                known[name] = self._part(parts.get(name), value)
            elif isinstance(value, list) and name in parts:
                known[name] = [self._part(parts[name], one) for one in value]
        return known

    def _part(self, kind: Any, part: Any) -> Any:
        if kind is None or not isinstance(part, dict):
            return part
        of_resource = str(part["resourceType"]) if "resourceType" in part else ""
        model = self._model_of(of_resource) if of_resource else kind.get_model_klass()
        key = (model, to_bytes(part))
        known, former = self._known, self._former
        read = known.get(key) or former.get(key) or self.read(model, part)
        if len(known) >= self._most:
            self._known, self._former = {}, known
        self._known[key] = read
        return read


@cache
def _parts_of(model: Any) -> dict[str, Any]:
    """The elements of a model that have elements of their own, by their names on the wire."""
    found = {}
    for name, field in model.model_fields.items():
        kinds = [field.annotation, *(i for a in typing.get_args(field.annotation) for i in (a, *typing.get_args(a)))]
        kind = next((one for one in kinds if hasattr(one, "get_model_klass")), None)
        if kind is not None:
            found[field.alias or name] = kind
    return found
