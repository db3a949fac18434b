"""What payers deny: counted by payer, code and reason, checked again by the edits of now, told on further claims."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from sqlalchemy import event, insert
from typer.testing import CliRunner

from fhir_coder.cli import cli
from fhir_coder.denials import CheckedAgain, Denials, denials_json, make_denials
from fhir_coder.followup import DenialsBefore, hand_in
from fhir_coder.model import Adjudication, ClaimStatus, DeniedBefore, Finding, Severity
from fhir_coder.store import Ledger, line_decisions, open_ledger
from fhir_coder.store.line_decisions import Asked
from fhir_coder.store.schema import charts
from fhir_coder.store.schema import claims as claim_table
from fhir_coder.store.schema import line_decisions as lines_table
from tests.building import NOON
from tests.flow.test_billing import Make, Site, ft1
from tests.flow.test_followup import LONG, PAYER, answer, inquiring


def unchecked(_row: Any) -> None:
    """Checks nothing again."""


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Ledger]:
    opened = open_ledger(tmp_path / "ledger.db", clock=lambda: NOON)
    with opened.writing() as connection:
        connection.execute(insert(charts).values(key="K", first_seen_at=NOON))
    yield opened
    opened.close()


def decided(book: Ledger, number: int, code: str, *reasons: str, **said: Any) -> None:
    """A claim with one decided line, denied where there are reasons."""
    body = {"item": [{"sequence": 1, "productOrService": {"coding": [{"code": code}]}}]}
    row = {
        "id": f"C{number}",
        "identifier": f"CLM-{number}",
        "chart_key": "K",
        "payer": "lakeshore",
        "revision": number,
    }
    row |= {"slot": "professional-1", "purpose": "bill", "status": "denied", "body": orjson.dumps(body)}
    row |= {"content_hash": "x", "explained": '{"findings": [{"edit": "seen-then"}]}', "total": "100.10"}
    row |= {"currency": "USD", "created_at": NOON, "updated_at": NOON}
    line = {"claim_id": f"C{number}", "sequence": 1, "payer": "lakeshore", "code": code, "denied": bool(reasons)}
    line |= {"amount": "100.10", "currency": "USD", "decided_at": NOON} | said
    with book.writing() as connection:
        connection.execute(insert(claim_table).values(row))
        connection.execute(insert(lines_table), [line | {"reason": reason} for reason in reasons or ("",)])


def told(found: Denials) -> list[tuple[Any, ...]]:
    return [(d.code, d.reason, d.claims, d.decided, d.percent, d.money) for d in found.rows]


def test_denials_are_counted_by_code_and_reason_with_their_share_and_money(book: Ledger) -> None:
    decided(book, 1, "G0463", "50")
    decided(book, 2, "G0463", "50", "197")
    decided(book, 3, "G0463")
    decided(book, 4, "G0101", "other")
    found = make_denials(book, unchecked)
    assert told(found) == [
        ("G0463", "50", 2, 3, Decimal("66.7"), Decimal("200.20")),
        ("G0101", "other", 1, 1, Decimal("100.0"), Decimal("100.10")),
        ("G0463", "197", 1, 3, Decimal("33.3"), Decimal("100.10")),
    ]


def test_a_line_of_two_reasons_is_one_denial_of_its_payer(book: Ledger) -> None:
    decided(book, 1, "G0463", "50", "197")
    decided(book, 2, "G0463")
    (payer,) = make_denials(book, unchecked).payers
    assert (payer.claims, payer.decided, payer.percent, payer.money) == (1, 2, Decimal("50.0"), Decimal("100.10"))


def test_only_what_was_asked_for_is_counted(book: Ledger) -> None:
    decided(book, 1, "G0463", "50", decided_at=NOON - timedelta(days=9))
    decided(book, 2, "G0463", "50", payer="other")
    decided(book, 3, "G0463", "50", currency="EUR")
    assert [r.currency for r in make_denials(book, unchecked, NOON - timedelta(days=1), "lakeshore").rows] == ["EUR"]
    assert len(make_denials(book, unchecked).rows) == 3


def test_an_edit_that_finds_something_on_the_denied_line_is_listed(book: Ledger) -> None:
    for number in range(3):
        decided(book, number, "G0463", "50")
    hits = {
        "C0": [
            Finding("seen-then", Severity.WARN, "Claim.item[0].modifier", ""),
            Finding("told", Severity.INFO, "Claim", ""),
        ],
        "C1": [
            Finding("seen-now", Severity.REJECT, "Claim.insurance[0]", ""),
            Finding("x", Severity.WARN, "Claim.item[1]", ""),
        ],
        "C2": None,
    }
    (row,) = make_denials(book, lambda claim: hits[claim.id]).rows
    assert row.checked == 2
    assert [(e.edit, e.severity, e.on_line, e.claims, e.had_it) for e in row.edits] == [
        ("seen-then", "warn", True, 1, 1),
        ("seen-now", "reject", False, 1, 0),
    ]


def test_the_denials_are_read_from_their_index_alone(book: Ledger) -> None:
    """Most lines are paid: a million of them must not be read to count the denied ones."""
    with book.reading() as connection:
        seen: list[str] = []
        event.listen(connection.engine, "before_cursor_execute", lambda *a: seen.append(a[2]))
        for asked in (Asked(NOON), Asked(), Asked(NOON, payer="lakeshore")):
            line_decisions.denied(connection, asked)
            line_decisions.denied_in_all(connection, asked)
            line_decisions.lines_denied(connection, asked, 10)
        statements = list(seen)
        for statement in statements:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", ("x",) * statement.count("?"))
            assert "INDEX line_denials" in " ".join(str(row) for row in plan), statement


# --- real claims


def denied(site: Make, *reasons: str) -> Site:
    """A site with a claim whose only line its payer has denied."""
    here = inquiring(site, pend_seconds=LONG)
    deny(here, *reasons)
    return here


def deny(here: Site, *reasons: str) -> None:
    nothing = {"category": {"coding": [{"code": "benefit"}]}, "amount": {"value": 0, "currency": "USD"}}
    said = [nothing | {"reason": {"coding": [{"code": reason}]}} for reason in reasons]
    decision = answer(here, {"item": [{"itemSequence": 1, "adjudication": said}], "total": [nothing]})
    hand_in(here.ledger, here.rows()[-1], orjson.dumps(decision), "user ann", "")
    here.works()
    assert here.rows()[-1].status == "denied"


def again(here: Site, **changed: Any) -> CheckedAgain:
    """The edits of now, with another judgement of the payer."""
    book = replace(here.book, payers=(replace(PAYER, **changed),))
    return CheckedAgain(here.ledger, book, here.stages.folding.chart_anew)


def test_a_rule_that_the_payer_has_now_is_seen_on_the_claims_it_denied(site: Make) -> None:
    here = denied(site, "197")
    row = make_denials(here.ledger, again(here).findings).rows[0]
    assert (row.code, row.reason, row.checked, row.edits) == ("G0463", "197", 1, ())

    row = make_denials(here.ledger, again(here, prior_auth_codes=frozenset({"G0463"})).findings).rows[0]
    assert [(e.edit, e.severity, e.claims, e.had_it) for e in row.edits] == [("prior-auth-missing", "reject", 1, 0)]


def test_a_claim_is_checked_as_it_was_made_whatever_came_later(site: Make) -> None:
    here = denied(site, "197")
    here.now += timedelta(hours=1)
    here.hears("DFT^P03", ft1(2, "G0101"))
    listed = frozenset({"G0463"})
    row = make_denials(here.ledger, again(here, prior_auth_codes=listed).findings).rows[0]
    assert (row.checked, [e.edit for e in row.edits]) == (1, ["prior-auth-missing"])


def test_a_void_that_is_denied_counts_as_no_denial(site: Make) -> None:
    here = inquiring(site, pend_seconds=LONG)
    with here.ledger.writing() as connection:
        row = here.rows()[-1]._asdict() | {"purpose": "void"}
        said = Adjudication(ClaimStatus.DENIED, "r")
        line_decisions.keep(connection, SimpleNamespace(**row), said, here.now)
    assert make_denials(here.ledger, unchecked).rows == ()


# --- what the next claims are told


def test_what_was_denied_often_is_told_with_its_share(book: Ledger) -> None:
    for number in range(12):
        decided(book, number, "G0463", *(("50",) if number < 3 else ()))
    for number in range(20, 22):
        decided(book, number, "G0101", "50")
    assert DenialsBefore(book).often() == {("lakeshore", "G0463"): (DeniedBefore("lakeshore", "G0463", "50", 3, 12),)}


def test_what_was_denied_seldom_or_long_ago_is_not_told(book: Ledger) -> None:
    for number in range(16):
        decided(book, number, "G0463", *(("50",) if number < 3 else ()))
    for number in range(20, 24):
        decided(book, number, "G0101", "50", decided_at=NOON - timedelta(days=366))
    assert DenialsBefore(book).often() == {}


def test_a_line_whose_code_the_payer_denied_three_times_says_so(site: Make) -> None:
    here = denied(site, "50")
    with here.ledger.writing() as connection:
        connection.execute(insert(charts).values(key="K", first_seen_at=NOON))
    for number in range(2):
        decided(here.ledger, number + 10, "G0463", "50", payer="first", decided_at=here.now)
    here.start()
    here.hears("DFT^P03", ft1(2, "G0463"))
    found = [f for f in orjson.loads(here.rows()[-1].explained)["findings"] if f["edit"] == "denied-before"]
    assert [f["text"] for f in found][:1] == ["this payer denied G0463 in 3 of 3 claims of the last year: reason 50"]


def command(book: Ledger, tmp_path: Path, *words: str) -> tuple[int, str]:
    file = tmp_path / "fhir-coder.toml"
    file.write_text('[store]\nurl = "sqlite:///ledger.db"\n')
    done = CliRunner().invoke(cli, ["denials", "-c", str(file), *words])
    assert not done.exception or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def test_the_command_prints_a_table_or_json(book: Ledger, tmp_path: Path) -> None:
    decided(book, 1, "G0463", "50")
    decided(book, 2, "G0463")
    code, shown = command(book, tmp_path, "--since", "2026-11-01")
    assert code == 0
    assert "lakeshore  1              2   50.0  100.10  USD" in shown
    assert "lakeshore  G0463  50      1       2   50.0  100.10  USD" in shown
    code, shown = command(book, tmp_path, "--since", "2026-11-01", "--json", "--check", "0")
    assert orjson.loads(shown)["denials"][0]["percent"] == 50.0
    assert command(book, tmp_path, "--since", "2026-11-04") == (
        0,
        "no payer denied anything since 2026-11-04 00:00 UTC\n",
    )
    assert command(book, tmp_path, "--payer", "nobody")[0] == 2


def test_the_json_has_what_the_table_has(book: Ledger) -> None:
    decided(book, 1, "G0463", "50")
    found = denials_json(make_denials(book, unchecked))
    assert found["payers"] == [
        {"payer": "lakeshore", "currency": "USD", "claims": 1, "decided": 1, "percent": Decimal("100.0")}
        | {"money": Decimal("100.10")}
    ]
