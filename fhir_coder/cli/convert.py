"""Commands over files: no ledger, no network."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from fhir_coder.cli.common import AsJson, Config, day_of, examples, explained, open_app, print_json
from fhir_coder.errors import FhirCoderError, UsageError

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


@convert_cli.command(
    epilog=examples(
        "fhir-coder bulk export/*.ndjson --out claims",
        "fhir-coder bulk archive-2026.tar.gz messages.zip --out claims --gzip",
        "fhir-coder bulk export --out claims -c site/fhir-coder.toml --jobs 8 --memory 4GB",
    )
)
@explained
def bulk(
    files: Annotated[
        list[Path],
        typer.Argument(help="HL7 v2 files, Bundles, NDJSON, Parquet; gzip, zip and tar of them; folders."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for claims, gaps, findings and the summary.")],
    *,
    config: Config = None,
    jobs: Annotated[int, typer.Option(min=0, help="Processes, by default one for each core.")] = 0,
    memory: Annotated[str, typer.Option(help="What grouping may take; more is done on the disk.")] = "1GB",
    gzip: Annotated[bool, typer.Option("--gzip", help="Write claims.ndjson.gz.")] = False,
    created: Annotated[str, typer.Option(metavar="DAY", help="Claim.created, by default today.")] = "",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Begin anew in a folder that holds a run.")] = False,
    as_json: AsJson = False,
) -> None:
    """Convert files of any size to claims on disk, by the same stages. Killed in the middle, the same command goes on.

    Exit status 1 where a visit failed, 2 where something could not be read.
    """
    from fhir_coder.bulk.page import summary_text
    from fhir_coder.bulk.run import BulkOptions, convert_files

    day = day_of(created, "--created") if created else None
    options = BulkOptions(jobs, memory, gzip, overwrite, day, sys.stderr)
    with open_app(config) as app, stopped_gently(out):
        summary = convert_files(files, out, app, options)
    if as_json:
        print_json(summary.to_json())
    else:
        typer.echo(summary_text(summary))
    if summary.unreadable or summary.tally.failed:
        raise typer.Exit(2 if summary.unreadable else 1)


@contextmanager
def stopped_gently(out: Path) -> Iterator[None]:
    """Ctrl-C, or a disk that is full, ends a long run with what to do next."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("\nstopped: the same command goes on from here", err=True)
        raise typer.Exit(130) from None
    except OSError as error:
        raise FhirCoderError(f"{error.filename or out}: {error.strerror}: the same command goes on") from None
