"""Commands over messages in the ledger."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fhir_coder.cli.common import (
    AsJson,
    Config,
    examples,
    explained,
    moment,
    os_user,
    print_rows,
    status_option,
    stored_app,
)
from fhir_coder.errors import FhirCoderError, UnreadableError
from fhir_coder.model import MessageStatus

if TYPE_CHECKING:
    from collections.abc import Iterable

messages_cli = typer.Typer(no_args_is_help=True, help="Messages in the ledger.")

_COLUMNS = ["id", "received_at", "feed", "format", "type", "control_id", "status", "reason"]
_DONE = {
    "asked": "to be read again; a running service takes them within seconds",
    "unreadable": "still unreadable",
    "conflict": "left: the control id was used before; --accept-conflict takes them as they are",
    "superseded": "left: their correction is read instead",
}

Since = Annotated[
    str, typer.Option(help="Kept at this time or later: ISO 8601, UTC where it names no zone, or 2h, 3d.")
]
Until = Annotated[str, typer.Option(help="Kept before this time: as --since.")]
Status = Annotated[MessageStatus | None, status_option(MessageStatus)]
Feed = Annotated[str, typer.Option(help="Only this feed.")]
Message = Annotated[str, typer.Argument(help="A message's id or control id.")]


@messages_cli.command(
    "list",
    epilog=examples(
        "fhir-coder messages list --status quarantined",
        "fhir-coder messages list --type DFT^P03 --since 2h",
        "fhir-coder messages list --patient MR-1001",
    ),
)
@explained
def messages_list(
    *,
    config: Config = None,
    control_id: Annotated[str, typer.Option(help="Only this control id (MSH-10); case counts.")] = "",
    message_type: Annotated[str, typer.Option("--type", help="Only this type: DFT^P03, Bundle.")] = "",
    feed: Feed = "",
    status: Status = None,
    since: Since = "",
    until: Until = "",
    chart: Annotated[str, typer.Option(help="Only messages of this chart key.")] = "",
    patient: Annotated[
        str, typer.Option(help="Only messages that name this identifier of a patient: a record number, Patient/1.")
    ] = "",
    before: Annotated[str, typer.Option(help="The next page: only messages before this id.")] = "",
    limit: Annotated[int, typer.Option(help="How many.", min=1)] = 50,
    as_json: AsJson = False,
) -> None:
    """Messages, newest first. What is asked for together must fit together."""
    from fhir_coder.queries import MessageSearch, list_messages

    search = MessageSearch(
        control_id=control_id,
        type=message_type,
        feed=feed,
        status=status.value if status else "",
        since=moment("--since", since),
        until=moment("--until", until),
        chart=chart,
        patient=patient,
        before=before,
    )
    with stored_app(config) as app:
        rows = list_messages(app.ledger, search, limit)
    print_rows(rows, _COLUMNS, as_json)
    if len(rows) == limit:
        typer.echo(f"older ones: --before {rows[-1].id}", err=True)


@messages_cli.command(
    "show", epilog=examples("fhir-coder messages show LK000101", "fhir-coder messages show LK000101 --parsed")
)
@explained
def messages_show(
    message: Message,
    config: Config = None,
    parsed: Annotated[bool, typer.Option("--parsed", help="Each part with its name in the standard.")] = False,
) -> None:
    """A message as received, with what became of it. Who looked is written down with its events."""
    from fhir_coder.queries import message_story
    from fhir_coder.screens_messages import message_text, parsed_text
    from fhir_coder.store.corrections import record_viewing

    with stored_app(config) as app:
        story = message_story(app.ledger, message)
        charset = next((f.charset for f in app.settings.feeds if f.name == story.row.feed), "utf-8")
        text = parsed_text(story, charset) if parsed else message_text(story)
        record_viewing(app.ledger, story.row.id, "parsed" if parsed else "raw", os_user())
        typer.echo(text)


@messages_cli.command(
    "reprocess",
    epilog=examples(
        "fhir-coder messages reprocess LK000101",
        "fhir-coder messages reprocess --status quarantined --dry-run",
        "fhir-coder messages reprocess 01M851T47F7R4RB89B8XTHVCDM --accept-conflict",
    ),
)
@explained
def messages_reprocess(
    *,
    messages: Annotated[list[str] | None, typer.Argument(help="Ids or control ids of messages.")] = None,
    config: Config = None,
    status: Status = None,
    feed: Feed = "",
    every: Annotated[bool, typer.Option("--all", help="Every message of the ledger.")] = False,
    accept_conflict: Annotated[
        bool, typer.Option("--accept-conflict", help="Take messages whose control id was used before, as they are.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what they would become.")] = False,
) -> None:
    """Read messages again with the tables and rules of now: those named, or all of a status or feed, or all."""
    from fhir_coder.queries import MessageSearch
    from fhir_coder.reprocess import preview, reprocess, selected

    named = messages or []
    if bool(named) == bool(status or feed or every):
        raise typer.BadParameter("name messages, or say which: --status, --feed or --all", param_hint="MESSAGES")
    with stored_app(config) as app:
        pages = selected(app.ledger, named, MessageSearch(status=status.value if status else "", feed=feed))
        if dry_run:
            _print_previews(preview(app.ledger, page, app.rulebook, accept_conflict) for page in pages)
        else:
            _print_done(reprocess(app.ledger, page, os_user(), accept_conflict) for page in pages)


def _print_previews(pages: Iterable[list[Any]]) -> None:
    from fhir_coder.screens import listing

    rows = [[p.id, p.status, p.becomes, p.text] for page in pages for p in page]
    typer.echo(listing(["id", "status", "would be", "charts, or why"], rows) if rows else "none")


def _print_done(pages: Iterable[Any]) -> None:
    from collections import Counter

    done: Counter[str] = Counter()
    for page in pages:
        done.update(page)
    for word, text in _DONE.items():
        if done[word]:
            typer.echo(f"{done[word]} {text}")
    if not done:
        typer.echo("none")


@messages_cli.command(
    "edit",
    epilog=examples("fhir-coder messages edit LK000101", "fhir-coder messages edit LK000101 --with corrected.hl7"),
)
@explained
def messages_edit(
    message: Message,
    config: Config = None,
    corrected: Annotated[
        Path | None, typer.Option("--with", help="File this payload instead of opening $VISUAL or $EDITOR.")
    ] = None,
) -> None:
    """Correct a message: the edited payload is filed as a new message that takes its place. Both are kept."""
    from fhir_coder.queries import message_named
    from fhir_coder.reprocess import correct

    with stored_app(config) as app:
        message_id = message_named(app.ledger, message)
        if corrected is None:
            filed = _edit(app.ledger, message_id)
        else:
            filed = correct(app.ledger, message_id, _read(corrected), os_user())
    typer.echo(f"{filed} corrects {message_id}: it takes its place once a running service has read it")


def _edit(ledger: Any, message_id: str) -> str:
    """Open the editor until what comes of it can be filed, or the person has had enough."""
    from fhir_coder.cli.editor import edited
    from fhir_coder.queries import message_story
    from fhir_coder.reprocess import correct
    from fhir_coder.store.corrections import record_viewing

    record_viewing(ledger, message_id, "to edit it", os_user())
    body = edited(message_story(ledger, message_id).row.body)
    while True:
        try:
            return correct(ledger, message_id, body, os_user())
        except UnreadableError as error:
            if not sys.stdin.isatty() or not typer.confirm(f"{error}. Edit it again?", default=True):
                raise
        body = edited(body)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise FhirCoderError(f"{file}: {error.strerror}") from None
