"""Messages checked against the standard's own structures, which come with hl7apy.

hl7apy's references are used, not its reader: a report of its validator would hold the values of the message, and it
refuses the truncation character under older versions. To its parser goes a skeleton of segment names only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from hl7apy import SUPPORTED_LIBRARIES, load_reference
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.exceptions import ChildNotFound, HL7apyException
from hl7apy.factories import datatype_factory
from hl7apy.parser import parse_message

from fhir_coder.hl7v2.reader import DELETE, Er7Message, Segment, Syntax, read_message
from fhir_coder.model import Finding, Severity

EDIT = "hl7-conformance"

_NEAREST = "2.5.1"
_LATEST = "2.8.2"
_CHECKED_TYPES = frozenset({"NM", "SI", "DT", "DTM", "TM"})
_CODING_SYSTEMS = "HL70396"
_VERSIONS = "HL70104"
_NAME = re.compile(r"[A-Z][A-Z0-9]{2}")
# Events that share a structure (HL7 table 0354), for messages without MSH-9.3.
_SHARED = {
    "ADT": {
        **dict.fromkeys(("A04", "A08", "A13"), "ADT_A01"),
        **dict.fromkeys(("A14", "A28", "A31"), "ADT_A05"),
        "A07": "ADT_A06",
        **dict.fromkeys(("A10", "A11", "A12"), "ADT_A09"),
        "A40": "ADT_A39",
    },
    "ACK": {},
}

Reference = Any
"""A node of hl7apy's references: nested tuples of kind, children, datatype, title, table, length."""


def check_message(body: bytes, version: str | None = None) -> list[Finding]:
    """What in a message departs from the standard, by the version it names or the one given.

    Structure, required parts and datatypes reject; tables, lengths and parts the version does not know warn.
    Raises UnreadableError where the body is no HL7 v2 message.
    """
    message = read_message(body, policy="replace")
    named = (version or message.header.text(12)).strip()
    used = _supported(named)
    findings = [] if used == named else [_warning("MSH-12", f"version not known; checked as {used}")]
    findings += _structure_findings(message, used)
    for segment in message:
        findings += _segment_findings(segment, message.syntax, used)
    return list(dict.fromkeys(findings))


def _supported(version: str) -> str:
    if version in SUPPORTED_LIBRARIES:
        return version
    return _LATEST if version.startswith("2.") and version > _LATEST else _NEAREST


# --- which segments -------------------------------------------------------------------------------


def _structure_findings(message: Er7Message, version: str) -> list[Finding]:
    structure = _structure(message, version)
    if not structure:
        return [_warning("MSH-9", f"message structure not known in version {version}")]
    names = [segment.name for segment in message if _NAME.fullmatch(segment.name)]
    parsed = parse_message(_skeleton(structure, names, version), VALIDATION_LEVEL.TOLERANT)
    reference = load_reference(structure, "Message", version)
    return [*_missing_segments(parsed, reference), *_unexpected(parsed, names)]


def _structure(message: Er7Message, version: str) -> str:
    msh = message.header
    kind, event = msh.text(9), msh.text(9, 2)
    candidates = (msh.text(9, 3), f"{kind}_{event}", _SHARED.get(kind, {}).get(event, ""), kind)
    return next((name for name in candidates if name and _reference(name, "Message", version)), "")


def _skeleton(structure: str, names: list[str], version: str) -> str:
    kind, _, event = structure.partition("_")
    lines = [f"MSH|^~\\&|||||||{kind}^{event}^{structure}|1|P|{version}", *(f"{name}|" for name in names[1:])]
    return "\r".join(lines)


def _missing_segments(parsed: Any, reference: Reference) -> Iterator[Finding]:
    """Required segments and groups that are not there, and those that may not be repeated and are."""
    children = list(parsed.children)
    checked: set[str] = set()
    for name, child, (low, high), _ in reference[1]:
        if name in checked:
            continue
        checked.add(name)
        found = [element for element in children if element.name == name]
        limits = [place[2] for place in reference[1] if place[0] == name]
        if len(found) < low:
            yield _rejection(name, f"required {'segment' if len(name) == 3 else 'group'} is missing")
        if high != -1 and -1 not in [limit[1] for limit in limits] and len(found) > sum(limit[1] for limit in limits):
            yield _rejection(name, "segment occurs more often than the structure allows")
        for element in found:
            if element.classname == "Group":
                yield from _missing_segments(element, child)


def _unexpected(parsed: Any, names: list[str]) -> Iterator[Finding]:
    placed = list(_placed(parsed))
    for name in dict.fromkeys(names):
        if not name.startswith("Z") and names.count(name) > placed.count(name):
            yield _warning(name, "segment has no place here in this message structure")


def _placed(element: Any) -> Iterator[str]:
    for child in element.children:
        if child.classname == "Group":
            yield from _placed(child)
        else:
            yield child.name


# --- what is in a segment -------------------------------------------------------------------------


def _segment_findings(segment: Segment, syntax: Syntax, version: str) -> Iterator[Finding]:
    reference = _reference(segment.name, "Segment", version)
    if reference is None:
        if not segment.name.startswith("Z"):
            yield _warning(segment.path, "segment is not known in this version")
        return
    for name, child, limits, _ in reference[1]:
        number = int(name.rpartition("_")[2])
        if not (segment.name == "MSH" and number <= 2):
            yield from _field_findings(segment, number, child, limits, (syntax, version))
    for number in range(len(reference[1]) + 1, segment.count + 1):
        if segment.raw(number).strip():
            yield _warning(f"{segment.path}-{number}", "field is not known in this version")


def _field_findings(
    segment: Segment, number: int, reference: Reference, limits: tuple[int, int], how: tuple[Syntax, str]
) -> Iterator[Finding]:
    path = f"{segment.path}-{number}"
    raw = segment.raw(number)
    low, high = limits
    if not raw.strip():
        if low:
            yield _rejection(path, "required field is empty")
        return
    if high == 0:
        yield _warning(path, "field is withdrawn in this version")
        return
    parts = raw.split(how[0].repetition)
    if high != -1 and len(parts) > high:
        yield _rejection(path, "field is repeated more often than allowed")
    for place, part in enumerate(parts, 1):
        where = path if len(parts) == 1 else f"{path}[{place}]"
        yield from _value_findings(part, reference, where, (how[0].component, how[0].subcomponent), how)


def _value_findings(
    raw: str, reference: Reference, path: str, separators: tuple[str, ...], how: tuple[Syntax, str]
) -> Iterator[Finding]:
    if not raw.strip() or raw.strip() == DELETE or reference[2] == "varies":
        return
    if reference[0] == "leaf" or not separators:
        yield from _leaf_findings(raw, reference, path, separators, how)
        return
    parts = raw.split(separators[0])
    for place, (_, child, limits, _) in enumerate(reference[1], 1):
        part = parts[place - 1] if place <= len(parts) else ""
        if part.strip() and limits[1]:
            yield from _value_findings(part, child, f"{path}.{place}", separators[1:], how)
        elif limits[0] and limits[1]:
            yield _rejection(f"{path}.{place}", "required component is empty")
    if any(part.strip() for part in parts[len(reference[1]) :]):
        yield _warning(path, f"more components than datatype {reference[2]} has")


def _leaf_findings(
    raw: str, reference: Reference, path: str, separators: tuple[str, ...], how: tuple[Syntax, str]
) -> Iterator[Finding]:
    _, _, datatype, _, table, length = reference[:6]
    if separators and separators[0] in raw:
        yield _warning(path, f"components in a value of datatype {datatype}, which has none")
        return
    value = how[0].unescape(raw)
    if datatype in _CHECKED_TYPES and not _fits(datatype, value, how[1]):
        yield _rejection(path, f"no valid {datatype}")
    if -1 < length < len(value):
        yield _warning(path, f"longer than {length} characters")
    if table and not _in_table(value, table, how[1]):
        yield _warning(path, f"not in table {table}")


def _fits(datatype: str, value: str, version: str) -> bool:
    try:
        datatype_factory(datatype, value, version, VALIDATION_LEVEL.STRICT)
    except ValueError:
        return False
    except HL7apyException:
        # The version has no such base datatype, or limits its length, which is not what is asked here.
        return True
    return True


def _in_table(value: str, table: str, version: str) -> bool:
    if table == _VERSIONS or (table == _CODING_SYSTEMS and value.startswith(("HL7", "99"))):
        return True
    reference = _reference(table, "Table", version)
    return reference is None or not reference[1] or value in reference[1]


def _reference(name: str, kind: str, version: str) -> Reference | None:
    try:
        return load_reference(name, kind, version)
    except (ChildNotFound, KeyError):
        return None


def _rejection(path: str, text: str) -> Finding:
    return Finding(EDIT, Severity.REJECT, path, text)


def _warning(path: str, text: str) -> Finding:
    return Finding(EDIT, Severity.WARN, path, text)
