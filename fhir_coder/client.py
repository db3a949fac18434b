"""An MLLP client: sends messages, waits for each acknowledgment, says what it was."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal
from urllib.parse import urlsplit

from fhir_coder import hl7v2
from fhir_coder.errors import FhirCoderError
from fhir_coder.hl7v2 import Frame, FrameSplitter
from fhir_coder.hl7v2.ack import UNKNOWN_CONTROL_ID, header_of
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


@dataclass(frozen=True, slots=True)
class MllpAddress:
    """Where a listener is: `mllp` plain, `mllps` with TLS."""

    scheme: Literal["mllp", "mllps"]
    host: str
    port: int


class MllpClient:
    """A connection to an MLLP listener; a context manager. Raises NotReachableError. `tls` is what TLS is to use."""

    def __init__(self, host: str, port: int, timeout: float = 30.0, tls: ssl.SSLContext | None = None) -> None:
        try:
            self._socket = socket.create_connection((host, port), timeout=timeout)
        except OSError as error:
            raise NotReachableError(f"{host}:{port}: {error.strerror or error}") from None
        if tls:
            self._socket = _with_tls(self._socket, tls, host)
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
        self._put(body)
        answer = NONE_ASKED
        for _ in range(_answers_due(body)):
            answer = self._answer_to(body)
            if not answer.is_accepted:
                break
        return answer

    def send_whole(self, payload: bytes) -> list[Acknowledgment]:
        """Send a payload of several messages as one frame and wait for the acknowledgments that its messages ask for.

        A batch (FHS, BHS) is answered by one frame with all of them.
        """
        messages = [message for _, message in hl7v2.split_messages(payload)] or [payload]
        batch = hl7v2.read_batches(payload)
        self._put(payload)
        if batch and (not batch.messages or any(map(_answers_due, messages))):
            return read_acknowledgments(self._next_frame())
        answers = []
        for message in messages if batch is None else ():
            for _ in range(_answers_due(message)):
                answers.append(self._answer_to(message))
                if not answers[-1].is_accepted:
                    break
        return answers

    def send_all(self, bodies: Iterable[bytes]) -> Iterator[Acknowledgment]:
        """Send messages one after the other."""
        for body in bodies:
            yield self.send(body)

    def _put(self, payload: bytes) -> None:
        try:
            self._socket.sendall(hl7v2.frame(payload))
        except OSError as error:
            raise NotReachableError(f"not sent: {_why(error)}") from None

    def _answer_to(self, body: bytes) -> Acknowledgment:
        """The next answer that is about this message: a late one to a message before must not be taken for it."""
        ours = header_of(body).text(10)
        while True:
            answer = read_acknowledgment(self._next_frame())
            if not ours or answer.control_id in (ours, UNKNOWN_CONTROL_ID):
                return answer

    def _next_frame(self) -> bytes:
        while not self._frames:
            try:
                chunk = self._socket.recv(65536)
            except OSError as error:
                raise NotReachableError(f"no acknowledgment: {_why(error)}") from None
            if not chunk:
                raise NotReachableError("the connection ended before the acknowledgment")
            self._frames += [f for f in self._splitter.feed(chunk) if isinstance(f, Frame)]
        return self._frames.pop(0).payload


NONE_ASKED = Acknowledgment("none asked", "", (), b"")
"""In place of an answer that the message does not ask for."""


def read_acknowledgment(raw: bytes) -> Acknowledgment:
    """What an ACK message says."""
    message = read_message(raw)
    msa = message.segments("MSA")[0]
    errors = tuple(e.text(8) or e.text(7) for e in message.segments("ERR"))
    return Acknowledgment(msa.text(1), msa.text(2), errors, raw)


def read_acknowledgments(raw: bytes) -> list[Acknowledgment]:
    """What an answer of several ACK messages says, such as that to a batch."""
    return [read_acknowledgment(message) for _, message in hl7v2.split_messages(raw)]


def mllp_address(url: str) -> MllpAddress:
    """The address of `mllp://HOST:PORT` or `mllps://HOST:PORT`. Raises NotReachableError where it is none."""
    parts = urlsplit(url)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not port or parts.scheme not in ("mllp", "mllps"):
        raise NotReachableError("the address is not mllp://HOST:PORT or mllps://HOST:PORT")
    return MllpAddress("mllps" if parts.scheme == "mllps" else "mllp", host, port)


def client_tls(ca: Path | None = None, cert: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
    """TLS that trusts the certificates of `ca`, by default those of the system, and shows `cert` where it is given.

    Raises NotReachableError where a file cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=ca)
    except OSError as error:  # what OpenSSL says of a file without certificates is an OSError too
        raise NotReachableError(f"{ca}: {_why(error)}") from None
    if cert:
        try:
            context.load_cert_chain(cert, key)
        except OSError as error:
            raise NotReachableError(f"{cert}, {key or 'no key'}: {_why(error)}") from None
    return context


def _answers_due(body: bytes) -> int:
    mode = hl7v2.ack_mode(body)
    return mode.wants_accept(True) + mode.wants_application(True)


def _with_tls(plain: socket.socket, tls: ssl.SSLContext, host: str) -> ssl.SSLSocket:
    try:
        return tls.wrap_socket(plain, server_hostname=host)
    except OSError as error:
        plain.close()
        raise NotReachableError(f"no TLS with {host}: {_why(error)}") from None


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return (error.reason or "TLS failed").replace("_", " ").lower()
    return error.strerror or str(error)
