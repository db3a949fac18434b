"""What every command shares: options, errors, JSON, lists."""

from __future__ import annotations

import enum
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar

import typer

from fhir_coder.errors import FhirCoderError
from fhir_coder.moments import read_moment

P = ParamSpec("P")
R = TypeVar("R")
Choice = TypeVar("Choice", bound=enum.StrEnum)

Config = Annotated[
    Path | None,
    typer.Option("-c", "--config", help="Settings; by default fhir-coder.toml of this folder, else the example site."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def examples(*commands: str) -> str:
    """The examples at the end of a help text, each on a line of its own."""
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)


def explained(command: Callable[P, R]) -> Callable[P, R]:
    """Errors of the program's own tree end in their text and exit code, never in a traceback."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except FhirCoderError as error:
            typer.echo(f"fhir-coder: {error}", err=True)
            raise typer.Exit(error.exit_code) from None

    return run


def print_json(value: Any) -> None:
    """Print JSON; Decimals keep their digits."""
    from fhir_coder.claims import to_bytes

    sys.stdout.buffer.write(to_bytes(value, indent=True) + b"\n")
    sys.stdout.flush()


def open_app(config: Path | None) -> Any:
    """An app by its settings, its log kept to warnings."""
    from fhir_coder.app import App
    from fhir_coder.logs import configure_logs

    app = App.from_file(config)
    configure_logs(app.settings.log.format, "warning")
    return app


def stored_app(config: Path | None) -> Any:
    """An app whose ledger is there already: looking makes no empty ledger."""
    app = open_app(config)
    if not app.settings.store_path().is_file():
        raise FhirCoderError(f"no ledger at {app.settings.store_path()}: fhir-coder serve makes it")
    return app


def print_list(
    query: Callable[..., list[Any]], columns: list[str], asked: tuple[Path | None, str, int], as_json: bool
) -> None:
    """Ask the ledger for rows of a status and print them."""
    config, status, limit = asked
    with stored_app(config) as app:
        rows = query(app.ledger, status, limit)
    print_rows(rows, columns, as_json)


def print_rows(rows: Sequence[Any], columns: Sequence[str], as_json: bool) -> None:
    """Print rows as a table or as JSON."""
    from fhir_coder.screens import listing

    if as_json:
        print_json([{c: plain(getattr(r, c)) for c in columns} for r in rows])
    else:
        typer.echo(listing(columns, [[getattr(r, c) for c in columns] for r in rows]) if rows else "none")


def shown_progress(keys: list[str], doing: str) -> Iterable[str]:
    """The keys, with a bar on a terminal that says what is being done."""
    if not sys.stderr.isatty():
        return keys
    from rich.console import Console
    from rich.progress import track

    return track(keys, doing, console=Console(stderr=True), transient=True)


def os_user() -> str:
    """Who gives the command: the operating system's user, not what the environment says of itself."""
    import os
    import pwd

    try:
        return f"user {pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:
        return f"user {os.getuid()}"


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    return value.isoformat() if hasattr(value, "isoformat") else value


def status_option(kind: type[Choice]) -> Any:
    """An option whose value is one of an enum's."""
    listed = ", ".join(kind)

    def read(text: str) -> Choice:
        try:
            return kind(text)
        except ValueError:
            raise typer.BadParameter(f"it is one of {listed}") from None

    return typer.Option(parser=read, metavar=f"[{'|'.join(kind)}]", help="Only this status.")


def day_of(text: str, option: str = "--date") -> date:
    """The day that an option gives. Raises FhirCoderError with the option's name."""
    from fhir_coder.terminology.header import parse_date

    try:
        return parse_date(text)
    except ValueError as error:
        raise FhirCoderError(f"{option}: {error}") from None


def moment(option: str, text: str) -> datetime | None:
    """A time an option asks for, None where it is not given. Ends the command with status 2 where it is none."""
    try:
        return read_moment(text) if text else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def site_folder(config: Path | None) -> Path:
    """The folder of the site's own tables. Raises FhirCoderError where the settings name none."""
    from fhir_coder.settings import load_settings
    from fhir_coder.shipped import shipped

    folder = load_settings(config).tables.dir
    if folder is None:
        raise FhirCoderError("the settings name no folder for the site's tables: set [tables] dir")
    if folder.resolve().is_relative_to(shipped("mappings").resolve()):
        raise FhirCoderError("the example site's tables are part of the program: fhir-coder init makes a site, then -c")
    return folder
