"""The private keys that sign for us (SMART App Launch 2.2, asymmetric authentication): one, or a set that rotates.

In a set the first key signs, or the one that `key_id` names; all of them are published, so that a new key is known
to others before it signs, and an old one stays known until nothing it signed is on the way.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from joserfc import jwk
from joserfc.errors import JoseError

from fhir_coder.errors import UsageError
from fhir_coder.model import Json
from fhir_coder.settings.access import AccessSettings
from fhir_coder.settings.tokens import owned_text

ALGORITHMS = ("ES384", "RS384")
"""What SMART asks for: EC P-384, or RSA of 3,072 bits."""

_BY_KIND = {"RSA": "RS384", "P-384": "ES384"}
_RSA_BITS = 3072

_Key = jwk.RSAKey | jwk.ECKey


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key with the id the server knows it by and what it signs with: RS384 or ES384."""

    key: _Key
    id: str
    algorithm: str

    @property
    def public(self) -> Json:
        """The public half as a JWK (RFC 7517)."""
        shown = self.key.as_dict(private=False)
        return {**shown, "kid": self.id, "alg": self.algorithm, "use": "sig", "key_ops": ["verify"]}


def signing_key(access: AccessSettings) -> SigningKey:
    """The key that signs. Raises ValueError with the reason, never with the key."""
    keys = signing_keys(access)
    found = next((key for key in keys if not access.key_id or key.id == access.key_id), None)
    if found is None:
        raise ValueError("the set has no key of the id that key_id names")
    return found


def signing_keys(access: AccessSettings) -> list[SigningKey]:
    """All keys of the settings' file: PEM, JWK or JWK Set. Raises ValueError with the reason, never with a key."""
    assert access.key_file is not None  # the settings ask for it
    content = owned_text(access.key_file)
    if not content.lstrip().startswith("{"):
        return [_checked(_from_pem(content), access.key_id)]
    listed = _listed(content)
    return [_checked(_from_jwk(one), access.key_id if len(listed) == 1 else "") for one in listed]


def _checked(key: object, name: str) -> SigningKey:
    if not isinstance(key, jwk.RSAKey | jwk.ECKey) or not key.is_private:
        raise ValueError("the file holds no private RSA or EC key")
    algorithm = _BY_KIND.get("RSA" if isinstance(key, jwk.RSAKey) else key.curve_name)
    if algorithm is None:
        raise ValueError("the key must be RSA (RS384) or EC P-384 (ES384)")
    known_as = key.kid or name
    if not known_as:
        raise ValueError("the key has no id: set key_id to what the server knows it by")
    return SigningKey(key, known_as, algorithm)


def _from_pem(content: str) -> object:
    kinds: tuple[Any, ...] = ("RSA", "EC")
    for kind in kinds:
        try:
            return jwk.import_key(content, kind)
        except (ValueError, TypeError, JoseError):
            continue
    raise ValueError("the file holds no private RSA or EC key without a passphrase")


def _listed(content: str) -> list[Any]:
    try:
        said = orjson.loads(content)
        listed = said.get("keys", [said])
    except (AttributeError, orjson.JSONDecodeError):
        raise ValueError("the file holds no JWK") from None
    if not isinstance(listed, list) or not listed:
        raise ValueError("the file holds no JWK")
    return listed


def _from_jwk(said: Any) -> object:
    try:
        return jwk.import_key(said, said.get("kty"))
    except (AttributeError, TypeError, KeyError, ValueError, JoseError):
        raise ValueError("the file holds no JWK") from None


def public_set(everyone: Iterable[AccessSettings]) -> Json:
    """The JWK Set (RFC 7517) of all who sign with keys, read at each asking. Raises ValueError with the reason."""
    shown: list[Json] = []
    for key in (key for access in everyone if access.auth == "smart" for key in signing_keys(access)):
        if key.public not in shown:
            shown.append(key.public)
    return {"keys": shown}


# --- the file of a set


class KeySet:
    """A file with a JWK Set of private keys, made where there is none. Raises UsageError where it cannot be read."""

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            content = owned_text(file) if file.exists() else '{"keys": []}'
            keys: Any = orjson.loads(content)["keys"]
            self._keys: list[Json] = [dict(one) for one in keys]
            self.listed()
        except (ValueError, TypeError, KeyError) as error:
            reason = str(error) if type(error) is ValueError else "the file holds no JWK Set"
            raise UsageError(f"{file}: {reason}") from None

    def listed(self) -> list[SigningKey]:
        """The keys in their order: the first signs."""
        return [_checked(_from_jwk(one), "") for one in self._keys]

    def add(self, algorithm: str) -> str:
        """Make a key and put it last: published, not yet signing. Answers its id."""
        made: _Key
        made = jwk.ECKey.generate_key("P-384") if algorithm == "ES384" else jwk.RSAKey.generate_key(_RSA_BITS)
        name = secrets.token_hex(8)
        self._keys.append({**made.as_dict(private=True), "kid": name})
        self._write()
        return name

    def use(self, name: str) -> None:
        """Let a key sign from now on. Raises UsageError where there is none of this id."""
        chosen = self._named(name)
        self._keys.sort(key=lambda one: one is not chosen)
        self._write()

    def drop(self, name: str) -> None:
        """Remove a key. Raises UsageError where there is none of this id, or it is the one that signs."""
        if self._named(name) is self._keys[0]:
            raise UsageError(f"the key {name} signs: let another one sign first (--use)")
        self._keys.remove(self._named(name))
        self._write()

    def _named(self, name: str) -> Json:
        found = next((one for one in self._keys if one.get("kid") == name), None)
        if found is None:
            raise UsageError(f"{self._file}: no key has the id {name}")
        return found

    def _write(self) -> None:
        """Put the new file in the old one's place whole: a service may be reading it."""
        try:
            handle, name = tempfile.mkstemp(dir=self._file.parent, prefix=".keys-")  # mkstemp: for the owner only
            with os.fdopen(handle, "wb") as file:
                file.write(orjson.dumps({"keys": self._keys}, option=orjson.OPT_INDENT_2) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self._file)
        except OSError as error:
            raise UsageError(f"{self._file}: {error.strerror or 'cannot be written'}") from None
