"""What an importer reads from and what it makes: the header and rows of a table that is not there yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from fhir_coder.errors import Fault
from fhir_coder.terminology.codesets import CodeSets
from fhir_coder.terminology.rows import Cells
from fhir_coder.terminology.table import Header


@dataclass(frozen=True, slots=True)
class Source:
    """A file to import. `on` is the day codes are judged on, `tell` hears of the progress.

    What an importer opens it hands to `keep`, which closes it when the rows were read.
    """

    path: Path
    code_sets: CodeSets
    on: date
    tell: Callable[[str], None] = lambda _: None
    keep: ExitStack = field(default_factory=ExitStack)


@dataclass(frozen=True, slots=True)
class Draft:
    """A table to be: its header, and its rows as cells. Reading the rows may add to `faults`; then none is used."""

    header: Header
    rows: Iterable[Cells]
    faults: list[Fault]
