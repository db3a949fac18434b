"""The audit trail: every view of a record is in it, and whatever is done to it afterwards is found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fhir.resources.R4B.auditevent import AuditEvent
from sqlalchemy import delete, update
from typer.testing import CliRunner

from fhir_coder.cli import cli
from fhir_coder.store import Ledger, audit, open_ledger
from fhir_coder.store.corrections import record_viewing
from fhir_coder.store.schema import audit as table

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
NUMBER = 7


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger with some entries, in the folder of the test."""
    (tmp_path / "fhir-coder.toml").write_text("")
    book = open_ledger(tmp_path / "fhir-coder.db")
    with book.writing() as connection:
        for place in range(NUMBER):
            entry = audit.Entry("user ada", audit.READ, "chart", f"CLINIC/VN/{place}", "timeline")
            audit.append(connection, entry, NOON + timedelta(minutes=place))
    yield book
    book.close()


def verified(ledger: Ledger, known: str = "") -> audit.Trail:
    with ledger.reading() as connection:
        return audit.verify(connection, known)


def asked(tmp_path: Path, *words: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, ["audit", *words, "-c", str(tmp_path / "fhir-coder.toml")])
    return done.exit_code, done.output


def test_a_trail_that_nobody_touched_is_whole(ledger: Ledger) -> None:
    trail = verified(ledger)
    assert (trail.entries, trail.is_whole) == (NUMBER, True)
    assert verified(ledger, trail.head).is_whole
    assert verified(ledger, "0" * 64).is_whole


@pytest.mark.parametrize("column", ["actor", "action", "subject", "subject_id", "shown", "hash", "at"])
def test_an_entry_that_was_changed_is_named(ledger: Ledger, column: str) -> None:
    changed = {column: NOON if column == "at" else "X"}
    with ledger.writing() as connection:
        connection.execute(update(table).where(table.c.id == 4).values(changed))
    trail = verified(ledger)
    assert (trail.broken, trail.is_whole) == (4, False)


@pytest.mark.parametrize(("gone", "broken"), [(1, 1), (4, 4)])
def test_an_entry_that_was_taken_out_is_named(ledger: Ledger, gone: int, broken: int) -> None:
    with ledger.writing() as connection:
        connection.execute(delete(table).where(table.c.id == gone))
    assert verified(ledger).broken == broken


def test_entries_that_were_renumbered_after_one_was_taken_out_are_found(ledger: Ledger) -> None:
    with ledger.writing() as connection:
        connection.execute(delete(table).where(table.c.id == 4))
        for number in range(5, NUMBER + 1):
            connection.execute(update(table).where(table.c.id == number).values(id=number - 1))
    assert verified(ledger).broken == 4


def test_entries_that_were_cut_off_are_found_by_a_head_that_was_kept(ledger: Ledger) -> None:
    head = verified(ledger).head
    with ledger.writing() as connection:
        connection.execute(delete(table).where(table.c.id > 5))
    assert verified(ledger).is_whole
    trail = verified(ledger, head)
    assert (trail.broken, trail.has_known, trail.is_whole) == (None, False, False)


def test_the_trail_goes_on_after_the_ledger_was_opened_again(ledger: Ledger, tmp_path: Path) -> None:
    head = verified(ledger).head
    record_viewing(ledger, "CLM-1", "story", "user grace", "claim")
    again = open_ledger(tmp_path / "fhir-coder.db")
    record_viewing(again, "CLM-1", "story", "user ada", "claim")
    again.close()
    trail = verified(ledger, head)
    assert (trail.entries, trail.is_whole) == (NUMBER + 2, True)


def test_the_commands_list_verify_and_export(ledger: Ledger, tmp_path: Path) -> None:
    record_viewing(ledger, "CLM-1", "story", "user grace", "claim")

    code, text = asked(tmp_path, "list", "--actor", "user grace", "--json")
    assert code == 0
    (one,) = json.loads(text)
    assert (one["id"], one["action"], one["subject_id"], one["shown"]) == (NUMBER + 1, "R", "CLM-1", "story")
    assert asked(tmp_path, "list", "--record", "CLINIC/VN/3")[1].count("CLINIC/VN/") == 1
    assert asked(tmp_path, "list", "--record", "nothing") == (0, "none\n")

    code, text = asked(tmp_path, "verify")
    assert (code, text) == (0, f"{NUMBER + 1} entries, whole\nhead {verified(ledger).head}\n")
    assert asked(tmp_path, "verify", "--head", "f" * 64)[0] == 1

    file = tmp_path / "audit.ndjson"
    assert asked(tmp_path, "export", "--out", str(file)) == (0, "")
    told = [json.loads(line) for line in file.read_bytes().splitlines()]
    assert [event["action"] for event in told] == ["R"] * (NUMBER + 1) + ["E"]
    for event in told:
        AuditEvent.model_validate(event)
    with ledger.writing() as connection:
        connection.execute(update(table).where(table.c.id == 2).values(actor="nobody"))
    code, text = asked(tmp_path, "verify")
    assert code == 1
    assert "broken at entry 2" in text
