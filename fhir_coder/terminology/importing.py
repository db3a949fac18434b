"""Files that users bring become tables of the site: whole and checked, or not at all.

To add a kind: write a module with a function from a `Source` to a `Draft`, and a row in `IMPORTERS`.
"""

from __future__ import annotations

import csv
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from fhir_coder.errors import Fault, FhirCoderError, TableError
from fhir_coder.terminology.charge_master import charge_master
from fhir_coder.terminology.concept_map import concept_map_draft
from fhir_coder.terminology.csv_table import read_table
from fhir_coder.terminology.draft import Draft, Source
from fhir_coder.terminology.gem import gem
from fhir_coder.terminology.header import header_text
from fhir_coder.terminology.nlm_map import nlm_map
from fhir_coder.terminology.rows import COLUMNS, Cells
from fhir_coder.terminology.table import Header, MappingTable

IMPORTED = "imported by fhir-coder: "
"""How the `source` of an imported table's header begins: a later import may replace such a table."""

_TOLD_EVERY = 50_000
_ALWAYS_WRITTEN = ("source_code", "target_code")


@dataclass(frozen=True, slots=True)
class Importer:
    """One kind of file: its name on the command line, what it is, and how it is read."""

    kind: str
    title: str
    read: Callable[[Source], Draft]


IMPORTERS: tuple[Importer, ...] = (
    Importer("nlm-map", "NLM map SNOMED CT to ICD-10-CM: RF2 ExtendedMap snapshot, txt or zip", nlm_map),
    Importer("gem", "ICD-9 to ICD-10 General Equivalence Mappings: the CMS text file", gem),
    Importer("charge-master", "charge master: a CSV of local codes, billing codes and prices", charge_master),
    Importer("concept-map", "FHIR ConceptMap, R4 or R5, JSON", concept_map_draft),
)
"""Every kind of file that becomes a mapping table."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import made. `replaced` is the version of the table that stood there before, empty where none did."""

    table: MappingTable
    replaced: str = ""


def import_table(
    importer: Importer, source: Source, folder: Path, table_id: str = "", overwrite: bool = False
) -> Imported:
    """Make a table of a file, in a folder of tables.

    Raises TableError with every fault of the file: nothing in the folder has changed then. Raises FhirCoderError where
    a table that was not imported would be overwritten and `overwrite` is not given.
    """
    with ExitStack() as stack:
        made = stack.enter_context(_folder_within(folder))
        draft = importer.read(Source(source.path, source.code_sets, source.on, source.tell, stack))
        header = _named(draft.header, table_id, importer.kind, source.path)
        replaced = _may_write(folder, header.id, overwrite)
        file = made / f"{header.id}.csv"
        _write_rows(file, draft.rows, source.tell)
        if draft.faults:
            raise TableError(str(source.path), draft.faults)
        file.with_suffix(".toml").write_text(header_text(header), encoding="utf-8")
        source.tell("checking the rows")
        _, faults = read_table(file)
        if faults:
            raise TableError(f"the table made of {source.path}", [_of_source(fault, source.path) for fault in faults])
        _put(made, folder, header.id)
    table, faults = read_table(folder / f"{header.id}.csv")
    if table is None:
        raise TableError(header.id, faults)
    return Imported(table, replaced)


def _named(header: Header, table_id: str, kind: str, path: Path) -> Header:
    return replace(header, id=table_id or header.id, source=f"{IMPORTED}{kind} {path.name}")


@contextmanager
def _folder_within(folder: Path) -> Iterator[Path]:
    """A folder on the same disk for what is not whole yet; no table is looked for in it."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=folder, prefix=".import-"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _may_write(folder: Path, table_id: str, overwrite: bool) -> str:
    file = folder / f"{table_id}.csv"
    if not file.exists():
        return ""
    table, _ = read_table(file)
    if not overwrite and not (table and table.header.source.startswith(IMPORTED)):
        raise FhirCoderError(f"{file} was not imported: --replace overwrites it, --id gives another name")
    return table.version if table else ""


def _write_rows(file: Path, rows: Iterable[Cells], tell: Callable[[str], None]) -> None:
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        for number, cells in enumerate(rows, 1):
            writer.writerow([cells.get(name, "") for name in COLUMNS])
            if number % _TOLD_EVERY == 0:
                tell(f"{number:,} rows written")


def _of_source(fault: Fault, path: Path) -> Fault:
    return Fault(f"{path} (row {fault.line - 1} of the table)" if fault.line else str(path), 0, fault.where, fault.text)


def _put(made: Path, folder: Path, table_id: str) -> None:
    compiled = made / ".compiled"
    if compiled.is_dir():
        (folder / ".compiled").mkdir(exist_ok=True)
        for file in compiled.iterdir():
            file.replace(folder / ".compiled" / file.name)
    # The header last: until then the new rows stand under the old header, of the same id and columns.
    for suffix in (".csv", ".toml"):
        (made / f"{table_id}{suffix}").replace(folder / f"{table_id}{suffix}")
