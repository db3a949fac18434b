"""What batches came to, joined to the files of the run in the order of batches: the same bytes however it ran."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
import orjson

from fhir_coder.bulk.coding import part_path
from fhir_coder.bulk.grouping import Grouped
from fhir_coder.bulk.job import Job, Plan, saved
from fhir_coder.bulk.reading import report_path, reports_in, write_whole
from fhir_coder.model import Json, MessageStatus

_GAP_COLUMNS = ("chart_key", "message", "path", "system", "code", "reason", "text")
_FINDING_COLUMNS = ("chart_key", "identifier", "payer", "edit", "severity", "path", "text", "advice")


class Joined:
    """The claims of a run so far: a file that grows, and how many batches of it are certain."""

    def __init__(self, job: Job, batches: Sequence[int]) -> None:
        self._job, self._batches = job, batches
        self._state = job.folder / "joined.json"
        self._growing = job.claims_path.with_name(f"{job.claims_path.name}.part")
        state = saved(self._state) or {"batches": 0, "bytes": 0}
        self._count, self._bytes = int(state["batches"]), int(state["bytes"])

    def go_on(self) -> None:
        """Take the batches that are done and whose turn it is; what is taken needs its own file no longer."""
        while self._count < len(self._batches):
            batch = self._batches[self._count]
            if not report_path(self._job.coded_folder, batch).exists():
                return
            self._append(part_path(self._job.coded_folder, batch, "claims"))

    def _append(self, part: Path) -> None:
        with self._growing.open("r+b" if self._growing.exists() else "w+b") as whole, part.open("rb") as more:
            whole.truncate(self._bytes)  # a run that was killed here may have begun to append
            whole.seek(self._bytes)
            shutil.copyfileobj(more, whole, 1 << 20)
            self._bytes = whole.tell()
        self._count += 1
        write_whole(self._state, orjson.dumps({"batches": self._count, "bytes": self._bytes}))
        part.unlink()

    def finish(self, plan: Plan, grouped: Grouped) -> None:
        """Write the other files, and give each its name."""
        self.go_on()
        out, folder = self._job.out, self._job.coded_folder
        self._growing.touch()
        with (out / "refused.ndjson.part").open("wb") as file:
            file.writelines(orjson.dumps(row) + b"\n" for row in _refused(self._job, plan, grouped))
        with (out / "failed.ndjson.part").open("wb") as file:
            for batch in self._batches:
                file.write(part_path(folder, batch, "failed").read_bytes())
        for name, columns in (("gaps", _GAP_COLUMNS), ("findings", _FINDING_COLUMNS)):
            parts = [part_path(folder, batch, name) for batch in self._batches]
            _write_parquet([part for part in parts if part.stat().st_size], columns, out / f"{name}.parquet.part")
        for path in sorted(out.glob("*.part")):
            path.replace(path.with_suffix(""))

    def clear_away(self) -> None:
        """Remove what the run kept for itself."""
        shutil.rmtree(self._job.folder)


def _write_parquet(parts: Sequence[Path], columns: Sequence[str], path: Path) -> None:
    """Write the rows of some files, in their order, to one of Parquet."""
    with duckdb.connect() as connection:
        connection.execute("SET threads = 1")
        connection.execute("SET memory_limit = '500MB'")
        if parts:
            types = ", ".join(f"{column}: 'VARCHAR'" for column in columns)
            names = ", ".join(f"'{_quoted(part)}'" for part in parts)
            rows = f"SELECT * FROM read_json([{names}], format = 'newline_delimited', columns = {{{types}}})"
        else:
            rows = f"SELECT {', '.join(f'NULL::VARCHAR AS {column}' for column in columns)} WHERE false"
        connection.execute(f"COPY ({rows}) TO '{_quoted(path)}' (FORMAT parquet, COMPRESSION zstd)")


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _refused(job: Job, plan: Plan, grouped: Grouped) -> Iterator[Json]:
    """The payloads that were not taken: which, and why."""
    before = plan.input(job.folder).before
    numbers = [piece.number for piece in plan.pieces]
    conflicts: dict[int, list[tuple[int, int]]] = {}
    for piece, source, number in grouped.conflicts:
        conflicts.setdefault(piece, []).append((source, number))
    for piece, report in zip(numbers, reports_in(job.read_folder, numbers), strict=True):
        earlier = before.get(piece, 0)
        for source, number, name, why in report["refused"]:
            yield _row(name or f"{plan.sources[source]}:{number + earlier}", MessageStatus.QUARANTINED, why)
        for source, number in conflicts.get(piece, ()):
            shown = f"{plan.sources[source]}:{number + earlier}"
            yield _row(shown, MessageStatus.CONFLICT, "an earlier message has its control id and other bytes")


def _row(name: str, status: MessageStatus, why: str) -> Json:
    return {"id": name, "status": status.value, "reason": why}
