"""Commands over code sets: one code shown, codes searched by words, the sets listed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from fhir_coder.cli.common import AsJson, Config, day_of, examples, explained, open_app, print_json
from fhir_coder.errors import FhirCoderError, NotFoundError

codes_cli = typer.Typer(no_args_is_help=True, help="Code sets.")

SetName = Annotated[str, typer.Option("--system", help="A code set: icd10cm, hcpcs, cpt ...; by default all loaded.")]
OnDay = Annotated[str, typer.Option("--date", help="Date of service (2026-01-31); by default today.")]

_SHOWN_ROWS = 20


@codes_cli.command(
    "show", epilog=examples("fhir-coder codes show U07.1", "fhir-coder codes show S52.501 --date 2026-11-03")
)
@explained
def codes_show(
    code: Annotated[str, typer.Argument(help="The code; ICD-10-CM with or without its dot.")],
    system: SetName = "",
    on: OnDay = "",
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """What a code means and whether it may be billed on a date, its notes, and which rows map to it."""
    with _code_book(config) as (app, book):
        details = book.details(code, _on_day(on), _names(book, system))
        if not details:
            raise NotFoundError("no loaded code set has this code: fhir-coder codes list, codes search WORDS")
        shown = [(one, _instead(app.tables, one), _some(_mapped_from(app.tables, one))) for one in details]
    if as_json:
        print_json([{**one.as_json(), "by_table": instead, "mapped_from": rows} for one, instead, rows in shown])
    else:
        typer.echo("\n\n".join(_detail_text(*one) for one in shown))


@codes_cli.command(
    "search", epilog=examples('fhir-coder codes search "wrist fx"', "fhir-coder codes search ketorolac --system hcpcs")
)
@explained
def codes_search(
    query: Annotated[str, typer.Argument(help="Words, abbreviations or the beginning of a code.")],
    system: SetName = "",
    on: OnDay = "",
    limit: Annotated[int, typer.Option(help="How many at most.", min=1, max=200)] = 15,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Find codes by words, the best first."""
    from dataclasses import asdict

    from fhir_coder.screens import listing

    if not query.strip():
        raise FhirCoderError("write words to search for, or the beginning of a code")
    with _code_book(config) as (_, book):
        found = book.search(query, _on_day(on), _names(book, system), limit)
    if as_json:
        print_json([{"set": one.pop("set_name"), **one} for one in map(asdict, found)])
    elif found:
        rows = [[one.code, one.status, one.set_name, one.title] for one in found]
        typer.echo(listing(["code", "on the date", "set", "title"], rows))
    else:
        typer.echo(_none_found(system))


@codes_cli.command("list", epilog=examples("fhir-coder codes list"))
@explained
def codes_list(as_json: AsJson = False, config: Config = None) -> None:
    """The code sets that are loaded: edition, codes, the days they know, what they are used for."""
    from dataclasses import asdict

    from fhir_coder.screens import listing

    with _code_book(config) as (_, book):
        summaries = list(book.summaries())
    if as_json:
        print_json([asdict(one) for one in summaries])
        return
    rows = [[s.name, s.edition, "" if s.rows is None else s.rows, s.covers, s.used_for, s.file] for s in summaries]
    typer.echo(listing(["set", "edition", "codes", "covers", "used for", "file"], rows))


def _none_found(system: str) -> str:
    if system == "icd10pcs":
        return "none: no free source has the titles of ICD-10-PCS, so that no words find its codes"
    return "none"


def _on_day(text: str) -> date:
    return day_of(text) if text else date.today()


@contextmanager
def _code_book(config: Path | None) -> Iterator[tuple[Any, Any]]:
    from fhir_coder.terminology import open_codesets
    from fhir_coder.terminology.codesets.book import CodeBook, read_abbreviations

    with open_app(config) as app:
        folders = app.settings.codeset_folders()
        with (
            open_codesets(*folders) as sets,
            CodeBook(sets, read_abbreviations(folders), lambda text: typer.echo(text, err=True)) as book,
        ):
            yield app, book


def _names(book: Any, system: str) -> list[str]:
    from fhir_coder.terminology.codesets.book import SET_NAMES

    names: list[str] = book.names()
    if not system:
        return names
    if system not in SET_NAMES:
        raise FhirCoderError(f"--system: write one of {', '.join(SET_NAMES)}")
    if system not in names:
        raise FhirCoderError(f"no {system} list is loaded: fhir-coder tables import {system} FILE")
    return [system]


def _some(rows: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    return list(islice(rows, _SHOWN_ROWS))


def _instead(tables: Any, detail: Any) -> list[dict[str, Any]]:
    """The rows of the site's conversion tables for the code: what came in its place, and from which day on."""
    from fhir_coder.terminology.header import system_uri

    system = system_uri(detail.set_name)
    converting = [
        table
        for kind in ("diagnosis", "procedure")
        for table in (tables.tables_for(kind, system) if system else ())
        if table.header.target_systems == (system,)
    ]
    return [
        {"code": row.target.code, "from": str(row.conditions.valid_from or ""), "table": row.table, "row": row.line}
        for table in converting
        for row in table.rows.get(detail.code, ())
        if row.target
    ]


def _mapped_from(tables: Any, detail: Any) -> Iterator[dict[str, Any]]:
    """The rows of all tables that name the code as their target."""
    from fhir_coder.terminology.header import system_uri

    system = system_uri(detail.set_name)
    for summary in tables.describe() if system else ():
        for rows in tables.table(summary.id).by_code():
            for row in rows:
                if row.target and row.target.code == detail.code and row.target.system == system:
                    yield {"table": summary.id, "row": row.line, "source_code": row.source_code, "display": row.display}


def _detail_text(detail: Any, by_table: list[dict[str, Any]], rows: list[dict[str, Any]]) -> str:
    from fhir_coder.screens import section
    from fhir_coder.terminology.codesets.book import NOTE_TITLES

    lines = [f"{detail.code}   {detail.title}", *([detail.long_title] if detail.long_title else [])]
    periods = "; ".join(f"{first or 'the beginning'} to {last or 'this day'}" for first, last in detail.periods)
    lines.append(
        f"{_status_text(detail)}   {f'valid {periods}   ' if periods else ''}{detail.set_name}, {detail.edition}"
    )
    if detail.converted:
        lines.append(f"the year conversion of CMS names {detail.converted}; there may be others: check")
    lines += section(
        "code instead, by a conversion table" if len(by_table) < 2 else "one of these instead, by a conversion table",
        [[one["code"], f"from {one['from']}", one["table"], f"row {one['row']}"] for one in by_table],
    )
    lines += section("above", [[one.code, one.title] for one in detail.above])
    lines += section("code instead", [[one.code, one.status, one.title] for one in detail.instead])
    if not any(one.code[-1] in detail.sevenths for one in detail.instead):  # which say it themselves
        lines += section("7th character", [[sign, text] for sign, text in detail.sevenths.items()])
    for note in detail.notes:
        whose = "" if note.of == detail.code else f" (of {note.of})"
        lines += section(f"{NOTE_TITLES[note.kind]}{whose}", [[text] for text in note.texts])
    where = [[row["table"], f"row {row['row']}", row["source_code"], row["display"]] for row in rows]
    title = f"mapped from (the first {_SHOWN_ROWS})" if len(rows) == _SHOWN_ROWS else "mapped from"
    return "\n".join([*lines, *section(title, where)])


def _status_text(detail: Any) -> str:
    said = {
        "billable": f"billable on {detail.on}",
        "header": "header: not billable",
        "not valid": f"not valid on {detail.on}",
    }
    return said.get(detail.status, f"the set cannot judge {detail.on}")
