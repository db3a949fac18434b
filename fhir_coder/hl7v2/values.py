"""What the fields of one feed's messages say, by their raw text: what repeats from message to message is read once.

A feed names the same doctors, codes, prices, insurers and places over and over, and a message the numbers of its visit.
Persons' names and addresses are not kept here: they hardly ever repeat while they would be.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Generic, TypeVar

from fhir_coder.hl7v2.people import (
    Assigner,
    Cx,
    identifiers_of,
    read_address,
    read_assigner,
    read_facility,
    read_location,
    read_practitioners,
)
from fhir_coder.hl7v2.reader import Field, Syntax, fields_of, first_text, is_said
from fhir_coder.hl7v2.rules import FeedRules
from fhir_coder.hl7v2.systems import read_concept, read_modifiers
from fhir_coder.model import CareTeamMember, Coding, Concept, Money, Organization

Value = TypeVar("Value")

_LONGEST = 400
"""Characters; a longer text is not kept."""
_MOST = 200_000
"""Characters of all texts kept together, each with what it costs to keep any: some 2,000 texts."""
_COST = 60
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)")
_CURRENCY = re.compile(r"[A-Z]{3}")
_PROCEDURES = frozenset({"FT1-7", "FT1-25", "PR1-3", "OBR-4", "OBR-44"})
"""Where a bare `I10` means ICD-10-PCS."""


class Kept(dict[str, Value], Generic[Value]):
    """What raw texts were read as. All is forgotten when it becomes too much: what is still said is soon back.

    A plain dictionary to those who look a text up (an order of use to keep would cost more than most readings), safe
    to use from many threads: at worst two read the same text.
    """

    def __init__(self, read: Callable[[str], Value]) -> None:
        super().__init__()
        self._read = read
        self._weight = 0

    def __missing__(self, raw: str) -> Value:
        """Read a text, and keep it where it is not too long."""
        value = self._read(raw)
        if len(raw) <= _LONGEST:
            self._weight += len(raw) + _COST
            if self._weight > _MOST:
                self.clear()
                self._weight = len(raw) + _COST
            self[raw] = value
        return value


class Values:
    """Readers of whole raw fields as one feed's rules and one message's syntax want them, each with what it read."""

    def __init__(self, rules: FeedRules, syntax: Syntax) -> None:
        self.rules, self.syntax = rules, syntax
        self.concept = Kept(lambda place: Kept(partial(self._concept, place)))
        """The first repetition of a coded field, by its place (`FT1-25`)."""
        self.concepts = Kept(lambda place: Kept(partial(self._concepts, place)))
        """All repetitions of a coded field, by the place whose default system they have."""
        self.charged = Kept(self._charged)
        """The diagnoses of FT1-19, each with its place among the repetitions."""
        self.members = Kept(lambda role: Kept(partial(self._members, role)))
        """The persons of an XCN, by their role."""
        self.translated = Kept(lambda table: Kept(partial(self._translated, table)))
        """The code of a field as a table of the feed translates it."""
        self.modifiers = Kept[tuple[Coding, ...]](lambda raw: read_modifiers(self._fields(raw)))
        self.location = Kept[str](lambda raw: read_location(self._first(raw)))
        self.facility = Kept[Organization | None](lambda raw: read_facility(self._first(raw)))
        self.assigner = Kept[Assigner](lambda raw: read_assigner(self._first(raw), rules))
        """CX without its number."""
        self.first_number = Kept[Cx](lambda raw: self._number_of(raw.split(syntax.repetition, 1)[0]))
        """The first repetition of a CX."""
        self.numbers = Kept(self._numbers)
        """The repetitions of a CX that say something."""
        self.payer = Kept(self._payer)
        """IN1-3 to IN1-5."""
        self.decimal = Kept(_number)
        """A number, None for what is none."""
        self.money = Kept(self._money)
        """A composite price, else which rule it breaks; None where it says no amount."""

    def _numbers(self, raw: str) -> tuple[Cx, ...]:
        syntax = self.syntax
        return tuple([self._number_of(part) for part in raw.split(syntax.repetition) if is_said(part, syntax)])

    def _number_of(self, raw: str) -> Cx:
        number, _, rest = raw.partition(self.syntax.component)
        return Cx(first_text(number, self.syntax), self.assigner[rest])

    def _first(self, raw: str) -> Field:
        return Field(raw.split(self.syntax.repetition, 1)[0], self.syntax)

    def _fields(self, raw: str) -> list[Field]:
        return fields_of(raw, self.syntax)

    def _concept(self, place: str, raw: str) -> Concept | None:
        return self._coded(place, self._first(raw))

    def _concepts(self, place: str, raw: str) -> tuple[Concept, ...]:
        found = [self._coded(place, field) for field in self._fields(raw)]
        return tuple([concept for concept in found if concept])

    def _charged(self, raw: str) -> tuple[tuple[int, Concept], ...]:
        found = [(field.place, self._coded("DG1-3", field)) for field in self._fields(raw)]
        return tuple([(place, concept) for place, concept in found if concept])

    def _coded(self, place: str, field: Field) -> Concept | None:
        rules = self.rules
        return read_concept(field, rules.default_system(place), place in _PROCEDURES, rules.code_systems)

    def _members(self, role: str, raw: str) -> tuple[CareTeamMember, ...]:
        return tuple([CareTeamMember(role, person) for person in read_practitioners(self._fields(raw))])

    def _translated(self, table: str, raw: str) -> str:
        return self.rules.translated(table, self._first(raw).text())

    def _payer(self, raw: str) -> Organization | None:
        """IN1-3 (identifiers), IN1-4 (names) and IN1-5 (address), as they stand in the line."""
        number, named, place = raw.split(self.syntax.field)
        names = [field.whole() for field in self._fields(named)]
        name = next((name for name in names if name), "")
        identifiers = identifiers_of(self.numbers[number])
        address = read_address(self._first(place))
        return Organization(name, identifiers, address) if name or identifiers else None

    def _money(self, raw: str) -> Money | str | None:
        """A composite price (CP) or a plain number, in the feed's currency where it names none."""
        amount = self._first(raw)
        text = amount.text()
        if not text:
            return None
        # Some senders write MO where CP is due: the currency then stands where CP has its two-letter price type.
        second = amount.text(2)
        currency = amount.text(1, 2) or (second if len(second) == 3 else "") or self.rules.currency
        currency = currency.upper()
        if not _CURRENCY.fullmatch(currency):
            return "not_a_currency"
        number = _number(text)
        return "not_a_number" if number is None else Money(number, currency)


def _number(text: str) -> Decimal | None:
    return Decimal(text) if _NUMBER.fullmatch(text) else None


_FEEDS_KEPT = 32
_kept: dict[tuple[int, int], Values] = {}


def values_of(rules: FeedRules, syntax: Syntax) -> Values:
    """The readers of a feed for one syntax: the same ones as long as the feed's rules are the same object."""
    # By identity, as rules hold tables and have no hash. What is kept holds both, so that no other has their identity.
    key = id(rules), id(syntax)
    values = _kept.get(key)
    if values is None:
        if len(_kept) >= _FEEDS_KEPT:
            _kept.clear()
        values = _kept[key] = Values(rules, syntax)
    return values
