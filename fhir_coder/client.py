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
        self._timeout, self._closed = timeout, _CLOSED_TLS if tls else _CLOSED_PLAIN
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
            raise NotReachableError(f"not sent: {self._parting_word() or self._why_silent(error)}") from None

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
                raise NotReachableError(f"no acknowledgment: {self._why_silent(error)}") from None
            if not chunk:
                raise NotReachableError(f"no acknowledgment: {self._closed}")
            if chunk.startswith(_TLS_ALERT):
                raise NotReachableError("no acknowledgment: the listener speaks TLS: send to mllps://HOST:PORT")
            self._frames += [f for f in self._splitter.feed(chunk) if isinstance(f, Frame)]
        return self._frames.pop(0).payload

    def _parting_word(self) -> str:
        """What the listener said of TLS before it closed, empty where it said nothing."""
        try:
            self._socket.recv(65536)
        except OSError as error:
            return _ALERTS.get(_alert_of(error), "")
        return ""

    def _why_silent(self, error: OSError) -> str:
        if isinstance(error, TimeoutError):
            return f"nothing came within {self._timeout:g} seconds"
        if isinstance(error, ConnectionError | ssl.SSLEOFError):
            return self._closed
        return _why(error)


_TLS_ALERT = b"\x15\x03"
"""What a listener that expects TLS says to plain text (RFC 8446, section 5.1)."""
_CLOSED = "the connection was closed without a word: the listener may"
_CLOSED_PLAIN = f"{_CLOSED} expect TLS (mllps://HOST:PORT), or take nothing from this address"
_CLOSED_TLS = (
    f"{_CLOSED} ask for a client certificate (--cert, --key), not accept the one shown or its names, "
    "want another version of TLS, or take nothing from this address"
)


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
    waits = plain.gettimeout()
    plain.settimeout(min(waits or _HANDSHAKE, _HANDSHAKE))
    try:
        secured = tls.wrap_socket(plain, server_hostname=host)
    except OSError as error:
        plain.close()
        raise NotReachableError(f"no TLS with {host}: {_why_no_tls(error)}") from None
    secured.settimeout(waits)
    return secured


_HANDSHAKE = 5.0
"""Seconds that TLS may take to begin: a plain listener says nothing to it, and waits for a message."""
_NO_RECORD = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST"})
_NO_TLS = "it does not answer as TLS does: where the listener is a plain one, send to mllp://HOST:PORT"


def _why_no_tls(error: OSError) -> str:
    if isinstance(error, TimeoutError) or getattr(error, "reason", "") in _NO_RECORD:
        return _NO_TLS
    if isinstance(error, ConnectionError | ssl.SSLEOFError):
        return f"{_CLOSED_TLS}, or be a plain one (mllp://HOST:PORT)"
    return _why(error)


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}; --ca names whom to trust"
    if isinstance(error, ssl.SSLError):
        return _ALERTS.get(_alert_of(error)) or (error.reason or "TLS failed").replace("_", " ").lower()
    return error.strerror or str(error)


def _alert_of(error: OSError) -> str:
    """The TLS alert that an error tells of, as RFC 8446 names it; empty where it is none."""
    return str(getattr(error, "reason", "") or "").partition("_ALERT_")[2]


_NOT_TAKEN = "the listener does not accept the certificate shown"
_ALERTS = {
    "CERTIFICATE_REQUIRED": "the listener asks for a client certificate: --cert and --key",
    "UNKNOWN_CA": f"{_NOT_TAKEN}: it does not know who issued it",
    "CERTIFICATE_EXPIRED": f"{_NOT_TAKEN}: it has expired",
    "CERTIFICATE_REVOKED": f"{_NOT_TAKEN}: it was revoked",
    "BAD_CERTIFICATE": f"{_NOT_TAKEN}, or none was shown: --cert and --key",
    "CERTIFICATE_UNKNOWN": _NOT_TAKEN,
    "UNSUPPORTED_CERTIFICATE": f"{_NOT_TAKEN}: it is of a kind that it does not take",
    "HANDSHAKE_FAILURE": "no way to encrypt is known to both sides, or the listener asks for a certificate: --cert",
    "PROTOCOL_VERSION": "the listener takes only a newer version of TLS",
}
"""What a listener's TLS alerts mean to a sender (RFC 8446, section 6.2)."""
