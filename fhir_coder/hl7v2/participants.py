"""ROL and PRT: persons named in segments of their own, beside the doctors of PV1, PR1, FT1, RXA and OBR.

HL7 tables 0443 (provider role) and 0912 (participation). The role of billing is by code; other roles are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fhir_coder.hl7v2.reader import Segment
from fhir_coder.hl7v2.source import Source
from fhir_coder.model import CareTeamMember, Practitioner

_ROLES = {
    "AT": "attending",
    "AD": "admitting",
    "RP": "referring",
    "CP": "consulting",
    "PP": "primary",
    "FHCP": "primary",
    "OP": "ordering",
    "AP": "rendering",
}
# Where the segment has its action code, role and persons.
_FIELDS = {"ROL": (2, 3, 4), "PRT": (2, 4, 5)}
_TAKEN_BACK = frozenset({"DE", "UN"})
# What may stand between PID or PV1 and the persons that belong to them.
_OF_THE_VISIT = frozenset({"PID", "PD1", "PV1", "PV2", "ARV"})


def with_participants(team: tuple[CareTeamMember, ...], source: Source, segment: Segment) -> tuple[CareTeamMember, ...]:
    """A care team with the persons of the ROL and PRT segments right after a segment."""
    return _joined(team, _after(source, segment)) if source.names_participants else team


def with_visit_participants(team: tuple[CareTeamMember, ...], source: Source) -> tuple[CareTeamMember, ...]:
    """A care team of the visit with the persons after PID and PV1."""
    return _joined(team, _of_the_visit(source)) if source.names_participants else team


def _after(source: Source, segment: Segment) -> Iterator[CareTeamMember]:
    order = source.order
    for at in range(segment.at + 1, len(order)):
        if order[at] in _FIELDS:
            yield from _members(source, at, order[at])
        elif order[at] != "NTE":
            return


def _of_the_visit(source: Source) -> Iterator[CareTeamMember]:
    owner = ""
    for at, name in enumerate(source.order):
        if name not in _FIELDS:
            owner = name
        elif owner in _OF_THE_VISIT:
            yield from _members(source, at, name)


def _members(source: Source, at: int, name: str) -> Iterable[CareTeamMember]:
    """The persons of the ROL or PRT that is a message's segment number `at`."""
    action, role, persons = _FIELDS[name]
    segment = next(one for one in source.message.segments(name) if one.at == at)
    known = _ROLES.get(segment.text(role).upper())
    if known and segment.text(action).upper() not in _TAKEN_BACK:
        return source.members(known, segment, persons)
    return ()


def _joined(team: tuple[CareTeamMember, ...], more: Iterator[CareTeamMember]) -> tuple[CareTeamMember, ...]:
    """The team with those who are not in it yet in the same role."""
    found = list(team)
    for member in more:
        if not any(member.role == other.role and _is_same(member.practitioner, other.practitioner) for other in found):
            found.append(member)
    return tuple(found)


def _is_same(one: Practitioner | None, other: Practitioner | None) -> bool:
    if one is None or other is None:
        return False
    numbers = {identifier.value for identifier in one.identifiers}
    shares_number = any(identifier.value in numbers for identifier in other.identifiers)
    return shares_number or (one.name is not None and one.name == other.name)
