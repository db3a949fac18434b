"""Persons, organisations and identifiers: the HL7 v2 data types XPN, XCN, CX, EI, HD, XAD, XON, XTN and PL."""

from __future__ import annotations

from collections.abc import Iterable

from fhir_coder.hl7v2.reader import Field, Syntax, texts_of
from fhir_coder.hl7v2.rules import FeedRules
from fhir_coder.model import Address, Identifier, Name, Organization, Practitioner, System
from fhir_coder.model.frozen import dataclass

_NONE = [""] * 5
_NPI_OID = "2.16.840.1.113883.4.6"
_NOT_A_NUMBER = frozenset({"INTERNET", "X.400"})


def read_name(texts: list[str], first: int = 1) -> Name | None:
    """An XPN by the texts of its components, or the name inside an XCN (which begins at component 2)."""
    family, called, more, suffix, prefix = (texts + _NONE)[first - 1 : first + 4]
    if not (family or called or more):
        return None
    given = tuple(more.split()) if more else ()
    return Name(family, (called, *given) if called else given, prefix, suffix)


def first_name(raw: str, syntax: Syntax) -> Name | None:
    """The first of a repeating XPN that says something: chapter 3 puts the legal one first."""
    for one in raw.split(syntax.repetition) if raw else ():
        name = read_name(texts_of(one, syntax))
        if name:
            return name
    return None


@dataclass(frozen=True, slots=True)
class Assigner:
    """What a CX says besides its number: who assigned it, and its type (table 0203).

    An HD has a name and a universal id: `authority` is the name where there is one, `system` the universal id. `sent`
    is the type as sent, `kind` as the feed translates it.
    """

    authority: str = ""
    system: str = ""
    sent: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Cx:
    """A number with who assigned it; `number` is empty where none came."""

    number: str
    assigner: Assigner

    def identifier(self, kind: str = "") -> Identifier | None:
        """It as an identifier, of a type where it names none; None where there is no number."""
        if not self.number:
            return None
        assigner = self.assigner
        return Identifier(self.number, assigner.system, assigner.kind if assigner.sent else kind)


def read_assigner(rest: Field, rules: FeedRules) -> Assigner:
    """What follows the number of a CX, from CX.2 on."""
    name, universal, sent = rest.text(3), rest.text(3, 2), rest.text(4)
    kind = rules.translated("v2-identifier-type", sent) if sent else ""
    return Assigner(name or universal, universal or name, sent, kind)


def identifiers_of(numbers: Iterable[Cx]) -> tuple[Identifier, ...]:
    """The identifiers of a repeating CX."""
    return tuple([identifier for number in numbers if (identifier := number.identifier())])


def entity(field: Field | None) -> str:
    """An entity identifier (EI) as one text: number and namespace; empty where there is no number."""
    if field is None:
        return ""
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


def read_address(field: Field | None) -> Address | None:
    """An XAD; of the street only the mailing form."""
    if field is None:
        return None
    # XAD.1 is a street address (SAD): its first part is the whole line, its second the street alone. Some senders
    # leave only the house number in the first.
    line, other, city, state, postal_code, country = (field.texts + _NONE)[:6]
    street = field.text(1, 2)
    line = line if street in line else f"{line} {street}".strip()
    lines = (line, other) if line and other else (line or other,) if line or other else ()
    return (
        Address(lines, city, state, postal_code, country) if lines or city or state or postal_code or country else None
    )


def read_phone(fields: Iterable[Field]) -> str:
    """The first telephone number of a repeating XTN, in whichever of its forms it came."""
    numbers = (_phone(field) for field in fields if field.text(3).upper() not in _NOT_A_NUMBER)
    return next((number for number in numbers if number), "")


def read_location(field: Field | None) -> str:
    """A PL as the name of the place: point of care, else facility, else description."""
    return "" if field is None else field.text() or field.text(4) or field.text(9)


def read_facility(field: Field | None) -> Organization | None:
    """An HD as an organisation: its name, and its universal id as identifier."""
    if field is None:
        return None
    name, number, kind = (field.texts + _NONE)[:3]
    identifiers = (Identifier(number, type=kind),) if number else ()
    return Organization(name, identifiers) if name or number else None


def _practitioner(field: Field) -> Practitioner | None:
    texts = field.texts
    name = read_name(texts, 2)
    number = texts[0]
    if not number:
        return Practitioner(name) if name else None
    if len(texts) < 8:  # neither an authority nor a type was sent
        return Practitioner(name, (Identifier(number),))
    assigner = texts[8] if len(texts) > 8 else ""
    kind = texts[12] if len(texts) > 12 else ""
    universal = field.text(9, 2)
    if "NPI" in (kind, assigner, texts[7]) or universal == _NPI_OID:
        return Practitioner(name, (Identifier(number, System.NPI, "NPI"),))
    return Practitioner(name, (Identifier(number, universal or assigner, kind),))


def _phone(field: Field) -> str:
    parts = (field.text(place) for place in (5, 6, 7))
    return field.text(1) or field.text(12) or " ".join(part for part in parts if part)
