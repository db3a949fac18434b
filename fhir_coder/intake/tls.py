"""TLS of a listener: its files checked before anything starts, and read again when they change."""

from __future__ import annotations

import ssl
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fhir_coder.errors import FhirCoderError
from fhir_coder.logs import log
from fhir_coder.settings import HttpSettings, MllpFeed

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_FILES = ("tls_cert", "tls_key", "tls_client_ca")

TlsSettings = MllpFeed | HttpSettings
"""Sections with `tls_cert`, `tls_key`, `tls_client_ca` and `tls_minimum`."""

TlsFault = tuple[str, str]
"""The setting whose file is at fault, and what is wrong with it."""


class TlsFilesError(FhirCoderError):
    """The TLS files of a feed cannot be used: the ones read before stay in use."""

    def __init__(self, faults: list[TlsFault]) -> None:
        super().__init__("; ".join(f"{key}: {text}" for key, text in faults))
        self.faults = faults


class Certificates:
    """The TLS files of a listener in use, by its name. Raises TlsFilesError where they cannot be used at the start.

    They are looked at for every new connection, so that renewed ones need no restart; open connections stay as they
    are. Files that cannot be used are logged once and the ones before stay in use.
    """

    def __init__(self, feed: TlsSettings, name: str) -> None:
        self._feed, self._name = feed, name
        self._seen = self._look()
        self._context = server_context(feed)

    def context(self) -> ssl.SSLContext:
        """What a new connection is to use."""
        seen = self._look()
        if seen != self._seen:
            self._seen = seen
            self._read_again()
        return self._context

    def _read_again(self) -> None:
        try:
            self._context = server_context(self._feed)
        except TlsFilesError as error:
            for key, text in error.faults:
                log.error("certificate_refused", feed=self._name, where=key, reason=text)
        else:
            log.info("certificate_read_again", feed=self._name)

    def _look(self) -> list[tuple[int, int, int] | None]:
        return [_stamp(path) for _, path in _files(self._feed)]


def renewing_context(feed: TlsSettings, name: str) -> ssl.SSLContext:
    """A listener's TLS for a server that keeps one context: each connection gets the files as they are now.

    Raises TlsFilesError.
    """
    certificates, context = Certificates(feed, name), server_context(feed)

    def look(connection: ssl.SSLObject, _asked: str | None, _of: ssl.SSLContext) -> None:
        connection.context = certificates.context()

    context.sni_callback = look
    return context


def server_context(feed: TlsSettings) -> ssl.SSLContext:
    """A listener's TLS by its settings. Raises TlsFilesError with every fault of its files."""
    faults = [fault for key, path in _files(feed) for fault in _unreadable(key, path)]
    if faults:
        raise TlsFilesError(faults)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[feed.tls_minimum]
    # A resumed session would go on with the certificate, and the client's name, of a connection before.
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET
    faults = [*_load_pair(context, feed), *_load_client_ca(context, feed)]
    if faults:
        raise TlsFilesError(faults)
    return context


def tls_faults(feed: TlsSettings) -> list[TlsFault]:
    """What is wrong with the TLS files of a feed."""
    try:
        if feed.tls_cert:
            server_context(feed)
    except TlsFilesError as error:
        return error.faults
    return []


def names_in(certificate: Mapping[str, Any]) -> frozenset[str]:
    """The names of a peer's certificate in small letters: common name, and every subject alternative name."""
    common = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    others = [value for _, value in certificate.get("subjectAltName", ())]
    return frozenset(str(name).lower() for name in (*common, *others))


def _files(feed: TlsSettings) -> list[tuple[str, Path]]:
    return [(key, path) for key in _FILES if (path := getattr(feed, key))]


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _unreadable(key: str, path: Path) -> list[TlsFault]:
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        return [(key, f"{path} cannot be read: {error.strerror or type(error).__name__}")]
    if key == "tls_key" and path.stat().st_mode & stat.S_IRWXO:
        return [(key, f"{path} may be read by everyone: chmod 600")]
    return []


class _PassphraseError(Exception):
    """Asked for a passphrase: nobody is there to give it."""


def _no_passphrase() -> str:
    raise _PassphraseError


def _load_pair(context: ssl.SSLContext, feed: TlsSettings) -> list[TlsFault]:
    assert feed.tls_cert is not None
    assert feed.tls_key is not None
    if not _has_certificate(feed.tls_cert):
        return [("tls_cert", f"{feed.tls_cert} has no PEM certificate")]
    try:
        context.load_cert_chain(feed.tls_cert, feed.tls_key, _no_passphrase)
    except _PassphraseError:
        return [("tls_key", f"{feed.tls_key} has a passphrase: store the key without one")]
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            return [("tls_key", f"{feed.tls_key} is not the key of tls_cert")]
        return [("tls_key", f"{feed.tls_key} has no usable PEM key")]
    return []


def _load_client_ca(context: ssl.SSLContext, feed: TlsSettings) -> list[TlsFault]:
    if feed.tls_client_ca is None:
        return []
    if not _has_certificate(feed.tls_client_ca):
        return [("tls_client_ca", f"{feed.tls_client_ca} has no PEM certificate")]
    context.load_verify_locations(feed.tls_client_ca)
    context.verify_mode = ssl.CERT_REQUIRED
    return []


def _has_certificate(path: Path) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(path)
    except ssl.SSLError:
        return False
    return True
