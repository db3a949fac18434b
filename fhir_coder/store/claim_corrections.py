"""What people corrected on claims over what the messages say: kept, counted as long as nobody takes it back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, insert, select

from fhir_coder.model import ClaimCorrection
from fhir_coder.store import work
from fhir_coder.store.claims import ClaimRow
from fhir_coder.store.events import Change, record
from fhir_coder.store.prepared import Prepared
from fhir_coder.store.schema import claim_corrections


@dataclass(frozen=True, slots=True)
class Corrected:
    """What a person says of a claim: values by field, an empty one takes back what was said before; and why."""

    values: Mapping[str, str]
    actor: str
    why: str = ""


def keep(connection: Connection, row: ClaimRow, said: Corrected, at: datetime) -> None:
    """Keep what a person corrects on a claim, and ask for its chart. The event names the fields, never a value."""
    told = {"chart_key": row.chart_key, "slot": row.slot, "actor": said.actor, "why": said.why, "at": at}
    rows = [told | {"field": field, "value": value} for field, value in said.values.items()]
    if rows:
        connection.execute(insert(claim_corrections), rows)
    set_to = [field for field, value in said.values.items() if value]
    back = [field for field, value in said.values.items() if not value]
    words = [f"corrected {', '.join(set_to)}" if set_to else "", f"as sent again: {', '.join(back)}" if back else ""]
    why = "; ".join(filter(None, [*words, said.why]))
    record(connection, at, Change("claim", row.id, row.status, row.status, why, said.actor))
    work.ask(connection, "chart", row.chart_key, at)


def of_charts(connection: Connection, keys: Sequence[str]) -> tuple[ClaimCorrection, ...]:
    """What counts of a chart's claims, by slot and field; `keys` are the chart's, that of now first."""
    found: dict[tuple[str, str], ClaimCorrection] = {}
    for key in reversed(keys):
        for row in _OF_CHART.rows(connection, {"chart": key}):
            at = row.at.isoformat(timespec="seconds")
            found[row.slot, row.field] = ClaimCorrection(row.slot, row.field, row.value, row.actor, at, row.why)
    return tuple(one for one in found.values() if one.value)


_OF_CHART = Prepared(
    select(claim_corrections)
    .where(claim_corrections.c.chart_key == bindparam("chart"))
    .order_by(claim_corrections.c.id)
)
