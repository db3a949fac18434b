"""Code lists: CSV files of codes with titles and periods of validity, each with a header file, in editions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from fhir_coder.errors import Fault
from fhir_coder.model import System, Validity
from fhir_coder.terminology.csv_table import csv_records
from fhir_coder.terminology.header import TomlFile, parse_date

COLUMNS = ("code", "title", "valid_from", "valid_to")
LONG_TITLE = "long_title"
"""The optional fifth column."""

Period = tuple[date | None, date | None]


@dataclass(frozen=True, slots=True)
class ListKind:
    """One kind of code list: its name in files and commands, its title, its system and the shape of its codes.

    Modifiers have no system of their own. `is_judged` says that claims are checked by it.
    """

    name: str
    title: str
    system: str
    shape: str
    is_judged: bool = False


_NUBC = "https://www.nubc.org/CodeSystem"

KINDS: tuple[ListKind, ...] = (
    ListKind("hcpcs", "HCPCS Level II", System.HCPCS, r"[A-CE-Z]\d{4}", is_judged=True),
    ListKind("hcpcs-modifiers", "HCPCS Level II modifiers", "", r"[A-Z][0-9A-Z]", is_judged=True),
    ListKind("cpt", "CPT", System.CPT, r"\d{4}[0-9A-Z]", is_judged=True),
    ListKind("cpt-modifiers", "CPT modifiers", "", r"\d[0-9A-Z]", is_judged=True),
    ListKind("cdt", "CDT", System.CDT, r"D\d{4}", is_judged=True),
    ListKind("ndc", "NDC", System.NDC, r"\d{11}|\d{4}-\d{4}-\d\d|\d{5}-\d{3}-\d\d|\d{5}-\d{4}-\d{1,2}"),
    ListKind("revenue", "revenue codes", f"{_NUBC}/RevenueCodes", r"\d{4}"),
    ListKind("bill-type", "types of bill", f"{_NUBC}/TypeOfBill", r"\d{3}|0\d{3}"),
    ListKind(
        "place-of-service",
        "place of service",
        "https://www.cms.gov/Medicare/Coding/place-of-service-codes/Place_of_Service_Code_Set",
        r"\d\d",
    ),
    ListKind("taxonomy", "provider taxonomy", "http://nucc.org/provider-taxonomy", r"[0-9A-Z]{9}X"),
    ListKind("poa-exempt", "codes exempt from present on admission", "", r"[A-Z]\d[0-9A-Z](\.?[0-9A-Z]{1,4})?"),
)
"""Every kind of code list, in the order shown."""


@dataclass(frozen=True, slots=True)
class CodeList:
    """A code set read from a file: titles and periods of validity (inclusive) by code.

    The list knows every code that was valid from `covers_from` to `covers_to` (None: to this day), and not all of
    those that ended before; of days before it judges the next `older` edition, where there is one.
    """

    label: str
    covers_from: date
    titles: Mapping[str, str]
    periods: Mapping[str, tuple[Period, ...]]
    long_titles: Mapping[str, str] = field(default_factory=dict)
    covers_to: date | None = None
    older: CodeList | None = None
    file: str = ""

    def validity(self, code: str, on: date) -> Validity:
        """Judge a code on a date."""
        if on < self.covers_from and self.older:
            return self.older.validity(code, on)
        if self.covers_to and on > self.covers_to:
            return Validity.UNKNOWN
        periods = self.periods.get(code)
        if periods is None:
            return Validity.UNKNOWN if on < self.covers_from else Validity.INVALID
        inside = any((first is None or first <= on) and (last is None or on <= last) for first, last in periods)
        return Validity.VALID if inside else Validity.INVALID

    def editions(self) -> Iterator[CodeList]:
        """Yield this edition and the older ones."""
        edition: CodeList | None = self
        while edition:
            yield edition
            edition = edition.older

    def title(self, code: str) -> str:
        """Give a code's title, empty where no edition has one."""
        return next((edition.titles[code] for edition in self.editions() if code in edition.titles), "")


def read_lists(folders: Sequence[Path], faults: list[Fault]) -> dict[str, CodeList]:
    """Read every list of the folders by the name of its kind: the newest edition, which knows the older ones.

    Of two editions that begin on the same day the one of the folder named first counts.
    """
    found = {}
    for kind in KINDS:
        editions = [one for folder in folders for path in _files(folder, kind.name) if (one := _read(path, faults))]
        if editions:
            found[kind.name] = _chained(editions)
    return found


def _chained(editions: Sequence[CodeList]) -> CodeList:
    by_day: dict[date, CodeList] = {}
    for edition in editions:
        by_day.setdefault(edition.covers_from, edition)
    chain: CodeList | None = None
    for day in sorted(by_day):
        chain = replace(by_day[day], older=chain)
    if chain is None:
        raise ValueError("no edition")
    return chain


def _files(folder: Path, name: str) -> list[Path]:
    """The editions of a list in a folder: `NAME.csv`, and `NAME_DATE.csv` as imports write them."""
    plain = folder / f"{name}.csv"
    return [*([plain] if plain.is_file() else ()), *sorted(folder.glob(f"{name}_*.csv"))]


def _read(path: Path, faults: list[Fault]) -> CodeList | None:
    """Read one list with its header file; None where its faults, which are added, say so."""
    headers = [path.with_suffix(".toml")]
    # The shipped modifiers are of the same file of CMS as the codes.
    headers += [path.with_name(path.name.replace("-modifiers", "")).with_suffix(".toml")]
    header = next((header for header in headers if header.is_file()), None)
    if header is None:
        faults.append(Fault(str(headers[0]), 0, "", "missing: every code set has a header file beside it"))
        return None
    toml = TomlFile(header, header.read_bytes())
    if toml.is_readable:
        toml.require(("title", "version", "covers_from"))
    label, first, last = (
        f"{toml.text('title')} ({toml.text('version')})",
        toml.day("covers_from"),
        toml.day("covers_to"),
    )
    if first and last and last < first:
        toml.fault("covers_to", "covers_to is before covers_from")
    faults += [fault for fault in toml.faults if fault not in faults]
    codes = read_codes(str(path), path.read_bytes(), faults)
    if first is None:
        return None
    return CodeList(label, first, codes.titles, codes.periods, codes.long_titles, last, file=str(path))


@dataclass(frozen=True, slots=True)
class Codes:
    """The rows of a list by code."""

    titles: dict[str, str] = field(default_factory=dict)
    periods: dict[str, tuple[Period, ...]] = field(default_factory=dict)
    long_titles: dict[str, str] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)


def read_codes(file: str, body: bytes, faults: list[Fault]) -> Codes:
    """Read the rows of a list; faults are added."""
    codes = Codes()
    records = csv_records(file, body, faults)
    line, columns = next(records, (0, []))
    if tuple(columns) not in (COLUMNS, (*COLUMNS, LONG_TITLE)):
        faults.append(Fault(file, line, "", f"the first line must be {','.join(COLUMNS)}"))
        return codes
    for number, cells in records:
        if len(cells) != len(columns) or not cells[0]:
            faults.append(Fault(file, number, "", "not a code with its title and two dates"))
            continue
        _add(codes, file, number, cells, faults)
    return codes


def _add(codes: Codes, file: str, line: int, cells: Sequence[str], faults: list[Fault]) -> None:
    code = cells[0]
    codes.titles[code] = cells[1]
    codes.lines[code] = line
    if len(cells) > len(COLUMNS) and cells[4]:
        codes.long_titles[code] = cells[4]
    codes.periods[code] = (*codes.periods.get(code, ()), _period(file, line, cells, faults))


def _period(file: str, line: int, cells: Sequence[str], faults: list[Fault]) -> Period:
    days: list[date | None] = []
    for name, text in zip(COLUMNS[2:], cells[2:4], strict=True):
        try:
            days.append(parse_date(text) if text else None)
        except ValueError as error:
            faults.append(Fault(file, line, name, str(error)))
            days.append(None)
    first, last = days
    if first and last and last < first:
        faults.append(Fault(file, line, "valid_to", "valid_to is before valid_from"))
    return first, last
