"""The operating system's file locks on a SQLite ledger: who works on it, and who writes to it now.

A lock is given back when its holder dies, however it dies.
"""

from __future__ import annotations

import fcntl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from fhir_coder.errors import LedgerBusyError

_RETRY = 0.02


@contextmanager
def only_writer(path: Path, patience: float = 0.0) -> Iterator[int]:
    """Hold the right to work on a ledger, as a file descriptor; a process that inherits it holds the right too.

    Raises LedgerBusyError where another service still has it after `patience` seconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + patience
    with Path(f"{path}.lock").open("a") as lock:
        while not _is_had(lock):
            if time.monotonic() >= until:
                raise LedgerBusyError(
                    f"another fhir-coder works on {path}: stop it first, or give this one its own [store] url"
                )
            time.sleep(_RETRY)
        yield lock.fileno()


def _is_had(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


class WriteLock:
    """One writer at a time, of all threads and all processes.

    SQLite's own lock makes a process that waits sleep for 1 to 100 ms at a time; this one wakes it at once.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = threading.Lock()
        self._file: IO[str] | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock."""
        with self._thread:
            self._file = self._file or self._opened()
            if self._file is None:
                yield
                return
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def _opened(self) -> IO[str] | None:
        try:
            return self._path.open("a")
        except OSError:
            # A ledger that cannot be written to: SQLite has its own lock, and says what is wrong.
            return None

    def close(self) -> None:
        """Close the lock's file."""
        with self._thread:
            if self._file is not None:
                self._file.close()
                self._file = None
