"""Commands over charts in the ledger."""

from __future__ import annotations

from typing import Annotated

import typer

from fhir_coder.charts import ChartStatus
from fhir_coder.cli.common import (
    AsJson,
    Config,
    examples,
    explained,
    moment,
    os_user,
    print_json,
    print_rows,
    shown_progress,
    status_option,
    stored_app,
)

charts_cli = typer.Typer(no_args_is_help=True, help="Charts in the ledger: one a visit.")

_COLUMNS = ["key", "status", "messages", "claims", "moved_to", "folded_at"]

Key = Annotated[str, typer.Argument(help="A chart key, such as LAKESHORE/VN/VN-1001.")]


@charts_cli.command(
    "list", epilog=examples("fhir-coder charts list", "fhir-coder charts list --status open --since 2d")
)
@explained
def charts_list(
    *,
    config: Config = None,
    status: Annotated[ChartStatus | None, status_option(ChartStatus)] = None,
    since: Annotated[
        str, typer.Option(help="Folded at this time or later: ISO 8601, UTC where it names no zone, or 2h, 3d.")
    ] = "",
    until: Annotated[str, typer.Option(help="Folded before this time: as --since.")] = "",
    patient: Annotated[
        str,
        typer.Option(help="Only charts whose messages name this patient: a record number, Patient/1."),
    ] = "",
    before: Annotated[str, typer.Option(help="The next page: only charts after this key in the list.")] = "",
    limit: Annotated[int, typer.Option(help="How many.", min=1)] = 50,
    as_json: AsJson = False,
) -> None:
    """Charts, the last folded first. What is asked for together must fit together."""
    from fhir_coder.queries import ChartSearch, list_charts

    search = ChartSearch(
        status=status.value if status else "",
        since=moment("--since", since),
        until=moment("--until", until),
        patient=patient,
        before=before,
    )
    with stored_app(config) as app:
        rows = list_charts(app.ledger, search, limit)
    print_rows(rows, _COLUMNS, as_json)
    if len(rows) == limit:
        typer.echo(f"more: --before {rows[-1].key}", err=True)


@charts_cli.command(
    "show",
    epilog=examples(
        "fhir-coder charts show LAKESHORE/VN/VN-1001",
        "fhir-coder charts show LAKESHORE/VN/VN-1001 --at 2026-11-03T18:00",
    ),
)
@explained
def charts_show(
    key: Key,
    config: Config = None,
    at: Annotated[str, typer.Option(help="As of then: only what had come by this time. ISO 8601, or 2h, 3d.")] = "",
    as_json: AsJson = False,
) -> None:
    """A visit as a timeline: what each message added (+), changed (~) and removed (-), and each claim and why."""
    from fhir_coder.queries import chart_story
    from fhir_coder.screens_charts import chart_json, chart_text
    from fhir_coder.store.corrections import record_viewing

    as_of = moment("--at", at)
    with stored_app(config) as app:
        folding = app.stages.folding
        story = chart_story(app.ledger, folding.chart_anew(key, as_of), folding.messages_of(key, as_of), as_of)
        record_viewing(app.ledger, story.key, "timeline", os_user(), "chart")
    if as_json:
        print_json(chart_json(story))
    else:
        typer.echo(chart_text(story))


@charts_cli.command(
    "verify", epilog=examples("fhir-coder charts verify", "fhir-coder charts verify LAKESHORE/VN/VN-1001")
)
@explained
def charts_verify(
    key: Annotated[str, typer.Argument(help="A chart key; by default every chart is verified.")] = "",
    config: Config = None,
) -> None:
    """Fold charts again from their messages and compare them with the stored ones. Exit status 1 where one differs."""
    from collections import Counter

    from fhir_coder.queries import keys_to_verify, verify

    counted: Counter[str] = Counter()
    with stored_app(config) as app:
        for one in shown_progress(keys_to_verify(app.ledger, key), "verifying"):
            found = verify(app.ledger, one, app.stages.folding.chart_anew)
            counted[found.result] += 1
            if found.result == "differs":
                typer.echo(f"{found.key} differs at {', '.join(found.paths) or 'no path'}")
    typer.echo(f"{counted['equal']} equal, {counted['differs']} differ, {counted['waits']} wait to be folded")
    if counted["differs"]:
        raise typer.Exit(1)


@charts_cli.command(
    "recode",
    epilog=examples(
        "fhir-coder charts recode LAKESHORE/VN/VN-1001 -c site/fhir-coder.toml",
        "fhir-coder charts recode --table charge-master@cc2b242a -c site/fhir-coder.toml",
    ),
)
@explained
def charts_recode(
    keys: Annotated[list[str] | None, typer.Argument(help="Chart keys.")] = None,
    table: Annotated[
        str, typer.Option(help="All charts that have a claim with codes of this version of a table: ID@HASH.")
    ] = "",
    config: Config = None,
) -> None:
    """Have visits coded with the tables of now, also where a claim was sent: what differs is corrected at the payer.

    Who asked is written down. tables diff --replay shows beforehand what differs.
    """
    from fhir_coder.errors import FhirCoderError
    from fhir_coder.queries import charts_made_with, recode_charts

    if not keys and not table:
        raise FhirCoderError("say which: chart keys, or --table")
    with stored_app(config) as app:
        found = sorted({*(keys or ()), *(charts_made_with(app.ledger, table) if table else ())})
        recode_charts(app.ledger, found, app.tables.state, os_user())
    typer.echo(f"asked for {len(found)} charts; a running service codes them")
