"""Commands over files: no ledger, no network."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fhir_coder.cli.common import AsJson, Config, examples, explained, open_app, print_json
from fhir_coder.errors import UsageError

convert_cli = typer.Typer()


@convert_cli.command(
    epilog=examples(
        "fhir-coder convert feed.hl7", "fhir-coder convert --json bundle.json", "cat m.hl7 | fhir-coder convert -"
    )
)
@explained
def convert(
    files: Annotated[list[str], typer.Argument(help="HL7 v2 files, FHIR JSON or NDJSON; - is standard input.")],
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Convert messages to coded claims: no ledger, no network. Exit status 2 where something could not be read."""
    from fhir_coder.conversion import Source
    from fhir_coder.screens import conversion_text

    sources, missing = [], []
    for name in files:
        try:
            data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
            sources.append(Source(name, data))
        except OSError as error:
            missing.append(f"{name}: {error.strerror}")
    with open_app(config) as app:
        conversion = app.convert(sources)
    if as_json:
        print_json(conversion.to_json())
    else:
        typer.echo(conversion_text(conversion))
    for line in [*missing, *(f"{m.id}: unreadable: {m.reason}" for m in conversion.unreadable)]:
        typer.echo(line, err=True)
    if missing or conversion.unreadable:
        raise typer.Exit(2)


@convert_cli.command(
    epilog=examples(
        "fhir-coder check feed.hl7 --junit check.xml",
        "fhir-coder check feed.hl7 --profile dft-p03.xml",
        "fhir-coder check claim.json --payer northwind -c site/fhir-coder.toml",
    )
)
@explained
def check(
    file: Annotated[
        Path,
        typer.Argument(
            help="HL7 v2 messages, a FHIR Claim or a Bundle with one, or NDJSON of them.", exists=True, dir_okay=False
        ),
    ],
    *,
    config: Config = None,
    version: Annotated[str | None, typer.Option(help="HL7 version to check against, by default MSH-12.")] = None,
    profile: Annotated[
        list[Path] | None,
        typer.Option(
            help="Check by this message profile (XML) instead; one for each type.", exists=True, dir_okay=False
        ),
    ] = None,
    payer: Annotated[str | None, typer.Option(help="Judge claims as this payer of the settings does.")] = None,
    as_json: AsJson = False,
    junit: Annotated[Path | None, typer.Option(help="Write a JUnit report to this file.")] = None,
) -> None:
    """Check HL7 v2 messages or FHIR Claims against the standard. Exit status 0 clean, 1 a reject, 2 unreadable."""
    from fhir_coder.conformance_check import CheckOptions, check_file
    from fhir_coder.screens import checked_text
    from fhir_coder.settings import load_settings

    settings = load_settings(config)
    if version and profile:
        raise UsageError("--version is for the standard: a profile names its own")
    judge = settings.payer(payer).value() if payer else None
    checked = check_file(file, CheckOptions(version, profile or (), judge))
    if junit:
        junit.write_text(checked.junit(), encoding="utf-8")
    if as_json:
        print_json({"file": str(file), "messages": [c.to_json() for c in checked.messages]})
    elif checked.messages:
        typer.echo(checked_text([(c.id, c.findings) for c in checked.messages]))
    for line in checked.unreadable:
        typer.echo(line, err=True)
    if checked.exit_status:
        raise typer.Exit(checked.exit_status)


@convert_cli.command(epilog=examples("fhir-coder bulk export/*.ndjson --out claims"))
@explained
def bulk(
    files: Annotated[list[Path], typer.Argument(help="HL7 v2 files, Bundles or NDJSON.", exists=True)],
    out: Annotated[Path, typer.Option(help="Folder for claims.ndjson, gaps.ndjson, messages.ndjson.")],
    config: Config = None,
) -> None:
    """Convert many files to claims on disk, by the same stages. Exit status 2 where something could not be read."""
    from fhir_coder.bulk.local import convert_files
    from fhir_coder.settings import load_settings

    summary = convert_files(files, out, load_settings(config))
    typer.echo(summary.text())
    if summary.unreadable:
        raise typer.Exit(2)
