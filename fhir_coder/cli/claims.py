"""Commands over claims in the ledger."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from fhir_coder.cli.common import AsJson, Config, examples, explained, os_user, print_list, stored_app

claims_cli = typer.Typer(no_args_is_help=True, help="Claims in the ledger.")


@claims_cli.command("list", epilog=examples("fhir-coder claims list --status held"))
@explained
def claims_list(
    config: Config = None,
    status: Annotated[str, typer.Option(help="Only this status.")] = "",
    limit: Annotated[int, typer.Option(help="How many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Claims, newest first."""
    from fhir_coder.queries import list_claims

    columns = ["identifier", "chart_key", "slot", "payer", "revision", "purpose", "currency", "total", "status", "hold"]
    columns += ["file_by", "updated_at"]
    print_list(list_claims, columns, (config, status, limit), as_json)


@claims_cli.command(
    "show",
    epilog=examples("fhir-coder claims show CLM-ZSAAYCSU6X36-1", "fhir-coder claims show LAKESHORE/VN/VN-1001 --fhir"),
)
@explained
def claims_show(
    claim: Annotated[str, typer.Argument(help="A claim's identifier, or its chart key.")],
    config: Config = None,
    fhir: Annotated[bool, typer.Option("--fhir", help="Print the FHIR Claim as it is sent.")] = False,
) -> None:
    """A claim with the story of every code, its attempts and the payer's answer."""
    from fhir_coder.queries import claim_story
    from fhir_coder.screens import stored_claim_text

    with stored_app(config) as app:
        story = claim_story(app.ledger, claim)
    if fhir:
        sys.stdout.buffer.write(story.row.body + b"\n")
    else:
        typer.echo(stored_claim_text(story.row, story.attempts, story.events, story.others))


@claims_cli.command("bill", epilog=examples("fhir-coder claims bill LAKESHORE/VN/VN-1001"))
@explained
def claims_bill(chart: Annotated[str, typer.Argument(help="A chart key.")], config: Config = None) -> None:
    """Ask for a visit's claims now: it waits for this, or for the end of a bill hold. Who asked is written down."""
    from fhir_coder.queries import request_claims

    with stored_app(config) as app:
        request_claims(app.ledger, chart, os_user())
    typer.echo(f"{chart}: asked for; a running service makes its claims")


@claims_cli.command("resubmit", epilog=examples("fhir-coder claims resubmit CLM-ZSAAYCSU6X36-1"))
@explained
def claims_resubmit(
    claim: Annotated[str, typer.Argument(help="A claim's identifier, or its chart key.")], config: Config = None
) -> None:
    """Send a refused claim again unchanged, or look a parked one up again. A running service takes it at once."""
    from fhir_coder.queries import resubmit

    with stored_app(config) as app:
        typer.echo(f"{claim}: {resubmit(app.ledger, claim, 'command line')}")
