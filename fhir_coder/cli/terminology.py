"""Commands over terminology: one code translated, tables imported and exported."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from fhir_coder.cli.common import AsJson, Config, day_of, examples, explained, open_app, print_json
from fhir_coder.cli.rules import tables_cli
from fhir_coder.errors import FhirCoderError

terminology_cli = typer.Typer()


@terminology_cli.command(
    epilog=examples(
        "fhir-coder translate --system sct --code 840539006",
        "fhir-coder translate --system sct --code 38341003 --age 10d --date 2026-11-03 --json",
    )
)
@explained
def translate(
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
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Translate one code: the billing codes with table, row and version, or why there is none."""
    from fhir_coder.model import Coding, CodingContext, Kind
    from fhir_coder.terminology import translate as terms
    from fhir_coder.terminology.header import system_uri

    day = day_of(on) if on else date.today()
    _one_of("--sex", sex, ("female", "male"))
    _one_of("--laterality", laterality, ("left", "right", "bilateral"))
    _one_of("--use", use, ("principal", "secondary"))
    _one_of("--episode", episode, ("A", "D", "S"))
    _one_of("--kind", kind, tuple(one.value for one in terms.ASKED_KINDS))
    source = system_uri(system) or system
    if source == system and ":" not in system:
        raise FhirCoderError("--system: a short name such as sct, icd9cm, cvx or local, or a URI")
    with open_app(config) as app:
        context = CodingContext(
            service_date=day,
            sex=sex,
            birth_date=_born(age, day) if age else None,
            encounter_class=encounter_class,
            payer=payer,
            care_setting=setting,
            feed=feed,
            laterality=laterality,
            use=use,
            codes=terms.chart_codes([_with_uri(one) for one in recorded.split(",")], source),
            episode=episode or terms.episode_of(app.tables, encounter_class),
        )
        found = terms.translate(app.tables, Coding(source, code), context, Kind(kind) if kind else None)
    if as_json:
        print_json(found.as_json())
    else:
        typer.echo(_told(found))


def _born(age: str, on: date) -> date:
    from fhir_coder.terminology.translate import born

    try:
        return born(age, on)
    except ValueError as error:
        raise FhirCoderError(f"--age: {error}") from None


def _one_of(option: str, word: str, words: tuple[str, ...]) -> None:
    if word and word not in words:
        raise FhirCoderError(f"{option}: write {', '.join(words[:-1])} or {words[-1]}")


def _with_uri(code: str) -> str:
    from fhir_coder.terminology.header import system_uri

    name, bar, value = code.strip().rpartition("|")
    return f"{system_uri(name) or name}|{value}" if bar else value


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
    ),
)
@explained
def tables_import(
    kind: Annotated[str, typer.Argument(help="nlm-map, gem, charge-master, concept-map; a code set: hcpcs, cpt ...")],
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
) -> None:
    """Make a table or code set of a file in the site's table folder: whole and checked, or not at all."""
    from fhir_coder.terminology import open_codesets
    from fhir_coder.terminology.codesets.importing import IMPORTED_KINDS
    from fhir_coder.terminology.draft import Source
    from fhir_coder.terminology.importing import IMPORTERS, import_table

    if kind in IMPORTED_KINDS:
        if name or replace:
            raise FhirCoderError("--id and --replace are for mapping tables, not for code sets")
        _import_codes(kind, file, config, (covers_from, covers_to, edition))
        return
    if covers_from or covers_to or edition:
        raise FhirCoderError("--covers-from, --covers-to and --edition are for code sets, not for mapping tables")
    importer = next((one for one in IMPORTERS if one.kind == kind), None)
    if importer is None:
        kinds = (*(one.kind for one in IMPORTERS), *IMPORTED_KINDS)
        raise FhirCoderError(f"unknown kind of file: write one of {', '.join(kinds)}")
    folder = _site_folder(config)
    with open_codesets(*_codeset_folders(config)) as code_sets:
        source = Source(file, code_sets, date.today(), lambda text: typer.echo(text, err=True))
        made = import_table(importer, source, folder, name, replace)
    table = made.table
    typer.echo(f"{table.id}: {len(table):,} rows, version {table.version}, in {table.file}")
    if made.replaced:
        typer.echo(f"replaces version {made.replaced}")
    typer.echo("next: fhir-coder tables check; a running service reads tables when it starts")


def _import_codes(kind: str, file: Path, config: Path | None, said: tuple[str, str, str]) -> None:
    from fhir_coder.terminology.codesets.importing import Edition, import_codes

    first, last, label = said
    edition = Edition(
        label,
        day_of(first, "--covers-from") if first else None,
        day_of(last, "--covers-to") if last else None,
    )
    for made in import_codes(kind, file, _site_folder(config) / "codesets", edition):
        instead = ", in place of the edition of that day" if made.replaced else ""
        typer.echo(f"{made.rows:,} rows, from {made.covers_from} on, in {made.file}{instead}")
    typer.echo("next: fhir-coder codes list; a running service reads code sets when it starts")


def _codeset_folders(config: Path | None) -> tuple[Path, ...]:
    from fhir_coder.settings import load_settings

    return load_settings(config).codeset_folders()


def _site_folder(config: Path | None) -> Path:
    """The folder of the site's own tables. Raises FhirCoderError where the settings name none."""
    from fhir_coder.settings import load_settings
    from fhir_coder.shipped import shipped

    folder = load_settings(config).tables.dir
    if folder is None:
        raise FhirCoderError("the settings name no folder for the site's tables: set [tables] dir")
    if folder.resolve().is_relative_to(shipped("mappings").resolve()):
        raise FhirCoderError("the example site's tables are part of the program: fhir-coder init makes a site, then -c")
    return folder


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
