"""Watched folder: files are read, their payloads kept, then the file moves to `done/` or `failed/`.

A crash between keeping and moving leaves the file: it is read again, and its payloads are recognised as repeats.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path

from watchfiles import watch

from fhir_coder.intake.desk import IntakeDesk
from fhir_coder.intake.payloads import header_or_fault, payloads_in
from fhir_coder.logs import error_place, log
from fhir_coder.settings import FolderFeed
from fhir_coder.store.messages import Incoming

_UNFINISHED = (".tmp", ".part", ".partial", ".filepart", ".crdownload")
_TOGETHER = 5000
"""Payloads of one file that are committed together, so that a visit told of in many lines is charted at once."""
_SETTLED_AFTER = 0.3
"""Seconds without a change after which a file counts as written; senders should rename into place."""


class FolderWatch:
    """Reads what is put into a folder, on a thread of its own."""

    def __init__(self, feed: FolderFeed, desk: IntakeDesk) -> None:
        self._feed, self._desk = feed, desk
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"folder {feed.name}", daemon=True)

    def start(self) -> None:
        """Make the folders and start reading."""
        for folder in (self._feed.path, self._feed.path / "done", self._feed.path / "failed"):
            folder.mkdir(parents=True, exist_ok=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish the file at hand, then stop."""
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        self._read_all()
        changes = watch(
            self._feed.path,
            stop_event=self._stop,
            recursive=False,
            rust_timeout=500,
            yield_on_timeout=True,
            debounce=100,
        )
        for _ in changes:
            if not self._stop.is_set():
                self._read_all()

    def _read_all(self) -> None:
        for path in sorted(self._feed.path.iterdir()):
            if self._stop.is_set():
                return
            if _is_ready(path):
                try:
                    self._read(path)
                except Exception as error:
                    log.error("file_failed", feed=self._feed.name, error=type(error).__name__, where=error_place(error))

    def _read(self, path: Path) -> None:
        data = path.read_bytes()
        bodies = list(payloads_in(data)) or [data]
        incoming = [_incoming(self._feed.name, body) for body in bodies]
        for start in range(0, len(incoming), _TOGETHER):
            for future in self._desk.keep_together(incoming[start : start + _TOGETHER]):
                future.result()
        status = "failed" if any(one.fault for one in incoming) else "done"
        _move(path, self._feed.path / status)
        log.info("file_read", feed=self._feed.name, messages=len(incoming), status=status)


def _is_ready(path: Path) -> bool:
    if path.name.startswith(".") or path.suffix.lower() in _UNFINISHED or not path.is_file():
        return False
    return time.time() - path.stat().st_mtime >= _SETTLED_AFTER


def _move(path: Path, folder: Path) -> None:
    target = folder / path.name
    number = 1
    while target.exists():
        target = folder / f"{path.stem}.{number}{path.suffix}"
        number += 1
    path.rename(target)


def _incoming(feed: str, body: bytes) -> Incoming:
    header, fault = header_or_fault(body)
    return Incoming(feed, header, body, fault)
