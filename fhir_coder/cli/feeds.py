"""Commands over feeds: what is configured, and what its rules make of a message."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fhir_coder.cli.common import AsJson, Config, examples, explained, open_app, print_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fhir_coder.intake.fhir_feed import FhirReader
    from fhir_coder.intake.fhir_pull import Tally
    from fhir_coder.settings import FhirFeed

feeds_cli = typer.Typer(no_args_is_help=True, help="Feeds and their rules.")


@feeds_cli.command("list", epilog=examples("fhir-coder feeds list -c site/fhir-coder.toml"))
@explained
def feeds_list(config: Config = None, as_json: AsJson = False) -> None:
    """The feeds of the settings, and how many rules each has."""
    from fhir_coder.screens import listing

    with open_app(config) as app:
        rows = [[f.name, f.kind, f.charset, f.namespace, f.rules.count()] for f in app.settings.feeds]
    names = ["feed", "kind", "charset", "namespace", "rules"]
    if as_json:
        print_json([dict(zip(names, row, strict=True)) for row in rows])
    else:
        typer.echo(listing(names, rows) if rows else "none")


@feeds_cli.command("try", epilog=examples("fhir-coder feeds try feed.hl7 --feed adt -c site/fhir-coder.toml"))
@explained
def feeds_try(
    file: Annotated[Path, typer.Argument(help="A file of messages.", exists=True, dir_okay=False)],
    feed: Annotated[str, typer.Option(help="The feed whose rules read it.")],
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Print every fact of a file's messages with the path it came from. No ledger. Exit status 2 for unreadable."""
    from fhir_coder.errors import NotFoundError
    from fhir_coder.feeds_try import try_file
    from fhir_coder.model import MessageStatus
    from fhir_coder.screens_messages import one_line

    with open_app(config) as app:
        names = [f.name for f in app.settings.feeds]
        if feed not in names:
            raise NotFoundError(f"no feed '{feed}' in the settings; there is {', '.join(names) or 'none'}")
        tried = try_file(file, app.rulebook, feed)
    if as_json:
        print_json({"file": str(file), "feed": feed, "messages": [one.to_json() for one in tried]})
    else:
        typer.echo("\n\n".join("\n".join(map(one_line, one.lines())) for one in tried))
    if any(one.verdict.status is MessageStatus.QUARANTINED for one in tried):
        raise typer.Exit(2)


@feeds_cli.command(
    "pull",
    epilog=examples(
        "fhir-coder feeds pull --feed ehr --once -c site/fhir-coder.toml",
        "fhir-coder feeds pull --feed ehr -c site/fhir-coder.toml",
    ),
)
@explained
def feeds_pull(
    feed: Annotated[str, typer.Option(help="A feed of kind fhir.")],
    once: Annotated[bool, typer.Option("--once", help="Stop when all that is new was read.")] = False,
    config: Config = None,
) -> None:
    """Read what is new at a FHIR server by searches, as the service does. Without --once until SIGINT or SIGTERM."""
    from fhir_coder.errors import FhirCoderError

    with open_app(config) as app:
        found = _fhir_feed(app, feed)
        if found.bulk:
            raise FhirCoderError(f"feed '{feed}' is read by exports: fhir-coder feeds export --feed {feed}")
        with _reader(app, found) as reader:
            if once:
                is_more = True
                while is_more:
                    tally = reader.read()
                    typer.echo(_told(tally))
                    is_more = tally.is_more
            else:
                _read_until_stopped(reader)
        _print_places(app, feed)


@feeds_cli.command(
    "export",
    epilog=examples(
        "fhir-coder feeds export --feed ehr -c site/fhir-coder.toml",
        "fhir-coder feeds export --feed ehr --level group/billing -c site/fhir-coder.toml",
    ),
)
@explained
def feeds_export(
    feed: Annotated[str, typer.Option(help="A feed of kind fhir.")],
    level: Annotated[str, typer.Option(help="system, patient or group/ID; by default what the feed's bulk says.")] = "",
    config: Config = None,
) -> None:
    """Read one bulk export of a FHIR server whole: the one that was begun, or a new one."""
    import re

    from fhir_coder.errors import FhirCoderError
    from fhir_coder.settings.feeds import EXPORT_LEVEL

    with open_app(config) as app:
        found = _fhir_feed(app, feed)
        if not re.fullmatch(EXPORT_LEVEL, level or found.bulk):
            raise FhirCoderError("say of whom: --level system, patient or group/ID")
        with _reader(app, found.model_copy(update={"bulk": level or found.bulk})) as reader:
            typer.echo(_told(reader.read()))


def _fhir_feed(app: Any, name: str) -> FhirFeed:
    """A feed of kind fhir by its name, whose secrets can be had. Raises NotFoundError, SettingsError."""
    from fhir_coder.errors import NotFoundError
    from fhir_coder.payers.auth import auth_faults
    from fhir_coder.settings import FhirFeed

    feeds = {f.name: f for f in app.settings.feeds if isinstance(f, FhirFeed)}
    if name not in feeds:
        raise NotFoundError(f"no feed '{name}' of kind fhir in the settings; there is {', '.join(feeds) or 'none'}")
    if faults := auth_faults(feeds[name]):
        place = app.settings.feeds.index(feeds[name])
        raise app.settings.refused([app.settings.fault(("feeds", place, key), text) for key, text in faults])
    return feeds[name]


@contextmanager
def _reader(app: Any, feed: FhirFeed) -> Iterator[FhirReader]:
    from fhir_coder.intake.desk import IntakeDesk
    from fhir_coder.intake.fhir_feed import FhirReader

    desk = IntakeDesk(app.ledger, lambda: None)  # a service that runs finds the new work by itself
    reader = FhirReader(feed, app.ledger, desk, app.settings.store_path())
    try:
        yield reader
    finally:
        reader.stop()
        desk.close()


def _read_until_stopped(reader: FhirReader) -> None:
    import signal

    ends = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # before the thread begins: it inherits what is blocked
    reader.start(lambda tally: typer.echo(_told(tally)))
    signal.sigwait(ends)


def _told(tally: Tally) -> str:
    """What a reading came to, in a line."""
    said = [f"{tally.messages - tally.repeats} kept", f"{tally.repeats} known already"]
    said += [f"{tally.missing} references not found"] if tally.missing else []
    said += [f"{tally.faults} not readable: fhir-coder work list"] if tally.faults else []
    said += ["more to come"] if tally.is_more else []
    return ", ".join(said)


def _print_places(app: Any, feed: str) -> None:
    from fhir_coder.screens import listing
    from fhir_coder.store.pulls import search_places

    with app.ledger.reading() as connection:
        places = search_places(connection, feed)
    if places:
        rows = [[place.type, place.watermark, "yes" if place.next_link else ""] for place in places]
        typer.echo(listing(["type", "read up to", "more to come"], rows))
