"""Commands over claims in the ledger."""

from __future__ import annotations

import sys
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fhir_coder.cli.common import AsJson, Config, examples, explained, os_user, print_list, stored_app
from fhir_coder.errors import UsageError

if TYPE_CHECKING:
    from fhir_coder.queries import ClaimSearch

claims_cli = typer.Typer(no_args_is_help=True, help="Claims in the ledger.")


@claims_cli.command("list", epilog=examples("fhir-coder claims list --status held"))
@explained
def claims_list(
    config: Config = None,
    status: Annotated[str, typer.Option(help="Only this status.")] = "",
    limit: Annotated[int, typer.Option(help="How many.")] = 50,
    table: Annotated[str, typer.Option(help="Only those with codes of this version of a table: ID@HASH.")] = "",
    as_json: AsJson = False,
) -> None:
    """Claims, newest first."""
    from fhir_coder.queries import list_claims

    columns = ["identifier", "chart_key", "slot", "payer", "revision", "purpose", "currency", "total", "status", "hold"]
    columns += ["file_by", "updated_at"]
    print_list(partial(list_claims, version=table), columns, (config, status, limit), as_json)


@claims_cli.command(
    "show",
    epilog=examples("fhir-coder claims show CLM-ZSAAYCSU6X36-1", "fhir-coder claims show LAKESHORE/VN/VN-1001 --fhir"),
)
@explained
def claims_show(
    claim: Annotated[str, typer.Argument(help="A claim's identifier, or its chart key.")],
    config: Config = None,
    fhir: Annotated[bool, typer.Option("--fhir", help="Print the FHIR Claim as the ledger has it.")] = False,
    wire: Annotated[bool, typer.Option("--wire", help="Print every request to the payer and its answer.")] = False,
) -> None:
    """A claim with the story of every code, its attempts and the payer's answer."""
    from fhir_coder.queries import claim_story, submission_of
    from fhir_coder.screens import stored_claim_text, wire_text

    with stored_app(config) as app:
        story = claim_story(app.ledger, claim)
        sent = submission_of(app.ledger, story.row.id)
    if fhir:
        sys.stdout.buffer.write(story.row.body + b"\n")
    elif wire:
        typer.echo(wire_text(story.attempts, sent.body if sent and sent.body is not None else story.row.body))
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


Claims = Annotated[list[str] | None, typer.Argument(help="Claims' identifiers, or chart keys.", show_default=False)]
OfPayer = Annotated[str, typer.Option("--payer", help="Only claims to this payer.")]
OfStatus = Annotated[str, typer.Option("--status", help="Only this status.")]
Since = Annotated[str, typer.Option("--since", help="Only those changed since: 2026-11-03, or with a time.")]
Finding = Annotated[str, typer.Option("--finding", help="Only those with this edit's finding or gap reason.")]
Why = Annotated[str, typer.Option("--why", help="Why; kept with the event.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it. Without this it is only shown what would be done.")]


@claims_cli.command(
    "resubmit",
    epilog=examples(
        "fhir-coder claims resubmit CLM-ZSAAYCSU6X36-1 --yes",
        "fhir-coder claims resubmit --payer lakeshore --status held --since 2026-11-03",
    ),
)
@explained
def claims_resubmit(
    claims: Claims = None,
    *,
    config: Config = None,
    payer: OfPayer = "",
    status: OfStatus = "",
    since: Since = "",
    finding: Finding = "",
    why: Why = "",
    unseen: Annotated[
        bool, typer.Option("--unseen", help="Send parked claims without a look-up: the payer surely lacks them.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Send refused claims again unchanged, look parked ones up again, ask for pending decisions now.

    Shows what would be done; --yes does it, and a running service takes it at once.
    """
    order_by_hand("resubmit", (config, yes), _search(claims, payer, status, since, finding), why, unseen)


def _order(action: str, text: str, example: str) -> None:
    """Add the command of an order that takes no other options than which claims are meant."""

    def order(
        claims: Claims = None,
        *,
        config: Config = None,
        payer: OfPayer = "",
        status: OfStatus = "",
        since: Since = "",
        finding: Finding = "",
        why: Why = "",
        yes: Yes = False,
    ) -> None:
        order_by_hand(action, (config, yes), _search(claims, payer, status, since, finding), why)

    order.__doc__ = text
    claims_cli.command(action, epilog=examples(example))(explained(order))


_order(
    "hold",
    "Hold claims that were not sent until a person releases them. Shows what would be done; --yes does it.",
    "fhir-coder claims hold --payer lakeshore --why 'contract ends' --yes",
)
_order(
    "release",
    "Let claims go that a person held, bill again what a person cancelled. Shows what would be done; --yes does it.",
    "fhir-coder claims release CLM-ZSAAYCSU6X36-1 --yes",
)
_order(
    "cancel",
    """Withdraw claims that were not sent, take back those the payer has. Shows what would be done; --yes does it.

    The visit's slot is not billed again until a person releases the claim.
    """,
    "fhir-coder claims cancel CLM-ZSAAYCSU6X36-1 --why 'billed by paper'",
)


def _search(names: list[str] | None, payer: str, status: str, since: str, finding: str) -> ClaimSearch:
    from fhir_coder.model import ClaimStatus
    from fhir_coder.queries import ClaimSearch

    if status and status not in set(ClaimStatus):
        raise UsageError(f"--status: it is one of {', '.join(ClaimStatus)}")
    return ClaimSearch(tuple(names or ()), payer, status, _time(since), finding)


def _time(text: str) -> datetime | None:
    """A day or a time, of this machine's zone where it names none."""
    try:
        return datetime.fromisoformat(text).astimezone() if text else None
    except ValueError:
        raise UsageError("--since: a day or a time, 2026-11-03 or 2026-11-03T09:00") from None


def order_by_hand(
    action: str, run: tuple[Path | None, bool], search: ClaimSearch, why: str, unseen: bool = False
) -> None:
    """Show what an order does to the claims that are meant, and do it where the person says so."""
    from fhir_coder.queries import order_claims
    from fhir_coder.screens import ordered_text
    from fhir_coder.store.claim_actions import Order

    if search.is_empty:
        raise UsageError("name claims, or say which are meant: --payer, --status, --since, --finding")
    config, yes = run
    with stored_app(config) as app:
        if search.payer and search.payer not in {p.name for p in app.settings.payers}:
            raise UsageError(f"--payer: no payer '{search.payer}' in the settings")
        done = order_claims(app.ledger, action, search, Order(os_user(), why, unseen), do=yes)
    typer.echo(ordered_text(done, yes))
