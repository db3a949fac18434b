"""An MLLP listener in this process, with a real socket and a real ledger, and what tests say to it."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from sqlalchemy import select
from structlog.testing import capture_logs

from fhir_coder.client import Acknowledgment, MllpClient, read_acknowledgments
from fhir_coder.hl7v2 import Frame, FrameSplitter
from fhir_coder.intake.desk import IntakeDesk
from fhir_coder.intake.mllp import MllpListener
from fhir_coder.settings import MllpFeed
from fhir_coder.store import Ledger, open_ledger
from fhir_coder.store.schema import messages

HOST = "127.0.0.1"


def message(control_id: str, tail: str = "", text: str = "x") -> bytes:
    """A charge message; `tail` stands after MSH-12."""
    return f"MSH|^~\\&|EHR|HOSP|US|THERE|20261103||DFT^P03|{control_id}|P|2.5.1{tail}\rPID|1||{text}\r".encode()


class Wire:
    """A listener of one feed and its ledger, on a thread of their own; a context manager."""

    def __init__(self, folder: Path, ledger: Ledger | None = None, **settings: Any) -> None:
        self.ledger = ledger or open_ledger(folder / "ledger.db")
        self.feed = MllpFeed.model_validate({"name": "wire", "kind": "mllp", "host": HOST, "port": 0, **settings})
        self.events: list[Any] = []
        self._bound = socket.create_server((HOST, 0))
        self.port: int = self._bound.getsockname()[1]

    def __enter__(self) -> Wire:
        self._capture = capture_logs()
        self.events = self._capture.__enter__()
        self._desk = IntakeDesk(self.ledger, lambda: None)
        self._listener = MllpListener(self.feed, self._desk)
        self._desk.run(self._listener.start(self._bound)).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._desk.close()
        self._capture.__exit__(kind, error, trace)
        self.ledger.close()

    def stop(self) -> None:
        """Stop the listener as the service does, and wait until it has stopped."""
        self._desk.run(self._listener.stop()).result(20)
        self._bound.close()

    def client(self, **options: Any) -> MllpClient:
        return MllpClient(HOST, self.port, **{"timeout": 10.0, **options})

    def connect(self) -> Peer:
        return Peer(socket.create_connection((HOST, self.port), timeout=10))

    def stored(self) -> Counter[str]:
        """The control ids in the ledger, and how often each is there."""
        with self.ledger.reading() as connection:
            return Counter(connection.execute(select(messages.c.control_id)).scalars())

    def held_bytes(self) -> int:
        """What the listener's connections hold of frames that are not answered yet."""
        return self._listener.held_bytes

    def logged(self, event: str) -> list[dict[str, Any]]:
        return [dict(e) for e in self.events if e["event"] == event]


class Peer:
    """A connection whose bytes the test chooses; a context manager."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._splitter = FrameSplitter()
        self._frames: list[bytes] = []

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def put(self, data: bytes) -> None:
        self.socket.sendall(data)

    def next_frame(self) -> bytes:
        """The next answer's payload; raises EOFError where the connection ends."""
        while not self._frames:
            chunk = self.socket.recv(65536)
            if not chunk:
                raise EOFError
            self._frames += [p.payload for p in self._splitter.feed(chunk) if isinstance(p, Frame)]
        return self._frames.pop(0)

    def answers(self, number: int) -> list[tuple[str, str]]:
        """MSA-1 and MSA-2 of the next so many acknowledgments."""
        found: list[Acknowledgment] = []
        while len(found) < number:
            found += read_acknowledgments(self.next_frame())
        return [(a.code, a.control_id) for a in found]

    def is_closed(self) -> bool:
        """Wait for the other side to end the connection. Fails by the socket's timeout where it does not."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionResetError:
            pass
        return True


def wait_for(condition: Callable[[], object], seconds: float = 10.0) -> bool:
    """Wait until a condition holds; False where it did not in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.01)
    return False
