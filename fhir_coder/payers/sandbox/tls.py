"""The sandbox over TLS: its certificate, those of its clients, and the certificate of another host on demand."""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from fhir_coder.errors import FhirCoderError

_OTHER_HOST = "another-host.invalid"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: the server's certificate and key, and the authority of client certificates where these are needed."""

    cert: Path
    key: Path
    client_ca: Path | None = None


def server_context(files: TlsFiles, is_wrong: Callable[[], bool]) -> ssl.SSLContext:
    """TLS of the sandbox; `is_wrong` is asked for each connection whether it shows another host's certificate.

    Raises FhirCoderError where a file cannot be used.
    """
    right = _context(files)
    wrong = _context_of_another_host()

    def choose(connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: ssl.SSLContext) -> None:
        if is_wrong():
            connection.context = wrong

    right.sni_callback = choose
    return right


def _context(files: TlsFiles) -> ssl.SSLContext:
    context = _plain_context()
    try:
        context.load_cert_chain(files.cert, files.key, password="")
    except OSError as error:
        raise FhirCoderError(f"--tls: {files.cert} and {files.key} cannot be used: {_reason(error)}") from None
    if files.client_ca:
        try:
            context.load_verify_locations(files.client_ca)
        except OSError as error:
            raise FhirCoderError(f"--client-ca: {files.client_ca} cannot be used: {_reason(error)}") from None
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _reason(error: OSError) -> str:
    """Why OpenSSL or the system does not take a file (an SSLError is an OSError)."""
    return str(getattr(error, "reason", None) or error.strerror or "no PEM of this kind")


def _plain_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A resumed session shows no certificate: a wrong one would not be seen.
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET
    return context


def _context_of_another_host() -> ssl.SSLContext:
    context = _plain_context()
    key = ec.generate_private_key(ec.SECP256R1())
    pem = _certificate(key).public_bytes(Encoding.PEM) + key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    # OpenSSL reads a pair from files only.
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pair.pem"
        file.write_bytes(pem)
        context.load_cert_chain(file)
    return context


def _certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _OTHER_HOST)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(_OTHER_HOST)]), critical=False)
    )
    return builder.sign(key, SHA256())
