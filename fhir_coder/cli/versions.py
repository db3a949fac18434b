"""Commands over versions of the site's tables: listed, compared, put to use."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from fhir_coder.cli.common import (
    AsJson,
    Config,
    day_of,
    examples,
    explained,
    open_app,
    os_user,
    print_json,
    shown_progress,
    site_folder,
    stored_app,
)
from fhir_coder.errors import FhirCoderError

versions_cli = typer.Typer()

_ALWAYS = "always"
_NAMED = "a CSV with its header file, a folder of tables, or a version: ID, ID@HASH, ID@LABEL, HASH or LABEL."


@versions_cli.command(
    "versions",
    epilog=examples(
        "fhir-coder tables versions -c site/fhir-coder.toml",
        "fhir-coder tables versions charge-master --json -c site/fhir-coder.toml",
    ),
)
@explained
def tables_versions(
    name: Annotated[str, typer.Argument(help="Id of a table; by default all of them.")] = "",
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """The versions of tables: label, hash, the days of service each counts for, and who activated it."""
    from fhir_coder.activation import known_versions
    from fhir_coder.errors import NotFoundError
    from fhir_coder.screens_tables import versions_json, versions_text

    with open_app(config) as app:
        found = [one for one in known_versions(app.settings) if name in ("", one.table.id)]
    if name and not found:
        raise NotFoundError("no table has this id: fhir-coder tables list")
    if as_json:
        print_json(versions_json(found))
    else:
        typer.echo(versions_text(found))


@versions_cli.command(
    "diff",
    epilog=examples(
        "fhir-coder tables diff charge-master new/charge-master.csv -c site/fhir-coder.toml",
        "fhir-coder tables diff charge-master new/charge-master.csv --replay -c site/fhir-coder.toml",
        "fhir-coder tables diff charge-master@2026-07 charge-master --json",
    ),
)
@explained
def tables_diff(
    old: Annotated[str, typer.Argument(help=f"The version of before: {_NAMED}")],
    new: Annotated[str, typer.Argument(help="The version of after, named in the same ways.")],
    config: Config = None,
    replay: Annotated[
        bool, typer.Option("--replay", help="Code the stored charts with both, and show what differs.")
    ] = False,
    begin: Annotated[
        str, typer.Option("--from", metavar="DAY", help="Replay the version of after from this day of service on.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """The rows that were added, removed or changed, and which stored charts would be coded differently.

    Nothing is written.
    """
    from fhir_coder.activation import tables_named
    from fhir_coder.screens_tables import difference_json, difference_text
    from fhir_coder.terminology.difference import difference

    with stored_app(config) if replay else open_app(config) as app:
        sides = [{table.id: table for table in tables_named(name, app.settings)} for name in (old, new)]
        ids = sorted({*sides[0], *sides[1]})
        if len(sides[0]) == len(sides[1]) == 1 and len(ids) == 2:
            raise FhirCoderError(f"{ids[0]} and {ids[1]} are two tables, not two versions of one")
        found = [difference(sides[0].get(one), sides[1].get(one)) for one in ids]
        changes, looked_at = _replayed(app, sides, day_of(begin, "--from") if begin else None) if replay else ([], 0)
    if as_json:
        print_json({"tables": [difference_json(one) for one in found], **_replay_json(replay, changes, looked_at)})
        return
    typer.echo("\n\n".join(difference_text(one) for one in found))
    if replay:
        from fhir_coder.screens_tables import recoding_text

        typer.echo(f"\n{recoding_text(changes, looked_at)}")


def _replay_json(replay: bool, changes: list[Any], looked_at: int) -> dict[str, Any]:
    from fhir_coder.screens_tables import recoding_json

    return {"replay": recoding_json(changes, looked_at)} if replay else {}


def _replayed(app: Any, sides: list[dict[str, Any]], first: date | None) -> tuple[list[Any], int]:
    """The claims that would be coded differently, and how many charts were looked at."""
    from fhir_coder.activation import tables_instead
    from fhir_coder.queries import keys_to_verify
    from fhir_coder.recoding import Recoding

    before, after = (
        tables_instead(app.settings, app.tables, list(side.values()), day)
        for side, day in zip(sides, (None, first), strict=True)
    )
    recoding = Recoding(app.ledger, app.rulebook, app.stages.folding.chart_anew, before, after)
    keys = keys_to_verify(app.ledger)
    return list(recoding.of_charts(shown_progress(keys, "coding"))), len(keys)


@versions_cli.command(
    "activate",
    epilog=examples(
        "fhir-coder tables activate new/charge-master.csv --from 2027-01-01 -c site/fhir-coder.toml",
        "fhir-coder tables activate new -c site/fhir-coder.toml",
        "fhir-coder tables activate charge-master@2026-07 -c site/fhir-coder.toml",
    ),
)
@explained
def tables_activate(
    table: Annotated[str, typer.Argument(help=f"What to put to use: {_NAMED}")],
    config: Config = None,
    begin: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="DAY",
            help="First day of service it counts for (2027-01-01), or always; by default as its header says.",
        ),
    ] = "",
) -> None:
    """Put checked tables to use, whole or not at all; the versions before stay for the days that are theirs.

    A running service takes them up by itself. Nothing that was sent changes.
    """
    from fhir_coder.activation import From, activated, checked, uses_of
    from fhir_coder.store.ledger import utc_now

    folder: Path = site_folder(config)
    wanted = From(None, True) if begin == _ALWAYS else From(day_of(begin, "--from") if begin else None)
    with open_app(config) as app:
        uses = uses_of(table, folder, app.settings, wanted)
        if not uses:
            typer.echo("in use already: nothing has changed")
            return
        for warning in checked(app.settings, uses, app.code_sets, date.today()):
            typer.echo(str(warning), err=True)
        ledger = app.ledger if app.settings.store_path().is_file() else None
        made = activated(folder, uses, ledger, os_user(), utc_now())
        _tell(made, app.settings)


def _tell(made: Any, settings: Any) -> None:
    from fhir_coder.activation import known_versions
    from fhir_coder.screens_tables import versions_text

    ids = {one.table for one in made}
    typer.echo(versions_text([one for one in known_versions(settings) if one.table.id in ids]))
    typer.echo("a running service takes it up within a second; claims that are held are coded anew, none that was sent")
