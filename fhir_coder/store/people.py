"""The index of people: which messages name an identifier, known by its keyed hash only.

A plain hash of a record number is undone by hashing all numbers there are. HMAC-SHA256 (RFC 2104) needs the key, which
stands in a file beside the ledger and not in it. 128 bits of it are kept.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Collection, Iterator
from pathlib import Path

from sqlalchemy import Connection, bindparam, delete, insert

from fhir_coder.errors import FhirCoderError
from fhir_coder.model import Identifier, MergeFact, MessageFacts, PatientFact, PersonFact
from fhir_coder.store.prepared import Prepared
from fhir_coder.store.schema import message_people

KEY_VARIABLE = "FHIR_CODER_PATIENT_KEY"
"""The environment variable that holds the key where it shall not stand in a file."""

_SHORTEST_KEY = 16
_PATIENT_REF = re.compile(r"Patient/[^\s/#?|]+")


class PatientKeyError(FhirCoderError):
    """The key of the index of people cannot be had: nothing is filed or looked up under another."""

    exit_code = 2


def key_path(ledger: Path) -> Path:
    """Where the key of a ledger's index stands, unless the environment holds it."""
    return ledger.with_name(f"{ledger.name}.patient-key")


def digest(key: bytes, identifier: str) -> str:
    """The keyed hash of an identifier: 32 hexadecimal digits. Case and space around it do not count."""
    return hmac.new(key, identifier.strip().casefold().encode(), hashlib.sha256).hexdigest()[:32]


def identifiers_in(facts: MessageFacts) -> Iterator[str]:
    """The identifiers of patients in a message: their numbers, and FHIR references as `Patient/1`."""
    for filed in facts.facts:
        if isinstance(filed.fact, PatientFact):
            yield from (identifier.value for identifier in filed.fact.identifiers)
        elif isinstance(filed.fact, PersonFact):
            yield from (identifier.value for identifier in filed.fact.patient.identifiers)
        elif isinstance(filed.fact, MergeFact) and filed.fact.identifier:
            yield from _merged(filed.fact.identifier, filed.fact.patient)
        for topic in (filed.topic, *filed.refs):
            if named := _PATIENT_REF.search(topic):
                yield named[0]


def _merged(prior: Identifier, survivor: PatientFact | None) -> Iterator[str]:
    yield prior.value
    if survivor:
        yield from (identifier.value for identifier in survivor.identifiers)


def digests_in(facts: MessageFacts, key: bytes) -> set[str]:
    """The keyed hashes of the identifiers of patients in a message."""
    return {digest(key, identifier) for identifier in identifiers_in(facts)}


def file_people(connection: Connection, message_id: str, digests: Collection[str]) -> None:
    """File a message under exactly these digests."""
    _FORGET.run_all(connection, [{"message": message_id}])
    _FILE.run_all(connection, [{"digest": one, "message_id": message_id} for one in sorted(digests)])


_FORGET = Prepared(delete(message_people).where(message_people.c.message_id == bindparam("message")))
_FILE = Prepared(insert(message_people), ("digest", "message_id"))


def read_key(file: Path) -> bytes | None:
    """The key of the environment, else of the file, None where there is neither. Raises PatientKeyError."""
    key = os.environ.get(KEY_VARIABLE, "").encode()
    if not key and not file.exists():
        return None
    try:
        key = key or file.read_bytes().strip()
    except OSError as error:
        raise PatientKeyError(f"{file}: {error.strerror}: it holds the key of the index of people") from None
    if len(key) < _SHORTEST_KEY:
        raise PatientKeyError(f"the key of the index of people is shorter than {_SHORTEST_KEY} characters")
    return key


def read_or_make_key(file: Path) -> bytes:
    """The key, made with mode 600 where there is none yet. Raises PatientKeyError."""
    key = read_key(file)
    if key is None:
        _make(file)
        key = read_key(file)
    assert key is not None
    return key


def _make(file: Path) -> None:
    # Linked into place when it is whole: of two processes that make one at a time, one wins and both read the same.
    part = file.with_name(f"{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as made:
            made.write(secrets.token_hex(32).encode() + b"\n")
            made.flush()
            os.fsync(made.fileno())
        os.link(part, file)
    except FileExistsError:
        return
    except OSError as error:
        raise PatientKeyError(f"{file}: {error.strerror}: it is to hold the key of the index of people") from None
    finally:
        part.unlink(missing_ok=True)
