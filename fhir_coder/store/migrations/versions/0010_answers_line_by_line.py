"""When claims were sent and answered and with what money; denials line by line; what people correct on claims."""

import json
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson
import sqlalchemy as sa
from alembic import op


revision = "0010"
down_revision = "0009"

_DECIDED = ("complete", "partial", "denied")
_PAGE = 500

_claims = sa.table(
    "claims",
    sa.column("id", sa.String),
    sa.column("payer", sa.String),
    sa.column("total", sa.String),
    sa.column("currency", sa.String),
    sa.column("body", sa.LargeBinary),
    sa.column("adjudication", sa.Text),
    sa.column("asked", sa.Boolean),
    sa.column("sent_at", sa.DateTime),
    sa.column("decided_at", sa.DateTime),
    sa.column("answer_seconds", sa.Integer),
    sa.column("allowed", sa.String),
    sa.column("paid", sa.String),
)
_attempts = sa.table(
    "attempts", sa.column("claim_id", sa.String), sa.column("kind", sa.String), sa.column("started_at", sa.DateTime)
)
_events = sa.table(
    "events",
    sa.column("subject", sa.String),
    sa.column("subject_id", sa.String),
    sa.column("to_status", sa.String),
    sa.column("at", sa.DateTime),
)
_items = sa.table("work_items", sa.column("claim_id", sa.String), sa.column("kind", sa.String))


def upgrade() -> None:
    """Apply. What is known of earlier claims is filled in from their attempts, events, items and answers."""
    op.add_column("claims", sa.Column("asked", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("claims", sa.Column("sent_at", sa.DateTime(), nullable=True))
    op.add_column("claims", sa.Column("decided_at", sa.DateTime(), nullable=True))
    op.add_column("claims", sa.Column("answer_seconds", sa.Integer(), nullable=True))
    op.add_column("claims", sa.Column("allowed", sa.String(length=32), nullable=False, server_default=""))
    op.add_column("claims", sa.Column("paid", sa.String(length=32), nullable=False, server_default=""))
    counted = ["created_at", "payer", "currency", "status", "purpose", "asked", "total", "allowed", "paid"]
    op.create_index("claims_by_made", "claims", [*counted, "sent_at", "answer_seconds"])
    decisions = op.create_table(
        "line_decisions",
        sa.Column("claim_id", sa.String(length=26), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.Column("payer", sa.String(length=64), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("denied", sa.Boolean(), nullable=False),
        sa.Column("amount", sa.String(length=32), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("decided_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["claim_id"], ["claims.id"]),
        sa.PrimaryKeyConstraint("claim_id", "sequence", "reason"),
    )
    op.create_index("line_decisions_by_code", "line_decisions", ["payer", "code", "decided_at", "claim_id"])
    is_denied = sa.text("denied")
    by_reason = ["decided_at", "payer", "code", "reason", "claim_id", "amount", "currency", "sequence"]
    op.create_index("line_denials", "line_decisions", by_reason, sqlite_where=is_denied, postgresql_where=is_denied)
    op.create_table(
        "claim_corrections",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("chart_key", sa.String(length=400), nullable=False),
        sa.Column("slot", sa.String(length=24), nullable=False),
        sa.Column("field", sa.String(length=32), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("why", sa.Text(), nullable=False, server_default=""),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["chart_key"], ["charts.key"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("claim_corrections_by_chart", "claim_corrections", ["chart_key", "id"])
    _fill_in(op.get_bind(), decisions)


def _fill_in(connection: sa.Connection, decisions: sa.Table) -> None:
    of_claim = _events.c.subject == "claim"
    sent = sa.select(sa.func.min(_attempts.c.started_at)).where(
        _attempts.c.claim_id == _claims.c.id, _attempts.c.kind == "submit"
    )
    decided = sa.select(sa.func.max(_events.c.at)).where(
        of_claim, _events.c.subject_id == _claims.c.id, _events.c.to_status.in_(_DECIDED)
    )
    asked = sa.select(_items.c.claim_id).where(_items.c.kind.in_(("gap", "finding")))
    connection.execute(
        sa.update(_claims).values(
            sent_at=sent.scalar_subquery(), decided_at=decided.scalar_subquery(), asked=_claims.c.id.in_(asked)
        )
    )
    last = ""
    while rows := _answered(connection, last):
        for row in rows:
            _fill_in_one(connection, decisions, row)
        last = rows[-1].id


def _answered(connection: sa.Connection, after: str) -> list[sa.Row[Any]]:
    is_next = (_claims.c.adjudication != "") & (_claims.c.id > after)
    return list(connection.execute(sa.select(_claims).where(is_next).order_by(_claims.c.id).limit(_PAGE)).all())


def _fill_in_one(connection: sa.Connection, decisions: sa.Table, row: sa.Row[Any]) -> None:
    said = orjson.loads(row.adjudication)
    lines = said.get("lines", [])
    values: dict[str, object] = {"paid": _amount(said.get("paid"), row.currency)}
    values["allowed"] = _allowed(lines, row.currency)
    if row.sent_at and row.decided_at:
        values["answer_seconds"] = max(0, int((row.decided_at - row.sent_at).total_seconds()))
    connection.execute(sa.update(_claims).where(_claims.c.id == row.id).values(values))
    if row.decided_at is None:
        return
    codes, whole = _codes(row.body), {"payer": row.payer, "currency": row.currency, "decided_at": row.decided_at}
    told = [
        {**whole, "claim_id": row.id, "sequence": line["sequence"], "reason": reason[:64], "denied": line["denied"]}
        | dict(zip(("code", "amount"), codes.get(line["sequence"], ("", "")), strict=True))
        for line in lines
        for reason in dict.fromkeys((line["reasons"] if line["denied"] else []) or [""])
    ]
    if not lines and said.get("status") in _DECIDED:
        is_denied = said["status"] == "denied"
        errors = [error.partition(" ")[0][:64] for error in said.get("errors", []) if is_denied]
        of_all = {**whole, "claim_id": row.id, "sequence": 0, "denied": is_denied, "code": "", "amount": row.total}
        told = [of_all | {"reason": reason} for reason in dict.fromkeys(errors or [""])]
    if told:
        connection.execute(sa.insert(decisions), told)


def _codes(body: bytes) -> dict[int, tuple[str, str]]:
    """The code and the amount of each line of a claim; amounts keep the decimals they were written with."""
    items = json.loads(body, parse_float=str, parse_int=str).get("item", [])
    return {
        int(item["sequence"]): (
            item["productOrService"].get("coding", [{}])[0].get("code", "")[:64],
            item.get("net", {}).get("value", ""),
        )
        for item in items
    }


def _amount(money: dict[str, str] | None, currency: str) -> str:
    return money["value"] if money and money["currency"] == currency else ""


def _allowed(lines: list[dict[str, Any]], currency: str) -> str:
    told = [_amount(line.get("allowed"), currency) for line in lines if line.get("allowed")]
    try:
        return str(sum(map(Decimal, told))) if told and all(told) else ""
    except InvalidOperation:
        return ""
