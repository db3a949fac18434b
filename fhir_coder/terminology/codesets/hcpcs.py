"""The HCPCS Level II file of CMS: fixed width, with codes, modifiers, titles and dates (record layout HCPC2026)."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from fhir_coder.errors import Fault, TableError

MAX_BYTES = 200_000_000
"""A file that is larger unpacked is none of CMS's: theirs have 5 MB."""

_CODE, _CODE_MORE, _MODIFIER, _MODIFIER_MORE = "3", "4", "7", "8"
_LAST_COLUMN = 292
_TOLD = 100
_SHAPES = {_CODE: re.compile(r"[A-Z]\d{4}"), _MODIFIER: re.compile(r"[A-Z][0-9A-Z]")}
_EDITION = re.compile(r"HCPC(\d{4})_(JAN|APR|JUL|OCT)", re.IGNORECASE)
_MONTHS = {"JAN": 1, "APR": 4, "JUL": 7, "OCT": 10}


@dataclass(slots=True)
class HcpcsRecord:
    """One code or modifier: added on `valid_from`, to be used up to `valid_to` inclusive (None: in force)."""

    code: str
    title: str
    long_title: str
    valid_from: date | None
    valid_to: date | None
    line: int


def read_hcpcs(path: Path, faults: list[Fault]) -> tuple[list[HcpcsRecord], list[HcpcsRecord]]:
    """Read the codes and the modifiers of a txt or of the zip with it; faults with their lines are added."""
    name, body = hcpcs_text(path)
    records: dict[str, list[HcpcsRecord]] = {_CODE: [], _MODIFIER: []}
    for number, line in _lines(body):
        kind = line[10:11]
        if len(line) <= 10 or kind not in (_CODE, _CODE_MORE, _MODIFIER, _MODIFIER_MORE):
            faults.append(Fault(name, number, "columns 1-11", "not a record of a code or modifier"))
        elif kind in records:
            if record := _record(name, number, line, faults):
                records[kind].append(record)
        else:
            _continue(name, number, line, records[_CODE if kind == _CODE_MORE else _MODIFIER], faults)
        if len(faults) >= _TOLD:
            faults.append(Fault(name, number, "", "too many faults: the rest was not read"))
            return [], []
    for found in records.values():
        faults += _repeated(name, found)
    if not records[_CODE]:
        faults.append(Fault(name, 0, "", "has no codes: this is not the fixed-width HCPCS file of CMS"))
    return records[_CODE], records[_MODIFIER]


def edition_of(path: Path) -> date | None:
    """The first day of the quarter that the file's name says, None where it says none."""
    found = _EDITION.search(hcpcs_name(path))
    return date(int(found[1]), _MONTHS[found[2].upper()], 1) if found else None


def hcpcs_name(path: Path) -> str:
    """The name of the fixed-width file: inside the zip, or the file itself. Raises TableError where there is none."""
    if not zipfile.is_zipfile(path):
        if path.suffix.lower() == ".zip":
            raise TableError(str(path), [Fault(str(path), 0, "", "not a whole zip file")])
        return path.name
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if _EDITION.search(name) and name.lower().endswith(".txt")]
    if len(names) != 1:
        raise TableError(str(path), [Fault(str(path), 0, "", "no file HCPCyyyy_MON_...txt, or several, in the zip")])
    return names[0]


def hcpcs_text(path: Path) -> tuple[str, str]:
    """The name and text of the fixed-width file. Raises TableError where it cannot be read."""
    name = hcpcs_name(path)
    if not zipfile.is_zipfile(path):
        _check_size(path, path.stat().st_size)
        return str(path), path.read_bytes().decode("latin-1")
    with zipfile.ZipFile(path) as archive:
        _check_size(path, archive.getinfo(name).file_size)
        try:
            return f"{path}/{name}", archive.read(name).decode("latin-1")
        except (zipfile.BadZipFile, EOFError, OSError) as error:
            raise TableError(str(path), [Fault(str(path), 0, "", "the zip is damaged")]) from error


def _check_size(path: Path, size: int) -> None:
    if size > MAX_BYTES:
        text = f"more than {MAX_BYTES // 1_000_000} MB: this is not the HCPCS file of CMS"
        raise TableError(str(path), [Fault(str(path), 0, "", text)])


def _lines(body: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(io.StringIO(body), 1):
        text = line.rstrip("\r\n\x1a")
        if text.strip():
            yield number, text


def _record(name: str, number: int, line: str, faults: list[Fault]) -> HcpcsRecord | None:
    kind = line[10]
    code = line[:5] if kind == _CODE else line[3:5]
    if not _SHAPES[kind].fullmatch(code):
        faults.append(Fault(name, number, "columns 1-5", "not a HCPCS Level II code or modifier"))
        return None
    if len(line) < _LAST_COLUMN and len(line.rstrip()) < 276:  # CMS pads its lines; an editor may have cut them
        faults.append(Fault(name, number, "", "the line is cut off: dates stand in columns 269-292"))
        return None
    added, ended = _day(name, number, line, 269, faults), _day(name, number, line, 285, faults)
    if added and ended and ended < added:
        faults.append(Fault(name, number, "columns 285-292", "the termination date is before the date it was added"))
    return HcpcsRecord(code, line[91:119].strip(), line[11:91].strip(), added, ended, number)


def _day(name: str, number: int, line: str, column: int, faults: list[Fault]) -> date | None:
    text = line[column - 1 : column + 7].strip()
    if not text:
        return None
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:8]))
    except ValueError:
        faults.append(Fault(name, number, f"columns {column}-{column + 7}", "not a date of the form 20260131"))
        return None


def _continue(name: str, number: int, line: str, records: list[HcpcsRecord], faults: list[Fault]) -> None:
    """Add the line to the long title of the record above, of the same code."""
    code = line[:5].strip()
    if not records or records[-1].code != code:
        faults.append(Fault(name, number, "columns 1-5", "continues a code that does not stand above it"))
        return
    records[-1].long_title = f"{records[-1].long_title} {line[11:91].strip()}".strip()


def _repeated(name: str, records: Iterable[HcpcsRecord]) -> Iterator[Fault]:
    lines: dict[str, int] = {}
    for record in records:
        if first := lines.get(record.code):
            yield Fault(name, record.line, "columns 1-5", f"repeats the code of line {first}")
        lines.setdefault(record.code, record.line)
