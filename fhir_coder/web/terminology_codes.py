"""CodeSystem/$lookup and $validate-code: the code sets asked by another system (FHIR R4 and R5). Pure.

What a code set cannot judge is refused, never answered with `result` false: false would say that the code is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from fhir_coder.model import LICENSED_SYSTEMS, SYSTEM_TITLES, Coding, Json, System
from fhir_coder.terminology.codesets.book import ICD10CM, ICD10PCS, NOTE_TITLES, CodeBook, CodeDetail
from fhir_coder.terminology.codesets.lists import KINDS
from fhir_coder.terminology.header import system_uri
from fhir_coder.web.refusal import RefusalError
from fhir_coder.web.terminology_parameters import Given, Parameter, Value, codings_of, parameters, said

LOOKUP: tuple[Parameter, ...] = (
    Parameter("code", "code", "The code.", example="E11.9"),
    Parameter("system", "uri", "The system of the code, as URI or short name.", example=System.ICD10CM),
    Parameter("version", "string", "The edition of the code set that must be loaded."),
    Parameter("coding", "Coding", "The code with its system."),
    Parameter("date", "dateTime", "Date of service to judge on; by default today.", example="2026-11-03"),
    Parameter("displayLanguage", "code", "Not looked at: titles are in English."),
    Parameter("property", "code", "Only properties of these names. By default all.", True),
)
"""What $lookup takes."""

VALIDATE: tuple[Parameter, ...] = (
    Parameter("url", "uri", "The code system, as URI or short name.", example=System.ICD10CM),
    Parameter("system", "uri", "The same as url.", means="url"),
    Parameter("code", "code", "The code.", example="E11.9"),
    Parameter("version", "string", "The edition of the code set that must be loaded."),
    Parameter("display", "string", "A title to be checked with the code."),
    Parameter("coding", "Coding", "The code with its system and, to be checked, its title."),
    Parameter("codeableConcept", "CodeableConcept", "Codings of which one must be valid."),
    Parameter("date", "dateTime", "Date of service to judge on; by default today.", example="2026-11-03"),
    Parameter("abstract", "boolean", "True: a header, which is not billable, is valid too."),
    Parameter("displayLanguage", "code", "Not looked at: titles are in English."),
)
"""What $validate-code takes."""

_EDITION = re.compile(r".*\(([^()]*)\)")
_NO_TITLE = "("
"""How a title begins that says that there is none."""


@dataclass(frozen=True, slots=True)
class Counter:
    """What answers are made of. `with_licensed`: who asks may have the content of licensed code sets."""

    book: CodeBook
    today: date
    with_licensed: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether a code is valid, why not, and its title."""

    is_valid: bool
    message: str = ""
    display: str = ""


def set_of(system: str, code: str) -> str:
    """The name of the code set that has the codes of a system; of several the one whose codes look like this."""
    if system in (System.ICD10CM, System.ICD10PCS):
        return ICD10CM if system == System.ICD10CM else ICD10PCS
    kinds = [kind for kind in KINDS if system in _SYSTEMS[kind.name]]
    alike = (kind.name for kind in kinds if re.fullmatch(kind.shape, code))
    return next(alike, kinds[0].name if kinds else "")


# Feeds send CPT and CDT codes as HCPCS, of which CPT is Level I; modifiers are of the system of their codes.
_MORE = {
    "hcpcs-modifiers": System.HCPCS,
    "cpt-modifiers": System.CPT,
    "cpt": System.HCPCS,
    "cdt": System.HCPCS,
}
_SYSTEMS = {kind.name: {one for one in (kind.system, _MORE.get(kind.name, "")) if one} for kind in KINDS}
_IS_LICENSED = {kind.name for kind in KINDS if _SYSTEMS[kind.name] & LICENSED_SYSTEMS}


# --- $lookup


def looked_up(counter: Counter, given: Given) -> Json:
    """Answer $lookup. Raises RefusalError: 404 for what no loaded code set has, 403 for texts that are licensed."""
    coding, path = _coding(given, ("system",))
    if _is_closed(counter, coding):
        text = "the texts of this code set are licensed: [tables] serve_licensed says whether others may have them"
        raise RefusalError(403, "forbidden", text, expression=path)
    detail = _detail(counter, coding, given, path)
    if detail is None:
        raise RefusalError(404, "not-found", "the code set does not have this code", expression=path)
    if detail.code != coding.code:
        raise RefusalError(404, "not-found", f"the code set writes it otherwise: {_WRITTEN}", expression=path)
    wanted = {str(value.value) for value in given.all("property")}
    properties = [one for code, one in _properties(detail) if not wanted or code in wanted]
    return parameters([*_about(detail, coding.system), *_designations(detail, wanted), *properties])


def _about(detail: CodeDetail, system: str) -> Iterator[Json]:
    yield said("name", "String", _set_title(detail.set_name, system))
    yield said("version", "String", _edition(detail))
    yield said("display", "String", _title(detail) or detail.code)


def _designations(detail: CodeDetail, wanted: set[str]) -> Iterator[Json]:
    if wanted and "designation" not in wanted:
        return
    if detail.long_title:
        yield _designation("long title", detail.long_title)
    for note in detail.notes:
        if note.kind == "inclusion_terms":
            yield from (_designation("inclusion term", text) for text in note.texts)


def _designation(use: str, text: str) -> Json:
    parts = [said("language", "Code", "en"), said("use", "Coding", {"display": use}), said("value", "String", text)]
    return {"name": "designation", "part": parts}


def _properties(detail: CodeDetail) -> Iterator[tuple[str, Json]]:
    """The properties of a code: those that FHIR names, and ours about billing."""
    yield _property("inactive", "Boolean", detail.status == "not valid")
    yield _property("notSelectable", "Boolean", detail.status == "header")
    if detail.status != "unknown":
        yield _property("billable", "Boolean", detail.status == "billable")
    for first, last in detail.periods:
        days = [("valid-from", first), ("valid-to", last)]
        inner = [_inner(name, "DateTime", day.isoformat()) for name, day in days if day]
        yield "period", {"name": "property", "part": [said("code", "Code", "period"), *inner]}
    if detail.above:
        yield _property("parent", "Code", detail.above[-1].code, detail.above[-1].title)
    for other in detail.instead:
        yield _property("child", "Code", other.code, other.title)
    for other in detail.instead:
        yield _property("instead", "Code", other.code, other.title)
    if detail.converted:
        yield _property("instead", "Code", detail.converted.partition(" ")[0], f"year conversion: {detail.converted}")
    if detail.sevenths:
        inner = [_inner(sign, "String", text) for sign, text in detail.sevenths.items()]
        part = [said("code", "Code", "seventh-character"), *inner]
        yield "seventh-character", {"name": "property", "part": part}
    yield from _notes(detail)


def _notes(detail: CodeDetail) -> Iterator[tuple[str, Json]]:
    for note in detail.notes:
        name = note.kind.replace("_", "-")
        if note.kind != "inclusion_terms":
            whose = NOTE_TITLES[note.kind] + ("" if note.of == detail.code else f" (of {note.of})")
            yield from (_property(name, "String", text, whose) for text in note.texts)
    if detail.long_title:
        yield _property("definition", "String", detail.long_title)


def _property(code: str, kind: str, value: object, description: str = "") -> tuple[str, Json]:
    parts = [said("code", "Code", code), said("value", kind, value)]
    if description:
        parts.append(said("description", "String", description))
    return code, {"name": "property", "part": parts}


def _inner(code: str, kind: str, value: str) -> Json:
    return {"name": "subproperty", "part": [said("code", "Code", code), said("value", kind, value)]}


# --- $validate-code


def validated(counter: Counter, given: Given) -> Json:
    """Answer $validate-code. Raises RefusalError: 404 for a system without code set, 422 for a date not covered."""
    if "codeableConcept" in given:
        judged = _any_of(counter, given)
    else:
        coding, path = _coding(given, ("url",))
        display = coding.display or given.text("display")
        judged = _judged(counter, Coding(coding.system, coding.code, display), given, path)
    listed = [said("result", "Boolean", judged.is_valid)]
    if judged.message:
        listed.append(said("message", "String", judged.message))
    if judged.display:
        listed.append(said("display", "String", judged.display))
    return parameters(listed)


def _any_of(counter: Counter, given: Given) -> Judgement:
    """The first coding that is valid, else what is said of the first; those without a code set are passed over."""
    if "code" in given or "coding" in given:
        raise _one_way()
    value = given.all("codeableConcept")[0]
    path = f"{value.path}.coding"
    asked = [(coding, f"{path}[{index}]") for index, coding in enumerate(codings_of(value))]
    known = [(coding, where) for coding, where in asked if _loaded_name(counter, coding)]
    if not known:
        raise RefusalError(404, "not-found", _NOT_LOADED, expression=path)
    judged = [_judged(counter, _of_uri(coding), given, where) for coding, where in known]
    return next((one for one in judged if one.is_valid), judged[0])


def _judged(counter: Counter, coding: Coding, given: Given, path: str) -> Judgement:
    detail = _detail(counter, coding, given, path)
    if detail is None:
        return Judgement(False, "the code set does not have this code")
    title = "" if _is_closed(counter, coding) else _title(detail)
    if detail.code != coding.code:
        return Judgement(False, f"the code set writes it otherwise: {_WRITTEN}", title)
    why = _why_not(detail, given.is_true("abstract"))
    if not why and coding.display and title and not _is_title(coding.display, detail):
        why = "the code is valid, the display is not one of its titles"
    return Judgement(not why, why or _unjudged_title(coding, title), title)


def _why_not(detail: CodeDetail, with_headers: bool) -> str:
    if detail.status == "unknown":
        raise RefusalError(422, "not-supported", "no loaded edition of the code set covers this date")
    if detail.status == "not valid":
        return f"not valid on {detail.on}"
    if detail.status == "header" and not with_headers:
        return f"a header, which is not billable: {len(detail.instead)} codes are below it"
    return ""


def _unjudged_title(coding: Coding, title: str) -> str:
    return "the display is not judged: the code has no title that may be shown" if coding.display and not title else ""


def _is_title(text: str, detail: CodeDetail) -> bool:
    terms = [term for note in detail.notes if note.kind == "inclusion_terms" for term in note.texts]
    return _plain(text) in {_plain(one) for one in (detail.title, detail.long_title, *terms) if one}


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


# --- both


_NOT_LOADED = "no code set of this system is loaded: fhir-coder codes list, tables import"
_WRITTEN = "capital letters, and ICD-10-CM with its dot"


def _one_way() -> RefusalError:
    text = "say one of code, coding and codeableConcept"
    return RefusalError(400, "structure", text, expression="Parameters.parameter")


def _coding(given: Given, names: tuple[str, ...]) -> tuple[Coding, str]:
    """The one code that is asked, and where it stands."""
    if ("code" in given) == ("coding" in given):
        raise (
            _one_way()
            if "code" in given
            else RefusalError(
                400, "required", "say a code with its system, or a coding", expression="Parameters.parameter"
            )
        )
    if "coding" in given:
        value: Value = given.all("coding")[0]
        codings = codings_of(value)
        if len(codings) != 1 or not codings[0].system or not codings[0].code:
            raise RefusalError(400, "required", "a coding needs its system and code", expression=value.path)
        return _of_uri(codings[0]), value.path
    name = names[0]
    if name not in given:
        raise RefusalError(400, "required", "a code needs its system", expression=given.path(name))
    return _of_uri(Coding(given.text(name), given.text("code"))), given.path("code")


def _of_uri(coding: Coding) -> Coding:
    return Coding(system_uri(coding.system) or coding.system, coding.code, coding.display)


def _loaded_name(counter: Counter, coding: Coding) -> str:
    name = set_of(system_uri(coding.system) or coding.system, coding.code)
    return name if name in counter.book.names() else ""


def _is_closed(counter: Counter, coding: Coding) -> bool:
    return not counter.with_licensed and _loaded_name(counter, coding) in _IS_LICENSED


def _detail(counter: Counter, coding: Coding, given: Given, path: str) -> CodeDetail | None:
    """What the loaded code set says of a code; None where it never had it. Raises RefusalError."""
    name = _loaded_name(counter, coding)
    if not name:
        raise RefusalError(404, "not-found", _NOT_LOADED, expression=path)
    day = date.fromisoformat(_day(given)) if "date" in given else counter.today
    found = counter.book.details(coding.code, day, [name])
    version = given.text("version")
    if found and version and version not in (_edition(found[0]), found[0].edition):
        raise RefusalError(404, "not-found", "another edition is loaded", expression=given.path("version"))
    return found[0] if found else None


def _day(given: Given) -> str:
    text = given.text("date")
    try:
        date.fromisoformat(text)
    except ValueError:
        text = "no such day in the calendar"
        raise RefusalError(400, "value", text, expression=given.path("date")) from None
    return text


def _title(detail: CodeDetail) -> str:
    return "" if detail.title.startswith(_NO_TITLE) else detail.title


def _edition(detail: CodeDetail) -> str:
    found = _EDITION.fullmatch(detail.edition)
    return found[1] if found else detail.edition


def _set_title(name: str, system: str) -> str:
    return next((kind.title for kind in KINDS if kind.name == name), SYSTEM_TITLES.get(system, name))
