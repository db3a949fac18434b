"""Claims counted by the day they were made: what a report adds up, read from one index."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, or_, select

from fhir_coder.model import GONE, Purpose
from fhir_coder.store.line_decisions import whole_number
from fhir_coder.store.schema import claims

_GROUP = (claims.c.payer, claims.c.currency, claims.c.status, claims.c.asked)
_FIGURES = (
    func.count().label("claims"),
    func.count(claims.c.sent_at).label("sent"),
    func.sum(whole_number(claims.c.total)).label("billed"),
    func.sum(whole_number(claims.c.allowed)).label("allowed"),
    func.sum(whole_number(claims.c.paid)).label("paid"),
    func.count(claims.c.answer_seconds).label("answered"),
    func.sum(claims.c.answer_seconds).label("answer_seconds"),
)
_COUNTS = claims.c.purpose.in_([Purpose.BILL.value, Purpose.LATE_CHARGE.value])
_WAS_BILLED = or_(claims.c.status.not_in(sorted(GONE)), claims.c.sent_at.is_not(None))
"""Voids bill nothing; what was replaced or withdrawn before it was sent was never billed."""


def made_between(connection: Connection, start: datetime, end: datetime, payer: str = "") -> list[Any]:
    """Claims made from a time on and before another, by payer, currency, status and whether a person was asked.

    Amounts are sums as `line_decisions.whole_number` makes them, `answer_seconds` is the sum over those `answered`.
    """
    is_meant = [claims.c.created_at >= start, claims.c.created_at < end, _COUNTS, _WAS_BILLED]
    # Coalesced: else SQLite goes by the payer's own index and reads all its claims.
    is_meant += [func.coalesce(claims.c.payer, "") == payer] if payer else []
    return list(connection.execute(select(*_GROUP, *_FIGURES).where(*is_meant).group_by(*_GROUP)).all())


def first_made_at(connection: Connection) -> datetime | None:
    """When the first claim was made, None where there is none."""
    return connection.execute(select(func.min(claims.c.created_at))).scalar()
