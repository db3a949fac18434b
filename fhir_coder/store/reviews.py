"""Claims drawn for a second review, their codes, what the reviewer said, and how often reviewers agreed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, case, func, insert, select, update

from fhir_coder.store.worklist_schema import audit_codes, audits


@dataclass(frozen=True, slots=True)
class Drawn:
    """A claim that is to be reviewed, and by whom its codes were chosen."""

    claim_id: str
    chart_key: str
    payer: str
    coder: str
    is_blind: bool


@dataclass(frozen=True, slots=True)
class DrawnCode:
    """One code under review: the source as sent, what kind of fact it is, what was billed, and who chose it."""

    system: str
    code: str
    text: str
    kind: str
    billed: str
    coder: str


def is_drawn(connection: Connection, claim_id: str) -> bool:
    """Whether a claim was drawn before: no claim is reviewed twice."""
    return connection.execute(select(audits.c.id).where(audits.c.claim_id == claim_id)).first() is not None


def keep(connection: Connection, drawn: Drawn, codes: Sequence[DrawnCode], actor: str, at: datetime) -> int:
    """Keep a claim that was drawn with its codes; answers the number of the review."""
    row = {
        "claim_id": drawn.claim_id,
        "chart_key": drawn.chart_key,
        "payer": drawn.payer,
        "coder": drawn.coder,
        "is_blind": drawn.is_blind,
        "sampled_by": actor,
        "sampled_at": at,
        "reviewed_by": "",
    }
    result = connection.execute(insert(audits).values(row))
    number = int(result.inserted_primary_key[0]) if result.inserted_primary_key else 0
    rows = [
        {
            "audit_id": number,
            "system": one.system[:200],
            "code": one.code[:200],
            "text": one.text,
            "kind": one.kind,
            "billed": one.billed[:200],
            "coder": one.coder,
            "said": "",
            "agrees": None,
            "why": "",
        }
        for one in codes
    ]
    if rows:
        connection.execute(insert(audit_codes), rows)
    return number


def by_id(connection: Connection, number: int) -> Row[Any] | None:
    """A review by its number, None where there is none."""
    return connection.execute(select(audits).where(audits.c.id == number)).first()


def codes_of(connection: Connection, number: int) -> list[Row[Any]]:
    """The codes of a review, in the order of the claim."""
    query = select(audit_codes).where(audit_codes.c.audit_id == number).order_by(audit_codes.c.id)
    return list(connection.execute(query).all())


def say(connection: Connection, code_id: int, said: str, *, agrees: bool, why: str) -> None:
    """Keep what a reviewer says of one code."""
    values = {"said": said[:200], "agrees": agrees, "why": why}
    connection.execute(update(audit_codes).where(audit_codes.c.id == code_id).values(values))


def finish(connection: Connection, number: int, actor: str, at: datetime) -> bool:
    """Write down who reviewed; false where that was done already."""
    is_open = (audits.c.id == number) & audits.c.reviewed_at.is_(None)
    changed = connection.execute(update(audits).where(is_open).values(reviewed_by=actor, reviewed_at=at))
    return bool(changed.rowcount)


def agreement(connection: Connection, since: datetime, until: datetime) -> list[Row[Any]]:
    """By coder and billed code: `codes` reviewed in a time, and with how many reviewers `agreed`."""
    agreed = func.sum(case((audit_codes.c.agrees, 1), else_=0)).label("agreed")
    in_time = (audits.c.reviewed_at >= since) & (audits.c.reviewed_at < until)
    query = (
        select(audit_codes.c.coder, audit_codes.c.billed, func.count().label("codes"), agreed)
        .join(audits, audits.c.id == audit_codes.c.audit_id)
        .where(in_time, audit_codes.c.agrees.is_not(None))
        .group_by(audit_codes.c.coder, audit_codes.c.billed)
        .order_by(audit_codes.c.coder, audit_codes.c.billed)
    )
    return list(connection.execute(query).all())
