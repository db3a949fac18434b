"""Messages checked by a message profile: which segments, and what may stand in them.

hl7apy can hold messages against a profile too, but only against a pickled one, and its report holds their values; its
tables and datatypes are used here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from fhir_coder.hl7v2.conformance import CHECKED_TYPES, fits_datatype, in_table
from fhir_coder.hl7v2.fieldnames import standard_version
from fhir_coder.hl7v2.profile import Profile, Rule
from fhir_coder.hl7v2.reader import DELETE, Er7Message, Segment, Syntax, read_message
from fhir_coder.hl7v2.structure import Matching, Met
from fhir_coder.model import Finding, Severity

STRUCTURE = "hl7-profile-structure"
USAGE = "hl7-profile-usage"
CARDINALITY = "hl7-profile-cardinality"
LENGTH = "hl7-profile-length"
DATATYPE = "hl7-profile-datatype"
TABLE = "hl7-profile-table"
CONSTANT = "hl7-profile-constant"
PROFILE_EDITS = (STRUCTURE, USAGE, CARDINALITY, LENGTH, DATATYPE, TABLE, CONSTANT)

_WORDS = {"Field": "field", "Component": "component", "SubComponent": "subcomponent"}
_WITHDRAWN = "withdrawn, and sent"


def check_by_profiles(body: bytes, profiles: Sequence[Profile]) -> list[Finding]:
    """What in a message departs from the profile that is for its type.

    Usage, cardinality, lengths, datatypes and constants reject; tables, and what the profile does not describe, warn.
    Raises UnreadableError where the body is no HL7 v2 message.
    """
    message = read_message(body, policy="replace")
    msh = message.header
    profile = next((p for p in profiles if p.is_for(msh.text(9), msh.text(9, 2))), None)
    if profile is None:
        listed = ", ".join(p.title for p in profiles)
        return [_rejection(STRUCTURE, "MSH-9", f"not of the type that the profile is for: {listed}")]
    findings = list(_version_findings(message, profile))
    matching = Matching(message, profile.parts)
    values = _Values(message.syntax, standard_version(profile.version or msh.text(12)))
    for rule, segment in matching.placed:
        findings += values.segment_findings(rule, segment)
    return list(dict.fromkeys([*findings, *_structure_findings(matching)]))


def _version_findings(message: Er7Message, profile: Profile) -> Iterator[Finding]:
    if profile.version and message.header.text(12) != profile.version:
        yield _warning(STRUCTURE, "MSH-12", f"not version {profile.version}, which the profile is for")


# --- which segments -------------------------------------------------------------------------------


def _structure_findings(matching: Matching) -> Iterator[Finding]:
    for met in matching.met:
        yield from _met_findings(met, f" in {met.group}" if met.group else "")
    for segment in matching.passed_over:
        yield _warning(STRUCTURE, segment.path, "segment has no place here in the profile")


def _met_findings(met: Met, where: str) -> Iterator[Finding]:
    rule = met.rule
    if not met.times:
        if rule.is_required:
            yield _rejection(USAGE, rule.name, f"required {met.what} is missing{where}")
    elif rule.usage == "X":
        yield _rejection(USAGE, rule.name, f"{met.what} is excluded, and sent{where}")
    elif rule.usage == "W":
        yield _warning(USAGE, rule.name, f"{met.what} is {_WITHDRAWN}{where}")
    else:
        yield from _count_findings(rule, met.times, rule.name, where)


def _count_findings(rule: Rule, count: int, path: str, where: str = "") -> Iterator[Finding]:
    if rule.high is not None and count > rule.high:
        yield _rejection(CARDINALITY, path, f"occurs more than {_times(rule.high)}{where}")
    if count < rule.low:
        yield _rejection(CARDINALITY, path, f"occurs less than {_times(rule.low)}{where}")


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


# --- what is in a segment -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Values:
    """Judges the fields of segments as one message writes them; tables and datatypes are those of a version."""

    syntax: Syntax
    version: str

    def segment_findings(self, rule: Rule, segment: Segment) -> Iterator[Finding]:
        if rule.usage in ("X", "W"):
            return
        for number, field in enumerate(rule.parts, 1):
            yield from self._field_findings(field, segment, number)
        for number in range(len(rule.parts) + 1, segment.count + 1 if rule.parts else 0):
            if segment.raw(number).strip():
                yield _warning(STRUCTURE, segment.path_of(number), "field is not described by the profile")

    def _field_findings(self, rule: Rule, segment: Segment, number: int) -> Iterator[Finding]:
        path = segment.path_of(number)
        if not segment.raw(number).strip():
            yield from _empty_findings(rule, path)
            return
        parts = segment.raw_repetitions(number)
        if rule.usage != "X":
            yield from _count_findings(rule, len(parts), path)
        is_delimiters = segment.name == "MSH" and number <= 2
        for place, part in enumerate(parts, 1):
            where = path if len(parts) == 1 else f"{path}[{place}]"
            if is_delimiters:
                yield from _constant_findings(rule, part, where)
            elif part.strip():
                yield from self._findings(rule, part, where, (self.syntax.component, self.syntax.subcomponent))

    def _findings(self, rule: Rule, raw: str, path: str, marks: tuple[str, ...]) -> Iterator[Finding]:
        if not raw.strip():
            yield from _empty_findings(rule, path)
        elif rule.usage == "X":
            yield _rejection(USAGE, path, f"{_WORDS[rule.kind]} is excluded, and sent")
        elif rule.usage == "W":
            yield _warning(USAGE, path, f"{_WORDS[rule.kind]} is {_WITHDRAWN}")
        elif raw.strip() != DELETE:
            yield from self._value_findings(rule, raw, path, marks)

    def _value_findings(self, rule: Rule, raw: str, path: str, marks: tuple[str, ...]) -> Iterator[Finding]:
        value = self.syntax.unescape(raw)
        yield from _constant_findings(rule, value, path)
        if rule.length is not None and len(value) > rule.length:
            yield _rejection(LENGTH, path, f"longer than {rule.length} characters")
        if rule.parts and marks:
            yield from self._part_findings(rule, raw.split(marks[0]), path, marks[1:])
        else:
            yield from self._leaf_findings(rule, value, path)
        # A table of a composite is that of its identifier; where the identifier names one itself, that one counts.
        if rule.table and not (rule.parts and rule.parts[0].table):
            yield from self._table_findings(rule.table, raw, path)

    def _part_findings(self, rule: Rule, raws: Sequence[str], path: str, marks: tuple[str, ...]) -> Iterator[Finding]:
        for place, part in enumerate(_as_standard(rule), 1):
            raw = raws[place - 1] if place <= len(raws) else ""
            yield from self._findings(part, raw, f"{path}.{place}", marks)
        if any(raw.strip() for raw in raws[len(rule.parts) :]):
            yield _warning(STRUCTURE, path, "more components than the profile describes")

    def _leaf_findings(self, rule: Rule, value: str, path: str) -> Iterator[Finding]:
        datatype = "DTM" if rule.datatype == "TS" else rule.datatype
        plain = value.partition(self.syntax.component)[0] if rule.datatype == "TS" else value
        if datatype in CHECKED_TYPES and not fits_datatype(datatype, plain, self.version):
            yield _rejection(DATATYPE, path, f"no valid {rule.datatype}")

    def _table_findings(self, table: str, raw: str, path: str) -> Iterator[Finding]:
        code = raw.partition(self.syntax.component)[0].partition(self.syntax.subcomponent)[0]
        if code.strip() and not in_table(self.syntax.unescape(code), f"HL7{table.zfill(4)}", self.version):
            yield _warning(TABLE, path, f"not in table {table}")


def _as_standard(rule: Rule) -> Iterable[Rule]:
    """The parts of a composite. Profiles made from the v2.4 database call the time in a TS a NM; it may have a zone."""
    if rule.datatype != "TS" or rule.parts[0].datatype != "NM":
        return rule.parts
    first = rule.parts[0]
    time = Rule(first.kind, first.name, first.usage, first.low, first.high, "DTM", first.length)
    return (time, *rule.parts[1:])


def _empty_findings(rule: Rule, path: str) -> Iterator[Finding]:
    if rule.is_required:
        yield _rejection(USAGE, path, f"required {_WORDS[rule.kind]} is empty")


def _constant_findings(rule: Rule, value: str, path: str) -> Iterator[Finding]:
    if rule.constant and value != rule.constant:
        yield _rejection(CONSTANT, path, f"is not the constant {rule.constant}")


def _rejection(edit: str, path: str, text: str) -> Finding:
    return Finding(edit, Severity.REJECT, path, text)


def _warning(edit: str, path: str, text: str) -> Finding:
    return Finding(edit, Severity.WARN, path, text)
