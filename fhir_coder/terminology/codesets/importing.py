"""Files of codes that users bring become code lists of the site: whole and checked, or not at all."""

from __future__ import annotations

import csv
import json
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path

from fhir_coder.errors import Fault, FhirCoderError, TableError
from fhir_coder.terminology.codesets.hcpcs import HcpcsRecord, edition_of, read_hcpcs
from fhir_coder.terminology.codesets.lists import COLUMNS, KINDS, LONG_TITLE, ListKind, read_codes

IMPORTED_KINDS = tuple(kind.name for kind in KINDS if kind.name != "hcpcs-modifiers")
"""What `tables import` takes; the HCPCS file has the modifiers too."""

_MAX_BYTES = 500_000_000
_Row = tuple[str, str, str, str, str]


@dataclass(frozen=True, slots=True)
class Edition:
    """What an edition is called and which days it knows; None where the file says it, or the end is open."""

    label: str = ""
    covers_from: date | None = None
    covers_to: date | None = None


@dataclass(frozen=True, slots=True)
class ImportedList:
    """A list that now stands in the site's folder. `replaced` says that one of the same first day stood there."""

    file: Path
    rows: int
    covers_from: date
    replaced: bool


def import_codes(name: str, file: Path, folder: Path, edition: Edition) -> list[ImportedList]:
    """Make code lists of a file in the folder of the site's code sets.

    Raises TableError with every fault of the file: nothing in the folder has changed then.
    """
    kinds = {kind.name: kind for kind in KINDS}
    lists: dict[str, list[_Row]]
    if name == "hcpcs":
        lists, began = _of_cms(file), edition.covers_from or edition_of(file)
    else:
        lists, began = {name: _of_csv(kinds[name], file)}, edition.covers_from
    if began is None:
        raise FhirCoderError("--covers-from: from which day on does the file have every valid code?")
    if edition.covers_to and edition.covers_to < began:
        raise FhirCoderError("--covers-to: it is before the first day")
    label = edition.label or began.isoformat()
    headers = {name: _header(kinds[name], label, began, edition.covers_to, file) for name in lists}
    return _put(folder, lists, headers, began)


def _of_cms(file: Path) -> dict[str, list[_Row]]:
    faults: list[Fault] = []
    codes, modifiers = read_hcpcs(file, faults)
    if faults:
        raise TableError(str(file), faults)
    return {"hcpcs": [_row(one) for one in codes], "hcpcs-modifiers": [_row(one) for one in modifiers]}


def _row(one: HcpcsRecord) -> _Row:
    return one.code, one.title, str(one.valid_from or ""), str(one.valid_to or ""), one.long_title


def _of_csv(kind: ListKind, file: Path) -> list[_Row]:
    if file.stat().st_size > _MAX_BYTES:
        text = f"more than {_MAX_BYTES // 1_000_000} MB: this is no list of codes"
        raise TableError(str(file), [Fault(str(file), 0, "", text)])
    faults: list[Fault] = []
    codes = read_codes(str(file), file.read_bytes(), faults)
    shape = re.compile(kind.shape)
    for code, line in codes.lines.items():
        if not shape.fullmatch(code):
            faults.append(Fault(str(file), line, "code", f"not of the form of {kind.title}"))
    for code, periods in codes.periods.items():
        ordered = sorted(periods, key=lambda one: one[0] or date.min)
        if any((last or date.max) >= (first or date.min) for (_, last), (first, _) in pairwise(ordered)):
            faults.append(Fault(str(file), codes.lines[code], "code", "stands twice for the same day"))
    if not codes.titles and not faults:
        faults.append(Fault(str(file), 0, "", "has no codes"))
    if faults:
        raise TableError(str(file), sorted(faults, key=lambda fault: fault.line))
    return [
        (code, codes.titles[code], str(first or ""), str(last or ""), codes.long_titles.get(code, ""))
        for code, periods in codes.periods.items()
        for first, last in periods
    ]


def _header(kind: ListKind, label: str, began: date, ends: date | None, file: Path) -> str:
    said = {
        "id": kind.name,
        "title": kind.title,
        "system": kind.system,
        "version": label,
        "covers_from": began.isoformat(),
        "covers_to": ends.isoformat() if ends else "",
        "source": file.name,
    }
    # A JSON text is a TOML basic string, but for the DEL character, which no header has.
    return "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in said.items() if value)


def _put(folder: Path, lists: dict[str, list[_Row]], headers: dict[str, str], began: date) -> list[ImportedList]:
    """Write all files apart and move them in when they are whole."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=folder, prefix=".import-"))
    imported = []
    try:
        for name, rows in lists.items():
            target = folder / f"{name}_{began.isoformat()}.csv"
            _write(made / target.name, rows)
            (made / target.name).with_suffix(".toml").write_text(headers[name], encoding="utf-8")
            imported.append(ImportedList(target, len(rows), began, target.exists()))
        for one in imported:
            # The header first: it is that of these rows in any case, and a header alone is not read.
            for file in (one.file.with_suffix(".toml"), one.file):
                (made / file.name).replace(file)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return imported


def _write(file: Path, rows: Sequence[_Row]) -> None:
    has_long_titles = any(row[4] for row in rows)
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow((*COLUMNS, LONG_TITLE) if has_long_titles else COLUMNS)
        writer.writerows(row if has_long_titles else row[:4] for row in rows)
