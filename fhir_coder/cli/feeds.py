"""Commands over feeds: what is configured, and what its rules make of a message."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fhir_coder.cli.common import AsJson, Config, examples, explained, open_app, print_json

feeds_cli = typer.Typer(no_args_is_help=True, help="Feeds and their rules.")


@feeds_cli.command("list", epilog=examples("fhir-coder feeds list -c site/fhir-coder.toml"))
@explained
def feeds_list(config: Config = None) -> None:
    """The feeds of the settings, and how many rules each has."""
    from fhir_coder.screens import listing

    with open_app(config) as app:
        rows = [[f.name, f.kind, f.charset, f.namespace, f.rules.count()] for f in app.settings.feeds]
    typer.echo(listing(["feed", "kind", "charset", "namespace", "rules"], rows) if rows else "none")


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

    with open_app(config) as app:
        names = [f.name for f in app.settings.feeds]
        if feed not in names:
            raise NotFoundError(f"no feed '{feed}' in the settings; there is {', '.join(names) or 'none'}")
        tried = try_file(file, app.rulebook, feed)
    if as_json:
        print_json({"file": str(file), "feed": feed, "messages": [one.to_json() for one in tried]})
    else:
        typer.echo("\n\n".join(one.text() for one in tried))
    if any(one.verdict.status is MessageStatus.QUARANTINED for one in tried):
        raise typer.Exit(2)
