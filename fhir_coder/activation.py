"""Putting versions of the site's tables to use: found, checked beside all others, activated, written down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from fhir_coder.errors import Fault, TableError
from fhir_coder.model import Kind
from fhir_coder.settings import Settings
from fhir_coder.store import Ledger
from fhir_coder.store.events import Change, record
from fhir_coder.store.locks import only_writer
from fhir_coder.terminology import CodeSets, Tables
from fhir_coder.terminology.check import check_use
from fhir_coder.terminology.history import Activation, log_file, read_history
from fhir_coder.terminology.loading import Reading, read_layers
from fhir_coder.terminology.table import MappingTable
from fhir_coder.terminology.versions import (
    Use,
    Version,
    activate,
    first_day,
    over,
    read_tables,
    version_named,
    versions_of,
)

_PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class From:
    """From which day of service a version is wanted: a day, always, or as its header says."""

    day: date | None = None
    is_always: bool = False


def tables_named(name: str, settings: Settings) -> list[MappingTable]:
    """The tables of a file or folder, or the known version of a name. Raises TableError, NotFoundError."""
    return _at_path(name, settings) or [version_named(name, known_versions(settings)).table]


def _at_path(name: str, settings: Settings) -> list[MappingTable]:
    path = Path(name)
    is_path = path.exists() or path.suffix in (".csv", ".toml", ".json")
    return read_tables(path, settings.tables.when_unknown) if is_path else []


def known_versions(settings: Settings) -> list[Version]:
    """Every version that is known of the tables in all folders of the settings, the site's in front."""
    return [one for folder in settings.table_folders() for one in versions_of(folder, settings.tables.when_unknown)]


def uses_of(name: str, folder: Path, settings: Settings, wanted: From = From()) -> list[Use]:
    """The versions that a name means, with the days they are to be used for; those in use so already are left out.

    A version that was activated before gets the days it had then. Raises TableError, NotFoundError, FhirCoderError.
    """
    versions = versions_of(folder, settings.tables.when_unknown)
    tables = _at_path(name, settings) or [version_named(name, versions).table]
    uses = [_use(table, folder, versions, wanted) for table in tables]
    current = {one.table.version for one in versions if one.is_current}
    done = {one.table: (one.version, one.first, one.last) for one in read_history(folder).activations}
    return [
        u for u in uses if u.table.version not in current or done.get(u.table.id) != (u.table.version, u.first, u.last)
    ]


def _use(table: MappingTable, folder: Path, versions: Sequence[Version], wanted: From) -> Use:
    before = [one for one in read_history(folder).of(table.id) if one.version == table.version]
    if before and wanted == From():
        return Use(table, before[-1].first, before[-1].last)
    has_earlier = any(v.table.id == table.id and v.table.version != table.version for v in versions)
    first = first_day(table, wanted.day, has_earlier, wanted.is_always)
    return _by_header(table, first)


def layers_with(settings: Settings, uses: Sequence[Use]) -> list[list[MappingTable]]:
    """All tables as they would be with these in use. Raises TableError where those of now have faults."""
    layers, faults = read_layers(settings.table_folders(), Reading(settings.tables.when_unknown))
    if faults:
        raise TableError("the set of mapping tables", faults)
    for use in uses:
        layers[0] = over(layers[0], use)
    return layers


def tables_instead(
    settings: Settings, tables: Tables, instead: Sequence[MappingTable], first: date | None = None
) -> Tables:
    """The tables as they would be with these versions in use, each for the days that its header says, or from `first`.

    Those that are in use already change nothing. Raises TableError where the tables of now have faults.
    """
    uses = [
        Use(table)
        if table.kind is Kind.CONCEPT
        else Use(table, table.header.valid_from or first, table.header.valid_to)
        for table in instead
        if table.version not in tables.versions
    ]
    return tables.with_layers(layers_with(settings, uses)) if uses else tables


def _by_header(table: MappingTable, first: date | None) -> Use:
    if table.kind is Kind.CONCEPT:
        return Use(table)
    return Use(table, table.header.valid_from or first, table.header.valid_to)


def checked(settings: Settings, uses: Sequence[Use], code_sets: CodeSets, on: date) -> list[Fault]:
    """The warnings about versions that are to be used. Raises TableError where anything is wrong with them."""
    layers = layers_with(settings, uses)
    versions = {use.table.version for use in uses}
    faults = check_use(
        layers, [table for table in layers[0] if table.version in versions], code_sets, on, settings.names()
    )
    if not all(fault.is_warning for fault in faults):
        raise TableError("nothing was activated: what was to be used", faults)
    return faults


def activated(
    folder: Path, uses: Sequence[Use], ledger: Ledger | None, actor: str, at: datetime
) -> tuple[Activation, ...]:
    """Put checked versions to use and write it down in the ledger, where there is one."""
    log_file(folder).parent.mkdir(exist_ok=True)
    with only_writer(log_file(folder), _PATIENCE):
        before = {one.table: one for one in read_history(folder).activations}
        made = activate(folder, uses, at.isoformat(timespec="seconds"), actor)
    if ledger is not None:
        with ledger.writing() as connection:
            for one in made:
                record(connection, at, _change(one, before.get(one.table), actor))
    return made


def _change(one: Activation, before: Activation | None, actor: str) -> Change:
    days = f"from {one.first or 'the first day'} to {one.last or 'the last'}"
    why = f"{one.label}, {one.rows} rows, for days of service {days}: activation {one.number}"
    return Change("table", one.table, _hash(before.version) if before else "", _hash(one.version), why, actor)


def _hash(version: str) -> str:
    return version.rpartition("@")[2]
