"""A copy of all that a site cannot make again: ledger, inbox, the key of its index of people, settings, tables.

The service goes on meanwhile. The inbox is copied before the ledger: what it held then is in its copy, or was filed
and is in the ledger's. So all that was acknowledged before the backup began is in it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import orjson

from fhir_coder import __version__
from fhir_coder.errors import FhirCoderError
from fhir_coder.settings import Settings
from fhir_coder.store.inbox import inbox_path
from fhir_coder.store.people import key_path

MANIFEST = "backup.json"
LEDGER, INBOX, PATIENT_KEY = "ledger.db", "ledger.db.inbox", "ledger.db.patient-key"
SETTINGS, TABLES = "fhir-coder.toml", "mappings"
"""The names of what a backup holds, in its folder."""

_PAGES_AT_ONCE = 2000
_PRIVATE = 0o700

Progress = Callable[[str, int, int], None]
"""Told which file is copied, how many of its pages are, and of how many."""


class BackupError(FhirCoderError):
    """A backup cannot be made or is not whole: nothing was changed."""


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup is of: when it began (UTC), which program and schema, and each file with its SHA-256."""

    began_at: datetime
    program: str
    schema: str
    messages: int
    claims: int
    files: dict[str, str]

    @property
    def holds_tables(self) -> bool:
        """Whether the site's tables are in it."""
        return any(name.startswith(f"{TABLES}/") for name in self.files)


def make_backup(settings: Settings, folder: Path, progress: Progress = lambda *_: None) -> Backup:
    """Copy a site into a new folder, only its owner may read it. Raises BackupError; then the folder is not there.

    The settings' file and the folder of the site's tables go with it where there are any; code sets that were imported
    and the files of secrets do not.
    """
    source = settings.store_path()
    if not source.is_file():
        raise BackupError(f"no ledger at {source}: there is nothing to back up")
    if folder.exists():
        raise BackupError(f"{folder} is there already: name a new folder")
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.mkdir(parents=True, mode=_PRIVATE)
        made = _copied(settings, unfinished, progress)
        unfinished.replace(folder)
        _flush(folder.parent)
    except (OSError, sqlite3.Error) as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise BackupError(f"the backup was not made: {error}") from error
    return made


def _copied(settings: Settings, folder: Path, progress: Progress) -> Backup:
    source, began_at = settings.store_path(), datetime.now(UTC)
    if inbox_path(source).exists():  # first: see above
        _copy_database(inbox_path(source), folder / INBOX, progress)
    _copy_database(source, folder / LEDGER, progress)
    _copy_file(key_path(source), folder / PATIENT_KEY)
    if settings.file:
        _copy_file(settings.file, folder / SETTINGS)
    if settings.file and settings.tables.dir and settings.tables.dir.is_dir():
        shutil.copytree(settings.tables.dir, folder / TABLES, ignore=shutil.ignore_patterns("codesets"))
    made = _described(folder, began_at)
    told = {**asdict(made), "began_at": began_at.isoformat()}
    (folder / MANIFEST).write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2) + b"\n")
    for file in (folder, *folder.rglob("*")):
        _flush(file)
    return made


def _copy_database(source: Path, target: Path, progress: Progress) -> None:
    """A consistent copy of a database that others write to meanwhile, checked. Raises sqlite3.Error."""
    uri = f"{source.resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as of, closing(sqlite3.connect(target)) as to:
        of.execute("BEGIN")
        of.execute("SELECT 1 FROM sqlite_master").fetchone()  # what is committed from now on is not seen

        def told(_status: int, left: int, pages: int) -> None:
            progress(target.name, pages - left, pages)

        of.backup(to, pages=_PAGES_AT_ONCE, progress=told)
        to.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
        found = to.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise sqlite3.DatabaseError(f"the pages of {source.name} do not fit together")


def _copy_file(source: Path, target: Path) -> None:
    if source.is_file():
        shutil.copyfile(source, target)
        target.chmod(0o600)


def _described(folder: Path, began_at: datetime) -> Backup:
    with closing(sqlite3.connect(folder / LEDGER)) as db:
        schema = db.execute("SELECT version_num FROM alembic_version").fetchone()[0]
        messages = db.execute("SELECT count(*) FROM messages").fetchone()[0]
        claims = db.execute("SELECT count(*) FROM claims").fetchone()[0]
    files = {name: _digest(folder / name) for name in sorted(_names(folder))}
    return Backup(began_at, __version__, schema, messages, claims, files)


def _names(folder: Path) -> Iterator[str]:
    return (f.relative_to(folder).as_posix() for f in folder.rglob("*") if f.is_file() and f.name != MANIFEST)


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _flush(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_backup(folder: Path) -> Backup:
    """What a backup says it is, every file compared with its digest. Raises BackupError with the file at fault."""
    try:
        told = orjson.loads((folder / MANIFEST).read_bytes())
        backup = Backup(**{**told, "began_at": datetime.fromisoformat(told["began_at"])})
    except (OSError, ValueError, TypeError, KeyError):
        raise BackupError(f"{folder} is no backup: it has no {MANIFEST} that can be read") from None
    for name, digest in backup.files.items():
        if not (folder / name).is_file():
            raise BackupError(f"{folder / name} is missing: the backup is not whole")
        if _digest(folder / name) != digest:
            raise BackupError(f"{folder / name} is not as it was backed up: its SHA-256 differs")
    return backup
