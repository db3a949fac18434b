"""Certificates for tests: authorities and what they issue, written as PEM files."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


def name_of(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


class Authority:
    """A certificate authority of its own."""

    def __init__(self, folder: Path, name: str = "test authority") -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = name_of(name)
        self.ca = folder / f"{name.replace(' ', '-')}.pem"
        self._certificate = self._signed(self._name, self._key, x509.BasicConstraints(ca=True, path_length=0))
        self.ca.write_bytes(self._certificate.public_bytes(Encoding.PEM))

    def issue(self, common: str, file: str = "", *, passphrase: bytes = b"", days: float = 1) -> tuple[Path, Path]:
        """A certificate for a name and the loopback address, good for so many days: the paths of it and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName(common), x509.IPAddress(IPv4Address("127.0.0.1"))])
        certificate = self._signed(name_of(common), key, names, days)
        cert_path, key_path = (self.folder / f"{file or common}.{end}" for end in ("pem", "key"))
        cert_path.write_bytes(certificate.public_bytes(Encoding.PEM))
        kept = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
        key_path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, kept))
        key_path.chmod(0o600)
        return cert_path, key_path

    def _signed(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType, days: float = 1
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=30))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        )
        return builder.sign(self._key, SHA256())
