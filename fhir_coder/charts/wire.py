"""A chart as canonical JSON: keys sorted, decimals exact, what is empty left out. One chart has one form."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

import orjson

from fhir_coder.model import Chart, Json

_EMPTY: tuple[Any, ...] = (None, "", (), False)
_MOST_PATHS = 20


def chart_to_json(chart: Chart) -> Json:
    """A chart as JSON; amounts are Decimal. What is empty by default is left out: a new attribute changes no chart."""
    written: Json = _plain(chart)
    return written


def chart_to_bytes(chart: Chart) -> bytes:
    """A chart as canonical JSON; decimals are texts, which keep their digits."""
    return orjson.dumps(_plain(chart), default=_decimal)


def different_paths(one: bytes, other: bytes) -> list[str]:
    """Where two charts differ, as paths without any value (`charges[3].amount.value`), the first twenty."""
    found = _differences(orjson.loads(one), orjson.loads(other), "")
    return [path for path, _ in zip(found, range(_MOST_PATHS), strict=False)]


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    if is_dataclass(value):
        said = ((name, getattr(value, name), default) for name, default in _attributes(value.__class__))
        return {name: _plain(part) for name, part, default in said if part is not default or part not in _EMPTY}
    return value


@lru_cache(maxsize=64)
def _attributes(kind: Any) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(((f.name, f.default) for f in fields(kind)), key=lambda named: named[0]))


def _decimal(value: object) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    raise TypeError(type(value).__name__)


def _differences(one: Any, other: Any, path: str) -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted(one.keys() | other.keys()):
            yield from _differences(one.get(name), other.get(name), f"{path}.{name}" if path else name)
    elif isinstance(one, list) and isinstance(other, list):
        for place in range(max(len(one), len(other))):
            here, there = (side[place] if place < len(side) else None for side in (one, other))
            yield from _differences(here, there, f"{path}[{place}]")
    elif one != other:
        yield path
