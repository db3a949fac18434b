"""Putting versions of tables to use in a folder, whole or not at all, and naming those that were.

The log of the activations is what counts: it is replaced in one step, after the files of the new version are kept. What
lies in the folder itself is brought up to it after that, and by the next activation where one was cut short.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from fhir_coder.errors import FhirCoderError, NotFoundError, TableError
from fhir_coder.model import Kind
from fhir_coder.terminology.compiled import COMPILED, file_of
from fhir_coder.terminology.history import (
    VERSIONS,
    Activation,
    History,
    days_without,
    files_of,
    painted_days,
    read_history,
    version_file,
    write_history,
    write_whole,
)
from fhir_coder.terminology.loading import read_folder, read_one
from fhir_coder.terminology.table import Days, MappingTable


@dataclass(frozen=True, slots=True)
class Use:
    """A version that is to be used for days of service from `first` to `last`; None: no such bound."""

    table: MappingTable
    first: date | None = None
    last: date | None = None

    @property
    def days(self) -> Days:
        """The same as a period."""
        return ((self.first or date.min, self.last or date.max),)


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a table: `days` are those it counts for now, none where others took their place.

    `is_current` is true for the one activated last, which lies in the folder itself. `at` and `by` are empty where it
    was not activated by a command.
    """

    table: MappingTable
    days: Days
    is_current: bool
    at: str = ""
    by: str = ""


def over(layer: Sequence[MappingTable], use: Use) -> list[MappingTable]:
    """A layer's tables as they would be with a version put to use."""
    ((first, last),) = use.days
    rest = []
    for table in layer:
        days = days_without(table.days, first, last) if table.id == use.table.id else table.days
        if days:
            rest.append(replace(table, days=days))
    return [replace(use.table, days=use.days), *rest]


def activate(folder: Path, uses: Sequence[Use], at: str, by: str) -> tuple[Activation, ...]:
    """Put checked versions to use together, and keep those before them. One caller at a time.

    Raises TableError where the folder's own tables or its log have faults: nothing has changed then.
    """
    history = _finished(folder, read_history(folder))
    if history.fault:
        raise TableError("the log of activations", [history.fault])
    tables, faults = read_folder(folder)
    if faults:
        raise TableError("the set of mapping tables", faults)
    here = {table.id: table for table in tables}
    places = {use.table.id: _place(here.get(use.table.id), use.table) for use in uses}
    (folder / VERSIONS).mkdir(exist_ok=True)
    before = [_found_here(folder, here[u.table.id], u.table, history) for u in uses if u.table.id in here]
    number = history.state + 1
    made = tuple(_activation(number, use, at, by) for use in uses)
    # By number: what was found is of an earlier time than what other tables may have had activated since.
    log = sorted([*history.activations, *(one for one in before if one), *made], key=lambda one: one.number)
    for use in uses:
        _keep(folder, use.table)
    write_history(folder, log, places)
    _finished(folder, History(tuple(log), places))
    _tidy_compiled(folder, history)
    return made


def _activation(number: int, use: Use, at: str, by: str) -> Activation:
    table = use.table
    return Activation(number, table.id, table.version, table.header.version, len(table), use.first, use.last, at, by)


def _found_here(folder: Path, table: MappingTable, new: MappingTable, history: History) -> Activation | None:
    """What lies in the folder without having been activated: kept under the number of what it was used with."""
    done = history.of(table.id)
    if table.version in (new.version, done[-1].version if done else ""):
        return None
    _keep(folder, table)
    number, first, last = (done[-1].number, done[-1].first, done[-1].last) if done else (0, None, None)
    return Activation(number, table.id, table.version, table.header.version, len(table), first, last)


def _place(here: MappingTable | None, table: MappingTable) -> str:
    """The name of a version's file in the folder. Raises FhirCoderError where what lies there is of another format."""
    suffix = Path(table.file).suffix
    if here and Path(here.file).suffix != suffix:
        raise FhirCoderError(
            f"{table.file} is not in the format of {here.file}: tables export writes either, or remove that file"
        )
    return Path(here.file).name if here else f"{table.id}{suffix}"


def _keep(folder: Path, table: MappingTable) -> None:
    """Copy a version's files to where versions are kept; the header last."""
    source = Path(table.file)
    kept = (folder / VERSIONS / table.version).with_name(f"{table.version}{source.suffix}")
    if source == kept:
        return
    for one, other in zip(files_of(source), files_of(kept), strict=True):
        write_whole(other, one.read_bytes())
    read, _ = read_one(kept)
    if read is None or read.version != table.version:
        raise FhirCoderError(f"{source} changed while it was read: nothing was activated, try again")


def _finished(folder: Path, history: History) -> History:
    """Put the newest versions into their places, where that has not been done."""
    if not history.unfinished:
        return history
    for table_id, name in history.unfinished.items():
        kept = version_file(folder, history.of(table_id)[-1].version)
        for one, other in zip(files_of(kept), files_of(folder / name), strict=True):
            write_whole(other, one.read_bytes())
    write_history(folder, history.activations, {})
    return replace(history, unfinished={})


def _tidy_compiled(folder: Path, before: History) -> None:
    """Remove compiled rows that neither the tables of now need nor those of just before, which a service may use."""
    tables, _ = read_folder(folder)
    now = read_history(folder)
    needed = {table.version for table in tables}
    for history in (before, now):
        for table in {one.table for one in history.activations}:
            needed |= painted_days(history.painted(table, history.of(table)[-1].version)).keys()
    names = {file_of(version) for version in needed}
    for file in (folder / COMPILED).glob("*.sqlite"):
        if not any(file.name.startswith(name) for name in names):
            file.unlink(missing_ok=True)


# --- naming them ----------------------------------------------------------------------------------


def versions_of(folder: Path, when_unknown: str = "gap") -> list[Version]:
    """Every version of a folder's tables that is known, by table, the one activated last in front.

    Raises TableError where one cannot be read.
    """
    tables, faults = read_folder(folder, when_unknown)
    history = read_history(folder)
    faults += [history.fault] if history.fault else []
    here = {table.id: table for table in tables}
    for name in history.unfinished:
        table, found = read_one(version_file(folder, history.of(name)[-1].version), when_unknown)
        faults += found
        here |= {name: table} if table else {}
    if faults:
        raise TableError("the set of mapping tables", faults)
    return [one for table in sorted(here) for one in _of_table(folder, here[table], history, when_unknown)]


def _of_table(folder: Path, current: MappingTable, history: History, when_unknown: str) -> list[Version]:
    done = {one.version: one for one in history.of(current.id)}
    if not done:
        return [Version(current, current.days, True)]
    days = painted_days(history.painted(current.id, current.version))
    found = [_version(current, days, done, is_current=True)]
    for version in reversed([v for v in done if v != current.version]):
        table, faults = read_one(version_file(folder, version), when_unknown)
        if table is None:
            raise TableError("a version that is kept", faults)
        found.append(_version(replace(table, folder=str(folder)), days, done, is_current=False))
    return found


def _version(
    table: MappingTable, days: Mapping[str, Days], done: Mapping[str, Activation], *, is_current: bool
) -> Version:
    one = done.get(table.version)
    return Version(table, days.get(table.version, ()), is_current, one.at if one else "", one.by if one else "")


def read_tables(path: Path, when_unknown: str = "gap") -> list[MappingTable]:
    """The table of a CSV or ConceptMap, or the tables that lie in a folder. Raises TableError, NotFoundError."""
    if path.is_dir():
        tables, faults = read_folder(path, when_unknown)
        if faults:
            raise TableError(f"the folder {path}", faults)
        if not tables:
            raise NotFoundError(f"{path} has no mapping table: a CSV and its header file")
        return tables
    table, faults = read_one(path if path.suffix == ".json" else path.with_suffix(".csv"), when_unknown)
    if table is None:
        raise TableError(f"mapping table {path}", faults)
    return [table]


def version_named(name: str, versions: Sequence[Version]) -> Version:
    """The version of a name: `ID` for the one activated last, `ID@HASH`, `ID@LABEL`, a hash or a label alone.

    Raises NotFoundError, also where a name fits several.
    """
    found = [one for one in versions if one.is_current and one.table.id == name]
    found = found or [one for one in versions if name in _names(one.table)]
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(one.table.version for one in found)
        raise NotFoundError(f"several versions are called so: write one of {listed}")
    raise NotFoundError("neither a file, a folder nor a version that is known: fhir-coder tables versions lists them")


def _names(table: MappingTable) -> tuple[str, ...]:
    label = table.header.version
    return table.version, f"{table.id}@{label}", table.version.rpartition("@")[2], label


def first_day(table: MappingTable, said: date | None, has_earlier: bool, always: bool) -> date | None:
    """The first day of service that a version is to be used for: its header's, or the one that is said.

    A concept table translates words of feeds, which have no day. Raises FhirCoderError where it goes without saying
    for none: an earlier version would lose its days.
    """
    own = table.header.valid_from
    if table.kind is Kind.CONCEPT or always:
        return None if table.kind is Kind.CONCEPT else own
    if said and own and said != own:
        raise FhirCoderError(f"{table.id}: --from differs from the valid_from of its header, {own}")
    if own is None and said is None and has_earlier:
        raise FhirCoderError(
            f"{table.id}: from which day of service? --from 2027-01-01 leaves the days before to the version of now; "
            "--from always corrects it for every day"
        )
    return said or own
