"""The index of a code set: an SQLite file with titles, hierarchy, notes and a full text search, made once.

It stands in the user's cache folder and may be deleted at any time: it is made again.
"""

from __future__ import annotations

import os
import re
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from fhir_coder.errors import FhirCoderError

FORMAT = 1
"""Counts up when the layout of the file changes: older files are made anew."""

_SCHEMA = """
CREATE TABLE entry (place INTEGER PRIMARY KEY, code TEXT NOT NULL, title TEXT NOT NULL, parent TEXT NOT NULL,
                    kind TEXT NOT NULL, notes BLOB);
CREATE VIRTUAL TABLE words USING fts5(title, terms, above, content='', detail='full', columnsize=1);
CREATE TABLE spelling (word TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE trigram (gram TEXT NOT NULL, word TEXT NOT NULL, PRIMARY KEY (gram, word)) WITHOUT ROWID;
"""
_WORD = re.compile(r"[a-z0-9]+")
_TERMS = ("includes", "inclusion_terms", "long_title")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a code set. `kind` is chapter (or block), header, code, or extended: a code with a 7th character.

    `notes` has lists of texts by their kind (`excludes1` ...), and `seventh`: texts by 7th character.
    """

    code: str
    title: str
    parent: str = ""
    kind: str = "code"
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An entry that has words of a query. `bm25` is the smaller the better it fits."""

    entry: Entry
    bm25: float


class CodeIndex:
    """An index that is open for reading. A context manager, for one thread."""

    def __init__(self, file: Path) -> None:
        # immutable: nobody writes a finished file, so no lock is taken.
        self._connection = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro&immutable=1", uri=True)

    def entry(self, code: str) -> Entry | None:
        """The entry of a code, ICD-10-CM with or without its dot; None where the set has none."""
        return next(self._entries("code = ?", code), None)

    def children(self, code: str) -> list[Entry]:
        """The entries right below one."""
        return list(self._entries("parent = ?", code))

    def ancestors(self, entry: Entry) -> list[Entry]:
        """The entries above one, the nearest first."""
        found: list[Entry] = []
        while entry.parent and (above := self.entry(entry.parent)):
            found.append(above)
            entry = above
        return found

    def starting_with(self, prefix: str, limit: int) -> list[Entry]:
        """Entries whose code begins with this, in the order of the set."""
        return list(self._entries("code >= ? AND code < ? AND kind <> 'chapter'", prefix, f"{prefix}~"))[:limit]

    def matching(self, query: str, limit: int) -> list[Candidate]:
        """Entries that a query of FTS5 finds, the best first."""
        rows = self._connection.execute(
            "SELECT code, entry.title, parent, kind, notes, bm25(words, 8, 5, 1) AS fit FROM words "
            "JOIN entry ON place = words.rowid WHERE words MATCH ? ORDER BY fit LIMIT ?",
            (query, limit),
        )
        return [Candidate(_entry(row[:5]), row[5]) for row in rows]

    def count_of(self, *forms: str) -> int:
        """In how many entries one of the forms of a word stands."""
        marks = ",".join("?" * len(forms))
        found = self._connection.execute(f"SELECT sum(count) FROM spelling WHERE word IN ({marks})", forms)
        return int(found.fetchone()[0] or 0)

    def begins_word(self, start: str) -> bool:
        """Whether a longer word of the set begins like this."""
        ask = "SELECT 1 FROM spelling WHERE word > ? AND word < ? LIMIT 1"
        return bool(self._connection.execute(ask, (start, f"{start}~")).fetchone())

    def words_like(self, word: str, limit: int = 60) -> list[tuple[str, int]]:
        """Words that share most trigrams with one, each with its count in the set."""
        grams = sorted(_trigrams(word))
        marks = ",".join("?" * len(grams))
        return self._connection.execute(
            f"SELECT trigram.word, count FROM trigram JOIN spelling USING (word) WHERE gram IN ({marks}) "
            "GROUP BY trigram.word ORDER BY count(*) - abs(length(trigram.word) - ?) DESC, count DESC LIMIT ?",
            (*grams, len(word), limit),
        ).fetchall()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def _entries(self, where: str, *values: str) -> Iterator[Entry]:
        ask = f"SELECT code, title, parent, kind, notes FROM entry WHERE {where} ORDER BY place"
        yield from map(_entry, self._connection.execute(ask, values))


def _entry(row: Sequence[Any]) -> Entry:
    return Entry(row[0], row[1], row[2], row[3], orjson.loads(row[4]) if row[4] else {})


def words_of(text: str) -> list[str]:
    """The words of a text in small letters."""
    return _WORD.findall(text.lower().replace("'s", ""))


def stem(word: str) -> str:
    """A word without its plural: what index and query have in common."""
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def index_path(name: str, edition: str) -> Path:
    """Where the file of an index is, or will be."""
    return _folder() / f"{name}-{edition}-{FORMAT}.sqlite"


def index_file(name: str, edition: str, entries: Callable[[], Iterable[Entry]]) -> Path:
    """The file of an index; it is made of the entries where there is none yet.

    Raises FhirCoderError where no file can be made.
    """
    folder, file = _folder(), index_path(name, edition)
    if file.is_file():
        return file
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=folder, suffix=".part")
    except OSError as error:
        raise FhirCoderError(f"no folder for the search index at {folder}: set XDG_CACHE_HOME") from error
    os.close(handle)
    try:
        with closing(sqlite3.connect(part)) as connection:
            _write(connection, entries())
        # Two processes may make the same file: the last one wins, with the same content.
        Path(part).replace(file)
    except (sqlite3.Error, OSError) as error:
        raise FhirCoderError(f"the search index cannot be written at {folder}: is the disk full?") from error
    finally:
        Path(part).unlink(missing_ok=True)
    return file


def _folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fhir-coder" / "codesets"


def _write(connection: sqlite3.Connection, entries: Iterable[Entry]) -> None:
    # A file that is not whole after a crash never gets its name: no journal, no waiting for the disk.
    connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")
    connection.executescript(_SCHEMA)
    above: dict[str, str] = {}
    counts: dict[str, int] = {}
    for place, entry in enumerate(entries):
        row = (
            place,
            entry.code,
            entry.title,
            entry.parent,
            entry.kind,
            orjson.dumps(entry.notes) if entry.notes else None,
        )
        connection.execute("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?)", row)
        # Codes with a 7th character are found by way of their header; chapters are no answer to a coder.
        if entry.kind not in ("extended", "chapter"):
            _write_words(connection, place, entry, above, counts)
    connection.executemany("INSERT INTO spelling VALUES (?, ?)", sorted(counts.items()))
    grams = ((gram, word) for word in counts if len(word) > 3 for gram in _trigrams(word))
    connection.executemany("INSERT INTO trigram VALUES (?, ?)", sorted(grams))
    connection.executescript("CREATE INDEX by_code ON entry (code); CREATE INDEX by_parent ON entry (parent);")
    connection.execute("INSERT INTO words(words) VALUES ('optimize')")
    connection.commit()


def _write_words(
    connection: sqlite3.Connection, place: int, entry: Entry, above: dict[str, str], counts: dict[str, int]
) -> None:
    terms = " ".join(terms_of(entry))
    upper = above.get(entry.parent, "")
    if entry.kind == "header":
        above[entry.code] = f"{entry.title} {terms} {upper}"
    for word in words_of(f"{entry.title} {terms}"):
        counts[word] = counts.get(word, 0) + 1
    stems = [" ".join(map(stem, words_of(text))) for text in (entry.title, terms, upper)]
    connection.execute("INSERT INTO words(rowid, title, terms, above) VALUES (?, ?, ?, ?)", (place, *stems))


def terms_of(entry: Entry) -> list[str]:
    """The further names of an entry: what it includes, and its long title."""
    return [term for name in _TERMS for term in entry.notes.get(name, ())]


def _trigrams(word: str) -> set[str]:
    padded = f" {word} "
    return {padded[place : place + 3] for place in range(len(padded) - 2)}
