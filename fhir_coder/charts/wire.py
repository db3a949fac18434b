"""A chart as canonical JSON: keys sorted, decimals exact, what is empty left out. One chart has one form."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from decimal import Decimal
from functools import lru_cache
from operator import attrgetter
from typing import Any, NamedTuple

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
        return [part if part.__class__ in _ATOMS else _plain(part) for part in value]
    shape = _shape_of(value.__class__)
    if shape is None:
        return value
    written = {}
    for name, empty, part in zip(shape.names, shape.empty, shape.parts_of(value), strict=True):
        if part is not empty:
            written[name] = part if part.__class__ in _ATOMS else _plain(part)
    return written


_ATOMS = frozenset({str, bool, int, type(None), Decimal})
"""What stands in a chart as it is; others may have parts."""
_ALWAYS = object()
"""In the place of a default that is not empty: such a part is always written."""


class _Shape(NamedTuple):
    """How a class is written: its attributes in order, what each is where it is left out, and what reads them all."""

    names: tuple[str, ...]
    empty: tuple[Any, ...]
    parts_of: Callable[[Any], Sequence[Any]]


@lru_cache(maxsize=64)
def _shape_of(kind: Any) -> _Shape | None:
    """How values of a class are written; None where they stand as they are."""
    if not is_dataclass(kind):
        return None
    attributes = sorted(((f.name, f.default) for f in fields(kind)), key=lambda named: named[0])
    names = tuple(name for name, _ in attributes)
    empty = tuple(default if default in _EMPTY else _ALWAYS for _, default in attributes)
    read = attrgetter(*names)
    return _Shape(names, empty, read if len(names) > 1 else lambda value: (read(value),))


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
