"""Commands over mapping tables and edits."""

from __future__ import annotations

import typer

from fhir_coder.cli.common import Config, examples, explained, open_app

tables_cli = typer.Typer(no_args_is_help=True, help="Mapping tables.")
edits_cli = typer.Typer(no_args_is_help=True, help="Claim edits.")


@tables_cli.command("list", epilog=examples("fhir-coder tables list"))
@explained
def tables_list(config: Config = None) -> None:
    """The mapping tables in use, the layer that wins first."""
    from fhir_coder.screens import listing

    with open_app(config) as app:
        rows = [[t.id, t.kind, t.rows, t.version, t.layer, t.licence] for t in app.tables.describe()]
    typer.echo(listing(["table", "kind", "rows", "version", "layer", "licence"], rows))


@tables_cli.command("check", epilog=examples("fhir-coder tables check -c site/fhir-coder.toml"))
@explained
def tables_check(config: Config = None) -> None:
    """Check every table: all faults with file and line. Exit status 2 where there is one."""
    from datetime import date

    from fhir_coder.terminology import check_tables, open_codesets

    with open_app(config) as app, open_codesets(*app.settings.codeset_folders()) as code_sets:
        faults = check_tables(app.settings.table_folders(), code_sets, date.today())
    for fault in faults:
        typer.echo(str(fault), err=True)
    if faults:
        raise typer.Exit(2)
    typer.echo("no fault found")


@edits_cli.command("list", epilog=examples("fhir-coder edits list"))
@explained
def edits_list(config: Config = None) -> None:
    """Every edit: id, severity, title, advice."""
    from fhir_coder.settings import load_settings

    load_settings(config)
    from fhir_coder.claims.model_check import MODEL_ADVICE, MODEL_EDIT
    from fhir_coder.edits import EDITS
    from fhir_coder.edits.structure import STRUCTURE_ADVICE
    from fhir_coder.screens import listing

    rows = [[e.id, e.severity.value, e.title, e.advice] for e in EDITS]
    rows += [[edit, "reject", "Structure of the claim", advice] for edit, advice in STRUCTURE_ADVICE.items()]
    rows.append([MODEL_EDIT, "reject", "Model of the standard", MODEL_ADVICE])
    typer.echo(listing(["edit", "severity", "title", "what to do"], rows))
