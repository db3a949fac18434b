"""A FHIR ConceptMap (R4 or R5, JSON) that lies among the tables: read as a table, without being imported first."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import orjson

from fhir_coder.errors import Fault, TableError
from fhir_coder.terminology.concept_map import read_concept_map
from fhir_coder.terminology.csv_table import rows_by_code
from fhir_coder.terminology.draft import Draft, Source
from fhir_coder.terminology.header import header_text, read_header
from fhir_coder.terminology.rows import RowReader
from fhir_coder.terminology.table import Header, MappingTable

MAX_BYTES = 256 << 20
"""A ConceptMap is read as a whole: a larger one is refused."""


def concept_map_bytes(path: Path) -> bytes:
    """Read the file. Raises TableError where it cannot be read or is too large."""
    try:
        if path.stat().st_size > MAX_BYTES:
            text = f"larger than {MAX_BYTES >> 20} MB: split the map by its groups, or bring it as CSV"
            raise TableError(str(path), [Fault(str(path), 0, "", text)])
        return path.read_bytes()
    except OSError:
        raise TableError(str(path), [Fault(str(path), 0, "", "cannot be read")]) from None


def concept_map_of(body: bytes, file: str) -> Draft:
    """Make a table to be of a ConceptMap's bytes. Raises TableError with every fault and the path where it stands."""
    try:
        resource = orjson.loads(body.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError:
        raise TableError(file, [Fault(file, 0, "", "not JSON, or not UTF-8")]) from None
    return read_concept_map(resource, file)


def concept_map_draft(source: Source) -> Draft:
    """Read a ConceptMap that is imported. Raises TableError with every fault and the path where it stands."""
    return concept_map_of(concept_map_bytes(source.path), str(source.path))


def read_concept_map_file(path: Path, when_unknown: str = "gap") -> tuple[MappingTable | None, list[Fault]]:
    """Read a table as `read_table` does. A row's line is the number of its target in the map, from 1 on."""
    file = str(path)
    try:
        body = concept_map_bytes(path)
        draft = concept_map_of(body, file)
    except TableError as error:
        return None, error.faults
    header, faults = _checked(draft.header, file)
    digest = hashlib.sha256(body).hexdigest()
    version = f"{header.id}@{digest[:8]}" if header else ""
    reader = RowReader(file, header, version, [], when_unknown)
    made = (reader.row(number, cells) for number, cells in enumerate(draft.rows, start=1))
    rows = rows_by_code((row for row in made if row), reader)
    faults = [*faults, *map(_by_target, reader.faults)]
    if header is None or faults:
        return None, faults
    return MappingTable(header, file, str(path.parent), version, rows), []


def _checked(header: Header, file: str) -> tuple[Header | None, list[Fault]]:
    """The header under the rules of a header file."""
    read, faults = read_header(Path(file), header_text(header).encode())
    return read, [replace(fault, line=0) for fault in faults]


def _by_target(fault: Fault) -> Fault:
    """A row's fault in the words of a map, which has targets and no lines."""
    where = f"target {fault.line}, {fault.where}" if fault.where else f"target {fault.line}"
    return replace(fault, line=0, where=where, text=fault.text.replace(" line ", " target "))
