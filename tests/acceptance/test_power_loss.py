"""What a loss of power leaves: what was acknowledged had been flushed before, and a torn log does no harm."""

from __future__ import annotations

import random
import re
import shutil
import sqlite3
import struct
import subprocess
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fhir_coder.client import MllpClient
from fhir_coder.store.locks import only_writer
from fhir_coder.trial import Trial

CONNECTIONS, EACH = 4, 40
STRACE = shutil.which("strace")
IDS = re.compile(rb"PWR-\d-\d{4}")


def message(control_id: str) -> bytes:
    return f"MSH|^~\\&|EHR|HOSP|US|THERE|20261103||DFT^P03|{control_id}|P|2.5.1\rPID|1||1\r".encode()


def send_over(client: MllpClient, number: int, acknowledged: list[str]) -> None:
    for place in range(EACH):
        control_id = f"PWR-{number}-{place:04d}"
        assert client.send(message(control_id)).code == "AA"
        acknowledged.append(control_id)


def send_all(trial: Trial) -> list[str]:
    """Send over several connections at once; answers the control ids that were acknowledged."""
    acknowledged: list[str] = []

    def run(number: int) -> None:
        with trial.mllp() as client:
            send_over(client, number, acknowledged)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return acknowledged


# --- the order of write, flush and acknowledgment, as the operating system saw it


@dataclass(frozen=True)
class Call:
    """One system call between two points of the record."""

    name: str
    thread: str
    path: str
    data: bytes
    began: int
    ended: int


_LINE = re.compile(r"(\d+) +(?:(\w+)\(\d+<([^>]*)>(.*)|<\.\.\. (\w+) resumed>.*)")
_DATA = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


def calls(lines: Iterable[str]) -> Iterator[Call]:
    """The calls of a record of `strace -f -xx -y`, in the order of their ends."""
    begun: dict[str, tuple[int, str, str, bytes]] = {}
    for at, line in enumerate(lines):
        match = _LINE.match(line)
        if match is None:
            continue
        thread, name, path, rest, resumed = match.groups()
        if name:
            said = _DATA.search(rest)
            begun[thread] = (at, name, _bytes(path).decode(), _bytes(said[1]) if said else b"")
        if resumed or "<unfinished" not in line:
            start, known, file, data = begun.pop(thread)
            yield Call(known, thread, file, data, start, at)


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


@dataclass
class Record:
    """What happened to the messages: when their commit was written whole, when flushes ran, when answers left."""

    committed: dict[bytes, int] = field(default_factory=dict)
    flushes: list[tuple[int, int]] = field(default_factory=list)
    answered: dict[bytes, int] = field(default_factory=dict)

    def read(self, found: Iterable[Call]) -> Record:
        """Go through the calls in the order of their ends."""
        pending: dict[str, set[bytes]] = {}
        is_commit: dict[str, bool] = {}
        for call in found:
            if call.name == "fdatasync" and call.path.endswith("-wal"):
                self.flushes.append((call.began, call.ended))
            elif call.name == "sendto" and b"MSA|AA" in call.data:
                for control_id in IDS.findall(call.data):
                    self.answered.setdefault(control_id, call.began)
            elif call.name == "pwrite64" and call.path.endswith("-wal"):
                self._written(call, pending.setdefault(call.thread, set()), is_commit)
        return self

    def _written(self, call: Call, pending: set[bytes], is_commit: dict[str, bool]) -> None:
        """A frame is a header of 24 bytes and a page; the last header of a transaction has the database's size."""
        if len(call.data) == 24:
            is_commit[call.thread] = call.data[4:8] != b"\0\0\0\0"
            return
        pending |= set(IDS.findall(call.data))
        if is_commit.get(call.thread):
            for control_id in pending:
                self.committed.setdefault(control_id, call.ended)
            pending.clear()


@pytest.mark.skipif(not STRACE, reason="strace is not installed: it sees what the operating system is asked to do")
def test_every_acknowledgment_is_sent_after_the_flush_that_followed_its_commit(trial: Trial, tmp_path: Path) -> None:
    record = tmp_path / "calls"
    watched = ["-f", "-D", "-qq", "-xx", "-y", "-s", "9000", "-e", "trace=pwrite64,fdatasync,sendto", "-o", str(record)]
    if subprocess.run([str(STRACE), *watched, "true"], check=False, capture_output=True).returncode:
        pytest.skip("strace may not watch processes here")
    trial.start_adapter(under=[str(STRACE), *watched])
    acknowledged = send_all(trial)
    trial.stop("adapter")

    with record.open(encoding="ascii", errors="replace") as lines:
        seen = Record().read(calls(lines))
    assert len(acknowledged) == CONNECTIONS * EACH
    assert set(seen.answered) == {control_id.encode() for control_id in acknowledged}
    assert set(seen.answered) <= set(seen.committed)
    late = [
        control_id
        for control_id, sent in seen.answered.items()
        if not any(seen.committed[control_id] < began and ended < sent for began, ended in seen.flushes)
    ]
    assert late == []


# --- a log that ends anywhere


def frames(wal: bytes) -> list[tuple[int, bytes, bool]]:
    """The frames that belong to a log's header: where each ends, its page, whether it commits (SQLite format, 4)."""
    page = struct.unpack_from(">I", wal, 8)[0]
    salt, found = wal[16:24], []
    for start in range(32, len(wal) - page - 23, page + 24):
        header = wal[start : start + 24]
        if header[8:16] != salt:
            break
        end = start + 24 + page
        found.append((end, wal[start + 24 : end], header[4:8] != b"\0\0\0\0"))
    return found


INBOX = "ledger.db.inbox"
"""What is acknowledged is here; the ledger may not have it yet."""


def ids_in(inbox: Path) -> set[str]:
    """The control ids of an inbox that opens and is sound."""
    with closing(sqlite3.connect(inbox)) as connection:
        assert list(connection.execute("PRAGMA integrity_check")) == [("ok",)]
        is_made = list(connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'inbox'"))
        return {row[0] for row in connection.execute("SELECT control_id FROM inbox")} if is_made else set()


def committed_by(wal: bytes) -> dict[str, int]:
    """Where in a log the commit of each message ends."""
    found: dict[str, int] = {}
    pending: set[bytes] = set()
    for end, page, is_commit in frames(wal):
        pending |= set(IDS.findall(page))
        if is_commit:
            for control_id in pending:
                found.setdefault(control_id.decode(), end)
            pending.clear()
    return found


def checkpointed_bytes(folder: Path, wal: bytes) -> int:
    """How much of the log may be in the database file already: it was flushed before (SQLite, WAL-index, 2.2)."""
    index = (folder / f"{INBOX}-shm").read_bytes()
    done = int(struct.unpack_from("=I", index, 128)[0])
    found = frames(wal)
    return found[done - 1][0] if done else 32


def test_a_log_that_was_cut_anywhere_opens_with_every_message_committed_before_the_cut(
    trial: Trial, tmp_path: Path
) -> None:
    trial.start_adapter()
    acknowledged = set(send_all(trial))
    trial.kill("adapter")
    with only_writer(trial.folder / "ledger.db.workers", patience=10):
        pass  # the workers are gone too: nothing is written any more
    folder, torn = trial.folder, tmp_path / "torn"
    wal = (folder / f"{INBOX}-wal").read_bytes()
    ends = committed_by(wal)
    flushed = acknowledged - set(ends)  # what is no more in the log was brought into the file

    first = checkpointed_bytes(folder, wal)
    dice = random.Random()
    cuts = sorted({first, len(wal), *(dice.randint(first, len(wal)) for _ in range(40))})
    torn.mkdir()
    for cut in cuts:
        shutil.copy(folder / INBOX, torn / INBOX)
        (torn / f"{INBOX}-wal").write_bytes(wal[:cut] + dice.randbytes(dice.choice((0, 700))))
        assert ids_in(torn / INBOX) == flushed | {one for one, end in ends.items() if end <= cut}
        for file in torn.iterdir():
            file.unlink()
