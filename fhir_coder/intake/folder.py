"""Watched folder: files are read, their payloads kept, then each file moves to a subfolder or is deleted.

A crash between keeping and moving leaves the file: it is read again, and its payloads are recognised as repeats.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from watchfiles import watch

from fhir_coder import hl7v2
from fhir_coder.errors import UnreadableError
from fhir_coder.intake.answer import report_miscounts
from fhir_coder.intake.desk import IntakeDesk
from fhir_coder.intake.groups import blocks_of, in_groups
from fhir_coder.intake.payloads import header_or_fault
from fhir_coder.intake.stream import TooLarge, inflated, payloads_of_stream
from fhir_coder.logs import error_place, log
from fhir_coder.settings import FolderFeed
from fhir_coder.store.messages import Incoming

_UNFINISHED = (".tmp", ".part", ".partial", ".filepart", ".crdownload")
_LOOK_EVERY_MS = 500
_LONGEST_WAIT = 300.0

Stamp = tuple[int, int, int]
"""What changes when a file is written: inode, size in bytes, time of its last change in nanoseconds."""


class _ChangedError(Exception):
    """The file was written to while it was read: it is read again when it has settled."""


@dataclass(slots=True)
class _Sighting:
    """A file as last seen. `due_at` is on the monotonic clock; `failures` counts readings that failed in a row."""

    stamp: Stamp
    due_at: float
    failures: int = 0


@dataclass(slots=True)
class _Tally:
    """What the payloads of one file came to. `file` is its inode: a file's name may hold a patient's."""

    file: int
    payloads: int = 0
    messages: int = 0
    repeats: int = 0
    is_faulty: bool = False


class FolderWatch:
    """Reads what is put into a folder, on a thread of its own."""

    def __init__(self, feed: FolderFeed, desk: IntakeDesk) -> None:
        self._feed, self._desk = feed, desk
        self._seen: dict[Path, _Sighting] = {}
        self._is_gone = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"folder {feed.name}", daemon=True)

    def start(self) -> None:
        """Make the folders and start reading."""
        for name in ("", self._feed.done, self._feed.failed, self._feed.duplicate):
            (self._feed.path / name).mkdir(parents=True, exist_ok=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish what of the file at hand is in memory, then stop; the rest is read at the next start."""
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        self._look()
        changes = watch(
            self._feed.path,
            stop_event=self._stop,
            recursive=False,
            rust_timeout=_LOOK_EVERY_MS,  # network shares tell of no changes, and a file settles without one
            yield_on_timeout=True,
            debounce=100,
        )
        for _ in changes:
            if not self._stop.is_set():
                self._look()

    def _look(self) -> None:
        """Read every file that has settled, in the order of their names."""
        try:
            present = [path for path in sorted(self._feed.path.iterdir()) if self._is_ours(path)]
        except OSError as error:  # a share that is gone for a while
            if not self._is_gone:
                log.error("folder_failed", feed=self._feed.name, error=type(error).__name__, where=error_place(error))
            self._is_gone = True
            return
        self._is_gone = False
        self._seen = {path: self._seen[path] for path in present if path in self._seen}
        for path in present:
            if self._stop.is_set():
                return
            if self._is_settled(path):
                self._try(path)

    def _is_ours(self, path: Path) -> bool:
        name = path.name.lower()
        if name.startswith(".") or path.suffix.lower() in _UNFINISHED:
            return False
        wanted = self._feed.pattern.lower()
        return (fnmatchcase(name, wanted) or fnmatchcase(name.removesuffix(".gz"), wanted)) and path.is_file()

    def _is_settled(self, path: Path) -> bool:
        """Whether a file has not changed for a while, by our own clock: a share's may be another."""
        try:
            stamp = _stamp(path)
        except OSError:
            return False  # gone meanwhile
        now = time.monotonic()
        sighting = self._seen.get(path)
        if sighting is None or sighting.stamp != stamp:
            sighting = self._seen[path] = _Sighting(stamp, now + self._feed.settle_seconds)
        return now >= sighting.due_at

    def _try(self, path: Path) -> None:
        sighting = self._seen[path]
        try:
            self._read(path, sighting.stamp)
        except _ChangedError:
            del self._seen[path]
        except Exception as error:
            # Told once, tried again ever more seldom; a change of the file starts anew.
            if not sighting.failures:
                known = {"feed": self._feed.name, "file": sighting.stamp[0]}
                log.error("file_failed", **known, error=type(error).__name__, where=error_place(error))
            sighting.failures += 1
            sighting.due_at = time.monotonic() + min(2.0**sighting.failures, _LONGEST_WAIT)
        else:
            self._seen.pop(path, None)

    def _read(self, path: Path, stamp: Stamp) -> None:
        tally = _Tally(stamp[0])
        for group in in_groups(self._incoming(path, tally)):
            if self._stop.is_set():
                return  # the file stays; what was kept is recognised at the next start
            # The last message of a file that still grows is half a message: nothing is kept of what has changed.
            if _stamp(path) != stamp:
                raise _ChangedError
            tally.repeats += sum(kept.repeat for kept in self._desk.keep_together(group).result())
            tally.messages += len(group)
        if _stamp(path) != stamp:
            raise _ChangedError
        self._put_away(path, tally)

    def _incoming(self, path: Path, tally: _Tally) -> Iterator[Incoming]:
        """The payloads of a file; a file without any is one empty payload. Faults are noted in the tally."""
        is_empty, count = True, hl7v2.BatchCount()
        try:
            blocks = hl7v2.counted(inflated(blocks_of(path)), count)
            for payload in payloads_of_stream(blocks, self._feed.max_message_bytes):
                is_empty = False
                tally.payloads += 1
                if isinstance(payload, TooLarge):
                    tally.is_faulty = True
                    log.warning("payload_too_large", feed=self._feed.name, file=tally.file, bytes=payload.size)
                    continue
                yield self._one(payload, tally)
        except UnreadableError as error:
            tally.is_faulty, is_empty = True, False
            log.warning("file_cut_off", feed=self._feed.name, file=tally.file, reason=error.rule)
        report_miscounts(count.finish(), feed=self._feed.name, file=tally.file)
        if is_empty:
            yield self._one(b"", tally)

    def _one(self, body: bytes, tally: _Tally) -> Incoming:
        header, fault = header_or_fault(body)
        if fault:
            tally.is_faulty = True
            fault = f"{fault} (payload {max(tally.payloads, 1)} of file {tally.file})"
        return Incoming(self._feed.name, header, body, fault)

    def _put_away(self, path: Path, tally: _Tally) -> None:
        feed = self._feed
        status = "failed" if tally.is_faulty else "done"
        if status == "done" and tally.repeats == tally.messages:
            status = "duplicate"
        if feed.after == "delete" and status != "failed":
            path.unlink()
        else:
            folder = {"done": feed.done, "failed": feed.failed, "duplicate": feed.duplicate}[status]
            _move(path, feed.path / folder)
        log.info("file_read", feed=feed.name, file=tally.file, messages=tally.messages, status=status)


def _stamp(path: Path) -> Stamp:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _move(path: Path, folder: Path) -> None:
    target = folder / path.name
    number = 1
    while target.exists():
        target = folder / f"{path.stem}.{number}{path.suffix}"
        number += 1
    path.rename(target)
