"""Persons, organisations and identifiers: the HL7 v2 data types XPN, XCN, CX, EI, HD, XAD, XON, XTN and PL."""

from __future__ import annotations

from collections.abc import Iterable

from fhir_coder.hl7v2.reader import Field
from fhir_coder.hl7v2.rules import FeedRules
from fhir_coder.model import Address, CareTeamMember, Identifier, Name, Organization, Practitioner, System

_NPI_OID = "2.16.840.1.113883.4.6"
_NOT_A_NUMBER = frozenset({"INTERNET", "X.400"})


def read_name(field: Field, first: int = 1) -> Name | None:
    """An XPN, or the name inside an XCN (which begins at component 2)."""
    family, called, more = field.text(first), field.text(first + 1), field.text(first + 2)
    if not (family or called or more):
        return None
    given = (called, *more.split()) if called else tuple(more.split())
    return Name(family, given, suffix=field.text(first + 3), prefix=field.text(first + 4))


def read_identifier(field: Field, rules: FeedRules, kind: str = "") -> Identifier | None:
    """A CX: number, assigning authority, type; None where there is no number."""
    value = field.text(1)
    if not value:
        return None
    sent = field.text(5)
    return Identifier(value, authority(field, 4), rules.translated("v2-identifier-type", sent) if sent else kind)


def authority(field: Field, component: int) -> str:
    """Who assigned an identifier (HD): its universal id where there is one, else its name."""
    return field.text(component, 2) or field.text(component, 1)


def entity(field: Field) -> str:
    """An entity identifier (EI) as one text: number and namespace; empty where there is no number."""
    number, namespace = field.text(1), field.text(2)
    return f"{number}|{namespace}" if number and namespace else number


def read_practitioners(fields: Iterable[Field]) -> tuple[Practitioner, ...]:
    """The persons of a repeating XCN; repetitions of one name are one person with several identifiers."""
    found: list[Practitioner] = []
    for field in fields:
        person = _practitioner(field)
        if person is None:
            continue
        same = next((at for at, other in enumerate(found) if other.name and other.name == person.name), None)
        if same is None:
            found.append(person)
        else:
            found[same] = Practitioner(person.name, found[same].identifiers + person.identifiers)
    return tuple(found)


def read_members(role: str, fields: Iterable[Field]) -> tuple[CareTeamMember, ...]:
    """The persons of a repeating XCN in one role."""
    return tuple(CareTeamMember(role, person) for person in read_practitioners(fields))


def read_address(field: Field) -> Address | None:
    """An XAD; of the street only the mailing form."""
    # XAD.1 is a street address (SAD): its first part is the whole line, its second the street alone. Some senders
    # leave only the house number in the first.
    line, street = field.text(1), field.text(1, 2)
    line = line if street in line else f"{line} {street}".strip()
    address = Address(
        lines=tuple(part for part in (line, field.text(2)) if part),
        city=field.text(3),
        state=field.text(4),
        postal_code=field.text(5),
        country=field.text(6),
    )
    return address if address != Address() else None


def read_phone(fields: Iterable[Field]) -> str:
    """The first telephone number of a repeating XTN, in whichever of its forms it came."""
    numbers = (_phone(field) for field in fields if field.text(3).upper() not in _NOT_A_NUMBER)
    return next((number for number in numbers if number), "")


def read_location(field: Field) -> str:
    """A PL as the name of the place: point of care, else facility, else description."""
    return field.text(1) or field.text(4) or field.text(9)


def read_organization(field: Field, identifiers: tuple[Identifier, ...] = ()) -> Organization | None:
    """An XON's name, with identifiers sent beside it."""
    name = field.whole(1)
    return Organization(name, identifiers) if name or identifiers else None


def read_facility(field: Field) -> Organization | None:
    """An HD as an organisation: its name, and its universal id as identifier."""
    name, number, kind = field.text(1), field.text(2), field.text(3)
    identifiers = (Identifier(number, type=kind),) if number else ()
    return Organization(name, identifiers) if name or number else None


def _practitioner(field: Field) -> Practitioner | None:
    name = read_name(field, 2)
    number = field.text(1)
    if not number:
        return Practitioner(name) if name else None
    if len(field.components) < 8:  # neither an authority nor a type was sent
        return Practitioner(name, (Identifier(number),))
    system = authority(field, 9)
    named_npi = "NPI" in (field.text(13), field.text(9), field.text(8))
    if named_npi or field.text(9, 2) == _NPI_OID:
        return Practitioner(name, (Identifier(number, System.NPI, "NPI"),))
    return Practitioner(name, (Identifier(number, system, field.text(13)),))


def _phone(field: Field) -> str:
    parts = (field.text(place) for place in (5, 6, 7))
    return field.text(1) or field.text(12) or " ".join(part for part in parts if part)
