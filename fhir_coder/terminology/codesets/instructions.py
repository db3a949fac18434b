"""What the tabular list of ICD-10-CM says of codes that stand together on a claim, in a form that is read in a moment.

`icd10cm-notes.csv` ships: it is made of the list of the CDC (public domain) by `make icd10-notes`. Each row is a note
of a code, a block (`A00-A09`) or a chapter, with the codes that it names, or a list of codes of a category:

| kind | what the codes are |
|---|---|
| `excludes1` | never coded together with those of the row |
| `code-first`, `code-first-if` | to be listed before those of the row: always, or where they apply |
| `use-additional`, `use-additional-if` | to be listed after those of the row |
| `right`, `left`, `bilateral`, `no-side` | codes by the side that they say |
| `header` | codes that have codes below them |
| `unspecified` | codes that leave open what codes beside them say |
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path

from fhir_coder.errors import Fault
from fhir_coder.terminology.codesets.references import Reference, parse_reference
from fhir_coder.terminology.csv_table import csv_records
from fhir_coder.terminology.header import TomlFile

NAME = "icd10cm-notes"
COLUMNS = ("code", "kind", "refers", "note")
NOTE_KINDS = ("excludes1", "code-first", "code-first-if", "use-additional", "use-additional-if")
LIST_KINDS = ("right", "left", "bilateral", "no-side", "header", "unspecified")

_CACHED = 200_000
_FULL_LENGTH = 7
_SIDES = frozenset({"right", "left", "bilateral"})


@dataclass(frozen=True, slots=True)
class Instruction:
    """One note: the code, block or chapter that has it, its kind, the codes it names, and its words."""

    of: str
    kind: str
    references: tuple[Reference, ...]
    text: str = ""

    def names(self, code: str) -> bool:
        """Whether the note names a dotless code."""
        return any(reference.names(code) for reference in self.references)


class Instructions:
    """The notes and lists of one edition of ICD-10-CM. Codes may stand without their dot.

    The edition judges dates from `covers_from` on; of days before it notes may have been others.
    """

    def __init__(self, rows: Iterable[tuple[str, str, str, str]] = (), label: str = "", covers_from: date = date.max):
        self.label, self.covers_from = label, covers_from
        self._of_code: dict[str, list[Instruction]] = {}
        self._of_block: list[tuple[Reference, Instruction]] = []
        self._lists: dict[str, set[str]] = {kind: set() for kind in LIST_KINDS}
        for row in rows:
            self._add(*row)
        self._of_kinds = lru_cache(maxsize=_CACHED)(self._notes_of_kinds)
        self._kinds_of = lru_cache(maxsize=_CACHED)(self._lists_with)
        self._excluding = lru_cache(maxsize=_CACHED)(self._excludes)

    def __bool__(self) -> bool:
        return bool(self._of_code)

    def notes(self, code: str, *kinds: str) -> tuple[Instruction, ...]:
        """Give the notes of a code: its own and those of the codes, block and chapter above it."""
        return self._of_kinds(code.replace(".", ""), kinds)

    def excludes(self, one: str, other: str) -> Instruction | None:
        """The Excludes1 note of either code that keeps the two from being coded together."""
        return self._excluding(one.replace(".", ""), other.replace(".", ""))

    def side(self, code: str) -> str:
        """`right`, `left` or `bilateral` where a code says it; empty where it says none, or leaves it open."""
        return next((kind for kind in self._kinds_of(code) if kind in _SIDES), "")

    def is_header(self, code: str) -> bool:
        """Whether the list has codes below this one."""
        return code.replace(".", "") in self._lists["header"]

    def is_open_side(self, code: str) -> bool:
        """Whether a code leaves the side open that others beside it say."""
        return "no-side" in self._kinds_of(code)

    def is_unspecified(self, code: str) -> bool:
        """Whether a code leaves open what codes beside it say."""
        return "unspecified" in self._kinds_of(code)

    def _add(self, code: str, kind: str, refers: str, text: str) -> None:
        if kind in self._lists:
            self._lists[kind].update(refers.split())
            return
        note = Instruction(code, kind, tuple(map(parse_reference, refers.split())), text)
        if "-" in code:
            self._of_block.append((parse_reference(code), note))
        else:
            self._of_code.setdefault(code.replace(".", ""), []).append(note)

    def _notes_of_kinds(self, code: str, kinds: tuple[str, ...]) -> tuple[Instruction, ...]:
        above = [note for end in range(len(code), 2, -1) for note in self._of_code.get(code[:end], ())]
        above += [note for block, note in self._of_block if block.names(code)]
        return tuple(note for note in above if note.kind in kinds)

    def _excludes(self, one: str, other: str) -> Instruction | None:
        return self._own_excludes(one, other) or self._own_excludes(other, one)

    def _own_excludes(self, one: str, other: str) -> Instruction | None:
        """The note of `one` that names `other`. A note that names both tells them from a third."""
        found = (note for note in self.notes(one, "excludes1") if note.names(other) and not note.names(one))
        return next(found, None)

    def _lists_with(self, code: str) -> tuple[str, ...]:
        plain = code.replace(".", "")
        # Lists have codes without a 7th character that only says the episode of care.
        stem = plain[:6].rstrip("X") if len(plain) == _FULL_LENGTH else plain
        return tuple(kind for kind, listed in self._lists.items() if plain in listed or stem in listed)


def read_instructions(folders: Iterable[Path], faults: list[Fault]) -> Instructions:
    """Read the first folder's notes with their header file; none where no folder has them. Faults are added."""
    file = next((path for folder in folders if (path := folder / f"{NAME}.csv").is_file()), None)
    if file is None:
        return Instructions()
    header = TomlFile(file.with_suffix(".toml"), file.with_suffix(".toml").read_bytes())
    if header.is_readable:
        header.require(("title", "version", "covers_from"))
    faults += header.faults
    records = csv_records(str(file), file.read_bytes(), faults)
    line, columns = next(records, (0, []))
    if tuple(columns) != COLUMNS:
        faults.append(Fault(str(file), line, "", f"the first line must be {','.join(COLUMNS)}"))
        return Instructions()
    rows = []
    for number, cells in records:
        if len(cells) != len(COLUMNS) or cells[1] not in (*NOTE_KINDS, *LIST_KINDS):
            faults.append(Fault(str(file), number, "", "not a code, a kind of note, the codes it names and its words"))
        else:
            rows.append((cells[0], cells[1], cells[2], cells[3]))
    label = f"{header.text('title')} ({header.text('version')})"
    return Instructions(rows, label, header.day("covers_from") or date.max)


def write_instructions(file: Path, rows: Iterable[tuple[str, str, str, str]]) -> None:
    """Write rows as `read_instructions` reads them."""
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows)
