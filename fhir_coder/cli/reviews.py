"""Commands over second reviews of claims, and over a day of people's work."""

from __future__ import annotations

from dataclasses import asdict
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import typer

from fhir_coder.cli.common import AsJson, Config, day_of, examples, explained, moment, os_user, print_json, stored_app
from fhir_coder.errors import UsageError

audit_cli = typer.Typer(no_args_is_help=True, help="Second reviews of claims: drawn, done, counted.")
day_cli = typer.Typer()

Item = Annotated[int, typer.Argument(help="A work item's number.", show_default=False)]


@audit_cli.command(
    "sample",
    epilog=examples(
        "fhir-coder work audit sample --rate 5% --since 1d --blind",
        "fhir-coder work audit sample --coder 'user ana' --least-amount 1000 --yes",
    ),
)
@explained
def audit_sample(
    *,
    rate: Annotated[str, typer.Option(help="The share of the claims that fit: 5% or 0.05.")] = "100%",
    coder: Annotated[str, typer.Option(help="Only with a code that this person chose; or `tables`, `sender`.")] = "",
    payer: Annotated[str, typer.Option(help="Only to this payer.")] = "",
    code: Annotated[str, typer.Option(help="Only with this billing code.")] = "",
    least_amount: Annotated[str, typer.Option(help="Only of at least this total.")] = "",
    since: Annotated[str, typer.Option(help="Only made since: 2026-11-03, 3d, 12h ...")] = "",
    until: Annotated[str, typer.Option(help="Only made before.")] = "",
    blind: Annotated[
        bool, typer.Option("--blind", help="The reviewer does not see the codes that were chosen.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Open the reviews; without it they are only listed.")] = False,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Draw claims for a second review. The same rate draws the same claims, and none twice."""
    from fhir_coder.worklist import Sample, draw

    sample = Sample(
        _rate(rate),
        coder,
        payer,
        code,
        _amount(least_amount),
        moment("--since", since),
        moment("--until", until),
        blind,
    )
    with stored_app(config) as app:
        found = draw(app.ledger, sample, os_user(), do=yes)
    if as_json:
        print_json([asdict(one) | {"amount": str(one.amount)} for one in found])
    else:
        from fhir_coder.screens_reviews import sampled_text

        typer.echo(sampled_text(found, is_done=yes))


@audit_cli.command("show", epilog=examples("fhir-coder work audit show 31"))
@explained
def audit_show(item: Item, config: Config = None, as_json: AsJson = False) -> None:
    """The codes of a claim under review. Of a blind review only the sources are shown until it is done."""
    from fhir_coder.worklist import review_of

    with stored_app(config) as app:
        _show(review_of(app.ledger, item), as_json=as_json)


@audit_cli.command(
    "review",
    epilog=examples(
        "fhir-coder work audit review 31",
        "fhir-coder work audit review 31 --code DX-9=L30.9 --why 'the note says eczema' --correct",
    ),
)
@explained
def audit_review(
    *,
    item: Item,
    code: Annotated[
        list[str] | None, typer.Option("--code", help="SOURCE=CODE: what you would bill for a source; may be repeated.")
    ] = None,
    why: Annotated[str, typer.Option(help="Why; kept with the review.")] = "",
    correct: Annotated[
        bool, typer.Option("--correct", help="Correct what differs: the chart is coded so, and the claim replaced.")
    ] = False,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Review a claim. What you leave out of an open review you agree with; a blind one takes a code for each source."""
    from fhir_coder.worklist import review

    with stored_app(config) as app:
        done = review(app.workplace, item, dict(map(_said, code or ())), os_user(), why=why, correct=correct)
        _show(done, as_json=as_json)


@audit_cli.command("figures", epilog=examples("fhir-coder work audit figures --since 30d"))
@explained
def audit_figures(
    since: Annotated[str, typer.Option(help="Reviewed since: 2026-11-03, 30d ...")] = "30d",
    until: Annotated[str, typer.Option(help="Reviewed before; by default now.")] = "",
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """How often reviewers agreed, by coder and billed code."""
    from fhir_coder.screens_reviews import agreement_text
    from fhir_coder.worklist import agreement

    with stored_app(config) as app:
        begin, end = moment("--since", since), moment("--until", until) or app.ledger.clock()
        if begin is None:
            raise UsageError("--since: since when?")
        found = agreement(app.ledger, begin, end)
    if as_json:
        print_json([asdict(one) for one in found])
    else:
        typer.echo(agreement_text(found))


@day_cli.command(
    "summary", epilog=examples("fhir-coder work summary", "fhir-coder work summary --day 2026-11-23 --people")
)
@explained
def work_summary(
    day: Annotated[str, typer.Option(help="A day in the site's time zone; by default today.")] = "",
    people: Annotated[
        bool, typer.Option("--people", help="Each person's figures too, by name; else yours and all together.")
    ] = False,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """The end of a day: what was done, against the target, what is left, and what still lies on whose desk."""
    from zoneinfo import ZoneInfo

    from fhir_coder.screens_reviews import summary_json, summary_text
    from fhir_coder.worklist import day_summary

    with stored_app(config) as app:
        zone = app.settings.site.time_zone or "UTC"
        wanted = day_of(day, "--day") if day else app.ledger.clock().astimezone(ZoneInfo(zone)).date()
        found = day_summary(app.ledger, wanted, zone, app.settings.worklist.target_charts)
    shown = "" if people else os_user()
    if as_json:
        print_json(summary_json(found, shown))
    else:
        typer.echo(summary_text(found, shown))


@day_cli.command(
    "handover",
    epilog=examples(
        "fhir-coder work handover --care inpatient",
        "fhir-coder work handover --care inpatient --text 'the lab answers item 17 at eight'",
    ),
)
@explained
def work_handover(
    *,
    care: Annotated[str, typer.Option(help="The queue: inpatient or outpatient.")] = "",
    specialty: Annotated[str, typer.Option(help="The queue: a specialty.")] = "",
    payer: Annotated[str, typer.Option(help="The queue: a payer.")] = "",
    kind: Annotated[str, typer.Option(help="The queue: a kind.")] = "",
    text: Annotated[str, typer.Option(help="Leave this note for the next shift.")] = "",
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """A queue as it is handed over: notes, what is wanted first, what waits for whom. With --text, leave a note."""
    from fhir_coder.screens_reviews import handover_json, handover_text
    from fhir_coder.worklist import Queue, hand_over, handover_of

    queue = Queue(care, specialty, payer, kind)
    with stored_app(config) as app:
        if text:
            hand_over(app.ledger, queue, text, os_user())
        found = handover_of(app.ledger, queue)
    if as_json:
        print_json(handover_json(found))
    else:
        typer.echo(handover_text(found))


def _show(review: Any, *, as_json: bool) -> None:
    from fhir_coder.screens_reviews import review_text

    if as_json:
        print_json(asdict(review))
    else:
        typer.echo(review_text(review))


def _rate(text: str) -> Decimal:
    number = text.removesuffix("%")
    try:
        rate = Decimal(number) / (100 if text.endswith("%") else 1)
    except InvalidOperation:
        raise UsageError("--rate: write a share such as 5% or 0.05") from None
    if not rate.is_finite():
        raise UsageError("--rate: write a share such as 5% or 0.05")
    return rate


def _amount(text: str) -> Decimal | None:
    try:
        amount = Decimal(text) if text else None
    except InvalidOperation:
        raise UsageError("--least-amount: write an amount such as 1000 or 99.50") from None
    if amount is not None and not amount.is_finite():
        raise UsageError("--least-amount: write an amount such as 1000 or 99.50")
    return amount


def _said(text: str) -> tuple[str, str]:
    source, is_set, code = text.rpartition("=")
    if not is_set or not source.strip() or not code.strip():
        raise UsageError("--code: write SOURCE=CODE, such as DX-9=L30.9")
    return source.strip(), code.strip()
