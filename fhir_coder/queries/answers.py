"""What payers sent unasked, as commands show it."""

from __future__ import annotations

from typing import Any

from sqlalchemy.exc import NoResultFound

from fhir_coder.errors import NotFoundError
from fhir_coder.store import Ledger, answers


def list_answers(ledger: Ledger, status: str = "", limit: int = 50) -> list[Any]:
    """What payers sent, without its bytes, newest first."""
    with ledger.reading() as connection:
        return answers.listed(connection, status, limit)


def answer_body(ledger: Ledger, answer_id: str) -> bytes:
    """What a payer sent, byte for byte. Raises NotFoundError."""
    with ledger.reading() as connection:
        try:
            body: bytes = answers.by_id(connection, answer_id).body
        except NoResultFound:
            raise NotFoundError("no such answer: fhir-coder payers answers lists them") from None
    return body
