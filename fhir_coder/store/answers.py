"""What payers sent unasked, byte for byte, and what became of it."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from fhir_coder.model import AnswerStatus
from fhir_coder.store import work
from fhir_coder.store.events import Change, record
from fhir_coder.store.ids import new_id
from fhir_coder.store.schema import payer_answers
from fhir_coder.store.work import LOCAL, Lane

AnswerRow = Row[Any]


def keep(connection: Connection, payer: str, body: bytes, at: datetime, lane: Lane = LOCAL) -> tuple[str, bool]:
    """Keep what a payer sent and ask for its reading; answers its id, and whether it is new.

    The same bytes again are the same answer. One that fitted no claim is tried once more: the claim may be there now.
    """
    digest = hashlib.sha256(body).hexdigest()
    same = (payer_answers.c.payer == payer) & (payer_answers.c.sha256 == digest)
    known = connection.execute(select(payer_answers).where(same)).first()
    if known is None:
        answer_id = new_id(at)
        row = {"id": answer_id, "payer": payer, "sha256": digest, "body": body, "received_at": at}
        connection.execute(insert(payer_answers).values(row | {"status": AnswerStatus.RECEIVED.value}))
        record(connection, at, Change("answer", answer_id, "", AnswerStatus.RECEIVED, ""))
        work.ask(connection, "answer", answer_id, at, lane)
        return answer_id, True
    if known.status == AnswerStatus.KEPT:
        work.ask(connection, "answer", known.id, at, lane)
    return str(known.id), False


def by_id(connection: Connection, answer_id: str) -> AnswerRow:
    """An answer by its id. Raises NoResultFound where there is none."""
    return connection.execute(select(payer_answers).where(payer_answers.c.id == answer_id)).one()


def set_status(connection: Connection, row: AnswerRow, status: AnswerStatus, why: str, at: datetime) -> None:
    """Write down what became of an answer, with its event."""
    values = {"status": status.value, "reason": why}
    connection.execute(update(payer_answers).where(payer_answers.c.id == row.id).values(values))
    record(connection, at, Change("answer", row.id, row.status, status, why))


def listed(connection: Connection, status: str, limit: int) -> list[AnswerRow]:
    """Answers without their bytes, newest first, of one status or of all."""
    columns = [c for c in payer_answers.c if c.name != "body"]
    query = select(*columns).order_by(payer_answers.c.id.desc()).limit(limit)
    return list(connection.execute(query.where(payer_answers.c.status == status) if status else query).all())
