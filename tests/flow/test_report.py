"""The report: claims of each day and payer in numbers and money, as rows, CSV, JSON and a page that needs nothing."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, insert, text
from typer.testing import CliRunner

from fhir_coder.claims import content_hash, to_bytes
from fhir_coder.cli import cli
from fhir_coder.errors import UsageError
from fhir_coder.filing import apply_decision
from fhir_coder.model import Adjudication, ClaimStatus, LineDecision, Money, Outcome, OutcomeKind
from fhir_coder.payers.decide import Decision
from fhir_coder.report import Report, make_report, report_csv, report_json, report_page
from fhir_coder.report.charts import nice_top
from fhir_coder.store import Ledger, claims, figures, open_ledger
from fhir_coder.store.schema import charts
from fhir_coder.store.schema import claims as claim_table
from fhir_coder.store.work import Work
from tests.building import NOON, drafted, good_chart
from tests.flow.test_billing import Make, ft1

ZONE = "America/Chicago"
DAY = date(2026, 11, 3)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Ledger]:
    opened = open_ledger(tmp_path / "ledger.db", clock=lambda: NOON)
    with opened.writing() as connection:
        connection.execute(insert(charts).values(key="K", first_seen_at=NOON))
    yield opened
    opened.close()


def made(book: Ledger, number: int, status: str, **said: Any) -> None:
    """A claim as the ledger has it."""
    at = said.get("created_at", NOON)
    row = {
        "id": f"C{number}",
        "identifier": f"CLM-{number}",
        "chart_key": "K",
        "payer": "lakeshore",
        "revision": number,
    }
    row |= {"slot": "professional-1", "purpose": "bill", "status": status, "body": b"{}", "content_hash": "x"}
    row |= {"explained": "{}", "total": "100.10", "currency": "USD", "created_at": at, "updated_at": at}
    with book.writing() as connection:
        connection.execute(insert(claim_table).values(row | said))


def report_of(book: Ledger, **asked: Any) -> Report:
    return make_report(book, ZONE, asked.pop("start", DAY), asked.pop("end", DAY), **asked)


def told(report: Report) -> dict[str, Any]:
    (row,) = report_json(report)["rows"]
    return {name: value for name, value in row.items() if value not in (0, None)}


SENT = {"sent_at": NOON}
ANSWERED = SENT | {"decided_at": NOON + timedelta(days=2), "answer_seconds": 2 * 86400}


def test_a_claim_counts_as_what_it_is_now_with_its_money(book: Ledger) -> None:
    made(book, 1, "complete", allowed="80.00", paid="70.05", **ANSWERED)
    made(book, 2, "partial", paid="0.15", **ANSWERED)
    made(book, 3, "denied", **SENT | {"answer_seconds": 86400 // 2})
    made(book, 4, "queued", **SENT)
    made(book, 5, "held", asked=True)
    made(book, 6, "unknown", **SENT)
    found = told(report_of(book))
    assert found == {
        "day": "2026-11-03",
        "payer": "lakeshore",
        "currency": "USD",
        "received": 6,
        "automatic_percent": Decimal("83.3"),
        "held": 1,
        "sent": 5,
        "accepted": 2,
        "denied": 1,
        "pended": 1,
        "open": 1,
        "denied_percent": Decimal("33.3"),
        "billed": Decimal("600.60"),
        "allowed": Decimal("80.00"),
        "paid": Decimal("70.20"),
        "days_to_answer": Decimal("1.5"),
    }


def test_a_claim_that_waits_for_its_visit_is_neither_automatic_nor_asked_about(book: Ledger) -> None:
    made(book, 1, "held")
    made(book, 2, "ready")
    assert told(report_of(book))["automatic_percent"] == Decimal("100.0")
    only_waiting = {"received": 1, "held": 1}
    with book.writing() as connection:
        connection.execute(text("DELETE FROM claims WHERE id = 'C2'"))
    assert only_waiting.items() <= told(report_of(book)).items()
    assert "automatic_percent" not in told(report_of(book))


def test_what_was_replaced_after_it_was_sent_counts_without_its_money_and_before_not_at_all(book: Ledger) -> None:
    made(book, 1, "replaced", **ANSWERED)
    made(book, 2, "replaced")
    made(book, 3, "voided")
    made(book, 4, "complete", paid="5.00", **ANSWERED)
    found = told(report_of(book))
    assert (found["received"], found["corrected"], found["billed"], found["paid"]) == (
        2,
        1,
        Decimal("100.10"),
        Decimal("5.00"),
    )


def test_voids_bill_nothing_and_late_charges_do(book: Ledger) -> None:
    made(book, 1, "complete", purpose="void", **ANSWERED)
    made(book, 2, "complete", purpose="late-charge", **ANSWERED)
    assert told(report_of(book))["received"] == 1


def test_requests_made_ahead_of_a_service_have_no_money(book: Ledger) -> None:
    made(book, 1, "complete", **ANSWERED)
    assert "billed" not in told(report_of(book, asked_ahead={"lakeshore"}))


def test_a_day_is_the_sites_and_begins_at_its_midnight(book: Ledger) -> None:
    made(book, 1, "ready", created_at=datetime(2026, 11, 3, 5, 59, 59, tzinfo=UTC))
    made(book, 2, "ready", created_at=datetime(2026, 11, 3, 6, 0, tzinfo=UTC))
    made(book, 3, "ready", created_at=datetime(2026, 11, 4, 5, 59, 59, tzinfo=UTC))
    rows = report_of(book, start=DAY - timedelta(days=1)).rows
    assert [(row.day.day, row.figures.received) for row in rows] == [(2, 1), (3, 2)]


def test_every_moment_of_the_day_of_25_hours_is_in_one_day(book: Ledger) -> None:
    first = datetime(2026, 11, 1, 5, 0, tzinfo=UTC)  # clocks go back in Chicago on this day
    for hour in range(26):
        made(book, hour, "ready", created_at=first + timedelta(hours=hour))
    rows = report_of(book, start=date(2026, 11, 1), end=date(2026, 11, 2)).rows
    assert [row.figures.received for row in rows] == [25, 1]


def test_money_of_two_currencies_is_never_added_up(book: Ledger) -> None:
    made(book, 1, "complete", paid="1.00", **ANSWERED)
    made(book, 2, "complete", paid="2.00", currency="EUR", **ANSWERED)
    totals = report_json(report_of(book))["totals"]
    assert [(one["currency"], one["paid"]) for one in totals] == [("EUR", Decimal("2.00")), ("USD", Decimal("1.00"))]


def test_many_cents_add_up_exactly(book: Ledger) -> None:
    for number in range(300):
        made(book, number, "complete", total="0.10", paid="999999999.99", **ANSWERED)
    found = told(report_of(book))
    assert (found["billed"], found["paid"]) == (Decimal("30.00"), Decimal("299999999997.00"))


def test_the_report_is_read_from_its_index_alone(book: Ledger) -> None:
    """A claim's row holds its FHIR: a million of them must not be read to be counted."""
    with book.reading() as connection:
        statements: list[str] = []
        event.listen(connection.engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
        figures.made_between(connection, NOON, NOON + timedelta(days=1), "lakeshore")
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statements[0]}", tuple("x" * statements[0].count("?")))
        assert "USING COVERING INDEX claims_by_made" in " ".join(str(row) for row in plan)


@pytest.mark.parametrize(
    ("start", "end", "told"), [(DAY, DAY - timedelta(days=1), "is after"), (date(1990, 1, 1), DAY, "at most")]
)
def test_days_that_are_no_range_are_refused(book: Ledger, start: date, end: date, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        report_of(book, start=start, end=end)


# --- from a decision to the figures


def test_a_decision_brings_what_it_allows_and_pays_and_how_long_it_took(book: Ledger) -> None:
    draft = drafted(good_chart())
    with book.writing() as connection:
        connection.execute(insert(charts).values(key=draft.chart_key, first_seen_at=NOON))
        one = claims.insert_claim(
            connection, claims.Filed(draft, to_bytes(draft.claim), content_hash(draft.claim)), NOON
        )
        claims.move(connection, claims.by_id(connection, one), ClaimStatus.SENT, "sending", NOON)
    usd = [Money(Decimal(amount), "USD") for amount in ("60.50", "48.40")]
    line = LineDecision(1, paid=usd[1], allowed=usd[0])
    answer = Adjudication(ClaimStatus.COMPLETE, "complete", paid=usd[1], lines=(line,))
    outcome = Outcome(OutcomeKind.ANSWERED, "decided", adjudication=answer)
    with book.writing() as connection:
        row, todo = claims.by_id(connection, one), Work("submit", one, 0, 0, NOON)
        decision = Decision(ClaimStatus.COMPLETE, "answered")
        apply_decision(connection, row, outcome, decision, todo, NOON + timedelta(days=3))
    found = told(report_of(book))
    assert {"sent": 1, "accepted": 1, "allowed": Decimal("60.50"), "paid": Decimal("48.40")}.items() <= found.items()
    assert found["days_to_answer"] == Decimal("3.0")


def test_a_claim_with_a_finding_was_put_to_a_person(site: Make) -> None:
    here = site()
    here.hears("ADT^A01", end="20261103100000")
    assert [(row.status, row.asked) for row in here.rows()] == [("held", True)]  # no charge came
    here.hears("DFT^P03", ft1(1))
    assert [(row.status, row.asked, row.paid) for row in here.rows()] == [("complete", True, "80.00")]
    (row,) = make_report(here.ledger, ZONE, DAY, DAY).rows
    assert (row.figures.received, row.figures.automatic, row.figures.accepted) == (1, 0, 1)


# --- as text


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_the_page_needs_no_script_and_nothing_from_elsewhere(book: Ledger) -> None:
    made(book, 1, "complete", paid="1.00", payer="<b>odd", **ANSWERED)
    page = report_page(report_of(book), "Clinic <&>")
    tags = Tags()
    tags.feed(page)
    names = {tag for tag, _ in tags.found}
    assert names.isdisjoint({"script", "link", "img", "iframe", "object", "b"})
    assert not [value for _, said in tags.found for name, value in said.items() if name in ("src", "href", "style")]
    assert "prefers-color-scheme: dark" in page
    assert "url(" not in page
    assert "@import" not in page


def test_every_chart_of_the_page_says_what_it_shows(book: Ledger) -> None:
    made(book, 1, "complete", paid="1.00", **ANSWERED)
    tags = Tags()
    tags.feed(report_page(report_of(book, start=DAY - timedelta(days=90))))
    charts_of = [said for tag, said in tags.found if tag == "svg"]
    ids = {said.get("id") for _, said in tags.found}
    assert len(charts_of) == 2
    for said in charts_of:
        assert said["role"] == "img"
        assert set(str(said["aria-labelledby"]).split()) <= ids


def test_the_page_of_a_time_without_claims_says_so(book: Ledger) -> None:
    assert "No claim was made on these days." in report_page(report_of(book))


@pytest.mark.parametrize(("highest", "top"), [("0", "1"), ("1", "1"), ("7", "10"), ("12", "20"), ("201", "500")])
def test_an_axis_ends_at_a_round_number(highest: str, top: str) -> None:
    assert nice_top(Decimal(highest)) == Decimal(top)


def test_the_csv_has_a_row_for_each_day_payer_and_currency(book: Ledger) -> None:
    made(book, 1, "complete", paid="1.00", **ANSWERED)
    made(book, 2, "denied", payer="northwind", **ANSWERED)
    rows = list(csv.DictReader(io.StringIO(report_csv(report_of(book)))))
    assert [(row["payer"], row["received"], row["paid"]) for row in rows] == [
        ("lakeshore", "1", "1.00"),
        ("northwind", "1", ""),
    ]


def command(tmp_path: Path, *words: str) -> tuple[int, str]:
    file = tmp_path / "fhir-coder.toml"
    file.write_text(
        '[site]\ntime_zone = "America/Chicago"\n[store]\nurl = "sqlite:///ledger.db"\n'
        '[[payers]]\nname = "lakeshore"\nurl = "http://127.0.0.1:1/fhir"\n'
    )
    done = CliRunner().invoke(cli, ["report", "-c", str(file), *words])
    return done.exit_code, done.output


def test_the_command_prints_a_table_csv_or_json_and_writes_the_page(book: Ledger, tmp_path: Path) -> None:
    made(book, 1, "complete", paid="1.00", **ANSWERED)
    days = ("--from", "2026-11-03", "--to", "2026-11-03")
    code, shown = command(tmp_path, *days)
    assert (code, [line.split()[0] for line in shown.splitlines() if line]) == (
        0,
        ["claims", "day", "2026-11-03", "lakeshore", "all"],
    )
    assert json.loads(command(tmp_path, *days, "--json")[1])["totals"][0]["paid"] == 1.0
    assert command(tmp_path, *days, "--csv")[1].splitlines()[1].startswith("2026-11-03,lakeshore,USD,1,100.0")
    page = tmp_path / "report.html"
    assert command(tmp_path, *days, "--html", str(page)) == (0, f"written to {page}\n")
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--from", "yesterday"), 1, "--from:"),
        (("--from", "2026-11-03", "--to", "2026-11-01"), 2, "is after --to"),
        (("--payer", "nobody"), 2, "--payer: no payer 'nobody'"),
        (("--csv", "--json"), 2, "one of them"),
        (("--html", "no/such/folder/r.html"), 1, "No such file or directory"),
    ],
)
def test_what_the_command_cannot_do_is_said_in_a_line(
    book: Ledger, tmp_path: Path, words: tuple[str, ...], code: int, told: str
) -> None:
    ended, shown = command(tmp_path, *words)
    assert ended == code
    assert told in shown
    assert "Traceback" not in shown
