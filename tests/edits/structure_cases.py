"""The cases of the structure edits: data files of changes to a sound claim."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from fhir_coder.edits.structure import structure_findings
from fhir_coder.model import Json

CASES = Path(__file__).parent / "cases"


@cache
def _sound(name: str) -> Json:
    path = CASES / "sound" / f"{name}.json"
    read: Json = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    return read


def sound(name: str = "claim") -> Json:
    """A copy of the sound `claim` or `bundle`."""
    return copy.deepcopy(_sound(name))


def cases(edit: str, kind: str) -> list[Json]:
    """The cases of an edit that `fires` or `passes`."""
    path = CASES / f"{edit}.json"
    read: list[Json] = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)[kind]
    return read


def changed(case: Json) -> Json:
    """The sound claim (or what the case's `base` names) with the case's changes."""
    resource = sound(case.get("base", "claim"))
    for path in case.get("drop", ()):
        holder, last = _place(resource, path)
        del holder[last]
    for path, value in case.get("set", {}).items():
        holder, last = _place(resource, path)
        holder[last] = copy.deepcopy(value)
    return resource


def _place(resource: Json, path: str) -> tuple[Any, str | int]:
    steps = list(_steps(path))
    holder: Any = resource
    for step in steps[:-1]:
        holder = holder[step]
    return holder, steps[-1]


def _steps(path: str) -> Iterator[str | int]:
    if path and not re.fullmatch(r"[\w.\[\]]+", path):
        yield path  # a name that is no element's
        return
    for name, index in re.findall(r"([A-Za-z_]\w*)|\[(\d+)\]", path):
        yield name or int(index)


def found(resource: Json) -> list[tuple[str, str]]:
    """Edit and place of every finding, in their order."""
    return [(f.edit, f.path) for f in structure_findings(resource)]
