"""A ledger of one claim a visit becomes one of several: nothing is lost, renamed or billed twice."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import select, text

import fhir_coder.store.migrations
from fhir_coder.billing import Known, plan_claims
from fhir_coder.claims import content_hash, to_bytes
from fhir_coder.pipeline import Occasion
from fhir_coder.store import attempts, claims, open_ledger, work
from fhir_coder.store.ledger import sqlite_engine
from fhir_coder.store.schema import work as work_table
from tests.building import KEY, NOON, drafted, good_chart, rulebook, stay

CHARTS = {"professional-1": good_chart(), "institutional-1": good_chart(stay())}


def ledger_before(path: Path, slot: str, status: str) -> str:
    """Make a ledger of the version before with one claim and one attempt; answers the claim's identifier."""
    draft = drafted(CHARTS[slot])
    engine = sqlite_engine(path)
    config = Config()
    config.set_main_option("script_location", str(Path(fhir_coder.store.migrations.__file__).parent))
    row = {
        "id": "01OLD",
        "identifier": draft.identifier,
        "chart_key": KEY,
        "payer": draft.payer,
        "revision": 1,
        "status": status,
        "hold": "",
        "stale": False,
        "body": to_bytes(draft.claim),
        "content_hash": content_hash(draft.claim),
        "explained": orjson.dumps({"traces": [], "findings": [], "gaps": []}).decode(),
        "total": "100.00",
        "currency": "USD",
        "replaces": "",
        "payer_reference": "Claim/7",
        "adjudication": "",
        "created_at": "2026-11-03 18:00:00",
        "updated_at": "2026-11-03 18:00:00",
    }
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
        known = {c[1] for c in connection.execute(text("PRAGMA table_info(charts)"))}
        extra = "".join(f", {name}" for name in sorted(known - {"key", "first_seen_at", "folded_at", "cancelled"}))
        values = extra.count(",") * ", ''"
        connection.execute(
            text(f"INSERT INTO charts (key, first_seen_at, cancelled{extra}) VALUES (:key, :at, 0{values})"),
            {"key": KEY, "at": "2026-11-03 18:00:00"},
        )
        names = ", ".join(row)
        connection.execute(text(f"INSERT INTO claims ({names}) VALUES ({', '.join(f':{n}' for n in row)})"), row)
        connection.execute(
            text(
                "INSERT INTO attempts (claim_id, kind, started_at, outcome, reason, response, next_action) "
                "VALUES ('01OLD', 'submit', '2026-11-03 18:00:00', 'taken', '', x'', '')"
            )
        )
        connection.commit()
    engine.dispose()
    return draft.identifier


@pytest.mark.parametrize("status", ["held", "ready", "queued", "complete"])
@pytest.mark.parametrize("slot", list(CHARTS))
def test_an_upgraded_ledger_keeps_its_claims_and_bills_none_twice(tmp_path: Path, slot: str, status: str) -> None:
    identifier = ledger_before(tmp_path / "l.db", slot, status)

    ledger = open_ledger(tmp_path / "l.db", clock=lambda: NOON)
    with ledger.reading() as connection:
        rows = claims.of_chart(connection, KEY)
        tried = attempts.of_claim(connection, "01OLD")
        assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
    ledger.close()

    (row,) = rows[slot]
    assert (row.id, row.identifier, row.revision, row.purpose) == ("01OLD", identifier, 1, "bill")
    assert (row.status, row.payer_reference, len(tried)) == (status, "Claim/7", 1)
    known = Known(rows, frozenset(), lambda _: b"")
    (plan,) = plan_claims(CHARTS[slot], rulebook(), Occasion(NOON), known)
    if plan.filed:  # never sent: the same claim under the same identifier
        assert (plan.filed.draft.revision, plan.filed.content_hash) == (1 + (status == "ready"), row.content_hash)
    else:
        assert plan.word == "unchanged"


def test_work_that_waits_for_a_payer_is_in_its_lane_by_rank_after_the_upgrade(tmp_path: Path) -> None:
    engine, config = sqlite_engine(tmp_path / "l.db"), Config()
    config.set_main_option("script_location", str(Path(fhir_coder.store.migrations.__file__).parent))
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0007")
        connection.execute(text("INSERT INTO charts (key, first_seen_at, cancelled) VALUES ('K', '2026-11-03', 0)"))
        for number, (total, file_by) in enumerate((("9.50", None), ("1336.50", "2026-11-29"), ("2.00", "2026-11-23"))):
            values = {"id": f"01OLD{number:021d}", "slot": f"professional-{number}", "total": total, "by": file_by}
            connection.execute(
                text(
                    "INSERT INTO claims (id, identifier, chart_key, payer, slot, revision, purpose, status, hold, "
                    "stale, body, content_hash, explained, total, currency, replaces, payer_reference, adjudication, "
                    "file_by, created_at, updated_at) VALUES (:id, :id, 'K', 'first', :slot, 1, 'bill', 'ready', '', "
                    "0, '', '', '{}', :total, 'USD', '', '', '', :by, '2026-11-03', '2026-11-03')"
                ),
                values,
            )
            connection.execute(
                text("INSERT INTO work VALUES (:stage, :key, :at, :at, 0, 0)"),
                {"stage": "submit", "key": values["id"], "at": "2026-11-03 18:00:00.000000"},
            )
        connection.execute(
            text("INSERT INTO work VALUES ('chart', 'K', :at, :at, 0, 0)"), {"at": "2026-11-03 18:00:00.000000"}
        )
        connection.commit()
    engine.dispose()

    ledger = open_ledger(tmp_path / "l.db", clock=lambda: NOON)
    with ledger.reading() as connection:
        found = work.due(connection, NOON, (), 10, "submit first")
        assert [int(w.key[5:]) for w in found] == [1, 2, 0]
        assert [w.stage for w in work.due(connection, NOON, (), 10, "")] == ["chart"]
        now = {
            w.key: claims.rank_of(r.file_by, r.total, r.id) for w in found for r in [claims.by_id(connection, w.key)]
        }
        kept = {r.key: r.rank for r in connection.execute(select(work_table).where(work_table.c.stage == "submit"))}
    ledger.close()
    assert kept == now
