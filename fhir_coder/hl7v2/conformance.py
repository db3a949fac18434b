"""Messages checked against the standard's own structures, which come with hl7apy.

hl7apy's references are used, not its reader or validator: its report would hold the values of the message, and it
refuses the truncation character under older versions.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from hl7apy import load_reference
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.exceptions import ChildNotFound, HL7apyException
from hl7apy.factories import datatype_factory

from fhir_coder.hl7v2.fieldnames import standard_version
from fhir_coder.hl7v2.profile import GROUP, SEGMENT, Rule
from fhir_coder.hl7v2.reader import DELETE, Er7Message, Segment, Syntax, read_message
from fhir_coder.hl7v2.structure import Matching
from fhir_coder.model import Finding, Severity

EDIT = "hl7-conformance"

CHECKED_TYPES = frozenset({"NM", "SI", "DT", "DTM", "TM"})
"""Datatypes whose form is looked at."""

_CODING_SYSTEMS = "HL70396"
_VERSIONS = "HL70104"
_CONDITIONAL = frozenset({("OBX", 2), ("OBX", 4)})
"""Fields that hl7apy 1.3.5 has as required in versions 2.3, 2.7 and 2.8, where the standard's tables say C."""
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
    used = standard_version(named)
    findings = [] if used == named else [_warning("MSH-12", f"version not known; checked as {used}")]
    findings += _structure_findings(message, used)
    for segment in message:
        findings += _segment_findings(segment, message.syntax, used)
    return list(dict.fromkeys(findings))


# --- which segments -------------------------------------------------------------------------------


def _structure_findings(message: Er7Message, version: str) -> Iterator[Finding]:
    structure = _structure(message, version)
    if not structure:
        yield _warning("MSH-9", f"message structure not known in version {version}")
        return
    matching = Matching(message, _rules(structure, version))
    for met in matching.met:
        where = f" in {met.group}" if met.group else ""
        if met.times < met.rule.low:
            yield _rejection(met.rule.name, f"required {met.what} is missing{where}")
        elif met.rule.high is not None and met.times > met.rule.high:
            yield _rejection(met.rule.name, f"{met.what} occurs more often than the structure allows{where}")
    for segment in matching.passed_over:
        if not segment.name.startswith("Z") and _reference(segment.name, "Segment", version):
            yield _warning(segment.path, "segment has no place here in this message structure")


def _structure(message: Er7Message, version: str) -> str:
    msh = message.header
    kind, event = msh.text(9), msh.text(9, 2)
    candidates = (msh.text(9, 3), f"{kind}_{event}", _SHARED.get(kind, {}).get(event, ""), kind)
    return next((name for name in candidates if name and _reference(name, "Message", version)), "")


@lru_cache(maxsize=64)
def _rules(structure: str, version: str) -> tuple[Rule, ...]:
    return _parts_of(load_reference(structure, "Message", version))


def _parts_of(reference: Reference) -> tuple[Rule, ...]:
    is_choice = reference[0] == "choice"
    return tuple(
        Rule(
            kind=SEGMENT if kind == "SEG" else GROUP,
            name=name,
            usage="R" if low and not is_choice else "O",
            low=0 if is_choice else low,
            high=None if high < 0 else high,
            parts=() if kind == "SEG" else _parts_of(child),
        )
        for name, child, (low, high), kind in reference[1]
    )


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
        if low and (segment.name, number) not in _CONDITIONAL:
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
    if datatype in CHECKED_TYPES and not fits_datatype(datatype, value, how[1]):
        yield _rejection(path, f"no valid {datatype}")
    if -1 < length < len(value):
        yield _warning(path, f"longer than {length} characters")
    if table and not in_table(value, table, how[1]):
        yield _warning(path, f"not in table {table}")


def fits_datatype(datatype: str, value: str, version: str) -> bool:
    """Whether a value has the form of one of `CHECKED_TYPES`."""
    try:
        datatype_factory(datatype, value, version, VALIDATION_LEVEL.STRICT)
    except ValueError:
        return False
    except HL7apyException:
        # The version has no such base datatype, or limits its length, which is not what is asked here.
        return True
    return True


def in_table(value: str, table: str, version: str) -> bool:
    """Whether a code is of a table (`HL70001`); every code is of one whose codes the standard does not list."""
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
