"""Importing a charge master: a CSV of a site's own charge codes, with billing codes and prices."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from fhir_coder.errors import Fault, TableError
from fhir_coder.model import Kind, System
from fhir_coder.terminology.csv_table import file_records
from fhir_coder.terminology.draft import Draft, Source
from fhir_coder.terminology.rows import NEEDS_DETAIL, Cells, RowReader, short_name
from fhir_coder.terminology.table import Header, Row

MOST_FAULTS = 200
"""Faults after which a file is not read on: it is another file than was meant."""

KNOWN_AS: Mapping[str, tuple[str, ...]] = {
    "source_code": (
        "charge code",
        "charge",
        "cdm",
        "cdm code",
        "item",
        "item code",
        "service code",
        "local code",
        "code",
    ),
    "display": ("description", "charge description", "name", "title", "item description"),
    "target_code": ("hcpcs", "cpt", "cpt/hcpcs", "hcpcs/cpt", "cpt hcpcs", "hcpcs code", "cpt code", "billing code"),
    "modifiers": ("modifier", "mod"),
    "revenue_code": ("revenue code", "rev code", "rev", "ub revenue code", "revenue"),
    "units": ("billing units", "hcpcs units"),
    "unit_price": ("price", "amount", "charge amount", "unit charge", "gross charge", "standard charge"),
    "valid_from": ("effective date", "effective", "start date"),
    "valid_to": ("termination date", "expires", "end date"),
    "note": ("notes", "remark"),
}
"""What charge masters call the columns of a table. Other columns (cost centres) are passed over."""

_SYSTEMS = (
    (re.compile(r"D\d{4}"), System.CDT),
    (re.compile(r"[A-V]\d{4}"), System.HCPCS),
    (re.compile(r"\d{4}[0-9A-Z]"), System.CPT),
    (re.compile(r"[0-9A-HJ-NP-Z]{7}"), System.ICD10PCS),
)


def charge_master(source: Source) -> Draft:
    """Read the charge master. Raises TableError where it names no charge code or no billing code column."""
    file = str(source.path)
    faults: list[Fault] = []
    records = file_records(source.path, faults)
    line, titles = next(records, (0, []))
    columns = [_column(title) for title in titles]
    for needed in ("source_code", "target_code"):
        if columns.count(needed) != 1 and not faults:
            said = "more than one column" if needed in columns else "no column"
            text = f"{said} of the names {needed}, {', '.join(KNOWN_AS[needed])}"
            faults.append(Fault(file, line, needed, f"{text}{_parted_otherwise(titles)}"))
    if faults:
        raise TableError(file, faults)
    systems = (System.HCPCS, System.CPT, System.CDT, System.ICD10PCS, System.REVENUE)
    header = Header(
        "charge-master", "Charge master", Kind.CHARGE, System.LOCAL, systems, str(source.on), licence=_LICENCE
    )
    reader = RowReader(file, header, "", faults)
    return Draft(header, _rows(reader, columns, records), faults)


_LICENCE = "the site's own; CPT and CDT codes in it under the site's licences"


def _parted_otherwise(titles: Sequence[str]) -> str:
    """What is wrong with a first line that is one cell: a spreadsheet parts columns as its country does."""
    found = next((name for sign, name in _SIGNS.items() if len(titles) == 1 and sign in titles[0]), "")
    return f"; its columns are parted by {found}: save it with commas" if found else ""


_SIGNS = {";": "semicolons", "\t": "tabs", "|": "bars"}


def _column(title: str) -> str:
    plain = re.sub(r"[\s_-]+", " ", title.strip().lower())
    return next((name for name, words in KNOWN_AS.items() if plain in (name.replace("_", " "), *words)), "")


def _rows(reader: RowReader, columns: Sequence[str], records: Iterator[tuple[int, list[str]]]) -> Iterator[Cells]:
    """The cells of each line, which is read as a row at once: so the faults name the lines of the charge master."""
    by_code: dict[str, list[Row]] = {}
    for line, values in records:
        reader.line = line
        if len(reader.faults) >= MOST_FAULTS:
            reader.fault("", f"{MOST_FAULTS} faults before this line: the rest was not read")
            return
        if len(values) != len(columns):
            reader.fault("", f"{len(values)} cells where the first line names {len(columns)} columns")
            continue
        cells = {name: value for name, value in zip(columns, values, strict=True) if name and value}
        if not _complete(cells):
            reader.fault("target_code", "not the form of a HCPCS, CPT, CDT or ICD-10-PCS code")
        elif row := reader.row(line, cells):
            by_code.setdefault(row.source_code, []).append(row)
            yield cells
    for of_code in by_code.values():
        reader.compare(of_code)


def _complete(cells: Cells) -> bool:
    """Fill in what a table asks and a charge master leaves open; False where the billing code has no known form."""
    code = cells.get("target_code", "").upper()
    cells["unit_price"] = re.sub(r"[$,\s]", "", cells.get("unit_price", ""))
    revenue = cells.get("revenue_code", "")
    cells["revenue_code"] = f"0{revenue}" if len(revenue) == 3 else revenue  # a spreadsheet drops the zero
    cells["modifiers"] = cells.get("modifiers", "").replace(",", " ").upper()
    if not code and cells["revenue_code"]:
        # A bed or a supply has no HCPCS code: an institutional claim bills it by its revenue code alone.
        cells |= {"target_code": cells.pop("revenue_code"), "target_system": short_name(System.REVENUE)}
        return True
    if not code:
        for name in ("unit_price", "modifiers", "revenue_code"):
            cells.pop(name, None)
        cells |= {"target_code": NEEDS_DETAIL, "note": cells.get("note") or "the charge master has no billing code"}
        return True
    system = billing_system(code)
    if not system:
        return False
    cells |= {"target_code": code, "target_system": short_name(system)}
    return True


def billing_system(code: str) -> str:
    """The system of a service's billing code by its form; empty where it has none of the known forms."""
    return next((system for shape, system in _SYSTEMS if shape.fullmatch(code)), "")
