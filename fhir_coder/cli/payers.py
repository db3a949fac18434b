"""Commands over payers: what is configured, whether an endpoint works, and the keys that sign for us."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fhir_coder.cli.common import (
    AsJson,
    Config,
    examples,
    explained,
    open_app,
    print_json,
    print_list,
    status_option,
    stored_app,
)
from fhir_coder.model import AnswerStatus

if TYPE_CHECKING:
    from fhir_coder.payers.handshake import Step

payers_cli = typer.Typer(no_args_is_help=True, help="Payers: endpoints, access and keys.")

_NARROW = 21
"""Columns in front of what a step found."""


@payers_cli.command("list", epilog=examples("fhir-coder payers list -c site/fhir-coder.toml"))
@explained
def payers_list(config: Config = None, as_json: AsJson = False) -> None:
    """The payers of the settings, who we are for them, and whether claims go to them."""
    from fhir_coder.screens import listing

    with open_app(config) as app:
        states = _states(app)
        rows = [
            {
                "payer": p.name,
                "profile": p.profile,
                "url": p.url,
                "auth": p.auth,
                "tls": _tls(p),
                "state": states.get(p.name, "up"),
            }
            for p in app.settings.payers
        ]
    if as_json:
        print_json(rows)
    elif rows:
        typer.echo(listing(list(rows[0]), [list(row.values()) for row in rows]))
    else:
        typer.echo("none")


def _states(app: Any) -> dict[str, str]:
    """What is known of each payer that ever failed; nothing where there is no ledger yet."""
    if not app.settings.store_path().is_file():
        return {}
    from fhir_coder.store import breakers

    with app.ledger.reading() as connection:
        return {name: one.state.value for name, one in breakers.of_all(connection).items()}


def _tls(payer: Any) -> str:
    if not payer.url.startswith("https:"):
        return "none"
    own = ["client certificate"] if payer.tls_cert else []
    return ", ".join([f"{payer.tls_minimum}+", *own])


@payers_cli.command(
    "test",
    epilog=examples(
        "fhir-coder payers test acme -c site/fhir-coder.toml",
        "fhir-coder payers test acme --json -c site/fhir-coder.toml",
    ),
)
@explained
def payers_test(
    name: Annotated[str, typer.Argument(help="A payer of the settings.")],
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Try a payer's endpoint step by step: DNS, TCP, TLS, token, metadata, a sample claim where it can be validated.

    Nothing is filed at the payer. Exit status 1 where a step failed.
    """
    from fhir_coder.payers.handshake import is_passed, shake_hands

    with open_app(config) as app:
        payer = app.settings.payer(name)
    done = []
    for step in shake_hands(payer):
        done.append(step)
        if not as_json:
            typer.echo(_line(step))
    passed = is_passed(done)
    if as_json:
        print_json({"payer": name, "passed": passed, "steps": [asdict(step) for step in done]})
    else:
        typer.echo(f"{name}: {'claims can be sent' if passed else 'claims cannot be sent yet'}")
    if not passed:
        raise typer.Exit(1)


def _line(step: Step) -> str:
    advice = f"\n{'':{_NARROW}}{step.advice}" if step.advice else ""
    return f"{step.name:10} {step.status.value:9} {step.text}{advice}"


@payers_cli.command(
    "answers",
    epilog=examples(
        "fhir-coder payers answers --status kept -c site/fhir-coder.toml",
        "fhir-coder payers answers 01M85T5X6QH98QXZWYAMZSVVN2",
    ),
)
@explained
def payers_answers(
    answer: Annotated[str, typer.Argument(help="The id of one answer: print what the payer sent.")] = "",
    config: Config = None,
    status: Annotated[Any, status_option(AnswerStatus)] = None,
    limit: Annotated[int, typer.Option(help="How many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """What payers sent unasked, newest first: decisions called back, and notifications of Subscriptions."""
    from fhir_coder.queries import answer_body, list_answers

    if answer:
        with stored_app(config) as app:
            sys.stdout.buffer.write(answer_body(app.ledger, answer) + b"\n")
        return
    columns = ["id", "payer", "received_at", "status", "reason"]
    print_list(list_answers, columns, (config, status or "", limit), as_json)


@payers_cli.command(
    "keys",
    epilog=examples(
        "fhir-coder payers keys site/keys.json --add ES384",
        "fhir-coder payers keys site/keys.json --use 3f1c9a0b5d2e4718",
        "fhir-coder payers keys site/keys.json",
    ),
)
@explained
def payers_keys(
    file: Annotated[Path, typer.Argument(help="A JWK Set of private keys, what key_file names. --add makes it.")],
    add: Annotated[str, typer.Option(help="Add a key, ES384 or RS384: published at once, not signing yet.")] = "",
    use: Annotated[str, typer.Option(help="Let the key of this id sign from now on.")] = "",
    drop: Annotated[str, typer.Option(help="Remove the key of this id.")] = "",
    as_json: AsJson = False,
) -> None:
    """List or rotate the keys that sign for us (auth = "smart"). A service that runs needs no restart."""
    from fhir_coder.errors import UsageError
    from fhir_coder.payers.keys import ALGORITHMS, KeySet

    if add and add not in ALGORITHMS:
        raise UsageError(f"--add: it is one of {', '.join(ALGORITHMS)}")
    if not (add or file.exists()):
        raise UsageError(f"{file}: there is no such file; --add ES384 makes it")
    keys = KeySet(file)
    if add:
        keys.add(add)
    if use:
        keys.use(use)
    if drop:
        keys.drop(drop)
    _print_keys([(key.id, key.algorithm) for key in keys.listed()], as_json)


def _print_keys(keys: list[tuple[str, str]], as_json: bool) -> None:
    from fhir_coder.screens import listing

    rows = [[name, algorithm, "signs" if place == 0 else "published"] for place, (name, algorithm) in enumerate(keys)]
    columns = ["key", "algorithm", "use"]
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        typer.echo(listing(columns, rows) if rows else "none")


@payers_cli.command(
    "subscribe",
    epilog=examples("fhir-coder payers subscribe acme-pas --to https://us.example/payers/acme-pas/notifications"),
)
@explained
def payers_subscribe(
    name: Annotated[str, typer.Argument(help="A payer of the settings, of profile davinci-pas.")],
    to: Annotated[str, typer.Option(help="Where the payer reaches /payers/NAME/notifications of this service.")],
    config: Config = None,
) -> None:
    """Have a payer post its decisions on pended requests to this service: a Subscription, one however often asked for.

    Exit status 1 where the payer does not take it: requests are asked after all the same.
    """
    from fhir_coder.app import payer_line
    from fhir_coder.model import OutcomeKind
    from fhir_coder.payers.davinci_pas.subscription import subscription

    with open_app(config) as app:
        payer, site = app.settings.payer(name), app.settings.site
    _refuse_subscription(payer, site.npi, to)
    client = payer_line(payer).client
    outcome = client.subscribe(subscription(site.npi, to, payer.notify_token()), to)
    client.close()
    status = f"{outcome.http_status} " if outcome.http_status else ""
    if outcome.kind is not OutcomeKind.TAKEN:
        typer.echo(f"{name}: not subscribed: {status}{outcome.reason}")
        raise typer.Exit(1)
    typer.echo(f"{name}: subscribed{f' ({outcome.reference})' if outcome.reference else ''}")


def _refuse_subscription(payer: Any, npi: str, to: str) -> None:
    """Raise UsageError for what cannot be subscribed to, or would show a secret on the way."""
    from fhir_coder.errors import UsageError
    from fhir_coder.settings.access import is_guarded

    if payer.profile != "davinci-pas":
        raise UsageError(f"{payer.name} is of profile {payer.profile}: only davinci-pas has decisions that are pended")
    if not payer.notify_token():
        raise UsageError(f"{payer.name} has no notify_token_env or notify_token_file: nobody may post to us")
    if not npi:
        raise UsageError("[site] has no npi: the payer would not know whose requests are meant")
    if not to.startswith(("https://", "http://")) or not is_guarded(to):
        raise UsageError("--to: an https:// address, or http:// on this machine: a token is shown there")
