"""PID, PV1 and EVN: the patient, the visit, and events taken back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from fhir_coder.hl7v2.facts_bill import is_accident_deleted, read_accident, read_bill_codes
from fhir_coder.hl7v2.participants import with_visit_participants
from fhir_coder.hl7v2.people import (
    first_name,
    identifiers_of,
    read_address,
    read_phone,
)
from fhir_coder.hl7v2.reader import DELETE, Segment
from fhir_coder.hl7v2.source import Source
from fhir_coder.hl7v2.types import ORDER_FAMILIES
from fhir_coder.model import (
    Address,
    CancelFact,
    CareTeamMember,
    Identifier,
    Organization,
    PatientFact,
    VisitFact,
    When,
)

_BEFORE_PID_3 = frozenset({"2.1", "2.2", "2.3"})
_ROLES = ((7, "attending"), (8, "referring"), (9, "consulting"), (17, "admitting"))
# Events that say how far the visit is. A08 only updates: one that comes after A03 or A11 must not open the visit again.
_STATUS = {
    **dict.fromkeys(("A01", "A02", "A04", "A06", "A07", "A13"), "in-progress"),
    "A03": "finished",
    "A05": "planned",
    "A11": "cancelled",
}
# The fields of each attribute that `""` clears. A chart knows the doctors of a visit as one team.
_PID_FIELDS = {
    "identifiers": (3,),
    "name": (5,),
    "birth_date": (7,),
    "sex": (8,),
    "address": (11,),
    "phone": (13,),
}
_PV1_FIELDS = {
    "class_code": (2,),
    "location": (3,),
    "admission_type": (4,),
    "care_team": (7, 8, 9, 17),
    "admit_source": (14,),
    "discharge_disposition": (36,),
    "start": (44,),
    "end": (45,),
}
_CANCELS = {"ADT^A11": "admit", "ADT^A13": "discharge", "ADT^A27": "planned", "ADT^A38": "planned"}
# Accounts, charges and what was given or done: orders are read only where the feed's rules say that they bill.
_BILLABLE = frozenset({"BAR^P01", "BAR^P05", "BAR^P06"})
_BILLABLE_FAMILIES = frozenset({"DFT", "VXU"}) | ORDER_FAMILIES


def read_patient(source: Source) -> Iterable[PatientFact]:
    """PID."""
    pid = source.message.segment("PID")
    return (patient_of(source, pid),) if pid else ()


def patient_of(source: Source, pid: Segment) -> PatientFact:
    """What one PID says."""
    return PatientFact(
        origin=source.origin(pid.path),
        identifiers=_identifiers(source, pid),
        name=first_name(pid.raw(5), pid.syntax),
        birth_date=_day(source.when(pid, 7)),
        sex=source.code("v2-sex", pid, 8),
        address=_first_address(pid),
        phone=read_phone(pid.repetitions(13)),
        cleared=_cleared(pid, _PID_FIELDS),
    )


def read_visit(source: Source) -> tuple[VisitFact]:
    """PV1, with the account of PID and the facility of MSH. A message without PV1 still says what may be billed."""
    return (_visit(source),)


def _visit(source: Source) -> VisitFact:
    pv1 = source.message.segment("PV1")
    account, facility, billable = _account(source), _facility(source, pv1), _billable(source)
    if pv1 is None:
        return VisitFact(
            source.origin("MSH"),
            account=account,
            facility=facility,
            billable=billable,
            account_message=_account_message(source),
            closed=_closed(source),
            cleared=_no_accident(source),
            accident=read_accident(source),
            bill_codes=read_bill_codes(source),
        )
    end = source.when(pv1, 45)
    return VisitFact(
        origin=source.origin(pv1.path),
        number=_visit_number(source, pv1),
        account=account,
        class_code=source.code("v2-class", pv1, 2),
        status=visit_status(source.kind, discharged=end is not None),
        start=source.when(pv1, 44),
        end=end,
        admission_type=source.code("v2-admission-type", pv1, 4),
        admit_source=pv1.text(14),
        discharge_disposition=source.code("v2-discharge-disposition", pv1, 36),
        location=source.location(pv1, 3),
        facility=facility,
        care_team=with_visit_participants(_care_team(source, pv1), source),
        billable=billable,
        account_message=_account_message(source),
        closed=_closed(source),
        cleared=_cleared(pv1, _PV1_FIELDS) + (_reopened(source.kind) if end is None else ()) + _no_accident(source),
        accident=read_accident(source),
        bill_codes=read_bill_codes(source),
    )


def read_cancel(source: Source) -> Iterable[CancelFact]:
    """The event that an A11, A13, A27 or A38 takes back."""
    what = _CANCELS.get(source.kind)
    return (CancelFact(source.origin("MSH-9"), what),) if what else ()


def _billable(source: Source) -> bool | None:
    is_billable = source.kind in _BILLABLE or source.family in _BILLABLE_FAMILIES
    return True if is_billable else None


def _account_message(source: Source) -> bool | None:
    return True if source.kind in _BILLABLE else None


def _closed(source: Source) -> When | None:
    """When the account was closed: EVN-2 of P06 (chapter 6: no new charges can accrue; it says nothing of a cancel)."""
    evn = source.message.segment("EVN") if source.kind == "BAR^P06" else None
    return source.when(evn, 2) if evn else None


def _no_accident(source: Source) -> tuple[str, ...]:
    return ("accident",) if is_accident_deleted(source) else ()


def _cleared(segment: Segment, fields: Mapping[str, tuple[int, ...]]) -> tuple[str, ...]:
    """The attributes whose fields say to delete what was said before, and say nothing else."""
    if not segment.may_delete:
        return ()
    return tuple(name for name, numbers in fields.items() if _is_cleared([segment.raw(n).strip() for n in numbers]))


def _is_cleared(sent: list[str]) -> bool:
    return DELETE in sent and not any(raw not in ("", DELETE) for raw in sent)


def _reopened(kind: str) -> tuple[str, ...]:
    """What a change of class takes back: an outpatient who is admitted (A06), or the reverse (A07), has not left."""
    return ("end", "discharge_disposition") if kind in ("ADT^A06", "ADT^A07") else ()


@lru_cache(maxsize=128)
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
    return source.first_number(pv1, 19).identifier("VN") or source.first_number(pv1, 50).identifier("AV")


def _account(source: Source) -> Identifier | None:
    return source.first_number(source.message.segment("PID"), 18).identifier("AN")


def _facility(source: Source, pv1: Segment | None) -> Organization | None:
    """The sending facility, else the servicing facility (PV1-39), else where the event happened (EVN-7)."""
    sending = source.facility(source.message.header, 4)
    if sending:
        return sending
    servicing = pv1.text(39) if pv1 else ""
    evn = source.message.segment("EVN")
    return Organization(servicing) if servicing else source.facility(evn, 7) if evn else None


def _care_team(source: Source, pv1: Segment) -> tuple[CareTeamMember, ...]:
    team: tuple[CareTeamMember, ...] = ()
    for place, role in _ROLES:
        team += source.members(role, pv1, place)
    return team


def _day(when: When | None) -> When | None:
    # PID-7 may hold the time of birth; FHIR and payers know a birth date only.
    return When(when.text[:10]) if when and len(when.text) > 10 else when


def _identifiers(source: Source, pid: Segment) -> tuple[Identifier, ...]:
    numbers = source.numbers(pid, 3)
    if not numbers or source.message.header.text(12) in _BEFORE_PID_3:
        numbers += source.numbers(pid, 2) + source.numbers(pid, 4)
    found = identifiers_of(numbers)
    return tuple(dict.fromkeys(found)) if len(found) > 1 else found


def _first_address(pid: Segment) -> Address | None:
    for field in pid.repetitions(11):
        address = read_address(field)
        if address:
            return address
    return None
