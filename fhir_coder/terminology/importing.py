"""Files that users bring become tables of the site: whole and checked, or not at all.

To add a kind: write a module with a function from a `Source` to a `Draft`, and a row in `IMPORTERS`.
"""

from __future__ import annotations

import csv
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from fhir_coder.errors import Fault, FhirCoderError, TableError
from fhir_coder.terminology.charge_master import charge_master
from fhir_coder.terminology.compiled import COMPILED
from fhir_coder.terminology.concept_map_file import concept_map_draft
from fhir_coder.terminology.csv_table import read_table
from fhir_coder.terminology.draft import Draft, Source
from fhir_coder.terminology.gem import gem
from fhir_coder.terminology.header import header_text, read_header
from fhir_coder.terminology.icd10_conversion import icd10_conversion
from fhir_coder.terminology.loading import read_folder
from fhir_coder.terminology.nlm_map import nlm_map
from fhir_coder.terminology.rows import COLUMNS, Cells
from fhir_coder.terminology.table import Header, MappingTable
from fhir_coder.terminology.versions import Use

IMPORTED = "imported by fhir-coder: "
"""How the `source` of an imported table's header begins: a later import may replace such a table."""

Put = Callable[[Path, Sequence[Use]], object]
"""How a table that was made is put to use in a folder: `versions.activate` with who and when, one caller at a time."""

_MADE = ".import-"
_DAY = 24 * 60 * 60
_TOLD_EVERY = 50_000


@dataclass(frozen=True, slots=True)
class Importer:
    """One kind of file: its name on the command line, what it is, and how it is read."""

    kind: str
    title: str
    read: Callable[[Source], Draft]


IMPORTERS: tuple[Importer, ...] = (
    Importer("nlm-map", "NLM map SNOMED CT to ICD-10-CM: RF2 ExtendedMap snapshot, txt or zip", nlm_map),
    Importer("gem", "ICD-9 to ICD-10 General Equivalence Mappings: the CMS text file", gem),
    Importer("icd10-conversion", "year conversion of ICD-10-CM or -PCS: the CMS table", icd10_conversion),
    Importer("charge-master", "charge master: a CSV of local codes, billing codes and prices", charge_master),
    Importer("concept-map", "FHIR ConceptMap, R4 or R5, JSON", concept_map_draft),
)
"""Every kind of file that becomes a mapping table."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import made. `replaced` is the version of the table that stood there before, empty where none did.

    It is the made table's own version where the file says what was there already.
    """

    table: MappingTable
    replaced: str = ""


def import_table(
    importer: Importer, source: Source, folder: Path, put: Put, table_id: str = "", overwrite: bool = False
) -> Imported:
    """Make a table of a file, in a folder of tables, and put it to use for the days that its header says.

    Raises TableError with every fault of the file, or of the folder's tables: nothing in the folder has changed then.
    Raises FhirCoderError where a table that was not imported would be overwritten and `overwrite` is not given. A
    version that was there is kept. An import that dies leaves the tables of before or those of after.
    """
    with ExitStack() as stack:
        made = stack.enter_context(_folder_within(folder))
        draft = importer.read(Source(source.path, source.code_sets, source.on, source.tell, stack))
        header = _named(draft.header, table_id, importer.kind, source.path)
        _check_header(header, source.path)
        replaced = _may_write(folder, header.id, overwrite)
        file = made / f"{header.id}.csv"
        _write_rows(file, draft.rows, source.tell)
        if draft.faults:
            raise TableError(str(source.path), sorted(draft.faults, key=lambda fault: fault.line))
        file.with_suffix(".toml").write_text(header_text(header), encoding="utf-8")
        source.tell("checking the rows")
        new, faults = read_table(file)
        if new is None:
            raise TableError(f"the table made of {source.path}", [_of_source(fault, source.path) for fault in faults])
        _put_compiled(made, folder)
        if replaced != new.version:
            put(folder, [Use(new, header.valid_from, header.valid_to)])
    return Imported(_in_folder(folder, new), replaced)


def _in_folder(folder: Path, table: MappingTable) -> MappingTable:
    """The same table where it lies now."""
    tables, _ = read_folder(folder)
    return next((one for one in tables if one.version == table.version), table)


def _named(header: Header, table_id: str, kind: str, path: Path) -> Header:
    return replace(header, id=table_id or header.id, source=f"{IMPORTED}{kind} {path.name}")


def _check_header(header: Header, path: Path) -> None:
    """Raise TableError for a header that could not be read again: its id becomes the name of a file."""
    _, faults = read_header(path, header_text(header).encode())
    if faults:
        raise TableError(str(path), [replace(fault, line=0) for fault in faults])


@contextmanager
def _folder_within(folder: Path) -> Iterator[Path]:
    """A folder on the same disk for what is not whole yet; no table is looked for in it."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=folder, prefix=_MADE))
    _remove_left(folder, made.stat().st_mtime)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _remove_left(folder: Path, now: float) -> None:
    """Remove what imports that died have left; none takes a day."""
    for left in folder.glob(f"{_MADE}*"):
        with suppress(OSError):
            if left.stat().st_mtime < now - _DAY:
                shutil.rmtree(left, ignore_errors=True)


def _may_write(folder: Path, table_id: str, overwrite: bool) -> str:
    """The version that an import takes the place of, whatever its file is called; empty where there is none."""
    tables, faults = read_folder(folder)
    if faults:
        raise TableError("nothing was imported: the set of mapping tables", faults)
    table = next((one for one in tables if one.id == table_id), None)
    if table is None:
        return ""
    if Path(table.file).suffix != ".csv":
        raise FhirCoderError(f"{table.file} has this id: --id gives another one, or remove that file")
    if not overwrite and not table.header.source.startswith(IMPORTED):
        raise FhirCoderError(f"{table.file} was not imported: --replace takes its place, --id gives another name")
    return table.version


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


def _put_compiled(made: Path, folder: Path) -> None:
    compiled = made / COMPILED
    if compiled.is_dir():
        (folder / COMPILED).mkdir(exist_ok=True)
        for file in compiled.iterdir():
            file.replace(folder / COMPILED / file.name)
