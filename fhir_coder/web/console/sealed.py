"""Names that say something of a person, sealed for URLs: browsers, proxies and logs keep URLs.

AES-SIV (RFC 5297) by a key derived of the one beside the ledger: the same name has always the same sealed form, so that
an address can be kept as a bookmark; without the key it says nothing but its length.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from fastapi import Request

from fhir_coder.errors import NotFoundError
from fhir_coder.web.console.site import site_of

_PURPOSE = b"fhir-coder console addresses"


def seal(request: Request, text: str) -> str:
    """A name as it may stand in a URL."""
    sealed = _cipher(request).encrypt(text.encode(), None)
    return base64.urlsafe_b64encode(sealed).decode().rstrip("=")


def unseal(request: Request, sealed: str) -> str:
    """The name behind a sealed one. Raises NotFoundError where it was not sealed here."""
    try:
        data = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
        return _cipher(request).decrypt(data, None).decode()
    except (InvalidTag, ValueError, binascii.Error):
        raise NotFoundError("this address does not name anything here") from None


def _cipher(request: Request) -> AESSIV:
    key = site_of(request).ledger.patient_key
    return AESSIV(hashlib.sha512(_PURPOSE + key).digest())
