"""The tables and code sets as the web application asks them: opened when first asked, by one thread of its own.

One thread is enough for questions, and takes intake's turn no more often than one sender does.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TypeVar

from fhir_coder.errors import TableError
from fhir_coder.model import LICENSED_SYSTEMS, System
from fhir_coder.settings import Settings
from fhir_coder.terminology import CodeSets, Tables
from fhir_coder.terminology.codesets.book import ICD10CM, CodeBook, SetSummary, make_index
from fhir_coder.terminology.history import read_history

T = TypeVar("T")


class Terminology:
    """What the terminology routes ask: tables and code sets, which are loaded when they are first asked.

    `with_licensed`: who asks may have licensed content. `names` are those of payers and feeds. To be closed.
    """

    def __init__(
        self, load_tables: Callable[[], Tables], code_sets: Callable[[], CodeSets], settings: Settings
    ) -> None:
        self._load_tables, self._code_sets, self._folder = load_tables, code_sets, settings.tables.dir
        self.with_licensed, self.names = settings.tables.serve_licensed, settings.names()
        self._tables: Tables | None = None
        self._state = 0
        self._clerk = ThreadPoolExecutor(1, "terminology")
        self._open = ExitStack()
        self._own_book: CodeBook | None = None

    async def ask(self, question: Callable[[], T]) -> T:
        """Answer a question in the thread that tables and code sets are asked by."""
        return await asyncio.get_running_loop().run_in_executor(self._clerk, question)

    def tables(self) -> Tables:
        """The tables as they were activated last; for questions that `ask` answers. Raises TableError."""
        state = read_history(self._folder).state if self._folder else 0
        if self._tables is None or state != self._state:
            try:
                self._tables = self._load_tables()
            except TableError:
                if self._tables is None:
                    raise
                # The workers go on with those of before too, and say so in the log.
            self._state = state
        return self._tables

    def book(self) -> CodeBook:
        """The code book; for questions that `ask` answers. Makes the index of ICD-10-CM where there is none yet."""
        book = self._plain_book()
        if not book.is_indexed():
            # Ten seconds of Python, 190 MB: in a process that takes them with it.
            maker = multiprocessing.get_context("spawn").Process(target=make_index, daemon=True)
            maker.start()
            maker.join()
        return book

    def title(self, system: str, code: str) -> str:
        """The title of a code, empty where none is known, at hand or free; for questions that `ask` answers."""
        if system == System.ICD10CM:
            book = self._plain_book()
            return book.title(ICD10CM, code) if book.is_indexed() else ""
        if system in LICENSED_SYSTEMS and not self.with_licensed:
            return ""
        return self._code_sets().title(system, code)

    def sets(self) -> list[SetSummary]:
        """The code sets at hand; for questions that `ask` answers."""
        return list(self._plain_book().summaries())

    def close(self) -> None:
        """Let the last question be answered, then close what was opened."""
        self._clerk.submit(self._open.close)
        self._clerk.shutdown()

    def _plain_book(self) -> CodeBook:
        if self._own_book is None:
            self._own_book = self._open.enter_context(CodeBook(self._code_sets(), {}))
        return self._own_book
