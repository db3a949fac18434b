"""The commands: a thin skin over `app`. Every command says what it did and what to do next.

To add a command: write it in the module of its kind. A new group is one module and one row below.
"""

from __future__ import annotations

from typing import Annotated

import typer

from fhir_coder import __version__
from fhir_coder.cli.audit import audit_cli
from fhir_coder.cli.charts import charts_cli
from fhir_coder.cli.claims import claims_cli
from fhir_coder.cli.codes import codes_cli
from fhir_coder.cli.common import examples
from fhir_coder.cli.convert import convert_cli
from fhir_coder.cli.feeds import feeds_cli
from fhir_coder.cli.gaps import gaps_cli
from fhir_coder.cli.messages import messages_cli
from fhir_coder.cli.operations import operations_cli
from fhir_coder.cli.payers import payers_cli
from fhir_coder.cli.reports import reports_cli
from fhir_coder.cli.rules import edits_cli, tables_cli
from fhir_coder.cli.service import service_cli
from fhir_coder.cli.terminology import terminology_cli
from fhir_coder.cli.testing import testing_cli
from fhir_coder.cli.versions import versions_cli
from fhir_coder.cli.work import work_cli

cli = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="FHIR/HL7 integration adapter: a raw HL7 v2 or FHIR feed in, coded and checked FHIR Claims at the payer.",
    epilog=examples(
        "fhir-coder demo",
        "fhir-coder convert feed.hl7",
        "fhir-coder init site",
        "fhir-coder payer -c site/fhir-coder.toml",
        "fhir-coder serve -c site/fhir-coder.toml",
    ),
)
for group in (convert_cli, service_cli, operations_cli, testing_cli, terminology_cli, reports_cli):
    cli.registered_commands += group.registered_commands
tables_cli.registered_commands += gaps_cli.registered_commands + versions_cli.registered_commands
for name, group in (
    ("feeds", feeds_cli),
    ("messages", messages_cli),
    ("charts", charts_cli),
    ("claims", claims_cli),
    ("payers", payers_cli),
    ("work", work_cli),
    ("tables", tables_cli),
    ("codes", codes_cli),
    ("edits", edits_cli),
    ("audit", audit_cli),
):
    cli.add_typer(group, name=name)


@cli.callback(invoke_without_command=True)
def version_or_help(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    """Print the version."""
    if version:
        typer.echo(f"fhir-coder {__version__}")
        raise typer.Exit


def main() -> None:
    """The entry point of `fhir-coder`."""
    cli()
