"""The report of claims by day and payer, and what payers deny."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fhir_coder.cli.common import AsJson, Config, day_of, examples, explained, moment, print_json, stored_app
from fhir_coder.errors import FhirCoderError, UsageError

if TYPE_CHECKING:
    from fhir_coder.denials import Denial, Denials
    from fhir_coder.report import Report

reports_cli = typer.Typer()

OfPayer = Annotated[str, typer.Option("--payer", help="Only claims to this payer.")]


@reports_cli.command(
    "report",
    epilog=examples(
        "fhir-coder report",
        "fhir-coder report --from 2026-10-01 --to 2026-10-31 --html october.html",
        "fhir-coder report --payer lakeshore --csv > lakeshore.csv",
    ),
)
@explained
def report(
    *,
    config: Config = None,
    first: Annotated[str, typer.Option("--from", help="The first day, in the site's time zone: 2026-11-03.")] = "",
    last: Annotated[str, typer.Option("--to", help="The last day; by default today.")] = "",
    payer: OfPayer = "",
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, one row a day, payer and currency.")] = False,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write a page with charts and tables to this file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Claims by day and payer: how many were received, coded, held, sent, accepted, denied, the money, days to answer.

    Without --from the last thirty days.
    """
    from fhir_coder.report import make_report, report_csv, report_json, report_page

    if as_csv and as_json:
        raise UsageError("--csv and --json: one of them")
    start = day_of(first, "--from") if first else None
    end = day_of(last, "--to") if last else None
    with stored_app(config) as app:
        known_payer(app, payer)
        ahead = frozenset(p.name for p in app.settings.payers if p.use != "claim")
        made = make_report(app.ledger, app.settings.site.time_zone, start, end, payer, ahead)
        site = app.settings.site.name
    if html:
        _write(html, report_page(made, site))
    if as_json:
        print_json(report_json(made))
    elif as_csv:
        sys.stdout.write(report_csv(made))
    elif html is None:
        typer.echo(_text(made))


@reports_cli.command(
    "denials",
    epilog=examples("fhir-coder denials", "fhir-coder denials --since 2026-10-01 --payer lakeshore --json"),
)
@explained
def denials(
    *,
    config: Config = None,
    since: Annotated[
        str,
        typer.Option(
            "--since", help="Decided at this time or later: ISO 8601, UTC where it names no zone, or 2h, 90d."
        ),
    ] = "90d",
    payer: OfPayer = "",
    check: Annotated[
        int, typer.Option(min=0, max=5000, help="How many of the claims denied last to check again.")
    ] = 200,
    as_json: AsJson = False,
) -> None:
    """What payers deny: by payer, code and reason, how often, for how much, and which edits see it coming.

    The claims denied last are checked again as they were made, by the edits of now.
    """
    from fhir_coder.denials import denials_json, make_denials

    with stored_app(config) as app:
        known_payer(app, payer)
        found = make_denials(app.ledger, app.checked_again.findings, moment("--since", since), payer, check)
    if as_json:
        print_json(denials_json(found))
    else:
        typer.echo(_denials_text(found))


def _denials_text(found: Denials) -> str:
    since = f" since {found.since:%Y-%m-%d %H:%M} UTC" if found.since else ""
    if not found.rows:
        return f"no payer denied anything{since}"
    heads = ["payer", "claims denied", "of", "%", "money", ""]
    payers = [[p.payer, *_counts(p), p.currency] for p in found.payers]
    lines = [f"denied{since}", "", *_columns([heads, *payers]), ""]
    heads = ["payer", "code", "reason", "claims", "of", "%", "money", "", "seen now by"]
    rows = [
        [d.payer, d.code or "whole claim", d.reason or "none given", *_counts(d), d.currency, _seen_by(d)]
        for d in found.rows
    ]
    lines += _columns([heads, *rows])
    if found.found > len(found.rows):
        lines.append(f"and {found.found - len(found.rows)} more, that cost less")
    return "\n".join([*lines, "", _SEEN_BY.format(found.checked)])


_SEEN_BY = (
    "seen now by: the edits that find something on these lines, or on their claims (in brackets), of the {} claims\n"
    "that were checked again; a claim is held by those of severity reject"
)


def _counts(one: Any) -> list[str]:
    percent, money = one.percent, one.money
    return [
        str(one.claims),
        str(one.decided),
        f"{percent}" if percent is not None else "",
        f"{money:,}" if money else "",
    ]


def _seen_by(denial: Denial) -> str:
    told = [
        f"{one.edit} {one.severity} {one.claims} of {denial.checked}" + (f", {one.had_it} then" if one.had_it else "")
        for one in denial.edits
    ]
    return "; ".join(text if one.on_line else f"({text})" for text, one in zip(told, denial.edits, strict=True))


def _columns(rows: list[list[str]]) -> list[str]:
    from fhir_coder.screens import aligned

    return aligned(rows, has_amounts=False)


def known_payer(app: Any, payer: str) -> None:
    """Refuse the name of a payer that is neither in the settings nor in the ledger."""
    from fhir_coder.queries import has_claims_to

    if payer and payer not in {p.name for p in app.settings.payers} and not has_claims_to(app.ledger, payer):
        raise UsageError(f"--payer: no payer '{payer}' in the settings, and no claim to one of this name")


def _write(file: Path, page: str) -> None:
    try:
        file.write_text(page, encoding="utf-8")
    except OSError as error:
        raise FhirCoderError(f"{file}: {error.strerror}") from None
    typer.echo(f"written to {file}")


def _text(made: Report) -> str:
    from fhir_coder.report import COLUMNS, shown
    from fhir_coder.report.page import TITLES
    from fhir_coder.screens import aligned

    span = f"{made.start.isoformat()} to {made.end.isoformat()}, days of {made.zone}"
    if not made.rows:
        return f"no claim was made from {span}"
    heads = ["day", "payer", *(TITLES[name] for name in COLUMNS), ""]
    rows = [[row.day.isoformat(), row.payer, *_cells(shown(row.figures)), row.currency] for row in made.rows]
    rows += [["", name, *_cells(shown(found)), currency] for name, currency, found in made.summed("payer")]
    rows += [["all", "", *_cells(shown(found)), currency] for currency, found in made.totals()]
    columns = list(zip(heads, *rows, strict=True))
    set_right = [column if place in (0, 1) else _right(column) for place, column in enumerate(columns)]
    lines = aligned([list(line) for line in zip(*set_right, strict=True)], has_amounts=False)
    return "\n".join([f"claims made from {span}", "", *lines])


def _cells(told: dict[str, Any]) -> list[str]:
    return ["" if value is None else f"{value:,}" for value in told.values()]


def _right(column: tuple[str, ...]) -> tuple[str, ...]:
    width = max(map(len, column))
    return tuple(cell.rjust(width) for cell in column)
