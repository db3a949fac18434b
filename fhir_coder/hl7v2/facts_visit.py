"""PID, PV1 and EVN: the patient, the visit, and events taken back."""

from __future__ import annotations

from collections.abc import Iterator

from fhir_coder.hl7v2.participants import with_visit_participants
from fhir_coder.hl7v2.people import (
    read_address,
    read_facility,
    read_identifier,
    read_location,
    read_members,
    read_name,
    read_phone,
)
from fhir_coder.hl7v2.reader import Segment
from fhir_coder.hl7v2.source import Source
from fhir_coder.hl7v2.types import ORDER_FAMILIES
from fhir_coder.model import CancelFact, CareTeamMember, Identifier, Name, Organization, PatientFact, VisitFact, When

_BEFORE_PID_3 = frozenset({"2.1", "2.2", "2.3"})
_ROLES = ((7, "attending"), (8, "referring"), (9, "consulting"), (17, "admitting"))
# Events that say how far the visit is. A08 only updates: one that comes after A03 or A11 must not open the visit again.
_STATUS = {
    **dict.fromkeys(("A01", "A02", "A04", "A06", "A07", "A12", "A13"), "in-progress"),
    "A03": "finished",
    "A05": "planned",
    "A11": "cancelled",
}
_CANCELS = {"A11": "admit", "A13": "discharge"}
# Accounts, charges and what was given or done: orders are read only where the feed's rules say that they bill.
_BILLABLE = frozenset({"BAR^P01", "BAR^P05"})
_BILLABLE_FAMILIES = frozenset({"DFT", "VXU"}) | ORDER_FAMILIES


def read_patient(source: Source) -> Iterator[PatientFact]:
    """PID."""
    pid = source.message.segment("PID")
    if pid is None:
        return
    yield PatientFact(
        origin=source.origin(pid.path),
        identifiers=_identifiers(source, pid),
        name=_first_name(pid, 5),
        birth_date=_day(source.when(pid, 7)),
        sex=source.rules.translated("v2-sex", pid.text(8)),
        address=next((a for a in map(read_address, pid.repetitions(11)) if a), None),
        phone=read_phone(pid.repetitions(13)),
    )


def read_visit(source: Source) -> Iterator[VisitFact]:
    """PV1, with the account of PID and the facility of MSH. A message without PV1 still says what may be billed."""
    pv1 = source.message.segment("PV1")
    account, facility, billable = _account(source), _facility(source, pv1), _billable(source)
    if pv1 is None:
        yield VisitFact(source.origin("MSH"), account=account, facility=facility, billable=billable)
        return
    end = source.when(pv1, 45)
    yield VisitFact(
        origin=source.origin(pv1.path),
        number=_visit_number(source, pv1),
        account=account,
        class_code=source.rules.translated("v2-class", pv1.text(2)),
        status=visit_status(source.kind, discharged=end is not None),
        start=source.when(pv1, 44),
        end=end,
        admission_type=pv1.text(4),
        admit_source=pv1.text(14),
        discharge_disposition=pv1.text(36),
        location=read_location(pv1.field(3)),
        facility=facility,
        care_team=with_visit_participants(_care_team(pv1), source),
        billable=billable,
    )


def read_cancel(source: Source) -> Iterator[CancelFact]:
    """The event that an A11 or A13 takes back."""
    kind, _, event = source.kind.partition("^")
    if kind == "ADT" and event in _CANCELS:
        yield CancelFact(source.origin("MSH-9"), _CANCELS[event])


def _billable(source: Source) -> bool | None:
    is_billable = source.kind in _BILLABLE or source.kind.partition("^")[0] in _BILLABLE_FAMILIES
    return True if is_billable else None


def visit_status(kind: str, discharged: bool) -> str:
    """The status of the visit after a message, empty where it does not say."""
    family, _, event = kind.partition("^")
    if family == "ADT" and event in ("A11", "A13"):
        # A cancelled discharge may still show the discharge date it takes back.
        return _STATUS[event]
    if discharged:
        return "finished"
    return _STATUS.get(event, "") if family == "ADT" else ""


def _visit_number(source: Source, pv1: Segment) -> Identifier | None:
    return read_identifier(pv1.field(19), source.rules, "VN") or read_identifier(pv1.field(50), source.rules, "AV")


def _account(source: Source) -> Identifier | None:
    pid = source.message.segment("PID")
    return read_identifier(pid.field(18), source.rules, "AN") if pid else None


def _facility(source: Source, pv1: Segment | None) -> Organization | None:
    """The sending facility, else the servicing facility (PV1-39), else where the event happened (EVN-7)."""
    evn = source.message.segment("EVN")
    servicing = pv1.text(39) if pv1 else ""
    return (
        read_facility(source.message.header.field(4))
        or (Organization(servicing) if servicing else None)
        or (read_facility(evn.field(7)) if evn else None)
    )


def _care_team(pv1: Segment) -> tuple[CareTeamMember, ...]:
    return tuple(member for place, role in _ROLES for member in read_members(role, pv1.repetitions(place)))


def _day(when: When | None) -> When | None:
    # PID-7 may hold the time of birth; FHIR and payers know a birth date only.
    return When(when.text[:10]) if when else None


def _identifiers(source: Source, pid: Segment) -> tuple[Identifier, ...]:
    fields = pid.repetitions(3)
    if not fields or source.message.header.text(12) in _BEFORE_PID_3:
        fields = [*fields, *pid.repetitions(2), *pid.repetitions(4)]
    found = (read_identifier(field, source.rules) for field in fields)
    return tuple(dict.fromkeys(identifier for identifier in found if identifier))


def _first_name(segment: Segment, place: int) -> Name | None:
    # The first name that says something: chapter 3 puts the legal one first.
    return next((name for name in map(read_name, segment.repetitions(place)) if name), None)
