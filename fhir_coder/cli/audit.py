"""Commands over the audit trail: who saw what, whether it is whole, and as FHIR AuditEvents."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from fhir_coder.cli.common import AsJson, Config, examples, explained, moment, os_user, print_json, stored_app
from fhir_coder.errors import FhirCoderError

audit_cli = typer.Typer(no_args_is_help=True, help="The audit trail: who saw which message, claim or chart.")


@audit_cli.command(
    "list",
    epilog=examples("fhir-coder audit list --since 3d", "fhir-coder audit list --record LAKESHORE/VN/VN-1001 --json"),
)
@explained
def audit_list(
    *,
    config: Config = None,
    actor: Annotated[str, typer.Option("--actor", help="Only what this person did.")] = "",
    record: Annotated[str, typer.Option("--record", help="Only about this record: an id or a chart key.")] = "",
    since: Annotated[str, typer.Option("--since", help="At this time or later: ISO 8601, or 2h, 3d.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Who saw or took out what, newest first."""
    from fhir_coder.screens import listing
    from fhir_coder.store import audit

    at = moment("--since", since)
    with stored_app(config) as app, app.ledger.reading() as connection:
        found = audit.latest(connection, limit, actor=actor, subject_id=record, since=at)
    if as_json:
        print_json([{"id": one.id, "at": one.at.isoformat(), **asdict(one.entry), "hash": one.hash} for one in found])
        return
    rows = [[one.id, one.at, *asdict(one.entry).values()] for one in found]
    typer.echo(listing(["id", "at", "actor", "action", "subject", "record", "shown"], rows) if rows else "none")


@audit_cli.command(
    "verify", epilog=examples("fhir-coder audit verify", "fhir-coder audit verify --head $(cat last-head)")
)
@explained
def audit_verify(
    config: Config = None,
    head: Annotated[str, typer.Option("--head", help="A hash that verify printed before, kept elsewhere.")] = "",
) -> None:
    """Whether the trail is whole: no entry changed, taken out or put in. Exit status 1 where it is not.

    Print the head now and then and keep it on another machine: with --head, entries cut off since are found too.
    """
    from fhir_coder.store import audit

    with stored_app(config) as app, app.ledger.reading() as connection:
        trail = audit.verify(connection, head)
    if trail.broken is not None:
        raise FhirCoderError(f"the trail is broken at entry {trail.broken}: it, or what stood there, was changed")
    if not trail.has_known:
        raise FhirCoderError("no entry has the hash of --head: the trail was cut off, or made anew")
    typer.echo(f"{trail.entries} entries, whole\nhead {trail.head}")


@audit_cli.command("export", epilog=examples("fhir-coder audit export > audit.ndjson"))
@explained
def audit_export(
    config: Config = None,
    out: Annotated[Path | None, typer.Option("--out", help="A file; by default what is printed.")] = None,
    after: Annotated[int, typer.Option("--after", min=0, help="Only entries after this number.")] = 0,
) -> None:
    """Write the trail as FHIR R4 AuditEvents, one a line. That it was is an entry itself."""
    import orjson

    from fhir_coder.audit_events import audit_event
    from fhir_coder.store import audit

    with stored_app(config) as app:
        with app.ledger.writing() as connection:
            audit.append(connection, audit.Entry(os_user(), audit.EXECUTE, "audit", "", "export"), app.ledger.clock())
        try:
            with out.open("wb") if out else nullcontext(sys.stdout.buffer) as stream:
                with app.ledger.reading() as connection:
                    stream.writelines(
                        orjson.dumps(audit_event(one)) + b"\n" for one in audit.entries(connection, after)
                    )
                stream.flush()
        except OSError as error:
            raise FhirCoderError(f"{out or 'standard output'}: {error.strerror}") from None
