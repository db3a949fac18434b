"""A run from files to claims, top down: cut the input, read it, group it by chart, code it, join what came of it.

Each step leaves what it did in the run's folder, so that a run that was killed goes on where it stood, and ends with
the same bytes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TextIO

import duckdb

import fhir_coder
from fhir_coder.app import App
from fhir_coder.bulk.grouping import Grouped, group
from fhir_coder.bulk.job import Instead, Job, Plan, grouped_in, mark_of, prepare, save_grouped
from fhir_coder.bulk.join import Joined
from fhir_coder.bulk.progress import Progress
from fhir_coder.bulk.reading import report_path
from fhir_coder.bulk.sources import Cutter, files_in
from fhir_coder.bulk.summary import BulkSummary, Timing, summary_of, write_summary
from fhir_coder.bulk.worker import Here, Pool, Runner, rulebook_of
from fhir_coder.errors import FhirCoderError

SMALL_INPUT = 4 << 20
"""Bytes up to which more processes take longer to begin than to work."""


@dataclass(frozen=True, slots=True)
class BulkOptions:
    """How a run is done. `jobs` are processes, by default one for each core; `memory` is DuckDB's.

    `created` is the day on which the claims are made, by default the day on which the run was begun.
    """

    jobs: int = 0
    memory: str = "1GB"
    is_packed: bool = False
    overwrite: bool = False
    created: date | None = None
    progress: TextIO | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Question:
    """What a run is asked: what its input is (`marks`) and how it is cut."""

    marks: Sequence[object]
    cut: Callable[[Cutter], None]
    size: int
    is_stored: bool = False
    instead: Instead = field(default_factory=Instead)


def convert_files(paths: Sequence[Path], out: Path, app: App, options: BulkOptions = BulkOptions()) -> BulkSummary:
    """Convert files of any size together: payloads of one visit make one claim, whichever file they stand in.

    Raises UsageError for input that is not there and for a folder that holds another run.
    """
    return run(question_of_files(paths), out, app, options)


def question_of_files(paths: Sequence[Path]) -> Question:
    """The question that files are."""
    files = files_in(paths)
    stats = [path.stat() for path in files]
    marks = [[str(path.resolve()), one.st_size, one.st_mtime_ns] for path, one in zip(files, stats, strict=True)]

    def cut(cutter: Cutter) -> None:
        for path in files:
            cutter.add_file(path)

    return Question(marks, cut, sum(one.st_size for one in stats))


def run(question: Question, out: Path, app: App, options: BulkOptions) -> BulkSummary:
    """Answer a question with the processes of this machine."""
    jobs = options.jobs or len(os.sched_getaffinity(0))
    run = BulkRun(question, out, app, options)
    with ExitStack() as opened:
        is_small = jobs == 1 or question.size <= SMALL_INPUT
        if is_small:
            return run.by(opened.enter_context(Here(run.job, app)))
        return run.by(opened.enter_context(Pool(run.job, jobs)))


class BulkRun:
    """One run in its folder. Making it says whether it can be done at all."""

    def __init__(self, question: Question, out: Path, app: App, options: BulkOptions) -> None:
        self._question, self._options = question, options
        settings = app.settings.to_line()
        job = Job(settings, out, options.created or date.today(), options.is_packed, question.is_stored)
        job = replace(job, instead=question.instead)
        tables = rulebook_of(app, job).tables  # settings and tables are refused before anything is begun
        asked = [question.marks, options.is_packed, options.created, job.instead.names, job.instead.first]
        mark = mark_of([*asked, settings.decode(), tables.versions, tables.state, fhir_coder.__version__])
        self._known = prepare(out, mark, overwrite=options.overwrite)
        self.job = replace(job, created=self._known.created) if self._known else job
        self._mark = mark
        self._progress = Progress(options.progress)

    def by(self, runner: Runner) -> BulkSummary:
        """Do all that is not done yet."""
        begun = time.monotonic()
        plan = self._known or self._cut()
        self._read(runner, plan)
        grouped = grouped_in(self.job.folder) or self._group()
        self._code(runner, grouped)
        return self._finish(plan, grouped, begun)

    def _cut(self) -> Plan:
        cutter = Cutter(self.job.folder / "segments")
        self._question.cut(cutter)
        cutter.close()
        plan = Plan(self._mark, self.job.created, tuple(cutter.sources), tuple(cutter.pieces))
        plan.save(self.job.folder)
        return plan

    def _read(self, runner: Runner, plan: Plan) -> None:
        left = [one for one in plan.pieces if not report_path(self.job.read_folder, one.number).exists()]
        sizes = [piece.end - piece.start for piece in plan.pieces]
        self._progress.begin("reading", "MB", sum(sizes), sum(sizes) - sum(one.end - one.start for one in left))
        for _, size in runner.read(left):
            self._progress.add(size)
        self._progress.end()

    def _group(self) -> Grouped:
        threads = self._options.jobs or len(os.sched_getaffinity(0))
        try:
            grouped = group(self.job.folder, self._options.memory, threads)
        except duckdb.Error as error:  # its text may show a value
            raise FhirCoderError(
                f"grouping failed ({type(error).__name__}): it needs room in {self.job.folder}, or more --memory"
            ) from None
        save_grouped(self.job.folder, grouped)
        return grouped

    def _code(self, runner: Runner, grouped: Grouped) -> None:
        folder = self.job.coded_folder
        joined = Joined(self.job, [batch for batch, _ in grouped.batches])
        left = [batch for batch, _ in grouped.batches if not report_path(folder, batch).exists()]
        charts = dict(grouped.batches)
        self._progress.begin("coding", "charts", grouped.charts, grouped.charts - sum(charts[one] for one in left))
        joined.go_on()
        for batch, _ in runner.code(left):
            self._progress.add(charts[batch])
            joined.go_on()
        self._progress.end()

    def _finish(self, plan: Plan, grouped: Grouped, begun: float) -> BulkSummary:
        joined = Joined(self.job, [batch for batch, _ in grouped.batches])
        joined.finish(plan, grouped)
        timing = Timing(time.monotonic() - begun, self._question.size, goes_on=self._known is not None)
        summary = summary_of(self.job, plan, grouped, timing)
        write_summary(summary, self.job)
        joined.clear_away()
        return summary
