"""The mapping tables as ConceptMap resources: read and searched (FHIR R4 and R5). Pure.

A table with codes of a licensed system, or without a licence in its header, is shown without its rows unless the site
says that who asks may have them. A search shows no rows either, unless it asks for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from fhir_coder.model import LICENSED_SYSTEMS, Json
from fhir_coder.terminology import Tables
from fhir_coder.terminology.concept_map import TABLE_URL, concept_map
from fhir_coder.terminology.header import system_uri
from fhir_coder.terminology.table import MappingTable
from fhir_coder.web.refusal import RefusalError
from fhir_coder.web.terminology_parameters import Given, Parameter

URL = "urn:fhir-coder:table:"
"""Begins the url of a table's ConceptMap; its id follows."""

LARGEST_WHOLE = 50_000
"""Rows of a table that is shown with all of them."""

MOST_ON_A_PAGE, _ON_A_PAGE = 200, 50
_STATUS = "active"
_SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}

SEARCH: tuple[Parameter, ...] = (
    Parameter("_id", "code", "The id of the ConceptMap."),
    Parameter("url", "uri", "The url of the ConceptMap.", example=f"{URL}snomed-to-icd10cm"),
    Parameter("name", "string", "How the name begins, in capital or small letters."),
    Parameter("title", "string", "How the title begins, in capital or small letters."),
    Parameter("version", "string", "The version: that of the table's header, or of its content."),
    Parameter("status", "code", "The status. Tables in use are active."),
    Parameter("source-system", "uri", "The system of the codes that are translated.", example="http://snomed.info/sct"),
    Parameter("target-system", "uri", "A system of the codes that it leads to."),
    Parameter("source-code", "string", "A code that has a row, as CODE or SYSTEM|CODE."),
    Parameter("_count", "integer", f"Entries on a page, at most {MOST_ON_A_PAGE}; 0 asks for the number only."),
    Parameter("_offset", "integer", "Entries to pass over. The next links say it."),
    Parameter("_summary", "code", "true: without rows (the default); false: with them; count: the number only."),
)
"""What a search of tables takes."""

READ = (Parameter("_summary", "boolean", "true: without rows."),)
"""What a read of a table takes."""

_SUMMARIES = ("true", "false", "count")


@dataclass(frozen=True, slots=True)
class Shelf:
    """The tables to show. `with_licensed`: who asks may have the rows of tables with licensed content."""

    tables: Tables
    with_licensed: bool = False
    is_r5: bool = False

    def listed(self) -> list[MappingTable]:
        """Every table once, the uppermost layer's of an id."""
        ids = dict.fromkeys(one.id for one in self.tables.describe())
        return [table for name in ids if (table := self.tables.table(name))]

    def found(self, resource_id: str) -> MappingTable:
        """The table of a resource's id. Raises RefusalError (404)."""
        table = next((one for one in self.listed() if id_of(one) == resource_id), None)
        if table is None:
            raise RefusalError(404, "not-found", "no table has this id: search for ConceptMap")
        return table

    def resource(self, table: MappingTable, with_rows: bool = True) -> Json:
        """The ConceptMap of a table. Where its rows are left out it says so by the tag SUBSETTED, and why."""
        why = self.why_not_whole(table)
        is_whole = with_rows and not why
        shown = concept_map(table, self.is_r5) if is_whole else _without_rows(table, self.is_r5)
        meta: Json = {"versionId": version_id(table), **({} if is_whole else {"tag": [_SUBSETTED]})}
        told = {"purpose": f"Shown without its rows: {why}"} if with_rows and why else {}
        return {"resourceType": "ConceptMap", "id": id_of(table), "meta": meta, **shown, "url": _url(table), **told}

    def why_not_whole(self, table: MappingTable) -> str:
        """Why the rows of a table are not shown; empty where they are."""
        if len(table) > LARGEST_WHOLE:
            return f"it has more than {LARGEST_WHOLE} rows. Ask $translate for single codes."
        if self.with_licensed:
            return ""
        if not table.header.licence:
            return "its header names no licence. Ask $translate for single codes."
        if LICENSED_SYSTEMS & systems_of(table):
            return "it has codes of a licensed system ([tables] serve_licensed). Ask $translate for single codes."
        return ""


def id_of(table: MappingTable) -> str:
    """The id of a table's ConceptMap."""
    return table.id[:64].replace("_", "-")


def version_id(table: MappingTable) -> str:
    """The version of the content, as an id: the hash."""
    return table.version.rpartition("@")[2]


def canonical(table: MappingTable) -> str:
    """The url of a table with its version."""
    return f"{_url(table)}|{table.header.version}"


def table_by_url(tables: Tables, url: str) -> MappingTable | None:
    """The table of a url, which may name the version; None where there is none."""
    name, _, version = url.partition("|")
    table = tables.table(name.removeprefix(URL)) if name.startswith(URL) else None
    return table if table and version in ("", table.header.version, table.version) else None


def systems_of(table: MappingTable) -> frozenset[str]:
    """The systems of a table's codes: of its header; of its rows too where the header names no target."""
    header = table.header
    targets = header.target_systems or tuple(
        row.target.system for rows in table.by_code() for row in rows if row.target
    )
    return frozenset((header.source_system, *targets))


def _url(table: MappingTable) -> str:
    return URL + table.id


def _without_rows(table: MappingTable, is_r5: bool) -> Json:
    shown = concept_map(MappingTable(table.header, table.file, table.folder, table.version, {}), is_r5)
    # A group has at least one element: what the table maps from is an extension then, as what it maps to always is.
    del shown["group"]
    shown["extension"] = [*shown["extension"], {"url": f"{TABLE_URL}source_system", "valueString": table.source_system}]
    return shown


# --- search


def search_set(shelf: Shelf, given: Given, address: str) -> Json:
    """Answer a search; `address` is that of the ConceptMap type. Raises RefusalError."""
    summary, count, offset = _summary(given), int(given.text("_count") or _ON_A_PAGE), int(given.text("_offset") or 0)
    tables = [table for table in shelf.listed() if all(fits(table) for fits in _tests(given))]
    bundle: Json = {"resourceType": "Bundle", "type": "searchset", "total": len(tables)}
    bundle["link"] = [{"relation": "self", "url": _address(address, given, {})}]
    count = min(count, MOST_ON_A_PAGE)
    if summary == "count" or count == 0:
        return bundle
    for relation, at in (("previous", max(0, offset - count)), ("next", offset + count)):
        if at != offset and (relation == "previous" or at < len(tables)):
            link = _address(address, given, {"_count": count, "_offset": at})
            bundle["link"].append({"relation": relation, "url": link})
    page = tables[offset : offset + count]
    entries = [_entry(shelf.resource(table, summary == "false"), address) for table in page]
    return {**bundle, "entry": entries} if entries else bundle


def _entry(resource: Json, address: str) -> Json:
    return {"fullUrl": f"{address}/{resource['id']}", "resource": resource, "search": {"mode": "match"}}


def _summary(given: Given) -> str:
    word = given.text("_summary") or "true"
    if word not in _SUMMARIES:
        text = f"write one of {', '.join(_SUMMARIES)}"
        raise RefusalError(400, "value", text, expression=given.path("_summary"))
    return word


def _address(address: str, given: Given, page: Mapping[str, int]) -> str:
    asked = [(one.name, given.text(one.name)) for one in SEARCH if one.name in given and one.name not in page]
    query = urlencode([*asked, *page.items()], quote_via=quote)
    return f"{address}?{query}" if query else address


def _tests(given: Given) -> list[Callable[[MappingTable], bool]]:
    return [_TESTS[name](given.text(name)) for name in _TESTS if name in given]


def _begins(text: str, start: str) -> bool:
    return text.casefold().startswith(start.casefold())


def _name(table: MappingTable) -> str:
    return str(_without_rows(table, False)["name"])


def _has_code(table: MappingTable, text: str) -> bool:
    system, bar, code = text.rpartition("|")
    return code in table.rows and (not bar or (system_uri(system) or system) == table.source_system)


def _of_url(table: MappingTable, url: str) -> bool:
    name, _, version = url.partition("|")
    return name == _url(table) and version in ("", table.header.version, table.version)


_TESTS: Mapping[str, Callable[[str], Callable[[MappingTable], bool]]] = {
    "_id": lambda text: lambda table: id_of(table) == text,
    "url": lambda text: lambda table: _of_url(table, text),
    "name": lambda text: lambda table: _begins(_name(table), text),
    "title": lambda text: lambda table: _begins(table.header.title, text),
    "version": lambda text: lambda table: text in (table.header.version, table.version),
    "status": lambda text: lambda _: text.rpartition("|")[2] == _STATUS,
    "source-system": lambda text: lambda table: (system_uri(text) or text) == table.source_system,
    "target-system": lambda text: lambda table: (system_uri(text) or text) in target_systems_of(table),
    "source-code": lambda text: lambda table: _has_code(table, text),
}


def target_systems_of(table: MappingTable) -> Iterable[str]:
    """The systems that a table leads to."""
    return table.header.target_systems or systems_of(table) - {table.source_system}
