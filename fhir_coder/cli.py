"""The commands: a thin skin over `app`. Every command says what it did and what to do next."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar

import typer

from fhir_coder import __version__
from fhir_coder.errors import FhirCoderError

P = ParamSpec("P")
R = TypeVar("R")


def _examples(*commands: str) -> str:
    """The examples at the end of a help text, each on a line of its own."""
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)


cli = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="FHIR/HL7 integration adapter: a raw HL7 v2 or FHIR feed in, coded and checked FHIR Claims at the payer.",
    epilog=_examples(
        "fhir-coder demo",
        "fhir-coder convert feed.hl7",
        "fhir-coder init site",
        "fhir-coder payer -c site/fhir-coder.toml",
        "fhir-coder serve -c site/fhir-coder.toml",
    ),
)
messages_cli = typer.Typer(no_args_is_help=True, help="Messages in the ledger.")
claims_cli = typer.Typer(no_args_is_help=True, help="Claims in the ledger.")
work_cli = typer.Typer(no_args_is_help=True, help="What waits for a person.")
tables_cli = typer.Typer(no_args_is_help=True, help="Mapping tables.")
edits_cli = typer.Typer(no_args_is_help=True, help="Claim edits.")
for name, sub in (
    ("messages", messages_cli),
    ("claims", claims_cli),
    ("work", work_cli),
    ("tables", tables_cli),
    ("edits", edits_cli),
):
    cli.add_typer(sub, name=name)

Config = Annotated[
    Path | None,
    typer.Option("-c", "--config", help="Settings; by default fhir-coder.toml of this folder, else the example site."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _explained(command: Callable[P, R]) -> Callable[P, R]:
    """Errors of the program's own tree end in their text and exit code, never in a traceback."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except FhirCoderError as error:
            typer.echo(f"fhir-coder: {error}", err=True)
            raise typer.Exit(error.exit_code) from None

    return run


def _print_json(value: Any) -> None:
    from fhir_coder.claims import to_bytes

    sys.stdout.buffer.write(to_bytes(value, indent=True) + b"\n")
    sys.stdout.flush()


def _app(config: Path | None) -> Any:
    from fhir_coder.app import App
    from fhir_coder.logs import configure_logs

    app = App.from_file(config)
    configure_logs(app.settings.log.format, "warning")
    return app


def _stored(config: Path | None) -> Any:
    """An app whose ledger is there already: looking makes no empty ledger."""
    app = _app(config)
    if not app.settings.store_path().is_file():
        raise FhirCoderError(f"no ledger at {app.settings.store_path()}: fhir-coder serve makes it")
    return app


@cli.callback(invoke_without_command=True)
def version_or_help(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    """Print the version."""
    if version:
        typer.echo(f"fhir-coder {__version__}")
        raise typer.Exit


@cli.command(
    epilog=_examples(
        "fhir-coder convert feed.hl7", "fhir-coder convert --json bundle.json", "cat m.hl7 | fhir-coder convert -"
    )
)
@_explained
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
    with _app(config) as app:
        conversion = app.convert(sources)
    if as_json:
        _print_json(conversion.to_json())
    else:
        typer.echo(conversion_text(conversion))
    for line in [*missing, *(f"{m.id}: unreadable: {m.reason}" for m in conversion.unreadable)]:
        typer.echo(line, err=True)
    if missing or conversion.unreadable:
        raise typer.Exit(2)


@cli.command(epilog=_examples("fhir-coder init site && fhir-coder serve -c site/fhir-coder.toml"))
@_explained
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


@cli.command(epilog=_examples("fhir-coder serve -c site/fhir-coder.toml"))
@_explained
def serve(config: Config = None) -> None:
    """Run feeds, workers and HTTP in one process until SIGINT or SIGTERM."""
    from fhir_coder.app import App
    from fhir_coder.logs import configure_logs
    from fhir_coder.server import announce_text
    from fhir_coder.server import serve as run

    with App.from_file(config) as app:
        configure_logs(app.settings.log.format, app.settings.log.level)
        run(app, lambda listeners: typer.echo(announce_text(app, listeners)))


@cli.command(
    epilog=_examples("fhir-coder payer --port 8090 --fault 503:1:retry-after=2 --fault drop-after-read:1:on=3")
)
@_explained
def payer(
    config: Config = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(help="Port to listen on, by default that of the settings' first payer on this host.")
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(help="Misbehave: NAME[:COUNT][:key=value...]; see docs/reference/sandbox-payer.md."),
    ] = None,
    pend_seconds: Annotated[float, typer.Option(help="Answer queued, and decide after so many seconds.")] = 0.0,
    store: Annotated[
        Path | None, typer.Option(help="Keep what it gets in this SQLite file; by default in memory.")
    ] = None,
) -> None:
    """Run the sandbox payer: a FHIR endpoint that validates, adjudicates, remembers, and misbehaves on demand."""
    import socket

    from fhir_coder.payers import sandbox
    from fhir_coder.settings import load_settings

    port = load_settings(config).local_payer_port() if port is None else port
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        raise FhirCoderError(f"{host}:{port} cannot be had: {error.strerror or error}") from None
    rules = sandbox.Rules(pend_seconds=pend_seconds)
    typer.echo(f"sandbox payer: http://{host}:{port}/fhir   what it holds: http://{host}:{port}/_sandbox/claims")
    sandbox.serve(host, port, faults=tuple(fault or ()), rules=rules, store_path=store)


@cli.command(epilog=_examples("fhir-coder send fixtures/covid/*.hl7 --to mllp://127.0.0.1:2575"))
@_explained
def send(
    files: Annotated[list[Path], typer.Argument(help="HL7 v2 files, of one or many messages.", exists=True)],
    config: Config = None,
    to: Annotated[str, typer.Option(help="mllp://HOST:PORT, by default the first MLLP feed of the settings.")] = "",
) -> None:
    """Send HL7 v2 messages over MLLP and print each acknowledgment. Exit status 1 where one was not accepted."""
    from fhir_coder.client import MllpClient, mllp_address
    from fhir_coder.intake.payloads import payloads_in
    from fhir_coder.settings import load_settings

    is_good = True
    with MllpClient(*mllp_address(to or load_settings(config).mllp_url())) as client:
        for path in files:
            for number, body in enumerate(payloads_in(path.read_bytes()), start=1):
                answer = client.send(body)
                is_good = is_good and answer.is_accepted
                said = "   ".join([f"{path}:{number}", answer.code, answer.control_id, *answer.errors])
                typer.echo(said)
    if not is_good:
        raise typer.Exit(1)


@cli.command(epilog=_examples("fhir-coder status -c site/fhir-coder.toml --json"))
@_explained
def status(config: Config = None, as_json: AsJson = False) -> None:
    """Counts by status, the oldest that waits, per feed and per payer."""
    from fhir_coder.screens import status_text
    from fhir_coder.store.counts import counts

    with _stored(config) as app, app.ledger.reading() as connection:
        counted = counts(connection)
    if as_json:
        _print_json(counted)
    else:
        typer.echo(status_text(counted))


@cli.command(epilog=_examples("fhir-coder check feed.hl7 --json"))
@_explained
def check(
    file: Annotated[Path, typer.Argument(help="A file of HL7 v2 messages.", exists=True, dir_okay=False)],
    config: Config = None,
    version: Annotated[str | None, typer.Option(help="HL7 version to check against, by default MSH-12.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check HL7 v2 messages against the standard. Exit status 0 clean, 1 something rejects, 2 unreadable."""
    from fhir_coder.conformance_check import check_file
    from fhir_coder.screens import listing
    from fhir_coder.settings import load_settings

    load_settings(config)  # faults of the settings show here as everywhere
    checked = check_file(file, version)
    if as_json:
        _print_json({"file": str(file), "messages": [c.to_json() for c in checked.messages]})
    else:
        rows = [[c.id, f.severity.value, f.path, f.text] for c in checked.messages for f in c.findings]
        if rows or checked.messages:
            typer.echo(listing(["message", "severity", "where", "rule"], rows) if rows else "nothing found")
    for line in checked.unreadable:
        typer.echo(line, err=True)
    if checked.exit_status:
        raise typer.Exit(checked.exit_status)


@cli.command(epilog=_examples("fhir-coder replay fixtures", "fhir-coder replay fixtures/covid --junit replay.xml"))
@_explained
def replay(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Scenario folders, or folders of them; by default the shipped ones.")
    ] = None,
    config: Config = None,
    expect: Annotated[
        Path | None, typer.Option(help="Folder of expected results, by default beside the messages.")
    ] = None,
    update: Annotated[bool, typer.Option(help="Write what came as what is expected.")] = False,
    junit: Annotated[Path | None, typer.Option(help="Write a JUnit report to this file.")] = None,
) -> None:
    """Send fixture scenarios through the real intake and compare claims and answers with what is expected."""
    from fhir_coder.replay import replay_all
    from fhir_coder.settings import load_settings
    from fhir_coder.shipped import shipped

    results = replay_all(
        paths or [shipped("fixtures")], load_settings(config), expect=expect, update=update, say=typer.echo
    )
    if junit:
        junit.write_text(results.junit(), encoding="utf-8")
    typer.echo(results.summary())
    if not results.is_good:
        raise typer.Exit(1)


@cli.command(epilog=_examples("fhir-coder demo", "fhir-coder demo --kill --keep trial"))
@_explained
def demo(
    config: Config = None,
    keep: Annotated[Path | None, typer.Option(help="Keep settings, ledger and logs in this folder.")] = None,
    kill: Annotated[bool, typer.Option("--kill", help="Kill the adapter in the middle and start it again.")] = False,
) -> None:
    """Run the main job on the shipped scenarios: sandbox payer and adapter as processes, messages in, answers out."""
    from fhir_coder.demo import run_demo
    from fhir_coder.settings import example_settings, load_settings

    raise typer.Exit(run_demo(load_settings(config) if config else example_settings(), keep, kill))


@cli.command(epilog=_examples("fhir-coder bulk export/*.ndjson --out claims"))
@_explained
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


@messages_cli.command("list", epilog=_examples("fhir-coder messages list --status quarantined"))
@_explained
def messages_list(
    config: Config = None,
    status: Annotated[str, typer.Option(help="Only this status.")] = "",
    limit: Annotated[int, typer.Option(help="How many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Messages, newest first."""
    from fhir_coder.queries import list_messages

    columns = ["id", "received_at", "feed", "format", "type", "control_id", "status", "reason"]
    _list(list_messages, columns, (config, status, limit), as_json)


@messages_cli.command("show", epilog=_examples("fhir-coder messages show LK000101"))
@_explained
def messages_show(
    message: Annotated[str, typer.Argument(help="A message's id or control id.")], config: Config = None
) -> None:
    """A message as received, with what became of it."""
    from fhir_coder.queries import message_story
    from fhir_coder.screens import message_text

    with _stored(config) as app:
        typer.echo(message_text(message_story(app.ledger, message)))


@claims_cli.command("list", epilog=_examples("fhir-coder claims list --status held"))
@_explained
def claims_list(
    config: Config = None,
    status: Annotated[str, typer.Option(help="Only this status.")] = "",
    limit: Annotated[int, typer.Option(help="How many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Claims, newest first."""
    from fhir_coder.queries import list_claims

    columns = ["identifier", "chart_key", "payer", "revision", "currency", "total", "status", "hold", "updated_at"]
    _list(list_claims, columns, (config, status, limit), as_json)


@claims_cli.command(
    "show",
    epilog=_examples("fhir-coder claims show CLM-ZSAAYCSU6X36-1", "fhir-coder claims show LAKESHORE/VN/VN-1001 --fhir"),
)
@_explained
def claims_show(
    claim: Annotated[str, typer.Argument(help="A claim's identifier, or its chart key.")],
    config: Config = None,
    fhir: Annotated[bool, typer.Option("--fhir", help="Print the FHIR Claim as it is sent.")] = False,
) -> None:
    """A claim with the story of every code, its attempts and the payer's answer."""
    from fhir_coder.queries import claim_story
    from fhir_coder.screens import stored_claim_text

    with _stored(config) as app:
        story = claim_story(app.ledger, claim)
    if fhir:
        sys.stdout.buffer.write(story.row.body + b"\n")
    else:
        typer.echo(stored_claim_text(story.row, story.attempts, story.events))


@claims_cli.command("resubmit", epilog=_examples("fhir-coder claims resubmit CLM-ZSAAYCSU6X36-1"))
@_explained
def claims_resubmit(
    claim: Annotated[str, typer.Argument(help="A claim's identifier, or its chart key.")], config: Config = None
) -> None:
    """Send a refused claim again unchanged, or look a parked one up again. A running service takes it at once."""
    from fhir_coder.queries import resubmit

    with _stored(config) as app:
        typer.echo(f"{claim}: {resubmit(app.ledger, claim, 'command line')}")


@work_cli.command("list", epilog=_examples("fhir-coder work list --json"))
@_explained
def work_list(config: Config = None, as_json: AsJson = False) -> None:
    """Open work items, oldest first."""
    from fhir_coder.worklist import list_open

    columns = ["id", "kind", "chart_key", "reason", "text", "opened_at"]
    _list(lambda ledger, _status, limit: list_open(ledger, limit), columns, (config, "", 200), as_json)


@work_cli.command("close", epilog=_examples("fhir-coder work close 3 --why 'the sender sent it again'"))
@_explained
def work_close(
    item: Annotated[int, typer.Argument(help="A work item's number.")],
    why: Annotated[str, typer.Option(help="Why it is done; kept with the event.")],
    config: Config = None,
) -> None:
    """Close a work item that a person has settled outside. Gaps and findings close by themselves with their cause."""
    from fhir_coder.worklist import close

    with _stored(config) as app:
        close(app.ledger, item, why, "command line")
    typer.echo(f"work item {item} is closed")


@tables_cli.command("list", epilog=_examples("fhir-coder tables list"))
@_explained
def tables_list(config: Config = None) -> None:
    """The mapping tables in use, the layer that wins first."""
    from fhir_coder.screens import listing

    with _app(config) as app:
        rows = [[t.id, t.kind, t.rows, t.version, t.layer, t.licence] for t in app.tables.describe()]
    typer.echo(listing(["table", "kind", "rows", "version", "layer", "licence"], rows))


@tables_cli.command("check", epilog=_examples("fhir-coder tables check -c site/fhir-coder.toml"))
@_explained
def tables_check(config: Config = None) -> None:
    """Check every table: all faults with file and line. Exit status 2 where there is one."""
    from datetime import date

    from fhir_coder.shipped import shipped
    from fhir_coder.terminology import check_tables, open_codesets

    with _app(config) as app, open_codesets(shipped("mappings") / "codesets") as code_sets:
        faults = check_tables(app.settings.table_folders(), code_sets, date.today())
    for fault in faults:
        typer.echo(str(fault), err=True)
    if faults:
        raise typer.Exit(2)
    typer.echo("no fault found")


@edits_cli.command("list", epilog=_examples("fhir-coder edits list"))
@_explained
def edits_list(config: Config = None) -> None:
    """Every edit: id, severity, title, advice."""
    from fhir_coder.settings import load_settings

    load_settings(config)
    from fhir_coder.claims.model_check import MODEL_ADVICE, MODEL_EDIT
    from fhir_coder.edits import EDITS
    from fhir_coder.edits.structure import STRUCTURE_ADVICE
    from fhir_coder.screens import listing

    rows = [[e.id, e.severity.value, e.title, e.advice] for e in EDITS]
    rows += [[edit, "reject", "Structure of the claim", advice] for edit, advice in STRUCTURE_ADVICE.items()]
    rows.append([MODEL_EDIT, "reject", "Model of the standard", MODEL_ADVICE])
    typer.echo(listing(["edit", "severity", "title", "what to do"], rows))


def _list(
    query: Callable[..., list[Any]], columns: list[str], asked: tuple[Path | None, str, int], as_json: bool
) -> None:
    from fhir_coder.screens import listing

    config, status, limit = asked
    with _stored(config) as app:
        rows = query(app.ledger, status, limit)
    if as_json:
        _print_json([{c: _plain(getattr(r, c)) for c in columns} for r in rows])
    else:
        typer.echo(listing(columns, [[getattr(r, c) for c in columns] for r in rows]) if rows else "none")


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value


def main() -> None:
    """The entry point of `fhir-coder`."""
    cli()
