"""The rows of `icd10cm-notes.csv`, made of the entries of the tabular list."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from fhir_coder.terminology.codesets import tabular
from fhir_coder.terminology.codesets.index import Entry
from fhir_coder.terminology.codesets.instructions import write_instructions
from fhir_coder.terminology.codesets.references import references_in

Row = tuple[str, str, str, str]

_RANGE = re.compile(r"\(([A-Z]\d[0-9A-Z]-[A-Z]\d[0-9A-Z])\)$")
_SIDES = ("right", "left", "bilateral")
_MAY = re.compile(r"\b(if|any|when|where|associated|current|known|present|risk factor)\b", re.IGNORECASE)
_OFTEN_UNKNOWN = re.compile(r"agent|organism|infection|resistance|cause|drug|chemical|poisoning", re.IGNORECASE)
_LONGEST_TEXT = 300


def note_rows(entries: Iterable[Entry]) -> Iterator[Row]:
    """Yield the notes of all entries, then the lists of codes by category."""
    listed = [entry for entry in entries if entry.kind != "extended"]
    for entry in listed:
        yield from _notes(_place(entry), entry.notes)
    codes = [entry for entry in listed if entry.kind != "chapter"]
    yield from _lists(codes)


def _place(entry: Entry) -> str:
    """The code, or the range of a block or chapter, which stands in the title of a chapter."""
    found = _RANGE.search(entry.title)
    return found[1] if entry.kind == "chapter" and found else entry.code


def _notes(place: str, notes: Mapping[str, Sequence[str]]) -> Iterator[Row]:
    for text in notes.get("excludes1", ()):
        if refers := references_in(text):
            yield place, "excludes1", " ".join(refers), text[:_LONGEST_TEXT]
    for name, kind in (("code_first", "code-first"), ("use_additional", "use-additional")):
        if lines := notes.get(name):
            named = " ".join(dict.fromkeys(one for line in lines for one in references_in(line) or ()))
            is_open = _may_be_absent(kind, lines, named)
            yield place, f"{kind}-if" if is_open else kind, named, " ".join(lines)[:_LONGEST_TEXT]


def _may_be_absent(kind: str, lines: Sequence[str], refers: str) -> bool:
    """Whether a sound claim may lack the code that a note asks for.

    "Code first underlying disease" always asks for one, though it names none. A list of further codes is a choice,
    and an agent or organism often is not known.
    """
    if kind == "code-first":
        return bool(_MAY.search(lines[0]))
    return len(lines) > 1 or not refers or bool(_MAY.search(lines[0]) or _OFTEN_UNKNOWN.search(lines[0]))


def _lists(codes: Sequence[Entry]) -> Iterator[Row]:
    listed: dict[tuple[str, str], list[str]] = defaultdict(list)
    sided = {entry.parent for entry in codes if _side(entry.title)}
    specific = {entry.parent for entry in codes if entry.kind == "code" and not _is_unspecified(entry)}
    for entry in codes:
        for kind in _kinds(entry, entry.parent in sided, entry.parent in specific):
            listed[entry.code[:3], kind].append(entry.code.replace(".", ""))
    for (category, kind), found in sorted(listed.items()):
        yield category, kind, " ".join(found), ""


def _kinds(entry: Entry, has_sides_beside: bool, has_others_beside: bool) -> Iterator[str]:
    if entry.kind == "header":
        yield "header"
    if side := _side(entry.title):
        yield side
    elif _is_unspecified(entry) and has_sides_beside:
        yield "no-side"
    elif _is_unspecified(entry) and has_others_beside and entry.kind == "code":
        yield "unspecified"


def _side(title: str) -> str:
    """The one side that a title names; that of both right and left is none."""
    words = set(re.findall(r"\w+", title.lower()))
    named = [side for side in _SIDES if side in words]
    return named[0] if len(named) == 1 else ""


def _is_unspecified(entry: Entry) -> bool:
    return "unspecified" in entry.title.lower()


if __name__ == "__main__":
    write_instructions(Path(sys.argv[1]), note_rows(tabular.entries()))
