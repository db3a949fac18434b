"""Commands over what waits for a person."""

from __future__ import annotations

from typing import Annotated

import typer

from fhir_coder.cli.common import AsJson, Config, examples, explained, print_list, stored_app

work_cli = typer.Typer(no_args_is_help=True, help="What waits for a person.")


@work_cli.command("list", epilog=examples("fhir-coder work list --json"))
@explained
def work_list(config: Config = None, as_json: AsJson = False) -> None:
    """Open work items, oldest first."""
    from fhir_coder.worklist import list_open

    columns = ["id", "kind", "chart_key", "message_id", "reason", "text", "opened_at"]
    print_list(lambda ledger, _status, limit: list_open(ledger, limit), columns, (config, "", 200), as_json)


@work_cli.command("close", epilog=examples("fhir-coder work close 3 --why 'the sender sent it again'"))
@explained
def work_close(
    item: Annotated[int, typer.Argument(help="A work item's number.")],
    why: Annotated[str, typer.Option(help="Why it is done; kept with the event.")],
    config: Config = None,
) -> None:
    """Close a work item that a person has settled.

    A part of a message that could not be used (finding unusable-part) is then left out, and the claim goes on without
    it. Gaps and other findings close by themselves with their cause, and come back while it stands.
    """
    from fhir_coder.worklist import close

    with stored_app(config) as app:
        close(app.ledger, item, why, "command line")
    typer.echo(f"work item {item} is closed")
