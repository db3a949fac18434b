"""Commands over messages in the ledger."""

from __future__ import annotations

from typing import Annotated

import typer

from fhir_coder.cli.common import AsJson, Config, examples, explained, print_list, stored_app

messages_cli = typer.Typer(no_args_is_help=True, help="Messages in the ledger.")


@messages_cli.command("list", epilog=examples("fhir-coder messages list --status quarantined"))
@explained
def messages_list(
    config: Config = None,
    status: Annotated[str, typer.Option(help="Only this status.")] = "",
    limit: Annotated[int, typer.Option(help="How many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Messages, newest first."""
    from fhir_coder.queries import list_messages

    columns = ["id", "received_at", "feed", "format", "type", "control_id", "status", "reason"]
    print_list(list_messages, columns, (config, status, limit), as_json)


@messages_cli.command("show", epilog=examples("fhir-coder messages show LK000101"))
@explained
def messages_show(
    message: Annotated[str, typer.Argument(help="A message's id or control id.")], config: Config = None
) -> None:
    """A message as received, with what became of it."""
    from fhir_coder.queries import message_story
    from fhir_coder.screens import message_text

    with stored_app(config) as app:
        typer.echo(message_text(message_story(app.ledger, message)))
