"""ADT messages about persons and numbers: merges, moves, unlinking, person data. HL7 v2 chapter 3, MRG.

What they say is filed under the prior number, whichever comes first: they, or the messages they are about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product

from fhir_coder.hl7v2.chart_key import key_of_number, number_authority
from fhir_coder.hl7v2.facts_visit import patient_of
from fhir_coder.hl7v2.people import Cx
from fhir_coder.hl7v2.reader import Segment
from fhir_coder.hl7v2.source import Source
from fhir_coder.hl7v2.types import PERSON_TYPES
from fhir_coder.model import FiledFact, Identifier, MergeFact, MoveFact, PatientFact, PersonFact, VisitFact

PATIENT, VISIT, ACCOUNT, ALTERNATE_VISIT = "patient", "visit", "account", "alternate visit"

MERGE_EVENTS: Mapping[str, frozenset[str]] = {
    "A18": frozenset({PATIENT, VISIT, ACCOUNT}),
    "A30": frozenset({PATIENT}),
    "A34": frozenset({PATIENT}),
    "A35": frozenset({ACCOUNT}),
    "A36": frozenset({PATIENT, ACCOUNT}),
    "A39": frozenset({PATIENT}),
    "A40": frozenset({PATIENT}),
    "A41": frozenset({ACCOUNT}),
    "A42": frozenset({VISIT}),
    "A43": frozenset({PATIENT}),
    "A44": frozenset({ACCOUNT}),
    "A45": frozenset({VISIT}),
    "A47": frozenset({PATIENT}),
    "A49": frozenset({ACCOUNT}),
    "A50": frozenset({VISIT}),
    "A51": frozenset({ALTERNATE_VISIT}),
}
"""The events that are read, and what each merges or moves."""

_TO_ANOTHER_PATIENT = ("A44", "A45")
_NUMBERS_MOVED, _UNLINK = "A43", "ADT^A37"
# Numbers that many systems or persons share, or that no merge is about.
_NO_RECORD_NUMBERS = frozenset({"SS", "SB", "DL", "PPN", "CZ", "NI", "AN", "VN"})
_ALL_OF_A_PERSON = ("identifiers", "name", "birth_date", "sex", "address", "phone")


@dataclass(frozen=True, slots=True)
class _Group:
    """A PID, an MRG after it, and its PV1; one message may hold several."""

    pid: Segment
    mrg: Segment
    pv1: Segment | None = None


@dataclass(frozen=True, slots=True)
class _Numbered:
    """A number that a visit had, and the one it has now. `kind` is that of the chart key: VN, AN or AV."""

    kind: str
    prior: Cx
    now: Cx


def is_about_persons(kind: str) -> bool:
    """Whether a type (`ADT^A40`) merges, moves or unlinks, or says something of a person outside any visit."""
    family, _, event = kind.partition("^")
    return family == "ADT" and (event in MERGE_EVENTS or kind == _UNLINK or kind in PERSON_TYPES)


def read_persons(source: Source) -> tuple[FiledFact, ...]:
    """Everything that a message about persons says."""
    if source.kind in PERSON_TYPES:
        pid = source.message.segment("PID")
        return tuple(_person(source, pid)) if pid else ()
    return tuple(_unlinked(source)) if source.kind == _UNLINK else read_merges(source)


def _person(source: Source, pid: Segment) -> Iterator[FiledFact]:
    fact = PersonFact(source.origin(pid.path), patient_of(source, pid))
    for topic in patient_topics(source, pid):
        yield FiledFact(topic, fact)


def _unlinked(source: Source) -> Iterator[FiledFact]:
    """A37: no record of the first person was the second's, nor the reverse."""
    pids = source.message.segments("PID")
    if len(pids) != 2:
        source.note("PID", "not_two_persons")
        return
    first, second = (patient_topics(source, pid) for pid in pids)
    for prior, survivor in (*product(first, second), *product(second, first)):
        yield FiledFact(prior, MergeFact(source.origin(pids[0].path), prior, survivor, removed=True))


def patient_topics(source: Source, pid: Segment) -> tuple[str, ...]:
    """The topics of the patient: one for each record number of PID-3 (PID-2 where that has none)."""
    numbers = source.numbers(pid, 3) or source.numbers(pid, 2)
    return tuple(dict.fromkeys([_patient_topic(source, n, n) for n in numbers if _is_record_number(n)]))


def read_merges(source: Source) -> tuple[FiledFact, ...]:
    """Everything a merge or move says, filed under the numbers it is about; a chart key for each visit that moves."""
    wanted = MERGE_EVENTS[source.kind.partition("^")[2]]
    facts: list[FiledFact] = []
    for group in _groups(source):
        person = patient_of(source, group.pid)
        if PATIENT in wanted:
            facts += _patients(source, group, person)
        for numbered in _numbers(source, group):
            if _KINDS[numbered.kind] in wanted:
                facts += _moved(source, group, numbered, person)
    if not facts:
        source.note("MRG", "no_prior_number")
    return tuple(facts)


_KINDS = {"VN": VISIT, "AN": ACCOUNT, "AV": ALTERNATE_VISIT}


def _groups(source: Source) -> list[_Group]:
    """Where there is one MRG, a PV1 that a sender put before it belongs to it all the same."""
    groups = list(_in_order(source))
    if len(groups) == 1 and groups[0].pv1 is None:
        return [replace(groups[0], pv1=source.message.segment("PV1"))]
    return groups


def _in_order(source: Source) -> Iterator[_Group]:
    """A41 and A45 name several visits of a patient, A40 and A42 several patients."""
    pid: Segment | None = None
    group: _Group | None = None
    for segment in source.message.among(("PID", "MRG", "PV1")):
        if segment.name == "PV1":
            group = replace(group, pv1=group.pv1 or segment) if group else None
            continue
        if group:
            yield group
        group = _Group(pid, segment) if segment.name == "MRG" and pid else None
        pid = segment if segment.name == "PID" else pid
    if group:
        yield group


def _patients(source: Source, group: _Group, person: PatientFact) -> Iterator[FiledFact]:
    priors = source.numbers(group.mrg, 1) or source.numbers(group.mrg, 4)  # all that some senders of A39 fill
    for prior in filter(_is_record_number, priors):
        now = _counterpart(source, prior, group.pid)
        if now is None and source.kind.endswith(_NUMBERS_MOVED):  # the number stays, and the person is another
            yield from _person(source, group.pid)
        elif now:
            topic, survivor = _patient_topic(source, prior, now), _patient_topic(source, now, now)
            fact = MergeFact(source.origin(group.mrg.path), topic, survivor, person, prior.identifier())
            yield FiledFact(topic, fact, (survivor,))


def _counterpart(source: Source, prior: Cx, pid: Segment) -> Cx | None:
    """The number of the surviving record that stands for a prior one: of its kind, else the first there is.

    Some senders list the prior number in PID-3 beside the surviving one.
    """
    numbers = [number for number in source.numbers(pid, 3) or source.numbers(pid, 2) if _is_record_number(number)]
    others = [number for number in numbers if not _is_same(prior, number)]
    return next((n for n in others if n.assigner.sent == prior.assigner.sent), others[0] if others else None)


def _numbers(source: Source, group: _Group) -> Iterator[_Numbered]:
    places = (("AN", 3, group.pid, 18), ("VN", 5, group.pv1, 19), ("AV", 6, group.pv1, 50))
    for kind, former, segment, place in places:
        prior, now = source.first_number(group.mrg, former), source.first_number(segment, place)
        if prior.number and now.number:
            yield _Numbered(kind, prior, now)


def _moved(source: Source, group: _Group, numbered: _Numbered, person: PatientFact) -> Iterator[FiledFact]:
    """The move under the key the visit had; under its new key the patient and the new number."""
    authority = number_authority(numbered.now, source.message)
    to = key_of_number(numbered.now, numbered.kind, authority, source.rules)
    prior_authority = numbered.prior.assigner.authority or authority
    key = key_of_number(numbered.prior, numbered.kind, prior_authority, source.rules)
    is_new_patient = source.kind.endswith(_TO_ANOTHER_PATIENT) and _is_another(source, group)
    if key == to and not is_new_patient:
        return
    yield FiledFact(key, MoveFact(source.origin(group.mrg.path), to, is_new_patient))
    person = replace(person, cleared=_ALL_OF_A_PERSON) if is_new_patient else person
    drawn = () if key == to else (key,)
    yield FiledFact(to, person, (*drawn, *patient_topics(source, group.pid)))
    if group.pv1:
        yield FiledFact(to, _visit(source, group, numbered))


def _visit(source: Source, group: _Group, numbered: _Numbered) -> VisitFact:
    number: Identifier | None = None
    if numbered.kind != "AN":
        number = numbered.now.identifier(numbered.kind)
    account = source.first_number(group.pid, 18).identifier("AN")
    return VisitFact(source.origin((group.pv1 or group.mrg).path), number=number, account=account)


def _is_another(source: Source, group: _Group) -> bool:
    """Whether MRG-1 names another person than PID-3; where it names none nothing is known of a former one."""
    priors = [prior for prior in source.numbers(group.mrg, 1) if _is_record_number(prior)]
    present = patient_topics(source, group.pid)
    return any(_patient_topic(source, p, _counterpart(source, p, group.pid) or p) not in present for p in priors)


def _patient_topic(source: Source, number: Cx, like: Cx) -> str:
    """`AUTHORITY/PI/NUMBER`. A number without authority is of the same one as the number it is `like`."""
    authority = number.assigner.authority or number_authority(like, source.message)
    return f"{source.rules.namespace}{authority}/PI/{number.number}"


def _is_same(prior: Cx, now: Cx) -> bool:
    authorities = {prior.assigner.authority, now.assigner.authority} - {""}
    return prior.number == now.number and len(authorities) < 2


def _is_record_number(number: Cx) -> bool:
    return bool(number.number) and number.assigner.sent.upper() not in _NO_RECORD_NUMBERS


def moved_keys(facts: tuple[FiledFact, ...]) -> tuple[str, ...]:
    """The keys that visits have now, in the order they are said."""
    return tuple(dict.fromkeys(filed.fact.to for filed in facts if isinstance(filed.fact, MoveFact)))
