"""The first steps to a payer: its name, its port, its certificate; each with what to do where it fails."""

from __future__ import annotations

import errno
import socket
import ssl
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.x509.oid import NameOID
from requests.utils import DEFAULT_CA_BUNDLE_PATH  # the authorities that the client trusts too

from fhir_coder.settings.access import AccessSettings

_SOON = timedelta(days=30)
"""A certificate that ends sooner than this is worth a word."""

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


@dataclass(frozen=True, slots=True)
class Found:
    """What a step found: `status` is ok, warning, failed or skipped."""

    status: str
    text: str
    advice: str = ""

    @classmethod
    def ok(cls, text: str) -> Self:
        """All is well."""
        return cls("ok", text)

    @classmethod
    def failed(cls, text: str, advice: str) -> Self:
        """What keeps us from going on."""
        return cls("failed", text, advice)


def name_step(access: AccessSettings) -> Found:
    """Whether the host, or the proxy to it, has an address."""
    host, port, whose = _next_hop(access)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return Found.failed(f"{whose} {host} has no address", "See the name in the settings, and this machine's DNS.")
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    return Found.ok(f"{whose} {host} is {', '.join(addresses[:3])}")


def connect_step(access: AccessSettings) -> Found:
    """Whether the port takes connections."""
    host, port, whose = _next_hop(access)
    try:
        with socket.create_connection((host, port), access.connect_timeout):
            return Found.ok(f"{whose} takes connections on port {port}")
    except TimeoutError:
        advice = "A firewall may drop the packets: ask your network's people for a way out to it."
        return Found.failed(f"nobody answers on port {port} in {access.connect_timeout:g} s", advice)
    except OSError as error:
        if error.errno == errno.ECONNREFUSED:
            return Found.failed(f"port {port} refuses connections", "See the port in the settings; it may be down.")
        return Found.failed(f"port {port} cannot be reached: {error.strerror}", "See the network of this machine.")


def certificate_step(access: AccessSettings) -> Found:
    """The TLS handshake: version, name, authority and dates of the payer's certificate."""
    if urlsplit(access.url).scheme != "https":
        return Found("warning", "no TLS: what is sent can be read on the way", "Use https:// beyond this machine.")
    if access.proxy.startswith("https:"):
        return Found("skipped", "the proxy itself is reached by TLS: the next steps tell")
    return _certificate(access)


def _certificate(access: AccessSettings) -> Found:
    try:
        return _shown_certificate(access)
    except ssl.SSLCertVerificationError as error:
        return _unverified(access, error)
    except ssl.SSLError as error:
        return _no_session(access, error)
    except _ProxyRefusedError:
        advice = "Ask who runs the proxy whether it lets this machine out to the payer."
        return Found.failed("the proxy does not let us through", advice)
    except (OSError, ValueError):
        return Found.failed("the connection broke during the TLS handshake", "The port may not speak TLS: see url.")


class _ProxyRefusedError(OSError):
    """The proxy does not let us through."""


def _shown_certificate(access: AccessSettings) -> Found:
    with closing(_through(access)) as plain, closing(_shaken(plain, access, _context(access))) as secured:
        version = secured.version() or "TLS"
        return _dated(version, x509.load_der_x509_certificate(secured.getpeercert(binary_form=True) or b""))


def _next_hop(access: AccessSettings) -> tuple[str, int, str]:
    parts = urlsplit(access.proxy or access.url)
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    return parts.hostname or "", port, "the proxy" if access.proxy else "the host"


def _context(access: AccessSettings) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(access.tls_ca) if access.tls_ca else DEFAULT_CA_BUNDLE_PATH)
    context.minimum_version = _VERSIONS[access.tls_minimum]
    if access.tls_cert and access.tls_key:
        context.load_cert_chain(access.tls_cert, access.tls_key, password="")
    return context


def _through(access: AccessSettings) -> socket.socket:
    """A connection to the payer, through the proxy where there is one. Raises OSError."""
    host, port, _ = _next_hop(access)
    plain = socket.create_connection((host, port), access.connect_timeout)
    if access.proxy:
        there = urlsplit(access.url)
        goal = f"{there.hostname}:{there.port or 443}"
        plain.sendall(f"CONNECT {goal} HTTP/1.1\r\nHost: {goal}\r\n\r\n".encode("ascii"))
        head = b""
        while b"\r\n\r\n" not in head and (block := plain.recv(4096)):
            head += block
        if head[9:12] != b"200":
            plain.close()
            raise _ProxyRefusedError
    return plain


def _shaken(plain: socket.socket, access: AccessSettings, context: ssl.SSLContext) -> ssl.SSLSocket:
    return context.wrap_socket(plain, server_hostname=urlsplit(access.url).hostname)


def _dated(version: str, certificate: x509.Certificate) -> Found:
    ends_at = certificate.not_valid_after_utc
    said = f"{version}; certificate of {_described(certificate)}"
    if ends_at - datetime.now(UTC) < _SOON:
        return Found("warning", said, f"It ends on {ends_at:%Y-%m-%d}: ask the payer when it renews it.")
    return Found.ok(said)


def _described(certificate: x509.Certificate) -> str:
    whose = f"{_common(certificate.subject)} by {_common(certificate.issuer)}"
    return f"{whose}, valid {certificate.not_valid_before_utc:%Y-%m-%d} to {certificate.not_valid_after_utc:%Y-%m-%d}"


def _common(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME) or name.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return str(found[0].value) if found else "no name"


def _unverified(access: AccessSettings, error: ssl.SSLCertVerificationError) -> Found:
    """Why a certificate is not trusted, with what it says of itself."""
    reason, advice = _VERIFY_WORDS.get(error.verify_code, ("the certificate is not trusted", "Ask the payer."))
    seen = _looked_at(access)
    return Found.failed(f"{reason}; {seen}" if seen else reason, advice)


_PRIVATE_CA = "Where the payer has an authority of its own, put its certificate into a file and set tls_ca."
_VERIFY_WORDS = {
    9: ("the certificate is not valid yet", "See this machine's clock; else ask the payer."),
    10: ("the certificate has expired", "Ask the payer to renew it; see this machine's clock too."),
    18: ("the certificate is signed by itself", _PRIVATE_CA),
    19: ("the authority of the certificate is not known", _PRIVATE_CA),
    20: ("the authority of the certificate is not known", _PRIVATE_CA),
    21: ("the authority of the certificate is not known", "The payer may not send its intermediate certificates."),
    62: (
        "the certificate is for another name",
        "Set url to a name that the certificate has.",
    ),
    64: ("the certificate is for another address", "Set url to a name that the certificate has."),
}
"""OpenSSL's X509_V_ERR numbers in plain words."""


def _looked_at(access: AccessSettings) -> str:
    """What the certificate says of itself. Nothing is sent over this connection: nobody knows whose it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with closing(_through(access)) as plain, closing(_shaken(plain, access, context)) as secured:
            found = x509.load_der_x509_certificate(secured.getpeercert(binary_form=True) or b"")
            return f"it is of {_described(found)}"
    except (OSError, ValueError):
        return ""


def _no_session(access: AccessSettings, error: ssl.SSLError) -> Found:
    said = error.reason or "no TLS"
    if "PROTOCOL" in said:  # WRONG_VERSION_NUMBER is what no TLS at all looks like
        return Found.failed(
            f"no TLS version that both sides take (at least {access.tls_minimum})",
            "Ask the payer for TLS 1.2 or later; see tls_minimum, and whether the port speaks TLS.",
        )
    if "CERTIFICATE_REQUIRED" in said or "HANDSHAKE_FAILURE" in said or "BAD_CERTIFICATE" in said:
        return Found.failed("the payer refused the TLS handshake", "It may want a client certificate: tls_cert.")
    return Found.failed("the port does not speak TLS as expected", "See scheme and port of url.")
