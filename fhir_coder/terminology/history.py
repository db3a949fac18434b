"""Which versions a folder's tables had: each activation with its days of service, and the files of each version.

They lie in `.versions` in the folder: `activations.json`, and every version's files as `ID@HASH.csv` and `.toml`. The
later activation takes the days it is for from the earlier ones; the other days stay as they were.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import orjson

from fhir_coder.errors import Fault
from fhir_coder.terminology.table import Days

VERSIONS = ".versions"
"""The folder of what is kept, within a folder of tables."""

_LOG = "activations.json"
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Activation:
    """One version put to use. `number` counts a folder's activations from 1; what lay there before has that of then.

    It counts for days of service from `first` to `last`, both inclusive; None: no such bound. `at` is a UTC time.
    """

    number: int
    table: str
    version: str
    label: str
    rows: int
    first: date | None = None
    last: date | None = None
    at: str = ""
    by: str = ""


Painted = tuple[str, date | None, date | None]
"""A version with its first and last day."""


@dataclass(frozen=True, slots=True)
class History:
    """The activations of a folder, in their order.

    `unfinished` names tables whose newest version was not put into its place yet, each with its file there.
    """

    activations: tuple[Activation, ...] = ()
    unfinished: Mapping[str, str] = field(default_factory=dict)
    fault: Fault | None = None

    @property
    def state(self) -> int:
        """The number of the newest activation; 0 before the first one."""
        return self.activations[-1].number if self.activations else 0

    def of(self, table_id: str) -> tuple[Activation, ...]:
        """The activations of one table."""
        return tuple(one for one in self.activations if one.table == table_id)

    def unfinished_files(self) -> frozenset[str]:
        """The names of files that are not what the newest activation says yet, of CSV and header."""
        return frozenset(file.name for name in self.unfinished.values() for file in files_of(Path(name)))

    def painted(self, table_id: str, current: str, as_of: int | None = None) -> list[Painted]:
        """A table's versions as they were put to use, up to an activation.

        `current` is the version that lies in the folder. One that was not activated is an edit in place of the
        version that was activated last: it counts for the same days.
        """
        done = self.of(table_id)
        painted = [(one.version, one.first, one.last) for one in done if as_of is None or one.number <= as_of]
        last = done[-1]
        if current != last.version and (as_of is None or last.number <= as_of):
            painted.append((current, last.first, last.last))
        return painted


def painted_days(painted: Iterable[Painted]) -> dict[str, Days]:
    """The days for which each version counts in the end; a version without any is left out."""
    segments: list[tuple[date, date, str]] = []
    for version, begin, end in painted:
        first, last = begin or date.min, end or date.max
        left = [
            (*period, other)
            for begins, ends, other in segments
            for period in days_without(((begins, ends),), first, last)
        ]
        segments = sorted([*left, (first, last, version)])
    days: dict[str, Days] = {}
    for first, last, version in segments:
        before = days.get(version, ())
        if before and before[-1][1] + _DAY == first:
            days[version] = (*before[:-1], (before[-1][0], last))
        else:
            days[version] = (*before, (first, last))
    return days


def days_without(days: Days, first: date, last: date) -> Days:
    """What is left of days when a period is taken out."""
    left: list[tuple[date, date]] = []
    for begin, end in days:
        if end < first or begin > last:
            left.append((begin, end))
            continue
        left += [(begin, first - _DAY)] if begin < first else []
        left += [(last + _DAY, end)] if end > last else []
    return tuple(left)


def log_file(folder: Path) -> Path:
    """Where a folder's activations are written down."""
    return folder / VERSIONS / _LOG


def version_file(folder: Path, version: str) -> Path:
    """Where a version is kept: its CSV, with the header beside it, or its ConceptMap."""
    file = folder / VERSIONS / f"{version}.json"
    return file if file.exists() else file.with_name(f"{version}.csv")


def files_of(file: Path) -> tuple[Path, ...]:
    """The files of a table: a CSV with its header, or a ConceptMap."""
    return (file,) if file.suffix == ".json" else (file, file.with_suffix(".toml"))


def read_history(folder: Path) -> History:
    """Read a folder's activations; none where none was ever made. A log that cannot be read is a fault."""
    file = log_file(folder)
    try:
        said = orjson.loads(file.read_bytes())
        return History(tuple(map(_activation, said["activations"])), dict(said["unfinished"]))
    except FileNotFoundError:
        return History()
    except OSError:
        return History(fault=Fault(str(file), 0, "", "cannot be read"))
    except (ValueError, KeyError, TypeError):
        text = "not a list of activations: restore it from a backup; without it only the newest versions are known"
        return History(fault=Fault(str(file), 0, "", text))


def _activation(said: Mapping[str, Any]) -> Activation:
    days = {name: date.fromisoformat(said[name]) if said[name] else None for name in ("first", "last")}
    return Activation(**{**said, **days})


def write_history(folder: Path, activations: Sequence[Activation], unfinished: Mapping[str, str]) -> None:
    """Replace the log of a folder's activations, whole or not at all."""
    file = log_file(folder)
    body = orjson.dumps({"activations": activations, "unfinished": unfinished}, option=orjson.OPT_INDENT_2)
    write_whole(file, body)


def write_whole(file: Path, body: bytes) -> None:
    """Write a file so that it is on the disk, and whole, whenever it is there."""
    part = file.with_name(f".{file.name}.part")
    with part.open("wb") as stream:
        stream.write(body)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(file)
