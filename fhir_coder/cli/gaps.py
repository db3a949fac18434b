"""Commands over what the tables have no answer for: how much it is, and rows proposed for it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fhir_coder.cli.common import AsJson, Config, examples, explained, open_app, print_json, shown_progress, stored_app
from fhir_coder.errors import FhirCoderError

gaps_cli = typer.Typer()


@gaps_cli.command(
    "coverage",
    epilog=examples(
        "fhir-coder tables coverage adt-dft -c site/fhir-coder.toml",
        "fhir-coder tables coverage export/*.ndjson --html coverage.html",
    ),
)
@explained
def tables_coverage(
    sources: Annotated[
        list[str], typer.Argument(help="A feed: what the ledger has of it. Or files: HL7 v2, FHIR, NDJSON, also gzip.")
    ],
    config: Config = None,
    as_json: AsJson = False,
    svg: Annotated[Path | None, typer.Option(help="Draw it as a picture in this file.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write picture and list as a page to this file.")] = None,
) -> None:
    """The share of diagnoses, services and visits that have an answer, and the codes without one by money.

    Exit status 2 where a message of a file could not be read.
    """
    from fhir_coder.screens_coverage import coverage_html, coverage_svg, coverage_text

    coverage, messages, unreadable = _coverage(sources, config)
    read = {"messages": messages, "unreadable": unreadable} if messages else {}
    if as_json:
        print_json({**read, **coverage.as_json()})
    else:
        typer.echo(coverage_text(coverage))
    # A file's name may be a patient's: the picture does not have it.
    title = f"Coverage of {f'{len(sources)} files' if len(sources) > 1 else 'a file' if messages else sources[0]}"
    for file, draw in ((svg, coverage_svg), (html, coverage_html)):
        if file:
            file.write_text(draw(coverage, title), encoding="utf-8")
            typer.echo(f"written to {file}", err=True)
    if unreadable:
        typer.echo(f"{unreadable} of {messages} messages could not be read: fhir-coder convert says why", err=True)
        raise typer.Exit(2)


def _coverage(sources: list[str], config: Path | None) -> tuple[Any, int, int]:
    """The coverage with how many messages were read and how many could not be; of a feed the ledger knows them."""
    from fhir_coder.coverage import coverage_of_files

    files = [Path(one) for one in sources]
    if all(file.is_file() for file in files):
        with open_app(config) as app:
            found = coverage_of_files(files, app.rulebook, lambda text: typer.echo(text, err=True))
        return found.coverage, found.messages, found.unreadable
    if len(sources) > 1:
        missing = next(file for file in files if not file.is_file())
        raise FhirCoderError(f"{missing}: no such file; a feed is named alone")
    return _coverage_of_feed(sources[0], config), 0, 0


def _coverage_of_feed(feed: str, config: Path | None) -> Any:
    from fhir_coder.coverage import coverage_of_charts
    from fhir_coder.queries import chart_keys_of_feed
    from fhir_coder.settings import load_settings

    feeds = [one.name for one in load_settings(config).feeds]
    if feed not in feeds:
        raise FhirCoderError(
            f"{feed}: neither a file nor a feed of the settings ({', '.join(feeds) or 'which has none'})"
        )
    with stored_app(config) as app:
        keys = chart_keys_of_feed(app.ledger, feed)
        charts = map(app.stages.folding.chart_anew, shown_progress(keys, "coding"))
        return coverage_of_charts(charts, app.rulebook, (feed,))


@gaps_cli.command(
    "propose",
    epilog=examples(
        "fhir-coder tables propose --gap 2 --to R21 -c site/fhir-coder.toml",
        "fhir-coder tables propose --system local --code XR-9 --kind charge --to 'hcpcs|Q0092' --set modifiers=LT",
        "fhir-coder tables propose --gap 7 --to P29.2 --set 'age=<29d'",
    ),
)
@explained
def tables_propose(
    *,
    to: Annotated[str, typer.Option(help="The code to bill: CODE or SYSTEM|CODE; not-billable; needs-detail.")],
    gap: Annotated[int, typer.Option(help="The work item of a gap: its code, kind and visit.")] = 0,
    system: Annotated[str, typer.Option(help="Without a gap: the code's system: sct, cvx, local ... or its URI.")] = "",
    code: Annotated[str, typer.Option(help="Without a gap: the code.")] = "",
    kind: Annotated[str, typer.Option(help="Without a gap: diagnosis, procedure, immunization, charge or visit.")] = "",
    put: Annotated[
        list[str] | None, typer.Option("--set", help="A further cell of the row, COLUMN=VALUE; may be repeated.")
    ] = None,
    why: Annotated[str, typer.Option(help="Why; kept in the row's note.")] = "",
    config: Config = None,
) -> None:
    """Write the row that a decision implies beside the site's tables, for review: coding does not read it yet.

    What `tables check` refuses is refused. Exit status 2 then.
    """
    from datetime import date

    from fhir_coder.cli.common import os_user, site_folder
    from fhir_coder.proposals import Decision, proposal_of
    from fhir_coder.terminology.proposing import propose

    folder = site_folder(config)
    decision = Decision(to, dict(map(cell_named, put or ())), why, os_user(), date.today())
    with stored_app(config) if gap else open_app(config) as app:
        question = _question(app, gap, (system, code, kind))
        proposal = proposal_of(question, decision, app.rulebook)
        made = propose(folder, proposal, app.rulebook.code_sets, decision.on)
    typer.echo(f"{made.table.file}:{made.line}")
    typer.echo("\n".join(f"  {name:18} {text}" for name, text in proposal.cells.items()))
    typer.echo(f"{made.waiting} proposed, read by coding after: fhir-coder tables activate {made.table.file}")


def _question(app: Any, gap: int, named: tuple[str, str, str]) -> Any:
    """What the row is for: a gap's code, or the one that is named."""
    from fhir_coder.proposals import Question, question_of_item

    if gap and any(named):
        raise FhirCoderError("--gap names the code: leave out --system, --code and --kind")
    if gap:
        return question_of_item(app.ledger, gap, app.stages.folding.chart_anew, app.rulebook)
    from fhir_coder.model import Coding
    from fhir_coder.terminology.question import UnclearError, read_system
    from fhir_coder.terminology.translate import ASKED_KINDS

    system, code, kind = named
    if not (system and code):
        raise FhirCoderError("name a work item with --gap, or a code with --system and --code")
    try:
        uri = read_system(system)
    except UnclearError as error:
        raise FhirCoderError(f"--system: {error}") from None
    kinds = [one for one in ASKED_KINDS if (one.value == kind if kind else app.tables.tables_for(one, uri))]
    if len(kinds) != 1:
        known = ", ".join(one.value for one in kinds or ASKED_KINDS)
        raise FhirCoderError(f"--kind: write one of {known}")
    return Question(kinds[0], Coding(uri, code))


def cell_named(text: str) -> tuple[str, str]:
    """A cell as `--set` names it: COLUMN=VALUE. Raises FhirCoderError."""
    name, is_set, value = text.partition("=")
    if not is_set:
        raise FhirCoderError("--set: write COLUMN=VALUE, such as sex=female")
    return name.strip(), value.strip()
