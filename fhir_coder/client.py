"""An MLLP client: sends messages, waits for each acknowledgment, says what it was."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import urlsplit

from fhir_coder import hl7v2
from fhir_coder.errors import FhirCoderError
from fhir_coder.hl7v2 import Frame, FrameSplitter
from fhir_coder.hl7v2.reader import read_message


class NotReachableError(FhirCoderError):
    """Nobody answers at the address, or the connection ended before the acknowledgment."""


@dataclass(frozen=True, slots=True)
class Acknowledgment:
    """An answer as received: MSA-1, MSA-2 and the texts of its ERR segments."""

    code: str
    control_id: str
    errors: tuple[str, ...]
    raw: bytes

    @property
    def is_accepted(self) -> bool:
        """Whether the receiver took the message (AA or CA), or was asked for no answer."""
        return self.code in ("AA", "CA", "none asked")


class MllpClient:
    """A connection to an MLLP listener; a context manager. Raises NotReachableError."""

    def __init__(self, host: str, port: int, timeout: float = 30.0) -> None:
        try:
            self._socket = socket.create_connection((host, port), timeout=timeout)
        except OSError as error:
            raise NotReachableError(f"{host}:{port}: {error.strerror or error}") from None
        self._splitter = FrameSplitter()
        self._frames: list[Frame] = []

    def __enter__(self) -> MllpClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def send(self, body: bytes) -> Acknowledgment:
        """Send one message and wait for what it asks for (MSH-15, MSH-16); the last answer counts."""
        mode = hl7v2.ack_mode(body)
        try:
            self._socket.sendall(hl7v2.frame(body))
        except OSError as error:
            raise NotReachableError(f"not sent: {error.strerror or error}") from None
        answer = Acknowledgment("none asked", "", (), b"")
        for _ in range(mode.wants_accept(True) + mode.wants_application(True)):
            answer = read_acknowledgment(self._next_frame())
            if not answer.is_accepted:
                break
        return answer

    def send_all(self, bodies: Iterable[bytes]) -> Iterator[Acknowledgment]:
        """Send messages one after the other."""
        for body in bodies:
            yield self.send(body)

    def _next_frame(self) -> bytes:
        while not self._frames:
            try:
                chunk = self._socket.recv(65536)
            except OSError as error:
                raise NotReachableError(f"no acknowledgment: {error}") from None
            if not chunk:
                raise NotReachableError("the connection ended before the acknowledgment")
            self._frames += [f for f in self._splitter.feed(chunk) if isinstance(f, Frame)]
        return self._frames.pop(0).payload


def read_acknowledgment(raw: bytes) -> Acknowledgment:
    """What an ACK message says."""
    message = read_message(raw)
    msa = message.segments("MSA")[0]
    errors = tuple(e.text(8) or e.text(7) for e in message.segments("ERR"))
    return Acknowledgment(msa.text(1), msa.text(2), errors, raw)


def mllp_address(url: str) -> tuple[str, int]:
    """Host and port of `mllp://HOST:PORT`. Raises NotReachableError where it is none."""
    parts = urlsplit(url)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if parts.scheme != "mllp" or not host or not port:
        raise NotReachableError("the address is not mllp://HOST:PORT")
    return host, port
