"""Commands that set up and run the service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fhir_coder.cli.common import AsJson, Config, examples, explained, print_json, stored_app
from fhir_coder.errors import FhirCoderError

service_cli = typer.Typer()


@service_cli.command(epilog=examples("fhir-coder init site && fhir-coder serve -c site/fhir-coder.toml"))
@explained
def init(folder: Annotated[Path, typer.Argument(help="Where to write; made where it is missing.")]) -> None:
    """Write commented settings and the example site's tables, ready to run. Never overwrites."""
    import shutil

    from fhir_coder.shipped import EXAMPLE_SETTINGS, EXAMPLE_TABLES, shipped

    target = folder / "fhir-coder.toml"
    if target.exists() or (folder / "mappings").exists():
        raise FhirCoderError(f"{folder} has settings or mappings already: nothing was written")
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(shipped("mappings") / EXAMPLE_TABLES, folder / "mappings")
    (folder / "in").mkdir(exist_ok=True)
    shutil.copyfile(EXAMPLE_SETTINGS, target)
    typer.echo(f"wrote {target} and {folder / 'mappings'}")
    typer.echo("next, each in a terminal of its own:")
    typer.echo("  fhir-coder payer                                          the sandbox payer on port 8090")
    typer.echo(f"  fhir-coder serve -c {target}")
    typer.echo("  fhir-coder send FILE.hl7 --to mllp://127.0.0.1:2575")


@service_cli.command(epilog=examples("fhir-coder serve -c site/fhir-coder.toml"))
@explained
def serve(config: Config = None) -> None:
    """Run feeds and HTTP, with the workers in a process of their own, until SIGINT or SIGTERM."""
    from fhir_coder.measures import shared_folder
    from fhir_coder.supervisor import WorkerProcess

    with shared_folder(), WorkerProcess() as workers:  # it loads while this process does
        from fhir_coder.app import App
        from fhir_coder.logs import configure_logs
        from fhir_coder.server import announce_text
        from fhir_coder.server import serve as run

        with App.from_file(config) as app:
            workers.configure(app.settings)
            configure_logs(app.settings.log.format, app.settings.log.level)
            run(app, workers, lambda listeners, loaded: typer.echo(announce_text(app.settings, listeners, loaded)))


@service_cli.command(epilog=examples("fhir-coder status -c site/fhir-coder.toml --json"))
@explained
def status(config: Config = None, as_json: AsJson = False) -> None:
    """Counts by status, the oldest that waits, per feed and per payer."""
    from fhir_coder.screens import status_text
    from fhir_coder.store.counts import counts

    with stored_app(config) as app, app.ledger.reading() as connection:
        counted = counts(connection)
    if as_json:
        print_json(counted)
    else:
        typer.echo(status_text(counted))
