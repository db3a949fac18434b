"""Tables read from folders, in layers: what lies there, and the earlier versions that are kept beside it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from fhir_coder.errors import Fault, TableError
from fhir_coder.terminology.concept_map_file import read_concept_map_file
from fhir_coder.terminology.csv_table import header_file, read_table
from fhir_coder.terminology.history import History, painted_days, read_history, version_file
from fhir_coder.terminology.table import MappingTable
from fhir_coder.terminology.tables import Judge, Tables


def load_tables(
    folders: Sequence[Path],
    ids: Collection[str] | None = None,
    when_unknown: str = "gap",
    judge: Judge | None = None,
    replaces_ended: bool = False,
) -> Tables:
    """Load the tables of all folders, the first folder's going before the next one's.

    `ids` names the tables to use; None uses all. `when_unknown` holds for tables whose header does not say it. With
    `judge` a target that its code set does not have on the day of service is a gap, and with `replaces_ended` a billing
    code that had ended by then may be replaced. Raises TableError with every fault of every table.
    """
    reading = Reading(when_unknown)
    layers, faults = read_layers(folders, reading)
    if ids is not None:
        known = {table.id for layer in layers for table in layer}
        if not faults:
            faults += [Fault("", 0, name, "no folder has a table of this id") for name in sorted(set(ids) - known)]
        layers = [[table for table in layer if table.id in ids] for layer in layers]
    if faults:
        raise TableError("the set of mapping tables", faults)
    state = max((read_history(folder).state for folder in folders), default=0)
    past = partial(_load_past, tuple(folders), when_unknown, judge, replaces_ended)
    return Tables(layers, judge, state, past, replaces_ended)


def _load_past(
    folders: Sequence[Path], when_unknown: str, judge: Judge | None, replaces_ended: bool, state: int
) -> Tables:
    """The tables as they were after an activation. Raises TableError."""
    layers, faults = read_layers(folders, Reading(when_unknown, state))
    if faults:
        raise TableError("the set of mapping tables that a claim was made with", faults)
    return Tables(layers, judge, state, replaces_ended=replaces_ended)


@dataclass(frozen=True, slots=True)
class Reading:
    """How folders are read: `when_unknown` where a header does not say it, and as of which activation (None: now)."""

    when_unknown: str = "gap"
    as_of: int | None = None


def read_layers(folders: Sequence[Path], reading: Reading = Reading()) -> tuple[list[list[MappingTable]], list[Fault]]:
    """Read every folder's sound tables, and list the faults of the others. Subfolders are not looked into.

    Of a table with several versions each that is in use on some day is there, the one activated last in front.
    """
    layers, faults = [], []
    for folder in folders:
        tables, found = _read_layer(folder, reading)
        layers.append(tables)
        faults += found
    return layers, faults


def _read_layer(folder: Path, reading: Reading) -> tuple[list[MappingTable], list[Fault]]:
    tables, faults = read_folder(folder, reading.when_unknown)
    history = read_history(folder)
    if history.fault:
        return tables, [*faults, history.fault]
    if not history.activations:
        return tables, faults
    layer = []
    for table in [*tables, *_unfinished(folder, history, reading, faults)]:
        if history.of(table.id):
            layer += _versions_in_use(folder, table, history, reading, faults)
        else:
            layer.append(table)
    return layer, faults


def read_one(path: Path, when_unknown: str = "gap") -> tuple[MappingTable | None, list[Fault]]:
    """Read the table of a CSV with its header, or of a ConceptMap."""
    read = read_concept_map_file if path.suffix == ".json" else read_table
    return read(path, when_unknown)


def read_folder(folder: Path, when_unknown: str = "gap") -> tuple[list[MappingTable], list[Fault]]:
    """Read the tables that lie in a folder, without earlier versions of them."""
    if not folder.is_dir():
        return [], [Fault(str(folder), 0, "", "no such folder")]
    unfinished = read_history(folder).unfinished_files()
    tables: list[MappingTable] = []
    faults = [
        Fault(str(path), 0, "", "a header file without its CSV")
        for path in sorted(folder.glob("*.toml"))
        if not path.with_suffix(".csv").exists() and path.name not in unfinished
    ]
    files_of: dict[str, str] = {}
    for path in sorted([*folder.glob("*.csv"), *folder.glob("*.json")]):
        if path.name in unfinished:
            continue  # an activation was cut short: its version counts already, and is put in place by the next one
        table, found = read_one(path, when_unknown)
        faults += found
        if table is None:
            continue
        if table.id in files_of:
            text = f"the id is taken by {files_of[table.id]}"
            faults.append(Fault(header_file(path), 0, "id", text))
            continue
        files_of[table.id] = path.name
        tables.append(table)
    return tables, faults


def _unfinished(folder: Path, history: History, reading: Reading, faults: list[Fault]) -> list[MappingTable]:
    """The tables whose newest version is not in its place yet: from where it is kept."""
    files = [version_file(folder, history.of(name)[-1].version) for name in history.unfinished]
    return [table for file in files if (table := _kept(file, reading, faults))]


def _kept(file: Path, reading: Reading, faults: list[Fault]) -> MappingTable | None:
    table, found = read_one(file, reading.when_unknown)
    faults += found
    return replace(table, folder=str(file.parent.parent)) if table else None


def _versions_in_use(
    folder: Path, current: MappingTable, history: History, reading: Reading, faults: list[Fault]
) -> list[MappingTable]:
    """All versions of a table that count for some day of service, with those days."""
    days = painted_days(history.painted(current.id, current.version, reading.as_of))
    found = []
    for version in sorted(days, key=lambda one: one != current.version):
        file = version_file(folder, version)
        table = current if version == current.version else _kept(file, reading, faults)
        if table:
            found.append(replace(table, days=days[version]))
    return found
