"""A run as it stands in its folder: what is read, by which settings, and how far it came. So it goes on when killed."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import orjson

from fhir_coder.bulk.coding import Input
from fhir_coder.bulk.grouping import Grouped
from fhir_coder.bulk.pieces import Piece
from fhir_coder.bulk.reading import reports_in, write_whole
from fhir_coder.errors import UsageError

SUMMARY = "summary.json"
OUTPUTS = ("claims.ndjson", "claims.ndjson.gz", "gaps.parquet", "findings.parquet", "refused.ndjson", "failed.ndjson")


@dataclass(frozen=True, slots=True)
class Instead:
    """Tables to code with in the place of those in use: their names (`tables activate` takes the same ones).

    `first` is the first day of service that they count for, empty as their headers say.
    """

    names: tuple[str, ...] = ()
    first: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """What every process of a run must know. `settings` is `Settings.to_line()`; `stored`: the input is the ledger."""

    settings: bytes
    out: Path
    created: date
    is_packed: bool = False
    is_stored: bool = False
    instead: Instead = field(default_factory=Instead)

    @property
    def folder(self) -> Path:
        """Where the run keeps what it has not finished; it goes when all is done."""
        return self.out / ".bulk"

    @property
    def read_folder(self) -> Path:
        """Where the index of each piece is."""
        return self.folder / "read"

    @property
    def coded_folder(self) -> Path:
        """Where what each batch came to is."""
        return self.folder / "coded"

    @property
    def claims_path(self) -> Path:
        """The file of claims."""
        return self.out / ("claims.ndjson.gz" if self.is_packed else "claims.ndjson")


@dataclass(frozen=True, slots=True)
class Plan:
    """The input of a run, cut. `mark` is a digest of everything that its output depends on."""

    mark: str
    created: date
    sources: tuple[str, ...]
    pieces: tuple[Piece, ...]

    def to_bytes(self) -> bytes:
        """As the folder keeps it."""
        pieces = [piece.to_json() for piece in self.pieces]
        return orjson.dumps({"mark": self.mark, "created": self.created, "sources": self.sources, "pieces": pieces})

    @classmethod
    def of(cls, folder: Path) -> Plan | None:
        """The plan in a folder, None where there is none."""
        path = folder / "plan.json"
        if not path.exists():
            return None
        said = orjson.loads(path.read_bytes())
        pieces = tuple(Piece(**one) for one in said["pieces"])
        return cls(said["mark"], date.fromisoformat(said["created"]), tuple(said["sources"]), pieces)

    def save(self, folder: Path) -> None:
        """Keep it; from now on the run can go on."""
        write_whole(folder / "plan.json", self.to_bytes())

    def input(self, folder: Path) -> Input:
        """The input, once all of it was read."""
        before: dict[int, int] = {}
        counted: dict[int, int] = {}
        numbers = [piece.number for piece in self.pieces]
        for piece, report in zip(self.pieces, reports_in(folder / "read", numbers), strict=True):
            if not piece.is_segment:
                before[piece.number] = counted.get(piece.source, 0)
                counted[piece.source] = before[piece.number] + report["number"]
        return Input(self.pieces, self.sources, before)


def mark_of(parts: Sequence[object]) -> str:
    """A digest of everything that the output of a run depends on."""
    return hashlib.sha256(orjson.dumps(parts, default=str)).hexdigest()


def prepare(out: Path, mark: str, *, overwrite: bool) -> Plan | None:
    """Make the folder of a run ready; answers the plan of one that was begun with the same input and settings.

    Raises UsageError where the folder holds another run, finished or not.
    """
    folder = out / ".bulk"
    plan = Plan.of(folder)
    if plan and plan.mark == mark and not overwrite:
        return plan
    if not overwrite and (plan or (out / SUMMARY).exists()):
        state = "a run of other input or settings that was not finished" if plan else "a finished run"
        raise UsageError(f"{out} holds {state}: choose another folder, or --overwrite")
    shutil.rmtree(folder, ignore_errors=True)
    for name in (*OUTPUTS, *(f"{one}.part" for one in OUTPUTS), SUMMARY, "summary.html"):
        (out / name).unlink(missing_ok=True)
    for name in ("read", "coded", "segments", "spill"):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o700)  # patients' data lies here until the run is done
    return None


def save_grouped(folder: Path, grouped: Grouped) -> None:
    """Keep what the grouping found."""
    write_whole(
        folder / "grouped.json",
        orjson.dumps([grouped.charts, grouped.batches, grouped.repeats, grouped.conflicts]),
    )


def grouped_in(folder: Path) -> Grouped | None:
    """What a grouping found before, None where it was not finished."""
    path = folder / "grouped.json"
    if not path.exists():
        return None
    charts, batches, repeats, conflicts = orjson.loads(path.read_bytes())
    return Grouped(charts, tuple(map(tuple, batches)), repeats, tuple(map(tuple, conflicts)))


def saved(path: Path) -> Mapping[str, Any] | None:
    """A small state that was kept, None where there is none."""
    return orjson.loads(path.read_bytes()) if path.exists() else None
