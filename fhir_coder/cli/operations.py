"""Commands that keep a service well: doctor, backup, restore."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fhir_coder.cli.common import AsJson, Config, examples, explained, open_app, os_user, print_json
from fhir_coder.errors import SettingsError

if TYPE_CHECKING:
    from fhir_coder.operations import Sign

operations_cli = typer.Typer()

_WORDS = {"ok": "ok", "warning": "WARNING", "failed": "FAILED"}


@operations_cli.command(epilog=examples("fhir-coder doctor -c site/fhir-coder.toml", "fhir-coder doctor --offline"))
@explained
def doctor(
    config: Config = None,
    offline: Annotated[bool, typer.Option("--offline", help="Ask no payer.")] = False,
    as_json: AsJson = False,
) -> None:
    """Look at settings, tables, certificates, ports, disk, clock, ledger and payers: what is wrong and what to do.

    Changes nothing; a service may run meanwhile. Exit status 1 where something failed.
    """
    from fhir_coder.operations import Sign, State, examine

    signs = []
    try:
        with open_app(config) as app:
            for sign in examine(app.settings, ask_payers=not offline):
                signs.append(sign)
                if not as_json:
                    typer.echo(_line(sign))
    except SettingsError as error:
        signs = [Sign("settings", State.FAILED, str(fault), "correct this line") for fault in error.faults]
        if not as_json:
            typer.echo("\n".join(map(_line, signs)))
    failed = sum(sign.state is State.FAILED for sign in signs)
    warned = sum(sign.state is State.WARNING for sign in signs)
    if as_json:
        print_json({"failed": failed, "warnings": warned, "signs": [asdict(sign) for sign in signs]})
    else:
        typer.echo(f"\n{failed} failed, {warned} to be warned of" if failed or warned else "\nall is well")
    if failed:
        raise typer.Exit(1)


def _line(sign: Sign) -> str:
    advice = f"\n{'':9}{sign.advice}" if sign.advice else ""
    return f"{_WORDS[sign.state.value]:8} {sign.part}: {sign.text}{advice}"


@operations_cli.command(epilog=examples("fhir-coder settings -c site/fhir-coder.toml", "fhir-coder settings --set"))
@explained
def settings(
    config: Config = None,
    is_set: Annotated[bool, typer.Option("--set", help="Only what the file sets.")] = False,
    as_json: AsJson = False,
) -> None:
    """Every setting in use, with where it was set: the file and line, or default. Secrets are never in settings."""
    from fhir_coder.screens import listing
    from fhir_coder.settings import load_settings
    from fhir_coder.settings.shown import DEFAULT, settings_shown

    shown = [(one.title, key) for one in settings_shown(load_settings(config)) for key in one.keys]
    rows = [[title, key.name, key.value, key.source] for title, key in shown if key.source != DEFAULT or not is_set]
    names = ["section", "key", "value", "source"]
    if as_json:
        print_json([dict(zip(names, row, strict=True)) for row in rows])
    else:
        typer.echo(listing(names, rows))


@operations_cli.command(epilog=examples("fhir-coder backup /backups/2026-11-24 -c site/fhir-coder.toml"))
@explained
def backup(
    folder: Annotated[Path, typer.Argument(help="Where to: a new folder, which only you may read.")],
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Copy ledger, inbox, the index's key, settings and tables into a folder, while a service runs.

    All that was acknowledged before it began is in it. Code sets that were imported and files of secrets are not. It
    holds what messages hold: keep it as safe as the ledger.
    """
    from fhir_coder.operations import make_backup

    with open_app(config) as app:
        made = make_backup(app.settings, folder, _bar())
    if as_json:
        print_json({"folder": str(folder), **asdict(made), "began_at": made.began_at.isoformat()})
        return
    size = sum((folder / name).stat().st_size for name in made.files) / (1 << 20)
    typer.echo(f"{made.messages:,} messages and {made.claims:,} claims as of {made.began_at:%Y-%m-%d %H:%M:%S} UTC")
    typer.echo(f"{len(made.files)} files, {size:,.1f} MB in {folder}, each with its SHA-256")
    typer.echo(f"to bring it back: fhir-coder restore {folder}{f' -c {config}' if config else ''}")


def _bar() -> Any:
    """A bar for each file on a terminal."""
    import sys

    if not sys.stderr.isatty():
        return lambda *_: None
    from rich.console import Console
    from rich.progress import Progress

    bar, tasks = Progress(console=Console(stderr=True), transient=True), {}
    bar.start()

    def told(name: str, done: int, of: int) -> None:
        if name not in tasks:
            tasks[name] = bar.add_task(name)
        bar.update(tasks[name], completed=done, total=of)
        if done == of and name.endswith(".db"):
            bar.stop()

    return told


@operations_cli.command(
    epilog=examples(
        "fhir-coder restore /backups/2026-11-24 -c site/fhir-coder.toml",
        "fhir-coder restore /backups/2026-11-24 --replace --tables -c site/fhir-coder.toml",
    )
)
@explained
def restore(
    folder: Annotated[Path, typer.Argument(help="What `backup` made.")],
    config: Config = None,
    replace: Annotated[bool, typer.Option("--replace", help="Move what is in its place aside first.")] = False,
    tables: Annotated[bool, typer.Option("--tables", help="The site's tables too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Put a backup in the ledger's place; what was there is moved aside, not deleted. The service must be stopped.

    A restored ledger does not know what was sent since the backup: for 14 days each claim that it never sent is looked
    up at its payer before it is sent, so that nothing is billed twice. What came since must be sent again.
    """
    from fhir_coder.operations import restore as bring_back

    with open_app(config) as app:
        done = bring_back(app.settings, folder, actor=os_user(), replace=replace, with_tables=tables)
    aside = str(done.set_aside) if done.set_aside else None
    if as_json:
        print_json({"backed_up_at": done.backup.began_at.isoformat(), "looked_up": done.looked_up, "set_aside": aside})
        return
    typer.echo(f"the ledger is that of {done.backup.began_at:%Y-%m-%d %H:%M:%S} UTC again")
    if aside:
        typer.echo(f"what was there is in {aside}")
    if done.looked_up:
        typer.echo(f"{done.looked_up} claims that were to be sent are looked up at their payers first")
    typer.echo("next: have senders send again what they sent since, then fhir-coder serve")
