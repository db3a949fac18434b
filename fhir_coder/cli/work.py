"""Commands over people's work: what waits, who has it, what is decided."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from fhir_coder.cli.common import (
    AsJson,
    Config,
    examples,
    explained,
    moment,
    os_user,
    print_json,
    stored_app,
)
from fhir_coder.cli.reviews import audit_cli, day_cli
from fhir_coder.errors import UsageError

work_cli = typer.Typer(no_args_is_help=True, help="What waits for a person.")
work_cli.registered_commands += day_cli.registered_commands
work_cli.add_typer(audit_cli, name="audit")

Item = Annotated[int, typer.Argument(help="A work item's number.", show_default=False)]
Why = Annotated[str, typer.Option(help="Why; the next person reads it.")]
Care = Annotated[str, typer.Option(help="Only inpatient or outpatient.")]
Specialty = Annotated[str, typer.Option(help="Only this specialty.")]
Payer = Annotated[str, typer.Option(help="Only this payer; `several` for items of more than one.")]
Kind = Annotated[str, typer.Option(help="Only this kind: gap, finding, denial ...")]
Chart = Annotated[str, typer.Option(help="The chart, where the item has several.")]


@work_cli.command(
    "list", epilog=examples("fhir-coder work list --care inpatient", "fhir-coder work list --status review --json")
)
@explained
def work_list(
    *,
    care: Care = "",
    specialty: Specialty = "",
    payer: Payer = "",
    kind: Kind = "",
    reason: Annotated[str, typer.Option(help="Only this reason: a gap reason, an edit ...")] = "",
    status: Annotated[str, typer.Option(help="open, held, asked, review, released or closed.")] = "open",
    assigned_to: Annotated[str, typer.Option(help="Only what is assigned to this person.")] = "",
    taken_by: Annotated[str, typer.Option(help="Only what this person has taken.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many at most.")] = 50,
    after: Annotated[str, typer.Option(help="Go on after a page: its last line says how.")] = "",
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Work items, what is wanted first in front, each with the reason why it stands there."""
    from fhir_coder.screens_work import item_json, page_text
    from fhir_coder.worklist import Queue, list_items

    queue = Queue(care, specialty, payer, kind, reason, status, assigned_to, taken_by)
    with stored_app(config) as app:
        page = list_items(app.ledger, queue, limit, after)
    if as_json:
        print_json([item_json(one) for one in page.items])
    else:
        typer.echo(page_text(page))


@work_cli.command("queues", epilog=examples("fhir-coder work queues"))
@explained
def work_queues(config: Config = None, as_json: AsJson = False) -> None:
    """How much is open by care, specialty, payer and kind, and when the first of it is wanted."""
    from fhir_coder.screens_work import queues_json, queues_text
    from fhir_coder.worklist import queues

    with stored_app(config) as app:
        found = queues(app.ledger)
    if as_json:
        print_json(queues_json(found))
    else:
        typer.echo(queues_text(found))


@work_cli.command("take", epilog=examples("fhir-coder work take --care inpatient", "fhir-coder work take 17"))
@explained
def work_take(
    *,
    item: Annotated[int, typer.Argument(help="A work item's number; by default the one that is wanted first.")] = 0,
    care: Care = "",
    specialty: Specialty = "",
    payer: Payer = "",
    kind: Kind = "",
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Take an item: nobody else gets it for the minutes of `[worklist] lease_minutes`. It is shown.

    Exit status 1 where somebody else has it, or none is free.
    """
    from fhir_coder.errors import NotFoundError
    from fhir_coder.worklist import Queue, take, take_next

    with stored_app(config) as app:
        if item:
            taken = take(app.ledger, item, os_user())
        else:
            found = take_next(app.ledger, os_user(), Queue(care, specialty, payer, kind))
            if found is None:
                raise NotFoundError("nothing is free in this queue: fhir-coder work queues shows what is open")
            taken = found
        _show(app, taken.id, "", as_json)


@work_cli.command(
    "show", epilog=examples("fhir-coder work show 17", "fhir-coder work show 17 --chart LAKE/VN/1 --json")
)
@explained
def work_show(item: Item, chart: Chart = "", config: Config = None, as_json: AsJson = False) -> None:
    """An item with all it takes to decide it.

    The part of the message that is asked about with the field marked, the rows that were tried, suggestions, what was
    decided and proposed, its charts, its history. It may name a patient.
    """
    with stored_app(config) as app:
        _show(app, item, chart, as_json)


def _show(app: Any, item: int, chart: str, as_json: bool) -> None:
    from fhir_coder.screens_work import case_json, case_text
    from fhir_coder.worklist import open_case

    case = open_case(app.workplace, item, chart)
    if as_json:
        print_json(case_json(case))
    else:
        typer.echo(case_text(case))


@work_cli.command(
    "decide",
    epilog=examples(
        "fhir-coder work decide 17 R21 --why 'rash, no cause recorded'",
        "fhir-coder work decide 17 'hcpcs|G0463' --modifier 25 --pointer I10 --dry-run",
        "fhir-coder work decide 17 not-billable --chart LAKE/VN/1",
        "fhir-coder work decide 17 R21 --for-all --why 'the clinic means a rash'",
    ),
)
@explained
def work_decide(
    *,
    item: Item,
    codes: Annotated[
        list[str], typer.Argument(help="CODE or SYSTEM|CODE, the first one first; or not-billable.", show_default=False)
    ],
    chart: Chart = "",
    source: Annotated[str, typer.Option(help="The code as sent that is decided, where the item names none.")] = "",
    modifier: Annotated[list[str] | None, typer.Option(help="A modifier of the line; may be repeated.")] = None,
    pointer: Annotated[
        list[str] | None, typer.Option(help="An ICD-10-CM code that the line points to; may be repeated.")
    ] = None,
    why: Annotated[str, typer.Option(help="Why; kept in the trace of the code, or in the note of the row.")] = "",
    for_all: Annotated[
        bool, typer.Option("--for-all", help="Propose a row for all charts: another person approves it.")
    ] = False,
    put: Annotated[
        list[str] | None, typer.Option("--set", help="With --for-all: a further cell of the row, COLUMN=VALUE.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would become of the claims.")] = False,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Choose codes for one chart, or propose a row for all. The claims before and after are shown.

    A decision counts for the chart's code before every table, with your name in its trace; the chart is coded again.
    """
    from fhir_coder.worklist import Answer

    answer = Answer(tuple(codes), why, tuple(modifier or ()), tuple(pointer or ()), source, chart)
    with stored_app(config) as app:
        if for_all:
            _refuse_for_all(answer, dry_run=dry_run)
            _propose(app, item, answer, put or [], as_json)
        elif put:
            raise UsageError("--set is a cell of a row: it needs --for-all")
        else:
            _decide(app, item, answer, dry_run=dry_run, as_json=as_json)


def _refuse_for_all(answer: Any, *, dry_run: bool) -> None:
    if len(answer.codes) != 1 or answer.modifiers or answer.pointers or answer.source or answer.chart_key:
        raise UsageError("--for-all proposes one row: it takes one code, --why and --set (modifiers=..., sex=...)")
    if dry_run:
        raise UsageError("--for-all changes nothing until it is approved: fhir-coder work approve --dry-run shows what")


def _propose(app: Any, item: int, answer: Any, put: list[str], as_json: bool) -> None:
    from dataclasses import asdict

    from fhir_coder.cli.gaps import cell_named
    from fhir_coder.screens_work import proposal_lines
    from fhir_coder.worklist import propose

    made = propose(app.workplace, item, answer.codes[0], answer.why, os_user(), dict(map(cell_named, put)))
    if as_json:
        print_json(asdict(made))
    else:
        typer.echo("\n".join(proposal_lines(made)).lstrip("\n"))
        typer.echo(f"another person looks at it: fhir-coder work approve {made.item_id} --dry-run")


def _decide(app: Any, item: int, answer: Any, *, dry_run: bool, as_json: bool) -> None:
    from fhir_coder.screens_work import preview_json, preview_text
    from fhir_coder.worklist import decide, preview

    shown = preview(app.workplace, item, answer, os_user())
    made = None if dry_run else decide(app.workplace, item, answer, os_user())
    if as_json:
        print_json({**preview_json(shown), "decision": made.number if made else None})
        return
    typer.echo(preview_text(shown))
    if made is None:
        typer.echo("\nnothing was decided: without --dry-run it is")
        return
    left = f"; {made.charts_left} charts of work item {item} still wait" if made.charts_left else ""
    typer.echo(f"\ndecision {made.number}: a running service codes {made.chart_key} again{left}")


@work_cli.command("withdraw", epilog=examples("fhir-coder work withdraw 4"))
@explained
def work_withdraw(
    decision: Annotated[int, typer.Argument(help="A decision's number: `work show` has it.", show_default=False)],
    config: Config = None,
) -> None:
    """Let a decision count no more: its chart is coded without it."""
    from fhir_coder.worklist import withdraw

    with stored_app(config) as app:
        chart = withdraw(app.workplace, decision, os_user())
    typer.echo(f"decision {decision} counts no more: a running service codes {chart} again")


@work_cli.command("skip", epilog=examples("fhir-coder work skip 17 --why 'needs somebody who knows burns'"))
@explained
def work_skip(item: Item, why: Why, config: Config = None) -> None:
    """Leave an item to others: you are not offered it for `[worklist] skip_hours`."""
    from fhir_coder.worklist import skip

    _do(config, lambda ledger: skip(ledger, item, why, os_user()), f"work item {item} is left to others")


@work_cli.command("give-back", epilog=examples("fhir-coder work give-back 17"))
@explained
def work_give_back(item: Item, config: Config = None) -> None:
    """Give back an item that you have taken and not done."""
    from fhir_coder.worklist import give_back

    _do(config, lambda ledger: give_back(ledger, item, os_user()), f"work item {item} is free")


@work_cli.command(
    "hold", epilog=examples("fhir-coder work hold 17 --until 2027-01-04 --why 'the pathology report comes then'")
)
@explained
def work_hold(
    item: Item,
    until: Annotated[str, typer.Option(help="A time: 2027-01-04, 2027-01-04T08:00-06:00.")],
    why: Why,
    config: Config = None,
) -> None:
    """Lay an item aside until a time; then it is offered again."""
    from fhir_coder.worklist import hold

    at = moment("--until", until)
    if at is None:
        raise UsageError("--until: until when?")
    end = at
    _do(config, lambda ledger: hold(ledger, item, end, why, os_user()), f"work item {item} is held")


@work_cli.command("escalate", epilog=examples("fhir-coder work escalate 17 --to 'user lead' --why 'filing ends'"))
@explained
def work_escalate(
    item: Item,
    why: Why,
    to: Annotated[str, typer.Option(help="Who is to do it; by default anybody.")] = "",
    config: Config = None,
) -> None:
    """Have an item done before all others."""
    from fhir_coder.worklist import escalate

    _do(config, lambda ledger: escalate(ledger, item, why, os_user(), to), f"work item {item} is escalated")


@work_cli.command("assign", epilog=examples("fhir-coder work assign 17 --to 'user ana'", "fhir-coder work assign 17"))
@explained
def work_assign(
    item: Item,
    to: Annotated[str, typer.Option(help="The person; nobody by default: then all are offered it.")] = "",
    config: Config = None,
) -> None:
    """Assign an item to a person: it is the first they are offered, and no one else is."""
    from fhir_coder.worklist import assign

    told = f"to {to}" if to else "to nobody"
    _do(config, lambda ledger: assign(ledger, item, to, os_user()), f"work item {item} is assigned {told}")


@work_cli.command("query", epilog=examples("fhir-coder work query 17 --text 'which side was the fracture on?'"))
@explained
def work_query(
    item: Item,
    text: Annotated[str, typer.Option(help="The question to the clinician. It is kept.")],
    config: Config = None,
) -> None:
    """Ask the clinician: the item waits for the answer."""
    from fhir_coder.worklist import ask_clinician

    _do(config, lambda ledger: ask_clinician(ledger, item, text, os_user()), f"work item {item} waits for an answer")


@work_cli.command("answer", epilog=examples("fhir-coder work answer 17 --text 'the left one'"))
@explained
def work_answer(
    item: Item,
    text: Annotated[str, typer.Option(help="What the clinician answered. It is kept.")],
    config: Config = None,
) -> None:
    """Keep the clinician's answer: the item is offered again."""
    from fhir_coder.worklist import take_answer

    _do(config, lambda ledger: take_answer(ledger, item, text, os_user()), f"work item {item} is open again")


@work_cli.command(
    "approve", epilog=examples("fhir-coder work approve 17 --dry-run", "fhir-coder work approve 17 --why 'as agreed'")
)
@explained
def work_approve(
    *,
    item: Item,
    why: Annotated[str, typer.Option(help="Why; kept with the event.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what it would change.")] = False,
    all_charts: Annotated[
        bool, typer.Option("--all-charts", help="With --dry-run: look at all charts, not only at those that wait.")
    ] = False,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Put a proposed row to use and have all its charts coded again. Not for the person who proposed it.

    Nothing that was sent changes.
    """
    from fhir_coder.screens_work import what_if_json, what_if_text
    from fhir_coder.worklist import approve, what_if

    with stored_app(config) as app:
        if dry_run:
            found = what_if(app.workplace, item, all_charts=all_charts)
            if as_json:
                print_json(what_if_json(found))
            else:
                typer.echo(what_if_text(found))
            return
        made = approve(app.workplace, item, os_user(), why)
    if as_json:
        print_json({"activation": made.activation, "charts": made.charts})
    else:
        typer.echo(f"activation {made.activation}: {made.charts} charts are coded again by a running service")


@work_cli.command("reject", epilog=examples("fhir-coder work reject 17 --why 'the table has a row for this'"))
@explained
def work_reject(item: Item, why: Why, config: Config = None) -> None:
    """Turn a proposed row down: the item is offered again. Who proposed it may take it back so."""
    from fhir_coder.worklist import reject

    with stored_app(config) as app:
        reject(app.workplace, item, why, os_user())
    typer.echo(f"work item {item} is open again")


@work_cli.command("close", epilog=examples("fhir-coder work close 3 --why 'the sender sent it again'"))
@explained
def work_close(
    item: Item,
    why: Annotated[str, typer.Option(help="Why it is done; kept with the event.")],
    yes: Annotated[bool, typer.Option("--yes", help="Close it though it has several charts.")] = False,
    config: Config = None,
) -> None:
    """Close a work item that a person has settled.

    A part of a message that could not be used (finding unusable-part) is then left out, and the claim goes on without
    it. Gaps and other findings close by themselves with their cause, and come back while it stands. An item of several
    charts is only shown without --yes.
    """
    from fhir_coder.worklist import close, find_item

    with stored_app(config) as app:
        found = find_item(app.ledger, item)
        if found.charts > 1 and not yes:
            typer.echo(f"nothing was closed: work item {item} has {found.charts} charts; with --yes all are closed")
            return
        close(app.ledger, item, why, os_user())
    typer.echo(f"work item {item} is closed")


def _do(config: Path | None, change: Callable[[Any], None], told: str) -> None:
    with stored_app(config) as app:
        change(app.ledger)
    typer.echo(told)
