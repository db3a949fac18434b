"""One process of a run: reads pieces and codes batches, each by itself; what it wrote before is not done again."""

from __future__ import annotations

import atexit
import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from itertools import islice
from typing import Protocol

from fhir_coder.activation import tables_instead, tables_named
from fhir_coder.app import App
from fhir_coder.bulk.coding import ChartCoder, write_batch
from fhir_coder.bulk.decided import decided_by
from fhir_coder.bulk.grouping import wanted_of
from fhir_coder.bulk.job import Job, Plan
from fhir_coder.bulk.pieces import Piece
from fhir_coder.bulk.reading import index_of, write_index
from fhir_coder.errors import FhirCoderError
from fhir_coder.logs import configure_logs
from fhir_coder.pipeline import Rulebook
from fhir_coder.settings import Settings
from fhir_coder.terminology.header import parse_date


class Runner(Protocol):
    """Who does the work of a run: answers, in any order, what was done and how much it was."""

    def read(self, pieces: Iterable[Piece]) -> Iterator[tuple[int, int]]:
        """Read pieces: the number of each and its bytes."""

    def code(self, batches: Iterable[int]) -> Iterator[tuple[int, int]]:
        """Code batches: the number of each and its charts."""


class Here:
    """Does the work in this process, piece by piece; use it as a context."""

    def __init__(self, job: Job, app: App | None = None) -> None:
        self._job, self._given = job, app
        self._open = ExitStack()

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @cached_property
    def _app(self) -> App:
        return self._given or App(Settings.from_line(self._job.settings))

    @cached_property
    def rulebook(self) -> Rulebook:
        """The rules to read and code by, with the tables that are asked for. Raises TableError."""
        return rulebook_of(self._app, self._job)

    @cached_property
    def _coder(self) -> ChartCoder:
        job = self._job
        plan = Plan.of(job.folder)
        assert plan is not None, "a batch is coded after its plan was made"
        decided = decided_by(self._app) if job.is_stored else lambda chart: chart
        coder = ChartCoder(plan.input(job.folder), self.rulebook, plan.created, decided)
        self._open.callback(coder.close)
        return coder

    def read(self, pieces: Iterable[Piece]) -> Iterator[tuple[int, int]]:
        """Read pieces one after the other."""
        return map(self.read_piece, pieces)

    def code(self, batches: Iterable[int]) -> Iterator[tuple[int, int]]:
        """Code batches one after the other."""
        return map(self.code_batch, batches)

    def read_piece(self, piece: Piece) -> tuple[int, int]:
        """Read one piece and write its index."""
        write_index(index_of(piece, self.rulebook), self._job.read_folder)
        return piece.number, piece.end - piece.start

    def code_batch(self, batch: int) -> tuple[int, int]:
        """Code one batch and write what it came to."""
        rows = wanted_of(self._job.folder, batch)
        charts = self._coder.code(rows)
        return batch, write_batch(batch, charts, self._job.coded_folder, is_packed=self._job.is_packed).charts


def rulebook_of(app: App, job: Job) -> Rulebook:
    """The rulebook of a run. Raises TableError, NotFoundError."""
    instead = job.instead
    if not instead.names:
        return app.rulebook
    tables = [table for name in instead.names for table in tables_named(name, app.settings)]
    first = parse_date(instead.first) if instead.first else None
    return replace(app.rulebook, tables=tables_instead(app.settings, app.tables, tables, first))


class Pool:
    """Does the work in several processes; use it as a context. They end when this one does, however it ends."""

    def __init__(self, job: Job, processes: int) -> None:
        self._processes = processes
        # Spawned, not forked: a copy of a process with open databases and threads is no process to work in.
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_begin, initargs=(job,))

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def read(self, pieces: Iterable[Piece]) -> Iterator[tuple[int, int]]:
        """Read pieces, each in one of the processes."""
        return self._done(self._pool.submit(_read, piece) for piece in pieces)

    def code(self, batches: Iterable[int]) -> Iterator[tuple[int, int]]:
        """Code batches, each in one of the processes."""
        return self._done(self._pool.submit(_code, batch) for batch in batches)

    def _done(self, tasks: Iterator[Future[tuple[int, int]]]) -> Iterator[tuple[int, int]]:
        """What is done as it is done; two tasks a process are handed out, so that none waits for the next."""
        waiting = set(islice(tasks, 2 * self._processes))
        try:
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                waiting.update(islice(tasks, len(done)))
                yield from (one.result() for one in done)
        except BrokenProcessPool:
            raise FhirCoderError(
                "a process of the run was killed, perhaps for want of memory: the same command goes on; "
                "--jobs 1 takes the least memory"
            ) from None


_here: Here | None = None


def _begin(job: Job) -> None:
    """Begin a process of the pool."""
    global _here  # noqa: PLW0603 - a process of a pool keeps what it loaded from one task to the next
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent stops us
    threading.Thread(target=_end_with_parent, name="tether", daemon=True).start()
    settings = Settings.from_line(job.settings)
    configure_logs(settings.log.format, "warning")
    _here = Here(job)
    _ = _here.rulebook
    gc.freeze()
    atexit.register(gc.unfreeze)  # else DuckDB tells at the end of everything that was not freed
    # A chart and its claims hold no cycles: looking for them takes as long as coding. What errors leave is found late.
    gc.set_threshold(200_000, 50, 50)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)


def _read(piece: Piece) -> tuple[int, int]:
    assert _here is not None
    return _here.read_piece(piece)


def _code(batch: int) -> tuple[int, int]:
    assert _here is not None
    return _here.code_batch(batch)
