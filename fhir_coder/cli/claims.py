"""Commands over claims in the ledger."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fhir_coder.cli.common import (
    AsJson,
    Config,
    examples,
    explained,
    moment,
    os_user,
    print_json,
    print_rows,
    stored_app,
)
from fhir_coder.errors import FhirCoderError, UsageError

if TYPE_CHECKING:
    from fhir_coder.queries import ClaimSearch

claims_cli = typer.Typer(no_args_is_help=True, help="Claims in the ledger.")


@claims_cli.command(
    "list",
    epilog=examples("fhir-coder claims list --status held", "fhir-coder claims list --payer lakeshore --status denied"),
)
@explained
def claims_list(
    *,
    config: Config = None,
    status: Annotated[str, typer.Option(help="Only this status, or several: sent,unknown,queued.")] = "",
    payer: Annotated[str, typer.Option(help="Only claims to this payer.")] = "",
    before: Annotated[str, typer.Option(help="The next page: only claims after this one (CLM-...) in the list.")] = "",
    limit: Annotated[int, typer.Option(help="How many.")] = 50,
    table: Annotated[str, typer.Option(help="Only those with codes of this version of a table: ID@HASH.")] = "",
    as_json: AsJson = False,
) -> None:
    """Claims, newest first."""
    from fhir_coder.queries import claim_story, list_claims

    columns = ["identifier", "chart_key", "slot", "payer", "revision", "purpose", "currency", "total", "status", "hold"]
    columns += ["file_by", "updated_at"]
    with stored_app(config) as app:
        last = claim_story(app.ledger, before).row.id if before else ""
        rows = list_claims(app.ledger, status, limit, table, payer=payer, before=last)
    print_rows(rows, columns, as_json)
    if len(rows) == limit:
        typer.echo(f"older ones: --before {rows[-1].identifier}", err=True)


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
    """A claim with the story of every code, its attempts and the payer's answer. Who looked is in the audit trail."""
    from fhir_coder.queries import claim_story, submission_of
    from fhir_coder.screens import stored_claim_text, wire_text
    from fhir_coder.store.corrections import record_viewing

    with stored_app(config) as app:
        story = claim_story(app.ledger, claim)
        sent = submission_of(app.ledger, story.row.id)
        shown = "as FHIR" if fhir else "requests and answers" if wire else "story"
        record_viewing(app.ledger, story.row.id, shown, os_user(), "claim")
    if fhir:
        sys.stdout.buffer.write(story.row.body + b"\n")
    elif wire:
        typer.echo(wire_text(story.attempts, sent.body if sent and sent.body is not None else story.row.body))
    else:
        typer.echo(stored_claim_text(story))


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
Since = Annotated[
    str,
    typer.Option("--since", help="Changed at this time or later: ISO 8601, UTC where it names no zone, or 2h, 3d."),
]
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


@claims_cli.command(
    "taken",
    epilog=examples(
        "fhir-coder claims taken CLM-ZSAAYCSU6X36-1 --why 'call 4711, has it since Monday' --yes",
        "fhir-coder claims taken CLM-ZSAAYCSU6X36-1 --why 'answer by post' --answer response.json --yes",
    ),
)
@explained
def claims_taken(
    claim: Annotated[str, typer.Argument(help="A claim's identifier, or its chart key.")],
    why: Annotated[str, typer.Option("--why", help="Who says so, and when; kept with the event.")],
    *,
    config: Config = None,
    reference: Annotated[str, typer.Option(help="The payer's name for it, such as Claim/17.")] = "",
    answer: Annotated[
        Path | None, typer.Option(help="The payer's decision, a FHIR ClaimResponse in JSON that came by another way.")
    ] = None,
    yes: Yes = False,
) -> None:
    """Count a parked claim as taken: the payer says that it has it. With --answer its decision is brought to it.

    Shows what would be done; --yes does it.
    """
    from fhir_coder.followup import check_answer, hand_in
    from fhir_coder.queries import ClaimSearch, claim_story, order_claims
    from fhir_coder.screens import ordered_text
    from fhir_coder.store.claim_actions import Order

    body = _read(answer) if answer else b""
    with stored_app(config) as app:
        row = claim_story(app.ledger, claim).row
        if answer:
            check_answer(row, body, app.settings.site.claim_identifier_system)
        unasked = frozenset(p.name for p in app.settings.payers if p.unknown == "person")
        order = Order(os_user(), why, reference=reference, unasked=unasked)
        done = order_claims(app.ledger, "taken", ClaimSearch((row.identifier,)), order, do=yes)
        kept = hand_in(app.ledger, row, body, os_user(), why) if answer and yes else ""
    typer.echo(ordered_text(done, yes))
    if answer:
        typer.echo(f"kept as answer {kept}; a running service brings it to the claim" if kept else "the answer fits it")


@claims_cli.command(
    "correct",
    epilog=examples(
        "fhir-coder claims correct CLM-ZSAAYCSU6X36-1 --set prior-auth=A-4711 --why 'payer called back'",
        "fhir-coder claims correct CLM-ZSAAYCSU6X36-1 --code 'local|GB60=Q4010' --note 'see operative report' --yes",
    ),
)
@explained
def claims_correct(
    claim: Annotated[str, typer.Argument(help="A claim's identifier, or its chart key.")],
    *,
    config: Config = None,
    put: Annotated[
        list[str] | None,
        typer.Option("--set", help="FIELD=VALUE, may be repeated; FIELD=- asks for the value. Fields: see below."),
    ] = None,
    unset: Annotated[
        list[str] | None, typer.Option("--unset", help="A field that is as the messages say again; may be repeated.")
    ] = None,
    note: Annotated[str, typer.Option("--note", help="A note for the payer, such as why a denial is appealed.")] = "",
    code: Annotated[
        list[str] | None,
        typer.Option(
            "--code", help="SENT=CODE[,CODE]: how a code as sent is billed, as for `work decide`; repeatable."
        ),
    ] = None,
    why: Why = "",
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Correct a claim by hand. Shows what becomes of it; --yes does it, and a running service sends it.

    A claim the payer has is replaced (frequency 7), or corrected as `[[payers]] corrections` says. Fields: prior-auth,
    referral, member-id, group, relationship, original-reference, note. They count for this claim of the visit and each
    that replaces it; codes for all claims of the visit.
    """
    from dataclasses import asdict

    from fhir_coder.correcting import Asked, correct, outlook
    from fhir_coder.screens_work import outlook_text

    values = {**dict(map(_field, put or ())), **dict.fromkeys(unset or (), ""), **({"note": note} if note else {})}
    asked = Asked(values, dict(map(_code, code or ())), why)
    with stored_app(config) as app:
        seen = (correct if yes else outlook)(app.workplace, app.stages, claim, asked, os_user())
        takes_notes = any(p.name == seen.payer and p.notes for p in app.settings.payers)
    if as_json:
        print_json(asdict(seen) | {"done": yes})
    else:
        typer.echo(outlook_text(seen, is_done=yes, note_stays=bool(values.get("note")) and not takes_notes))


def _field(text: str) -> tuple[str, str]:
    """FIELD=VALUE; a value that is `-` is asked for, so that it stands in no history of commands."""
    name, is_given, value = text.partition("=")
    if not is_given or not value:
        raise UsageError("--set: FIELD=VALUE; --unset FIELD takes it back")
    return name, typer.prompt(name, err=True) if value == "-" else value


def _code(text: str) -> tuple[str, tuple[str, ...]]:
    sent, is_given, codes = text.rpartition("=")
    if not is_given or not sent or not codes:
        raise UsageError("--code: SENT=CODE, such as local|GB60=Q4010")
    return sent, tuple(codes.split(","))


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise FhirCoderError(f"{file}: {error.strerror}") from None


def _search(names: list[str] | None, payer: str, status: str, since: str, finding: str) -> ClaimSearch:
    from fhir_coder.model import ClaimStatus
    from fhir_coder.queries import ClaimSearch

    if status and status not in set(ClaimStatus):
        raise UsageError(f"--status: it is one of {', '.join(ClaimStatus)}")
    return ClaimSearch(tuple(names or ()), payer, status, moment("--since", since), finding)


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
