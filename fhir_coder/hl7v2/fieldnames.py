"""The fields of a message under the names the standard gives them, which come with hl7apy.

Loaded only when somebody asks to see a message parsed: it brings the structures of the whole standard with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from hl7apy import SUPPORTED_LIBRARIES, load_reference
from hl7apy.exceptions import ChildNotFound

from fhir_coder.hl7v2.reader import Er7Message, Segment, Syntax

_NEAREST, _LATEST = "2.5.1", "2.8.2"
VERSIONS = tuple(sorted(SUPPORTED_LIBRARIES))
"""The versions whose structures and names are known."""
_SHORT = frozenset({"bp", "cob", "dod", "drg", "hl7", "icd", "id", "ndc", "npi", "oid", "poa", "ssn", "uid"})

Reference = Any
"""A node of hl7apy's references: kind, children, datatype, title, table, length."""


@dataclass(frozen=True, slots=True)
class Part:
    """A field, component or subcomponent that says something.

    `path` is `PID-3[2].4.1`; the repetition stands there where a field is repeated. `name` is empty where the standard
    has none. `value` is unescaped text, empty where the parts below it say it.
    """

    path: str
    name: str
    value: str
    depth: int = 0


def parts_of(segment: Segment, version: str) -> Iterator[Part]:
    """Everything a segment says, by field, repetition, component and subcomponent. `version` is that of MSH-12."""
    references = _fields(segment.name, standard_version(version))
    syntax = segment.syntax
    for number in range(1, segment.count + 1):
        raw, path = segment.raw(number), f"{segment.path}-{number}"
        reference = references.get(number)
        if segment.name in ("MSH", "FHS", "BHS") and number <= 2:
            yield Part(path, _name(reference, path), raw)
            continue
        repetitions = raw.split(syntax.repetition)
        for place, repetition in enumerate(repetitions, 1):
            where = path if len(repetitions) == 1 else f"{path}[{place}]"
            yield from _parts(repetition, reference, where, syntax, 0)


def standard_version(version: str) -> str:
    """The version whose names are used: the one that is said, else the nearest we have."""
    if version in SUPPORTED_LIBRARIES:
        return version
    return _LATEST if version.startswith("2.") and version > _LATEST else _NEAREST


def message_parts(message: Er7Message) -> Iterator[tuple[Segment, list[Part]]]:
    """Each segment of a message with everything it says."""
    version = message.header.text(12)
    for segment in message:
        yield segment, list(parts_of(segment, version))


def _parts(raw: str, reference: Reference, path: str, syntax: Syntax, depth: int) -> Iterator[Part]:
    if not raw.strip(" " + syntax.component + syntax.subcomponent):
        return
    mark = (syntax.component, syntax.subcomponent, "")[depth]
    inner = raw.split(mark) if mark and mark in raw else [raw]
    if len(inner) == 1 and not (depth == 0 and syntax.subcomponent in raw):
        yield Part(path, _name(reference, path), syntax.unescape(raw.strip()), depth)
        return
    yield Part(path, _name(reference, path), "", depth)
    children = reference[1] if reference and reference[0] == "sequence" else ()
    for place, one in enumerate(inner, 1):
        child = children[place - 1][1] if place <= len(children) else None
        yield from _parts(one, child, f"{path}.{place}", syntax, depth + 1)


@lru_cache(maxsize=200)
def _fields(segment: str, version: str) -> dict[int, Reference]:
    """The fields of a segment by number. Those the version lacks come from others: senders mix versions."""
    found: dict[int, Reference] = {}
    for one in (_LATEST, _NEAREST, version):
        try:
            reference = load_reference(segment, "Segment", one)
        except (ChildNotFound, KeyError):
            continue
        found |= {int(name.rpartition("_")[2]): child for name, child, _, _ in reference[1]}
    return found


def _name(reference: Reference, path: str) -> str:
    """`PATIENT_IDENTIFIER_LIST` as `Patient identifier list`, `SET_ID_PID` of PID as `Set ID`."""
    title = reference[3] if reference else None
    if not title:
        return ""
    words = title.removesuffix(f"_{path[:3]}").replace("_S_", "'s_").lower().split("_")
    text = " ".join(word.upper() if word in _SHORT else word for word in words)
    return text[:1].upper() + text[1:]
