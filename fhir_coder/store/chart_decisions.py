"""What people decided for one chart: kept, counted in coding as long as nobody withdraws it, and never rewritten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, Row, bindparam, insert, select, update

from fhir_coder.model import Coding, Kind, PersonDecision
from fhir_coder.store.events import Change, record
from fhir_coder.store.prepared import Prepared
from fhir_coder.store.worklist_schema import decisions


@dataclass(frozen=True, slots=True)
class Filed:
    """A decision with what it is filed under."""

    chart_key: str
    kind: Kind
    decision: PersonDecision


def keep(connection: Connection, filed: Filed, at: datetime) -> int:
    """File a decision about a chart; answers its number."""
    one = filed.decision
    row = {
        "chart_key": filed.chart_key,
        "kind": filed.kind.value,
        "system": one.system[:200],
        "code": one.code[:200],
        "text": one.text,
        "targets": _codings_text(one.targets),
        "modifiers": _codings_text(one.modifiers),
        "pointers": orjson.dumps(list(one.pointers)).decode(),
        "why": one.why,
        "item_id": one.item,
        "actor": one.actor,
        "decided_at": at,
        "withdrawn_by": "",
    }
    result = connection.execute(insert(decisions).values(row))
    number = int(result.inserted_primary_key[0]) if result.inserted_primary_key else 0
    codes = ", ".join(target.code for target in one.targets) or "not billable"
    why = f"decision {number}: {codes}"
    record(connection, at, Change("chart", filed.chart_key, "", "decided", why, one.actor))
    return number


def withdraw(connection: Connection, number: int, actor: str, at: datetime) -> str:
    """Let a decision count no more; answers its chart key, empty where there is none that counts."""
    counts = (decisions.c.id == number) & decisions.c.withdrawn_at.is_(None)
    key = connection.execute(select(decisions.c.chart_key).where(counts)).scalar()
    if key is None:
        return ""
    connection.execute(update(decisions).where(counts).values(withdrawn_at=at, withdrawn_by=actor))
    record(connection, at, Change("chart", key, "decided", "", f"decision {number} is withdrawn", actor))
    return str(key)


def of_chart(connection: Connection, chart_key: str) -> tuple[PersonDecision, ...]:
    """The decisions that count for a chart, the oldest first."""
    return tuple(map(value_of, rows_of_chart(connection, chart_key)))


def rows_of_chart(connection: Connection, chart_key: str) -> list[Row[Any]]:
    """The rows of the decisions that count for a chart, the oldest first."""
    return _OF_CHART.rows(connection, {"chart": chart_key})


_OF_CHART = Prepared(
    select(decisions)
    .where(decisions.c.chart_key == bindparam("chart"), decisions.c.withdrawn_at.is_(None))
    .order_by(decisions.c.id)
)


def about_code(connection: Connection, system: str, code: str, limit: int) -> list[Row[Any]]:
    """The newest decisions that count about a code, in whatever chart."""
    same = (decisions.c.code == code[:200]) & (decisions.c.system == system[:200])
    query = select(decisions).where(same, decisions.c.withdrawn_at.is_(None)).order_by(decisions.c.id.desc())
    return list(connection.execute(query.limit(limit)).all())


def value_of(row: Row[Any]) -> PersonDecision:
    """A row as coding takes it."""
    return PersonDecision(
        system=row.system,
        code=row.code,
        targets=codings_of(row.targets),
        actor=row.actor,
        at=row.decided_at.isoformat(timespec="seconds"),
        text=row.text,
        modifiers=codings_of(row.modifiers),
        pointers=tuple(orjson.loads(row.pointers)),
        why=row.why,
        item=row.item_id,
    )


def codings_of(text: str) -> tuple[Coding, ...]:
    """Codings as they are kept."""
    return tuple(Coding(system, code) for system, code in orjson.loads(text))


def _codings_text(codings: Sequence[Coding]) -> str:
    return orjson.dumps([[one.system, one.code] for one in codings]).decode()
