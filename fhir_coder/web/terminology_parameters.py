"""The parameters of a FHIR operation: read from a query or from a Parameters resource, and written. Pure.

A query and a Parameters resource say the same by the same names (FHIR R4, section 3.2.0): one reading serves both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from fhir_coder.model import Coding, Json
from fhir_coder.web.refusal import RefusalError

LONGEST = 1000
"""Characters of a text: no code, address or name that is meant is longer."""

_OF_EVERY_READ = frozenset({"_format", "_pretty"})
_SEEN, _TEXT = "[!-~\u00a1-\U0010ffff]", "[\t\n\r -~\u00a0-\U0010ffff]"
_SHAPES = {
    "code": re.compile(f"{_SEEN}+( {_SEEN}+)*"),
    "uri": re.compile(f"{_SEEN}+"),
    "dateTime": re.compile(r"(\d{4}-\d\d-\d\d)(T\S+)?", re.ASCII),
    "boolean": re.compile(r"true|false"),
    "integer": re.compile(r"[0-9]{1,9}"),
    "string": re.compile(f"{_TEXT}*{_SEEN}{_TEXT}*"),
}
_RULES = {
    "code": "not a code: one word, or words with one blank between them",
    "uri": "not a URI: it has no blanks",
    "dateTime": "not a date: write it as 2026-01-31",
    "boolean": "write true or false",
    "integer": "not a whole number",
    "string": "empty, or with a character that no text has",
}
_TEXT_KEYS = frozenset(
    f"value{kind}" for kind in ("Code", "String", "Uri", "Url", "Canonical", "Id", "Date", "DateTime", "Markdown")
)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter that an operation takes. `kind` is a FHIR datatype, or `dependency`, which has parts.

    `means` is the name that it is read under, where it is another name of the same.
    """

    name: str
    kind: str
    text: str
    repeats: bool = False
    example: str = ""
    means: str = ""

    @property
    def is_plain(self) -> bool:
        """Whether an address can say it."""
        return self.kind in _SHAPES


@dataclass(frozen=True, slots=True)
class Value:
    """What was said of a parameter, and the FHIRPath of where. A plain one is text, others are their JSON."""

    value: Any
    path: str


class Given:
    """The parameters of one request, each of the datatype that its operation takes."""

    def __init__(self) -> None:
        self._values: dict[str, list[Value]] = {}

    def add(self, parameter: Parameter, value: Value) -> None:
        """Take one parameter. Raises RefusalError where it was given before and does not repeat."""
        name = parameter.means or parameter.name
        if name in self._values and not parameter.repeats:
            raise RefusalError(400, "structure", "given twice", expression=value.path)
        self._values.setdefault(name, []).append(value)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def all(self, name: str) -> Sequence[Value]:
        """Everything said of a parameter."""
        return self._values.get(name, ())

    def text(self, name: str) -> str:
        """The text of a parameter, empty where nothing was said."""
        return str(self._values[name][0].value) if name in self._values else ""

    def is_true(self, name: str) -> bool:
        """Whether a boolean was given as true."""
        return self.text(name) == "true"

    def path(self, name: str) -> str:
        """Where a parameter stands, or would stand."""
        return self._values[name][0].path if name in self._values else path_of(name)


def path_of(name: str) -> str:
    """The FHIRPath of a parameter by its name."""
    return f"Parameters.parameter.where(name='{name}')"


def given_in_query(pairs: Iterable[tuple[str, str]], takes: Sequence[Parameter]) -> Given:
    """Read the parameters of an address. Raises RefusalError with the first that cannot be read."""
    known, given = {parameter.name: parameter for parameter in takes}, Given()
    for name, text in pairs:
        if name in _OF_EVERY_READ:
            continue
        parameter = known.get(name)
        if parameter is None:
            raise _unknown(takes, "Parameters.parameter")
        path = path_of(parameter.name)
        if not parameter.is_plain:
            raise RefusalError(400, "structure", "an address cannot say this: send Parameters by POST", expression=path)
        given.add(parameter, Value(_checked(parameter.kind, text, path), path))
    return given


def given_in_body(body: bytes, takes: Sequence[Parameter]) -> Given:
    """Read a Parameters resource. Raises RefusalError with the first parameter that cannot be read."""
    try:
        resource = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise RefusalError(400, "structure", "the body is not JSON") from None
    if not isinstance(resource, dict) or resource.get("resourceType") != "Parameters":
        raise RefusalError(400, "structure", "the body is not a Parameters resource", expression="Parameters")
    known, given = {parameter.name: parameter for parameter in takes}, Given()
    for index, one in enumerate(_objects(resource.get("parameter", []), "Parameters.parameter")):
        path = f"Parameters.parameter[{index}]"
        parameter = known.get(_name(one, path))
        if parameter is None:
            raise _unknown(takes, f"{path}.name")
        given.add(parameter, _value(parameter.kind, one, path))
    return given


def part_of(one: Json, names: Sequence[str], path: str) -> Value | None:
    """The part of a parameter that has one of these names, with its value; None where there is none."""
    for index, part in enumerate(_objects(one.get("part", []), f"{path}.part")):
        if _name(part, f"{path}.part[{index}]") in names:
            key, value = _value_key(part, f"{path}.part[{index}]")
            return Value(value, f"{path}.part[{index}].{key}")
    return None


def codings_of(value: Value) -> tuple[Coding, ...]:
    """The codings of a Coding or a CodeableConcept; none where it has text only. Raises RefusalError."""
    if not isinstance(value.value, dict):
        raise RefusalError(400, "structure", "neither a Coding nor a CodeableConcept", expression=value.path)
    if "coding" not in value.value:
        return (_coding(value.value, value.path),) if value.value.keys() & {"code", "system"} else ()
    if not isinstance(value.value.get("text", ""), str):
        raise RefusalError(400, "structure", "not a text", expression=f"{value.path}.text")
    listed = _objects(value.value["coding"], f"{value.path}.coding")
    return tuple(_coding(one, f"{value.path}.coding[{index}]") for index, one in enumerate(listed))


def plain_text(value: Value) -> str:
    """The text of a value: itself, a code, or the text of a concept. Raises RefusalError."""
    said = value.value
    if isinstance(said, dict):
        codings = codings_of(value)
        said = codings[0].code if codings else said.get("text")
    return _checked("string", said, value.path)


def said(name: str, kind: str, value: Any) -> Json:
    """One parameter of an answer: `said("result", "Boolean", True)`."""
    return {"name": name, f"value{kind}": value}


def parameters(listed: Iterable[Json]) -> Json:
    """The Parameters resource of an answer."""
    return {"resourceType": "Parameters", "parameter": list(listed)}


def _unknown(takes: Sequence[Parameter], path: str) -> RefusalError:
    names = ", ".join(parameter.name for parameter in takes) or "none in the address, where the body has them"
    return RefusalError(400, "not-supported", f"a parameter that is not known; known are {names}", expression=path)


def _value(kind: str, one: Json, path: str) -> Value:
    if kind == "dependency":
        if "part" not in one:
            raise RefusalError(400, "required", "a dependency has parts", expression=path)
        return Value(one, path)
    key, value = _value_key(one, path)
    where = f"{path}.{key}"
    if kind in ("Coding", "CodeableConcept"):
        if key != f"value{kind}":
            raise RefusalError(400, "structure", f"write it as value{kind}", expression=where)
        codings_of(Value(value, where))
        return Value(value, where)
    if kind == "boolean":
        is_fit = key == "valueBoolean" and isinstance(value, bool)
        value = str(value).lower() if is_fit else None
    elif key not in _TEXT_KEYS:
        value = None
    return Value(_checked(kind, value, where), where)


def _value_key(one: Json, path: str) -> tuple[str, Any]:
    keys = [key for key in one if key.startswith("value")]
    if len(keys) != 1:
        raise RefusalError(400, "structure", "a parameter has one value", expression=path)
    return keys[0], one[keys[0]]


def _objects(value: Any, path: str) -> list[Json]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise RefusalError(400, "structure", "not a list of elements", expression=path)
    return value


def _name(one: Json, path: str) -> str:
    name = one.get("name")
    if not isinstance(name, str):
        raise RefusalError(400, "required", "a parameter has a name", expression=f"{path}.name")
    return name


def _coding(one: Json, path: str) -> Coding:
    system = _checked("uri", one.get("system"), f"{path}.system") if "system" in one else ""
    code = _checked("code", one.get("code"), f"{path}.code") if "code" in one else ""
    display = _checked("string", one.get("display"), f"{path}.display") if "display" in one else ""
    return Coding(system, code, display)


def _checked(kind: str, text: Any, path: str) -> str:
    if not isinstance(text, str) or len(text) > LONGEST or not (found := _SHAPES[kind].fullmatch(text)):
        rule = f"longer than {LONGEST} characters" if isinstance(text, str) and len(text) > LONGEST else _RULES[kind]
        raise RefusalError(400, "value", rule, expression=path)
    return found[1] if kind == "dateTime" else text
