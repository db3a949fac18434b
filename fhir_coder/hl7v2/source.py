"""One message being read for facts: where things stand in it, and the parts of it that could not be used."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from fhir_coder.hl7v2.dates import read_when
from fhir_coder.hl7v2.people import read_practitioners
from fhir_coder.hl7v2.reader import Er7Message, Field, Segment
from fhir_coder.hl7v2.rules import FeedRules
from fhir_coder.hl7v2.systems import read_concept
from fhir_coder.model import CareTeamMember, Concept, Money, Origin, Practitioner, Problem, When

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)")
_CURRENCY = re.compile(r"[A-Z]{3}")
_WORDS = {
    "not_a_date": "no date or time of HL7",
    "not_a_number": "no number of HL7",
    "not_a_currency": "no currency code of three letters",
    "unknown_transaction_type": "neither charge, credit, adjustment nor payment",
    "no_prior_number": "a merge or move without the number it is from, or the one it is to",
    "no_chart_key": "no visit number, account number, or patient with a service date",
}


class UnusableError(Exception):
    """A part that makes its whole fact unusable; the problem is already noted."""


@dataclass(slots=True)
class Source:
    """A message, its type (`DFT^P03`), its feed's rules, and the problems met while reading it."""

    message_id: str
    kind: str
    message: Er7Message
    rules: FeedRules
    topic: str = ""
    problems: list[Problem] = field(default_factory=list)
    persons: dict[str, tuple[Practitioner, ...]] = field(default_factory=dict)
    """The doctors of each XCN field already read: a message names the same ones again and again."""
    about: str = ""
    """The identifier of the part being read (FT1-2, DG1-20, PR1-19): a later message that says it anew settles it."""
    names_participants: bool = False
    """Whether it has ROL or PRT segments."""

    def __post_init__(self) -> None:
        """Look once for what is asked of each fact."""
        self.names_participants = "ROL" in self.message.names or "PRT" in self.message.names

    def origin(self, path: str) -> Origin:
        """The origin of a fact in this message."""
        return Origin(self.message_id, path)

    def note(self, path: str, rule: str) -> None:
        """Note a part that could not be used."""
        self.problems.append(Problem(self.origin(path), rule, f"{rule}: {_WORDS[rule]}", self.topic, self.about))

    def when(self, segment: Segment, number: int, component: int = 1) -> When | None:
        """A date field; a bad date is noted and gives None."""
        text = segment.text(number, component)
        if not text:
            return None
        when = read_when(text, self.rules.time_zone)
        if when is None:
            self.note(segment.path_of(number), "not_a_date")
        return when

    def concept(self, field: Field | None, place: str, procedure: bool = False) -> Concept | None:
        """A coded field of a place (`FT1-25`), by the feed's names and default of systems there."""
        if field is None:
            return None
        return read_concept(field, self.rules.default_system(place), procedure, self.rules.code_systems)

    def members(self, role: str, segment: Segment, number: int) -> tuple[CareTeamMember, ...]:
        """The persons of a repeating XCN in one role."""
        raw = segment.raw(number)
        if not raw:
            return ()
        persons = self.persons.get(raw)
        if persons is None:
            persons = self.persons[raw] = read_practitioners(segment.repetitions(number))
        return tuple([CareTeamMember(role, person) for person in persons])

    def concepts(self, fields: Sequence[Field], place: str) -> tuple[Concept, ...]:
        """The coded repetitions of a field."""
        if not fields:
            return ()
        found = [self.concept(field, place) for field in fields]
        return tuple([concept for concept in found if concept])

    def number(self, text: str, segment: Segment, number: int) -> Decimal:
        """A number of a field; raises UnusableError after noting what is none."""
        if not _NUMBER.fullmatch(text):
            self.note(segment.path_of(number), "not_a_number")
            raise UnusableError
        return Decimal(text)

    def money(self, segment: Segment, number: int) -> Money | None:
        """A composite price (CP) or a plain number, in the feed's currency where it names none."""
        amount = segment.first(number)
        text = "" if amount is None else amount.text()
        if amount is None or not text:
            return None
        # Some senders write MO where CP is due: the currency then stands where CP has its two-letter price type.
        second = amount.text(2)
        currency = amount.text(1, 2) or (second if len(second) == 3 else "") or self.rules.currency
        currency = currency.upper()
        if not _CURRENCY.fullmatch(currency):
            self.note(segment.path_of(number), "not_a_currency")
            raise UnusableError
        return Money(self.number(text, segment, number), currency)
