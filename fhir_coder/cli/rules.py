"""Commands over mapping tables and edits."""

from __future__ import annotations

from typing import Annotated

import typer

from fhir_coder.cli.common import AsJson, Config, examples, explained, open_app, print_json
from fhir_coder.model import Severity

tables_cli = typer.Typer(no_args_is_help=True, help="Mapping tables.")
edits_cli = typer.Typer(no_args_is_help=True, help="Claim edits.")


@tables_cli.command("list", epilog=examples("fhir-coder tables list"))
@explained
def tables_list(config: Config = None, as_json: AsJson = False) -> None:
    """The mapping tables in use, the layer that wins first."""
    from dataclasses import asdict

    from fhir_coder.screens import listing

    with open_app(config) as app:
        tables = app.tables.describe()
    if as_json:
        print_json([asdict(one) for one in tables])
        return
    rows = [[t.id, t.kind, t.rows, t.version, t.layer, t.licence] for t in tables]
    typer.echo(listing(["table", "kind", "rows", "version", "layer", "licence"], rows))


@tables_cli.command("check", epilog=examples("fhir-coder tables check -c site/fhir-coder.toml"))
@explained
def tables_check(config: Config = None, as_json: AsJson = False) -> None:
    """Check every table: all faults and warnings with file and line. Exit status 2 where there is a fault."""
    from dataclasses import asdict
    from datetime import date

    from fhir_coder.terminology import check_tables, open_codesets

    with open_app(config) as app, open_codesets(*app.settings.codeset_folders()) as code_sets:
        faults = check_tables(app.settings.table_folders(), code_sets, date.today(), app.settings.names())
    if as_json:
        print_json([asdict(fault) for fault in faults])
    for fault in faults if not as_json else ():
        typer.echo(str(fault), err=True)
    if not all(fault.is_warning for fault in faults):
        raise typer.Exit(2)
    if not as_json:
        typer.echo(f"no fault found{f', {len(faults)} to be warned of' if faults else ''}")


@edits_cli.command(
    "list", epilog=examples("fhir-coder edits list npi", "fhir-coder edits list --payer northwind --severity reject")
)
@explained
def edits_list(
    words: Annotated[str, typer.Argument(help="Only edits with this in their id, title, family or path.")] = "",
    severity: Annotated[Severity | None, typer.Option(help="Only edits of this severity.")] = None,
    payer: Annotated[str | None, typer.Option(help="With the severities of this payer of the settings.")] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Every edit: id, severity, family, title, path, and what to do."""
    from fhir_coder.settings import load_settings

    settings = load_settings(config)
    from fhir_coder.claim_check import every_edit
    from fhir_coder.screens import listing

    said = settings.payer(payer).value().severities if payer else {}
    rows = []
    for edit in every_edit():
        judged = said.get(edit.id, edit.severity)
        named = f"{edit.id} {edit.title} {edit.family} {edit.path}".lower()
        if words.lower() in named and severity in (None, judged):
            level = judged.value if judged else "off"
            rows.append([edit.id, level, edit.family, edit.title, edit.path, edit.advice])
    if as_json:
        names = ("id", "severity", "family", "title", "path", "advice")
        print_json([dict(zip(names, row, strict=True)) for row in rows])
    else:
        typer.echo(listing(["edit", "severity", "family", "title", "path", "what to do"], rows))
