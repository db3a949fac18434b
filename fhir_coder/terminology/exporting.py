"""A table written down again: as a CSV with its header, or as a FHIR ConceptMap."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import orjson

from fhir_coder.terminology.concept_map import concept_map
from fhir_coder.terminology.header import header_text
from fhir_coder.terminology.rows import COLUMNS, Cells, cells_of
from fhir_coder.terminology.table import MappingTable


def export_text(table: MappingTable, form: str, is_r5: bool = False) -> tuple[str, str]:
    """Write a table as `csv` or `concept-map`: the text, and that of the header file, empty where it has none."""
    if form == "concept-map":
        return orjson.dumps(concept_map(table, is_r5), option=orjson.OPT_INDENT_2).decode() + "\n", ""
    rows = [cells_of(row) for of_code in table.by_code() for row in of_code]
    return csv_text(rows), header_text(table.header)


def csv_text(rows: Sequence[Cells]) -> str:
    """Write rows as the CSV of a table, with the columns that any of them uses."""
    used = {name for cells in rows for name in cells} | {"source_code", "target_code"}
    columns = [name for name in COLUMNS if name in used]
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([cells.get(name, "") for name in columns] for cells in rows)
    return stream.getvalue()
