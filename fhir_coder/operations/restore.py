"""Puts a backup in a ledger's place. What was there is moved aside, never deleted.

A restored ledger does not know what was sent since the backup. Whatever it would send that it never sent itself is
looked up at the payer first, for as long as `delivery.LOOK_FIRST` says: nothing is billed twice.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fhir_coder.operations.backup import INBOX, LEDGER, PATIENT_KEY, TABLES, Backup, BackupError, read_backup
from fhir_coder.settings import Settings
from fhir_coder.store import restores
from fhir_coder.store.inbox import inbox_path
from fhir_coder.store.ledger import open_ledger, restoring_mark
from fhir_coder.store.locks import only_writer
from fhir_coder.store.people import key_path


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put in place, how many claims are looked up first, and where what was there before is now."""

    backup: Backup
    looked_up: int
    set_aside: Path | None


def restore(
    settings: Settings, folder: Path, *, actor: str, replace: bool = False, with_tables: bool = False
) -> Restored:
    """Put a backup in the place of the settings' ledger; `with_tables`: and its tables in that of the site's.

    Raises BackupError where the backup is not whole or something is in its place and is not to be replaced,
    LedgerBusyError where a service works on it. Given again, it takes up what was broken off.
    """
    backup, target = read_backup(folder), settings.store_path()
    if with_tables and not (backup.holds_tables and settings.tables.dir):
        raise BackupError(f"{folder} holds no tables" if settings.tables.dir else "the settings have no [tables] dir")
    taken = [*_files_of(target), *([settings.tables.dir] if with_tables and settings.tables.dir else [])]
    there = [path for path in taken if path.exists()]
    if there and not replace:
        raise BackupError(f"{there[0]} is there already: --replace moves it aside first")
    with only_writer(target):
        restoring_mark(target).touch()
        aside = _set_aside(target, there) if there else None
        _put(folder, target)
        if with_tables and settings.tables.dir:
            shutil.copytree(folder / TABLES, settings.tables.dir)
        looked_up = _written_down(target, backup, actor)
        restoring_mark(target).unlink()
    return Restored(backup, looked_up, aside)


def _files_of(ledger: Path) -> Iterator[Path]:
    for file in (ledger, inbox_path(ledger)):
        yield from (Path(f"{file}{end}") for end in ("", "-wal", "-shm"))
    yield key_path(ledger)


def _set_aside(ledger: Path, there: list[Path]) -> Path:
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
    aside = ledger.with_name(f"{ledger.name}.before-{stamp}")
    aside.mkdir(mode=0o700)
    for path in there:
        path.replace(aside / path.name)
    return aside


def _put(folder: Path, ledger: Path) -> None:
    """The ledger last: where there is one, the rest is there too."""
    places = ((INBOX, inbox_path(ledger)), (PATIENT_KEY, key_path(ledger)), (LEDGER, ledger))
    for name, place in places:
        if (folder / name).is_file():
            beside = place.with_name(f"{place.name}.new")
            shutil.copyfile(folder / name, beside)
            beside.chmod(0o600)
            with beside.open("rb") as opened:
                os.fsync(opened.fileno())
            beside.replace(place)


def _written_down(path: Path, backup: Backup, actor: str) -> int:
    ledger = open_ledger(path, restoring=True)
    try:
        with ledger.writing() as connection:
            return restores.write_down(connection, backup.began_at, actor, ledger.clock())
    finally:
        ledger.close()
