"""Commands over terminology: one code translated, tables imported and exported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from fhir_coder.cli.common import (
    AsJson,
    Config,
    day_of,
    examples,
    explained,
    open_app,
    os_user,
    print_json,
    site_folder,
)
from fhir_coder.cli.rules import tables_cli
from fhir_coder.errors import FhirCoderError

terminology_cli = typer.Typer()


@terminology_cli.command(
    "translate",
    epilog=examples(
        "fhir-coder translate --system sct --code 840539006",
        "fhir-coder translate --system sct --code 38341003 --age 10d --date 2026-11-03 --json",
    ),
)
@explained
def translate_code(
    *,
    system: Annotated[str, typer.Option(help="The code's system: sct, cvx, icd9cm, local ... or its URI.")],
    code: Annotated[str, typer.Option(help="The code.")],
    sex: Annotated[str, typer.Option(help="female or male.")] = "",
    age: Annotated[str, typer.Option(help="Age on the date of service: 70 (years), 3m, 10d.")] = "",
    on: Annotated[str, typer.Option("--date", help="Date of service (2026-01-31); by default today.")] = "",
    encounter_class: Annotated[str, typer.Option("--class", help="Class of the visit: AMB, EMER, IMP ...")] = "",
    payer: Annotated[str, typer.Option(help="Name of the payer.")] = "",
    recorded: Annotated[str, typer.Option("--with", help="Further codes of the chart: CODE,... or SYSTEM|CODE.")] = "",
    setting: Annotated[str, typer.Option(help="CMS place of service code.")] = "",
    feed: Annotated[str, typer.Option(help="Name of the feed.")] = "",
    laterality: Annotated[str, typer.Option(help="left, right or bilateral.")] = "",
    use: Annotated[str, typer.Option(help="principal or secondary, of a diagnosis.")] = "",
    episode: Annotated[str, typer.Option(help="Episode of care: A, D or S; by default that of the class.")] = "",
    kind: Annotated[str, typer.Option(help="Kind of table to ask; by default the first that has the code.")] = "",
    table: Annotated[str, typer.Option(help="Id of the one table to ask, of any kind.")] = "",
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Translate one code: the billing codes with table, row and version, or why there is none."""
    from fhir_coder.model import Coding
    from fhir_coder.terminology.question import UnclearError, read_question, read_system
    from fhir_coder.terminology.translate import translate

    said = {"sex": sex, "age": age, "date": on, "class": encounter_class, "payer": payer, "setting": setting}
    said |= {"feed": feed, "laterality": laterality, "use": use, "episode": episode, "kind": kind}
    with open_app(config) as app:
        try:
            source = read_system(system)
            with_codes, names = recorded.split(","), app.settings.names()
            asked = read_question(app.tables, source, said, with_codes, date.today(), names)
        except UnclearError as error:
            raise FhirCoderError(f"--{error.name}: {error.rule}") from None
        found = translate(_asked_tables(app.tables, table), Coding(source, code.strip()), asked.context, asked.kind)
    if as_json:
        print_json(found.as_json())
    else:
        typer.echo(_told(found))


def _asked_tables(tables: Any, name: str) -> Any:
    """All tables, or the one that is named. Raises FhirCoderError."""
    if name and tables.table(name) is None:
        raise FhirCoderError("--table: no table has this id: fhir-coder tables list")
    return tables.only(name) if name else tables


def _one_of(option: str, word: str, words: tuple[str, ...]) -> None:
    if word and word not in words:
        raise FhirCoderError(f"{option}: write {', '.join(words[:-1])} or {words[-1]}")


def _told(found: Any) -> str:
    from fhir_coder.model import SYSTEM_TITLES
    from fhir_coder.screens import listing

    if found.gap:
        return f"gap  {found.gap.reason}: {found.gap.text}"
    if found.is_not_billable:
        trace = found.choices[0].trace
        return (
            f"not billable   {trace.table} row {trace.row}   {trace.version}{f'   {trace.note}' if trace.note else ''}"
        )
    rows = [
        [
            c.code.code,
            SYSTEM_TITLES.get(c.code.system, c.code.system),
            c.trace.table,
            c.trace.row,
            c.trace.version,
            _more(c),
        ]
        for c in found.choices
        if c.code
    ]
    return listing(["code", "system", "table", "row", "version", "note"], rows)


def _more(choice: Any) -> str:
    said = [f"modifiers {' '.join(m.code for m in choice.modifiers)}"] if choice.modifiers else []
    said += [f"revenue code {choice.revenue_code}"] if choice.revenue_code else []
    said += [f"{choice.units} units for one"] if choice.units != 1 else []
    said += [f"price {choice.unit_price}"] if choice.unit_price is not None else []
    return "; ".join([*said, *([choice.trace.note] if choice.trace.note else [])])


@tables_cli.command(
    "import",
    epilog=examples(
        "fhir-coder tables import nlm-map SnomedCT_ManagedServiceUS_PRODUCTION.zip -c site/fhir-coder.toml",
        "fhir-coder tables import charge-master cdm.csv -c site/fhir-coder.toml",
        "fhir-coder tables import hcpcs HCPC2026_APR.zip -c site/fhir-coder.toml",
        "fhir-coder tables import cpt cpt-2026.csv --covers-from 2026-01-01 --covers-to 2026-12-31",
        "fhir-coder tables import ncci-ptp practitioner-ptp-edits-ccipra-v320r0-f1.zip -c site/fhir-coder.toml",
    ),
)
@explained
def tables_import(
    kind: Annotated[
        str,
        typer.Argument(
            help="nlm-map, gem, icd10-conversion, charge-master, concept-map; ncci-ptp, ncci-mue; a code set: hcpcs ..."
        ),
    ],
    file: Annotated[Path, typer.Argument(help="The file as its publisher gives it.", exists=True, dir_okay=False)],
    *,
    config: Config = None,
    name: Annotated[str, typer.Option("--id", help="Id of the table, where not the kind's own.")] = "",
    replace: Annotated[bool, typer.Option(help="Overwrite a table that was not imported.")] = False,
    covers_from: Annotated[
        str, typer.Option(help="Of a code set: the day from which on it has every valid code (2026-01-31).")
    ] = "",
    covers_to: Annotated[str, typer.Option(help="Of a code set: the last day it knows; open if left out.")] = "",
    edition: Annotated[str, typer.Option(help="Of a code set: what the edition is called.")] = "",
    setting: Annotated[
        str, typer.Option(help="Of an NCCI file: practitioner or outpatient, where its name does not say it.")
    ] = "",
) -> None:
    """Make a table or code set of a file in the site's table folder: whole and checked, or not at all."""
    from fhir_coder.terminology.codesets.importing import IMPORTED_KINDS
    from fhir_coder.terminology.codesets.ncci_import import NCCI_KINDS

    if kind in IMPORTED_KINDS:
        if name or replace or setting:
            raise FhirCoderError("--id, --replace and --setting are not for code sets")
        _import_codes(kind, file, config, (covers_from, covers_to, edition))
    elif kind in NCCI_KINDS:
        if name or replace or covers_to or edition:
            raise FhirCoderError("of an NCCI file only --setting and --covers-from can be said")
        _import_ncci(kind, file, config, setting, covers_from)
    elif covers_from or covers_to or edition or setting:
        raise FhirCoderError("--covers-from, --covers-to and --edition are for code sets, not for mapping tables")
    else:
        _import_table(kind, file, config, name, replace)


def _import_table(kind: str, file: Path, config: Path | None, name: str, replace: bool) -> None:
    from fhir_coder.terminology import open_codesets
    from fhir_coder.terminology.codesets.importing import IMPORTED_KINDS
    from fhir_coder.terminology.codesets.ncci_import import NCCI_KINDS
    from fhir_coder.terminology.draft import Source
    from fhir_coder.terminology.importing import IMPORTERS, import_table

    importer = next((one for one in IMPORTERS if one.kind == kind), None)
    if importer is None:
        kinds = (*(one.kind for one in IMPORTERS), *IMPORTED_KINDS, *NCCI_KINDS)
        raise FhirCoderError(f"unknown kind of file: write one of {', '.join(kinds)}")
    folder = site_folder(config)
    with open_codesets(*_codeset_folders(config)) as code_sets:
        source = Source(file, code_sets, date.today(), lambda text: typer.echo(text, err=True))
        made = import_table(importer, source, folder, _putting(config), name, replace)
        said = _said_by_check(made.table, code_sets, config)
    table = made.table
    typer.echo(f"{table.id}: {len(table):,} rows, version {table.version}, in {table.file}")
    if made.replaced == table.version:
        typer.echo("in use already: nothing has changed")
        return
    if made.replaced:
        typer.echo(f"takes the place of version {made.replaced}, which is kept: fhir-coder tables versions {table.id}")
    for fault in said[:_SHOWN_FAULTS]:
        typer.echo(str(fault), err=True)
    if said:
        typer.echo(f"faults and warnings of it: {len(said)}. A row whose code is not valid on a day gives a gap then")
    typer.echo("next: fhir-coder tables check; a running service takes it up within a second")


_SHOWN_FAULTS, _JUDGED_ROWS = 10, 50_000


def _said_by_check(table: Any, code_sets: Any, config: Path | None) -> list[Any]:
    """What `tables check` says of a table; a larger one is a publisher's, and its importer has judged its targets."""
    from fhir_coder.settings import load_settings
    from fhir_coder.terminology.check import check_table

    if len(table) > _JUDGED_ROWS:
        return []
    return check_table(table, code_sets, date.today(), load_settings(config).names())


def _putting(config: Path | None) -> Callable[[Path, Sequence[Any]], object]:
    """How an imported table is put to use: as `tables activate` does it, and told to the ledger where there is one."""
    from fhir_coder.activation import activated
    from fhir_coder.store.ledger import utc_now

    def put(folder: Path, uses: Sequence[Any]) -> object:
        with open_app(config) as app:
            ledger = app.ledger if app.settings.store_path().is_file() else None
            return activated(folder, uses, ledger, os_user(), utc_now())

    return put


def _import_codes(kind: str, file: Path, config: Path | None, said: tuple[str, str, str]) -> None:
    from fhir_coder.terminology.codesets.importing import Edition, import_codes

    first, last, label = said
    edition = Edition(
        label,
        day_of(first, "--covers-from") if first else None,
        day_of(last, "--covers-to") if last else None,
    )
    for made in import_codes(kind, file, site_folder(config) / "codesets", edition):
        instead = ", in place of the edition of that day" if made.replaced else ""
        typer.echo(f"{made.rows:,} rows, from {made.covers_from} on, in {made.file}{instead}")
    typer.echo("next: fhir-coder codes list; a running service reads code sets when it starts")


def _import_ncci(kind: str, file: Path, config: Path | None, setting: str, covers_from: str) -> None:
    from fhir_coder.terminology.codesets.ncci import SETTINGS
    from fhir_coder.terminology.codesets.ncci_import import NcciSource, import_ncci

    _one_of("--setting", setting, SETTINGS)
    first = day_of(covers_from, "--covers-from") if covers_from else None
    source = NcciSource(file, setting, first, lambda text: typer.echo(text, err=True))
    made = import_ncci(kind, source, site_folder(config) / "codesets")
    instead = ", in place of the one that was there" if made.replaced else ""
    typer.echo(f"{made.rows:,} rows of {made.quarter} in {made.file}{instead}")
    if made.unused:
        typer.echo(f"{made.unused:,} rows left out: they never were in force")
    typer.echo("next: a running service reads code sets when it starts")


def _codeset_folders(config: Path | None) -> tuple[Path, ...]:
    from fhir_coder.settings import load_settings

    return load_settings(config).codeset_folders()


@tables_cli.command(
    "export",
    epilog=examples(
        "fhir-coder tables export snomed-to-icd10cm --format concept-map",
        "fhir-coder tables export charge-master --out charges.csv",
    ),
)
@explained
def tables_export(
    name: Annotated[str, typer.Argument(help="Id of the table.")],
    config: Config = None,
    format: Annotated[str, typer.Option(help="csv or concept-map.")] = "csv",
    r5: Annotated[bool, typer.Option("--r5", help="ConceptMap of FHIR R5, else of R4.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="File to write; with csv the header file beside it. Else standard output.")
    ] = None,
) -> None:
    """Write a table as CSV with its header file, or as a FHIR ConceptMap."""
    from fhir_coder.terminology.exporting import export_text

    _one_of("--format", format, ("csv", "concept-map"))
    with open_app(config) as app:
        table = app.tables.table(name)
        if table is None:
            raise FhirCoderError("no table has this id: fhir-coder tables list")
        body, header = export_text(table, format, r5)
    if out is None:
        typer.echo(body, nl=False)
        return
    out.write_text(body, encoding="utf-8", newline="")
    if header:
        out.with_suffix(".toml").write_text(header, encoding="utf-8")
    typer.echo(f"{len(table):,} rows written to {out}")
