"""The message that a question comes from, rendered readable, with the very field marked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import orjson

from fhir_coder import fhir, hl7v2
from fhir_coder.model import Json, MessageFormat
from fhir_coder.store import messages
from fhir_coder.worklist.question import Question
from fhir_coder.worklist.workplace import Workplace

_MOST_LINES = 400


@dataclass(frozen=True, slots=True)
class SourceLine:
    """One field or element of a message: path, name in the standard, what it says. `is_marked`: the very one."""

    path: str
    name: str
    value: str
    is_marked: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """The part of a message that says what is asked about: one segment, or one resource. It may name a patient."""

    message_id: str
    path: str
    feed: str
    format: str
    lines: tuple[SourceLine, ...]


def source_of(place: Workplace, question: Question) -> Source:
    """The segment or resource that a question comes from, with its field marked."""
    message_id, path = question.origin.message, question.origin.path
    with place.ledger.reading() as connection:
        message, feed = messages.load(connection, message_id)
    if message.header.format is MessageFormat.FHIR:
        lines = _of_resource(fhir.load(message.body), path)
    else:
        lines = _of_segment(message.body, path, place.rulebook().rules_of(feed).charset)
    marked = tuple(_marked(lines[:_MOST_LINES], path, question.code))
    return Source(message_id, path, feed, message.header.format.value, marked)


def _marked(lines: list[SourceLine], path: str, code: str) -> Iterator[SourceLine]:
    """The lines with the code itself marked; where it stands nowhere as it is, all that the path names."""
    is_below = [_is_at(line.path, path) for line in lines]
    has_code = [below and bool(code) and line.value == code for below, line in zip(is_below, lines, strict=True)]
    marks = has_code if any(has_code) else is_below
    return (replace(line, is_marked=mark) for line, mark in zip(lines, marks, strict=True))


def _is_at(line: str, path: str) -> bool:
    return line == path or line.startswith((f"{path}-", f"{path}.", f"{path}["))


def _of_segment(body: bytes, path: str, charset: str) -> list[SourceLine]:
    from fhir_coder.hl7v2.fieldnames import message_parts  # noqa: PLC0415 - loads the standard's structures

    wanted = path.partition("-")[0]
    for segment, parts in message_parts(hl7v2.read_message(body, charset, "replace")):
        if segment.path == wanted:
            return [SourceLine(part.path, part.name, part.value) for part in parts if part.value]
    return []


def _of_resource(resource: Json, path: str) -> list[SourceLine]:
    """The leaves of the smallest resource that has the path. A stack, not recursion: a hostile one is very deep."""
    root = _root(resource, path)
    waiting: list[tuple[str, Any]] = [root]
    lines: list[SourceLine] = []
    while waiting and len(lines) < _MOST_LINES:
        where, value = waiting.pop()
        if isinstance(value, dict):
            waiting += reversed([(f"{where}.{key}", inner) for key, inner in value.items()])
        elif isinstance(value, list):
            waiting += reversed([(f"{where}[{number}]", inner) for number, inner in enumerate(value)])
        else:
            said = value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
            lines.append(SourceLine(where, "", said))
    return lines


def _root(resource: Json, path: str) -> tuple[str, Any]:
    """The resource of a Bundle that a path leads into, with its own path; else the whole."""
    name = str(resource.get("resourceType", "Resource"))
    for number, entry in enumerate(resource.get("entry", []) if name == "Bundle" else []):
        where = f"Bundle.entry[{number}].resource"
        if _is_at(path, where) and isinstance(entry, dict):
            return where, entry.get("resource", {})
    return name, resource
