"""Opening the ledger and its transactions.

SQLite: WAL with `synchronous=FULL`, so a commit is on the disk when it returns. One writer at a time, of all threads
and processes (`store.locks`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event

from fhir_coder.errors import LedgerBusyError
from fhir_coder.store.locks import WriteLock
from fhir_coder.store.people import key_path, read_key, read_or_make_key

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The time now, aware, UTC."""
    return datetime.now(UTC)


class Ledger:
    """A database of messages, charts, claims and work. Safe to use from many threads."""

    def __init__(self, engine: Engine, clock: Clock = utc_now) -> None:
        self._engine = engine
        self._write_lock = WriteLock(Path(f"{engine.url.database}.write"))
        self._checkpointed = 0
        self._shared = threading.local()
        self.clock = clock

    @contextmanager
    def reading(self, *, shared: bool = False) -> Iterator[Connection]:
        """A connection that sees one consistent state. `shared`: so does all this thread reads inside the block."""
        known: Connection | None = getattr(self._shared, "connection", None)
        if known is not None:
            yield known
            return
        with self._engine.connect() as connection, connection.begin():
            self._shared.connection = connection if shared else None
            try:
                yield connection
            finally:
                self._shared.connection = None

    @contextmanager
    def writing(self, *, flush: bool = True) -> Iterator[Connection]:
        """A write transaction: committed, and on the disk, when the block ends; undone if it raises. Keep it short.

        Without `flush` the next commit with it takes this one to the disk too: for what is done again if it is lost.
        """
        with self._write_lock.held(), self._engine.connect() as connection:
            writer = connection.execution_options(fhir_coder_begin="IMMEDIATE", fhir_coder_flush=flush)
            with writer.begin():
                yield writer

    @property
    def path(self) -> Path:
        """The ledger's file."""
        return Path(str(self._engine.url.database))

    def checkpoint(self) -> int:
        """Bring what the log holds into the database file, as far as nobody has to wait; answers how many pages."""
        before, self._checkpointed = self._checkpointed, 0
        with self._engine.connect() as connection:
            cursor = connection.connection.cursor()
            cursor.execute("PRAGMA wal_checkpoint(PASSIVE)")
            _, _, done = cursor.fetchone() or (0, 0, 0)
        self._checkpointed = int(done)
        return self._checkpointed - before if self._checkpointed >= before else self._checkpointed

    @cached_property
    def patient_key(self) -> bytes:
        """The secret of the index of people, made where there is none. Raises PatientKeyError."""
        return read_or_make_key(self._key_file)

    def known_patient_key(self) -> bytes | None:
        """The secret of the index of people, None where none was made yet: looking makes none."""
        return read_key(self._key_file)

    @property
    def _key_file(self) -> Path:
        return key_path(self.path)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()
        self._write_lock.close()


def restoring_mark(path: Path) -> Path:
    """The file that stands beside a ledger while a backup is put in its place."""
    return path.with_name(f"{path.name}.restoring")


def open_ledger(path: Path, clock: Clock = utc_now, *, restoring: bool = False) -> Ledger:
    """Open a ledger file, making it or bringing it up to date first.

    Raises LedgerBusyError where a backup was not put in its place to the end, unless `restoring`.
    """
    if restoring_mark(path).exists() and not restoring:
        raise LedgerBusyError(f"a restore of {path} has not ended: give the command again with --replace")
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = sqlite_engine(path)
    with engine.connect() as connection:
        migrate(connection)
    return Ledger(engine, clock)


def sqlite_engine(path: Path) -> Engine:
    """An engine on a SQLite file with the ledger's durability."""
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 30, "check_same_thread": False})
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


def _configure(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun by `_begin`, not guessed by the driver
    cursor = connection.cursor()
    # A checkpoint flushes the database file as well: at 32 MB of log instead of 4, intake is up to half as fast again.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "wal_autocheckpoint=8000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    _set_synchronous(connection, "FULL" if options.get("fhir_coder_flush", True) else "NORMAL")
    connection.exec_driver_sql(f"BEGIN {options.get('fhir_coder_begin', 'DEFERRED')}")


def _set_synchronous(connection: Connection, mode: str) -> None:
    """Whether commits of this connection flush (FULL) or leave that to the next one that does (NORMAL)."""
    if connection.info.get("synchronous", "FULL") != mode:
        connection.exec_driver_sql(f"PRAGMA synchronous={mode}")
        connection.info["synchronous"] = mode


def migrate(connection: Connection) -> None:
    """Bring the schema to the newest version (Alembic)."""
    config = _migrations()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def newest_version() -> str:
    """The version of the schema that this program makes."""
    return ScriptDirectory.from_config(_migrations()).get_current_head() or ""


def version_of(ledger: Ledger) -> str:
    """The version of a ledger's schema, empty where it has none."""
    with ledger.reading() as connection:
        return MigrationContext.configure(connection).get_current_revision() or ""


def _migrations() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
