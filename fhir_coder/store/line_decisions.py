"""What payers decided on each line of a claim: what reports of denials and the edits that learn from them count."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Numeric,
    bindparam,
    cast,
    delete,
    func,
    insert,
    literal,
    select,
    text,
)

from fhir_coder.model import DECIDED, Adjudication, ClaimStatus, Purpose, is_code_shaped
from fhir_coder.store.claims import ClaimRow
from fhir_coder.store.prepared import Prepared
from fhir_coder.store.schema import line_decisions

OTHER_REASON = "other"
"""The reason of a denial whose code does not look like one: payers, too, put words where codes belong."""

_WORD = re.compile(r"(?=.{2,64}$)[a-z]+(-[a-z0-9]+)*")
"""Codes of FHIR's own systems, such as `timeout`."""

_TEN_THOUSANDTHS = 10_000
"""Amounts are added up as whole numbers of these: their sum is exact in every database; no currency has finer ones."""

_COLUMNS = ("claim_id", "sequence", "reason", "payer", "code", "denied", "amount", "currency", "decided_at")
_KEEP = Prepared(insert(line_decisions), _COLUMNS)
_FORGET = Prepared(delete(line_decisions).where(line_decisions.c.claim_id == bindparam("the_claim")))


def keep(connection: Connection, row: ClaimRow, said: Adjudication, at: datetime) -> None:
    """Keep what a payer decided on a claim's lines, in the place of what it had decided before.

    A void that is denied bills nothing: it is no denial of a line.
    """
    if said.status not in DECIDED or row.purpose == Purpose.VOID:
        return
    _FORGET.run_all(connection, [{"the_claim": row.id}])
    whole = {"claim_id": row.id, "payer": row.payer, "currency": row.currency, "decided_at": at}
    _KEEP.run_all(connection, [whole | told for told in _told(row, said)])


def _told(row: ClaimRow, said: Adjudication) -> Iterator[dict[str, object]]:
    billed = {item["sequence"]: item for item in orjson.loads(row.body).get("item", ())}
    for line in said.lines:
        item = billed.get(line.sequence, {})
        codings = item.get("productOrService", {}).get("coding") or [{}]
        about = {"sequence": line.sequence, "code": str(codings[0].get("code", ""))[:64], "denied": line.denied}
        about["amount"] = str(item.get("net", {}).get("value", ""))
        for reason in reasons_of(line.reasons) if line.denied else ("",):
            yield about | {"reason": reason}
    if not said.lines:  # decided as a whole
        is_denied = said.status is ClaimStatus.DENIED
        for reason in reasons_of([error.partition(" ")[0] for error in said.errors]) if is_denied else ("",):
            yield {"sequence": 0, "code": "", "denied": is_denied, "amount": row.total, "reason": reason}


def reasons_of(codes: Sequence[str]) -> tuple[str, ...]:
    """The reasons of a denial as they may be shown: codes only, one that is empty where none was given."""
    shown = (code if is_code_shaped(code) or _WORD.fullmatch(code) else OTHER_REASON for code in codes)
    return tuple(dict.fromkeys(shown)) or ("",)


def whole_number(amount: ColumnElement[str]) -> ColumnElement[int]:
    """An amount kept as text, as a whole number that a database adds up exactly; nothing counts as nothing."""
    number = cast(func.nullif(amount, ""), Numeric) * literal(_TEN_THOUSANDTHS)
    return cast(func.round(number), BigInteger)


def amount_of(number: int | None) -> Decimal | None:
    """The amount of a sum of `whole_number`, with cents; None where there was nothing to add."""
    if number is None:
        return None
    amount = Decimal(int(number)) / _TEN_THOUSANDTHS
    return amount.quantize(Decimal("0.01")) if amount == amount.quantize(Decimal("0.01")) else amount


_EVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Asked:
    """Which denials are meant: those decided from a time on, before another, by one payer; none of these: all."""

    since: datetime | None = None
    until: datetime | None = None
    payer: str = ""

    def fits(self) -> list[ColumnElement[bool]]:
        """As conditions on `line_decisions`."""
        at = line_decisions.c.decided_at
        # A time always, and the payer coalesced: else SQLite leaves the index of denials aside.
        found = [at >= (self.since or _EVER)]
        found += [at < self.until] if self.until else []
        return found + ([func.coalesce(line_decisions.c.payer, "") == self.payer] if self.payer else [])


_IS_DENIED = text("line_decisions.denied")
"""As the index of denials has it: SQLite does not see that `denied = 1` says the same."""

_GROUP = (line_decisions.c.payer, line_decisions.c.code, line_decisions.c.reason, line_decisions.c.currency)


def denied(connection: Connection, asked: Asked) -> list[Any]:
    """Denials by payer, code, reason and currency: in how many claims, and their money as `whole_number` adds it up."""
    counted = func.count(line_decisions.c.claim_id.distinct()).label("claims")
    money = func.sum(whole_number(line_decisions.c.amount)).label("money")
    query = select(*_GROUP, counted, money).where(_IS_DENIED, *asked.fits()).group_by(*_GROUP)
    return list(connection.execute(query.order_by(*_GROUP)).all())


def denied_in_all(connection: Connection, asked: Asked) -> list[Any]:
    """How many claims were denied, whole or in lines, by payer and currency; a line of several reasons counts once."""
    of_line = (line_decisions.c.payer, line_decisions.c.currency, line_decisions.c.claim_id, line_decisions.c.amount)
    once = select(*of_line, line_decisions.c.sequence).where(_IS_DENIED, *asked.fits()).distinct().subquery()
    counted = func.count(once.c.claim_id.distinct()).label("claims")
    money = func.sum(whole_number(once.c.amount)).label("money")
    group = (once.c.payer, once.c.currency)
    return list(connection.execute(select(*group, counted, money).group_by(*group).order_by(*group)).all())


def decided(connection: Connection, asked: Asked, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """How many claims with a code a payer has decided, for pairs of payer and code; without a code, of any."""
    found: dict[tuple[str, str], int] = {}
    counted = select(func.count(line_decisions.c.claim_id.distinct()))
    for payer, code in pairs:
        is_of = [line_decisions.c.payer == payer, *([line_decisions.c.code == code] if code else [])]
        found[payer, code] = int(connection.execute(counted.where(*is_of, *asked.fits())).scalar_one())
    return found


def lines_denied(connection: Connection, asked: Asked, limit: int) -> list[Any]:
    """Denied lines with their claim, the last decided first, of so many claims at most."""
    at = line_decisions.c.decided_at.label("at")  # all lines of a claim are decided at once
    denied = select(line_decisions.c.claim_id, at).where(_IS_DENIED, *asked.fits()).distinct()
    newest = denied.order_by(at.desc(), line_decisions.c.claim_id).limit(limit).subquery()
    is_of = (line_decisions.c.claim_id == newest.c.claim_id) & line_decisions.c.denied
    query = select(line_decisions).join(newest, is_of).order_by(newest.c.at.desc(), line_decisions.c.claim_id)
    return list(connection.execute(query.order_by(line_decisions.c.sequence, line_decisions.c.reason)).all())
