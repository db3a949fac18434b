"""ConceptMap/$translate: the tables asked by another system (FHIR R4 and R5). Pure.

What the chart says beside the code (sex, age ...) comes as parameters of those names or as `dependency`, whose element
is that of the tables' `dependsOn`. A gap is `result` false with its reason: no code is guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date

from fhir_coder.model import Choice, Coding, Concept, Json, Kind, Trace
from fhir_coder.terminology import Tables
from fhir_coder.terminology.concept_map import ROW_URL, TO_R4
from fhir_coder.terminology.header import system_uri
from fhir_coder.terminology.names import Names
from fhir_coder.terminology.question import WORDS, Question, UnclearError, read_question, read_system
from fhir_coder.terminology.table import BROADER, RELATED, MappingTable, Row
from fhir_coder.terminology.translate import Translation, row_of, translate
from fhir_coder.web.refusal import RefusalError
from fhir_coder.web.terminology_maps import canonical, table_by_url
from fhir_coder.web.terminology_parameters import (
    Given,
    Parameter,
    Value,
    codings_of,
    parameters,
    part_of,
    plain_text,
    said,
)

_KINDS_OF_WORDS = {"date": "dateTime", "class": "code", "episode": "code", "setting": "code"}

TRANSLATE: tuple[Parameter, ...] = (
    Parameter("code", "code", "The code to translate.", example="840539006"),
    Parameter("system", "uri", "The system of the code, as URI or short name.", example="http://snomed.info/sct"),
    Parameter("version", "string", "Version of the code system. Not looked at: rows hold for every version."),
    Parameter("coding", "Coding", "The code to translate with its system."),
    Parameter("codeableConcept", "CodeableConcept", "Codings that mean the same: answers that differ are a gap."),
    Parameter("url", "uri", "The one table to ask, by the url of its ConceptMap. By default all are asked."),
    Parameter("conceptMapVersion", "string", "The version that the table of `url` must have."),
    Parameter("source", "uri", "The system of the code, where `system` is not given: the system, or its value set."),
    Parameter("target", "uri", "The system wanted: the system, or its value set."),
    Parameter("targetsystem", "uri", "The system wanted."),
    Parameter("dependency", "dependency", "A word on the chart: element (attribute) and concept (value).", True),
    Parameter("reverse", "boolean", "True: from target to source, by the table of `url`, where one code leads to it."),
    *(Parameter(name, _KINDS_OF_WORDS.get(name, "string"), text, name == "with") for name, text in WORDS.items()),
)
"""What $translate takes; besides, the names that R5 gives the same."""

R5_NAMES = {
    "sourceCode": "code",
    "sourceCoding": "coding",
    "sourceCodeableConcept": "codeableConcept",
    "sourceScope": "source",
    "targetScope": "target",
    "targetSystem": "targetsystem",
}
"""Names of R5 for parameters of R4."""

_COLUMNS = {"encounter_class": "class", "care_setting": "setting"}
_TURNED = {BROADER: "source-is-narrower-than-target", "source-is-narrower-than-target": BROADER}
_LARGEST_TURNED = 50_000
"""Rows of a table that is still searched from its end."""

Title = Callable[[str, str], str]
"""The title of a code by its system; empty where none is known or may be shown."""


@dataclass(frozen=True, slots=True)
class Asking:
    """What answers are made of: the tables, the titles of codes, today, whether the answer is of R5, known names."""

    tables: Tables
    title: Title
    today: date
    is_r5: bool = False
    names: Names = field(default_factory=dict)


def translate_parameters() -> tuple[Parameter, ...]:
    """Every parameter of $translate with the names of both FHIR versions."""
    of_r4 = {parameter.name: parameter for parameter in TRANSLATE}
    named = (replace(of_r4[old], name=name, means=old) for name, old in R5_NAMES.items())
    return (*TRANSLATE, *named)


def translated(asking: Asking, given: Given, table_id: str = "") -> Json:
    """Answer $translate; `table_id` is the table of the address. Raises RefusalError."""
    table = _asked_table(asking.tables, given, table_id)
    if table and table.kind is Kind.FEE:
        raise RefusalError(422, "not-supported", "a fee table prices codes and translates none")
    target = _system(given, ("targetsystem", "target"))
    concept = _concept(given, table)
    question = _question(asking, given, concept.codings[0].system if concept.codings else "")
    if given.is_true("reverse"):
        return _turned(asking, given, table, concept, question)
    tables = asking.tables.only(table.id) if table else asking.tables
    kind = table.kind if table else question.kind
    return _answer(asking, tables, translate(tables, concept, question.context, kind, target), target)


# --- what is asked


def _asked_table(tables: Tables, given: Given, table_id: str) -> MappingTable | None:
    url, version = given.text("url"), given.text("conceptMapVersion")
    table = tables.table(table_id) if table_id else None
    if url:
        named = table_by_url(tables, url)
        if named is None or (table and named.id != table.id):
            raise RefusalError(404, "not-found", "no table has this url", expression=given.path("url"))
        table = named
    if version and (table is None or version not in (table.header.version, table.version)):
        text = "the table has another version" if table else "name the table by its url"
        raise RefusalError(404, "not-found", text, expression=given.path("conceptMapVersion"))
    return table


def _system(given: Given, names: tuple[str, ...]) -> str:
    """The system that a parameter names, itself or by the value set of all its codes; empty where none is given."""
    name = next((name for name in names if name in given), "")
    if not name:
        return ""
    uri = given.text(name)
    for end in ("?fhir_vs", "/vs"):
        uri = uri.removesuffix(end)
    try:
        return read_system(uri)
    except UnclearError as error:
        raise RefusalError(400, "value", error.rule, expression=given.path(name)) from None


def _concept(given: Given, table: MappingTable | None) -> Concept:
    asked = [name for name in ("code", "coding", "codeableConcept") if name in given]
    if len(asked) != 1:
        text = "say one of code, coding and codeableConcept"
        raise RefusalError(400, "required" if not asked else "structure", text, expression="Parameters.parameter")
    if asked == ["code"]:
        system = _system(given, ("system", "source"))
        if not system and table and not given.is_true("reverse"):
            system = table.source_system
        if not system and not given.is_true("reverse"):
            raise RefusalError(400, "required", "a code needs its system", expression=given.path("system"))
        return Concept((Coding(system, given.text("code")),))
    codings = codings_of(given.all(asked[0])[0])
    return Concept(tuple(Coding(system_uri(one.system) or one.system, one.code) for one in codings))


def _question(asking: Asking, given: Given, system: str) -> Question:
    words = {name: given.all(name)[0] for name in WORDS if name in given and name != "with"}
    recorded = [(value.value, value.path) for value in given.all("with")]
    for dependency in given.all("dependency"):
        name, value = _dependency(dependency)
        if name == "with":
            recorded += [(code, value.path) for code in _codes(value)]
        elif name in words:
            raise RefusalError(400, "structure", "said twice", expression=value.path)
        else:
            words[name] = Value(plain_text(value), value.path)
    texts = {name: str(value.value) for name, value in words.items()}
    try:
        codes = [code for code, _ in recorded]
        return read_question(asking.tables, system, texts, codes, asking.today, asking.names)
    except UnclearError as error:
        raise RefusalError(400, "value", error.rule, expression=words[error.name].path) from None


def _dependency(dependency: Value) -> tuple[str, Value]:
    element = part_of(dependency.value, ("element", "attribute"), dependency.path)
    value = part_of(dependency.value, ("concept", "value"), dependency.path)
    if element is None or value is None:
        text = "a dependency has the parts element and concept (R5: attribute and value)"
        raise RefusalError(400, "required", text, expression=dependency.path)
    said_name = element.value.removeprefix(ROW_URL) if isinstance(element.value, str) else ""
    name = _COLUMNS.get(said_name, said_name)
    if name not in WORDS:
        # Passed over it would be a condition that nobody judged.
        text = f"not known: write {ROW_URL} and one of {', '.join(WORDS)}"
        raise RefusalError(400, "not-supported", text, expression=element.path)
    return name, value


def _codes(value: Value) -> Iterator[str]:
    if not isinstance(value.value, dict):
        yield plain_text(value)
        return
    for coding in codings_of(value):
        yield f"{coding.system}|{coding.code}" if coding.system else coding.code


# --- what is answered


def _answer(asking: Asking, tables: Tables, found: Translation, target: str) -> Json:
    if found.gap:
        return _no(f"{found.gap.reason}: {found.gap.text}", [said("reason", "Code", found.gap.reason)])
    if found.is_not_billable:
        trace = found.choices[0].trace
        text = f"not billable: nothing is billed for this{f' ({trace.note})' if trace.note else ''}"
        return _no(text, [said("reason", "Code", "not_billable"), _match(asking, tables, found.choices[0])])
    choices = [one for one in found.choices if one.code and target in ("", one.code.system)]
    if not choices:
        return _no("the rows that fit lead to codes of another system", [said("reason", "Code", "other_system")])
    return parameters([said("result", "Boolean", True), *(_match(asking, tables, choice) for choice in choices)])


def _no(message: str, more: list[Json]) -> Json:
    return parameters([said("result", "Boolean", False), said("message", "String", message), *more])


def _match(asking: Asking, tables: Tables, choice: Choice) -> Json:
    row = row_of(tables, choice.trace)
    relationship = row.relationship if row else RELATED
    parts = [_relationship(asking, relationship if choice.code else "not-related-to")]
    if choice.code:
        parts.append(said("concept", "Coding", _coding(choice.code, asking.title)))
    parts += [_product(asking, "modifiers", _coding(one, asking.title)) for one in choice.modifiers]
    table = tables.table(choice.trace.table)
    if table:
        parts.append(said("originMap" if asking.is_r5 else "source", "Uri", canonical(table)))
    parts += _row_parts(choice.trace)
    if choice.revenue_code:
        parts.append(said("revenue_code", "String", choice.revenue_code))
    if choice.units != 1:
        parts.append(said("units", "Decimal", choice.units))
    if choice.unit_price is not None:
        parts.append(said("unit_price", "Decimal", choice.unit_price))
    return {"name": "match", "part": parts}


def _relationship(asking: Asking, relationship: str) -> Json:
    if asking.is_r5:
        return said("relationship", "Code", relationship)
    return said("equivalence", "Code", TO_R4[relationship])


def _coding(code: Coding, title: Title) -> Json:
    display = title(code.system, code.code)
    return {"system": code.system, "code": code.code, **({"display": display} if display else {})}


def _product(asking: Asking, name: str, coding: Json) -> Json:
    if asking.is_r5:
        return {"name": "product", "part": [said("attribute", "Uri", ROW_URL + name), said("value", "Coding", coding)]}
    return {"name": "product", "part": [said("element", "Uri", ROW_URL + name), said("concept", "Coding", coding)]}


def _row_parts(trace: Trace) -> list[Json]:
    listed = [said("table", "String", trace.table), said("row", "Integer", trace.row)]
    listed.append(said("version", "String", trace.version))
    return [*listed, said("note", "String", trace.note)] if trace.note else listed


# --- from target to source


def _turned(asking: Asking, given: Given, table: MappingTable | None, concept: Concept, question: Question) -> Json:
    """The one source code whose row leads to a target whatever the visit; where several do nothing can be said."""
    path = given.path("reverse")
    if table is None or len(concept.codings) != 1:
        raise RefusalError(422, "not-supported", "reverse takes one code and the url of one table", expression=path)
    if len(table) > _LARGEST_TURNED:
        text = f"a table of more than {_LARGEST_TURNED} rows is not searched from its end"
        raise RefusalError(422, "too-costly", text, expression=path)
    leading = list(_leading(table, concept.codings[0]))
    if not leading:
        return _no("no row of the table leads to this code", [said("reason", "Code", "no_row")])
    rows = leading[0]
    if len(leading) > 1 or len(rows) > 1 or rows[0].conditions.asks_more_than_dates:
        text = "more than one source code leads to this code, or one does under a condition: it cannot be turned"
        raise RefusalError(422, "not-supported", text, expression=path)
    row = rows[0]
    if not row.conditions.decide(question.context):
        return _no("no_row_fits: the row does not hold on this date", [said("reason", "Code", "no_row_fits")])
    parts = [
        _relationship(asking, _TURNED.get(row.relationship, row.relationship)),
        said("concept", "Coding", _coding(Coding(table.source_system, row.source_code), asking.title)),
        said("originMap" if asking.is_r5 else "source", "Uri", canonical(table)),
        said("table", "String", table.id),
        said("row", "Integer", row.line),
        said("version", "String", table.version),
    ]
    return parameters([said("result", "Boolean", True), {"name": "match", "part": parts}])


def _leading(table: MappingTable, target: Coding) -> Iterator[tuple[Row, ...]]:
    """All rows of each source code that has a row with the target."""
    for rows in table.by_code():
        if any(_is_target(row, target) for row in rows):
            yield rows


def _is_target(row: Row, target: Coding) -> bool:
    found = row.target
    return found is not None and found.code == target.code and target.system in ("", found.system)
