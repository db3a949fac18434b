"""What is to be read: files, folders, archives and tables, cut into pieces.

Large NDJSON files are read where they stand. All else (HL7 v2, Bundles, small files, gzip, zip, tar, Parquet) is taken
out into segments of a few megabytes in the working folder, so that every core has work whatever the input is.
"""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from fhir_coder import fhir
from fhir_coder.bulk.parquet import rows_of_parquet
from fhir_coder.bulk.pieces import TOO_LARGE, Label, Piece, frame
from fhir_coder.errors import UnreadableError, UsageError
from fhir_coder.intake.groups import blocks_of
from fhir_coder.intake.payloads import is_resource
from fhir_coder.intake.stream import SMALL, TooLarge, inflated, payloads_of_stream

LARGEST = 256 << 20
"""Bytes up to which a payload is read: a Bundle is one."""
PIECE = 8 << 20
"""Bytes of a piece, about."""
_BLOCK = 256 << 10
_ZIP, _PARQUET = (b"PK\x03\x04", b"PK\x05\x06"), b"PAR1"
_ARCHIVE_FAULTS = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError, RuntimeError)


def files_in(paths: Iterable[Path]) -> list[Path]:
    """The files that are meant: those named, and all in the folders named, in the order of their names.

    Raises UsageError where one is not there or nothing is.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
            found.update(dict.fromkeys(inside))
        elif path.is_file():
            found[path] = None
        else:
            raise UsageError(f"{path}: there is no such file or folder")
    if not found:
        raise UsageError("there is no file to read")
    return list(found)


class Cutter:
    """Cuts input into pieces. `folder` takes the segments."""

    def __init__(self, folder: Path, piece_size: int = PIECE, limit: int = LARGEST) -> None:
        self.sources: list[str] = []
        self.pieces: list[Piece] = []
        self._folder, self._size, self._limit = folder, piece_size, limit
        self._segment: BinaryIO | None = None
        self._segment_path = folder
        folder.mkdir(parents=True, exist_ok=True)

    def add_file(self, path: Path) -> None:
        """Cut a file: an archive member by member. Damage is written down as a payload that could not be read."""
        with path.open("rb") as file:
            head = file.read(SMALL)
        if head.startswith(_PARQUET):
            self._add_payloads(str(path), rows_of_parquet(path))
        elif head.startswith(_ZIP):
            self._add_members(path, _members_of_zip)
        elif _is_tar(path):
            self._add_members(path, _members_of_tar)
        elif len(head) == SMALL and _is_ndjson(head):
            self._add_lines(path)
        else:
            self._add_stream(str(path), blocks_of(path))

    def add_labelled(self, source: str, payloads: Iterable[tuple[Label, bytes]]) -> None:
        """Take in payloads of which more is known than their bytes."""
        place = self._source(source)
        for number, (label, body) in enumerate(payloads, 1):
            self._put(place, number, body, label)

    def close(self) -> None:
        """Finish the segment that is being written."""
        if self._segment:
            end = self._segment.tell()
            self._segment.close()
            self._segment = None
            self.pieces.append(Piece(len(self.pieces), str(self._segment_path), 0, end))

    def _source(self, name: str) -> int:
        self.sources.append(name)
        return len(self.sources) - 1

    def _add_lines(self, path: Path) -> None:
        self.close()  # pieces stand in the order of what was named
        source, start, size = self._source(str(path)), 0, path.stat().st_size
        with path.open("rb") as file:
            while start < size:
                end = _next_line(file, start + self._size, size)
                self.pieces.append(Piece(len(self.pieces), str(path.resolve()), start, end, source))
                start = end

    def _add_members(self, path: Path, members: Callable[[Path], Iterator[tuple[str, BinaryIO]]]) -> None:
        try:
            for name, file in members(path):
                self._add_stream(f"{path}!{name}", _blocks(file))
        except _ARCHIVE_FAULTS:
            self._put_fault(self._source(str(path)), 1, "the archive is damaged, encrypted or packed in an unknown way")

    def _add_stream(self, name: str, blocks: Iterable[bytes]) -> None:
        self._add_payloads(name, payloads_of_stream(inflated(blocks), self._limit))

    def _add_payloads(self, name: str, payloads: Iterable[bytes | TooLarge]) -> None:
        source, number = self._source(name), 0
        try:
            for number, payload in enumerate(payloads, 1):
                if isinstance(payload, TooLarge):
                    self._put_fault(source, number, TOO_LARGE.format(self._limit))
                else:
                    self._put(source, number, payload)
        except UnreadableError as error:
            self._put_fault(source, number + 1, error.text)
        else:
            if not number:
                self._put(source, 1, b"")  # an empty file is one empty payload: so it is not overlooked

    def _put_fault(self, source: int, number: int, fault: str) -> None:
        self._put(source, number, b"", Label(fault=fault))

    def _put(self, source: int, number: int, body: bytes, label: Label | None = None) -> None:
        if self._segment is None:
            self._segment_path = self._folder / f"{len(self.pieces):06}.segment"
            self._segment = self._segment_path.open("wb")
        self._segment.write(frame(source, number, body, label.to_bytes() if label else b""))
        if self._segment.tell() >= self._size:
            self.close()


def _is_ndjson(head: bytes) -> bool:
    """Whether a large file is NDJSON, by the rule of `payloads_of_stream`: its first line is a whole resource."""
    first = next((line for _, line in fhir.split_ndjson(head)), b"")
    return fhir.looks_like_fhir(head) and is_resource(first)


def _is_tar(path: Path) -> bool:
    try:
        return tarfile.is_tarfile(path)
    except (OSError, EOFError, zlib.error):
        return False


def _next_line(file: BinaryIO, offset: int, size: int) -> int:
    """Where the first line begins that starts at or behind an offset; the file's end where none does."""
    file.seek(offset - 1)
    place = offset - 1
    while place < size and (block := file.read(_BLOCK)):
        if (found := block.find(b"\n")) >= 0:
            return place + found + 1
        place += len(block)
    return size


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(_BLOCK):
        yield block


def _members_of_zip(path: Path) -> Iterator[tuple[str, BinaryIO]]:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if not member.is_dir() and _is_wanted(member.filename):
                with archive.open(member) as file:
                    yield member.filename, file  # type: ignore[misc]  # IO[bytes], of which read() is used


def _members_of_tar(path: Path) -> Iterator[tuple[str, BinaryIO]]:
    with tarfile.open(path) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() and _is_wanted(member.name) else None
            if file:
                yield member.name, file  # type: ignore[misc]  # IO[bytes], of which read() is used


def _is_wanted(name: str) -> bool:
    """Leave out what packers add: `__MACOSX`, hidden files."""
    return not any(part.startswith((".", "__MACOSX")) for part in Path(name).parts)
