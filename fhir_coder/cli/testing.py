"""Commands for testers: the sandbox payer, an MLLP client, replay and the demo."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from fhir_coder.cli.common import Config, examples, explained
from fhir_coder.errors import FhirCoderError, UsageError

testing_cli = typer.Typer()


@testing_cli.command(
    epilog=examples("fhir-coder payer --port 8090 --fault 503:1:retry-after=2 --fault drop-after-read:1:on=3")
)
@explained
def payer(
    *,
    config: Config = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(help="Port to listen on, by default that of the settings' first payer on this host.")
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(help="Misbehave: NAME[:COUNT][:key=value...]; see docs/reference/sandbox-payer.md."),
    ] = None,
    profile: Annotated[str, typer.Option(help="Speak as a payer of this profile does: base or davinci-pas.")] = "base",
    rules: Annotated[
        Path | None, typer.Option(help="Decide by this file (TOML); see docs/reference/sandbox-payer.md.")
    ] = None,
    pend_seconds: Annotated[
        float | None, typer.Option(help="Answer queued, and decide after so many seconds.", min=0.0)
    ] = None,
    store: Annotated[
        Path | None, typer.Option(help="Keep what it gets in this SQLite file; by default in memory.")
    ] = None,
    tls: Annotated[
        tuple[Path, Path] | None,
        typer.Option(help="Speak TLS with this certificate and key (PEM).", metavar="CERT KEY"),
    ] = None,
    client_ca: Annotated[
        Path | None, typer.Option(help="With --tls: ask for client certificates of this authority (PEM).")
    ] = None,
) -> None:
    """Run the sandbox payer: a FHIR endpoint that validates, adjudicates, remembers, and misbehaves on demand."""
    from fhir_coder.payers import sandbox
    from fhir_coder.settings import load_settings

    if profile not in sandbox.DIALECTS:
        raise UsageError(f"--profile is one of {', '.join(sandbox.DIALECTS)}")
    if client_ca and not tls:
        raise UsageError("--client-ca needs --tls")
    port = load_settings(config).local_payer_port() if port is None else port
    _check_free(host, port)
    in_force = sandbox.read_rules(rules) if rules else sandbox.Rules()
    if pend_seconds is not None:
        in_force = replace(in_force, pend_seconds=pend_seconds)
    app = sandbox.create_app(faults=tuple(fault or ()), rules=in_force, store_path=store, profile=profile)
    files = sandbox.TlsFiles(*tls, client_ca) if tls else None
    server = sandbox.server_of(app, host, port, files)
    base = f"http{'s' if tls else ''}://{host}:{port}"
    typer.echo(f"sandbox payer: {base}/fhir   what it holds: {base}/_sandbox/")
    server.run()


def _check_free(host: str, port: int) -> None:
    import socket

    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        raise FhirCoderError(f"{host}:{port} cannot be had: {error.strerror or error}") from None


@testing_cli.command(
    epilog=examples(
        "fhir-coder send fixtures/covid/*.hl7 --to mllp://127.0.0.1:2575",
        "fhir-coder send night.hl7 --whole --to mllps://hospital.example:2575 --ca ca.pem --cert me.pem --key me.key",
    )
)
@explained
def send(
    files: Annotated[list[Path], typer.Argument(help="HL7 v2 files, of one or many messages.", exists=True)],
    *,
    config: Config = None,
    to: Annotated[
        str,
        typer.Option(help="mllp://HOST:PORT, with TLS mllps://HOST:PORT; by default the settings' first MLLP feed."),
    ] = "",
    whole: Annotated[bool, typer.Option("--whole", help="Send each file as one frame: a batch stays a batch.")] = False,
    ca: Annotated[
        Path | None, typer.Option(help="TLS: certificates to trust (PEM), by default the system's.", exists=True)
    ] = None,
    cert: Annotated[Path | None, typer.Option(help="TLS: certificate to show (PEM).", exists=True)] = None,
    key: Annotated[Path | None, typer.Option(help="TLS: its key (PEM).", exists=True)] = None,
) -> None:
    """Send HL7 v2 messages over MLLP and print each acknowledgment. Exit status 1 where one was not accepted."""
    from fhir_coder.client import NONE_ASKED, MllpClient, client_tls, mllp_address
    from fhir_coder.intake.groups import file_bytes
    from fhir_coder.intake.payloads import payloads_in
    from fhir_coder.settings import load_settings

    is_good = True
    address = mllp_address(to or load_settings(config).mllp_url())
    if address.scheme == "mllp" and (ca or cert or key):
        raise FhirCoderError("--ca, --cert and --key need an address mllps://HOST:PORT")
    if key and not cert:
        raise FhirCoderError("--key needs --cert")
    tls = client_tls(ca, cert, key) if address.scheme == "mllps" else None
    with MllpClient(address.host, address.port, tls=tls) as client:
        for path in files:
            data = file_bytes(path)
            answers = client.send_whole(data) or [NONE_ASKED] if whole else client.send_all(payloads_in(data))
            for number, answer in enumerate(answers, start=1):
                is_good = is_good and answer.is_accepted
                said = (f"{path}:{number}", answer.code, answer.control_id, *answer.errors)
                typer.echo("   ".join(filter(None, said)))
    if not is_good:
        raise typer.Exit(1)


@testing_cli.command(
    epilog=examples("fhir-coder replay fixtures", "fhir-coder replay fixtures/covid --junit replay.xml")
)
@explained
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


@testing_cli.command(epilog=examples("fhir-coder demo", "fhir-coder demo --kill --keep trial"))
@explained
def demo(
    config: Config = None,
    keep: Annotated[Path | None, typer.Option(help="Keep settings, ledger and logs in this folder.")] = None,
    kill: Annotated[bool, typer.Option("--kill", help="Kill the adapter in the middle and start it again.")] = False,
) -> None:
    """Run the main job on the shipped scenarios: sandbox payer and adapter as processes, messages in, answers out."""
    from fhir_coder.demo import run_demo
    from fhir_coder.settings import example_settings, load_settings

    raise typer.Exit(run_demo(load_settings(config) if config else example_settings(), keep, kill))
