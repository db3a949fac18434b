"""One message being read for facts: where things stand in it, and the parts of it that could not be used."""

from __future__ import annotations

from decimal import Decimal

from fhir_coder.hl7v2.dates import read_when
from fhir_coder.hl7v2.people import Cx
from fhir_coder.hl7v2.reader import Er7Message, Segment
from fhir_coder.hl7v2.rules import FeedRules
from fhir_coder.hl7v2.values import values_of
from fhir_coder.model import CareTeamMember, Coding, Concept, Money, Organization, Origin, Problem, When

_WORDS = {
    "not_a_date": "no date or time of HL7",
    "not_a_number": "no number of HL7",
    "not_a_currency": "no currency code of three letters",
    "unknown_transaction_type": "neither charge, credit, adjustment nor payment",
    "not_two_persons": "two persons (PID) are to be told apart, and there are not two",
    "no_prior_number": "a merge or move without the number it is from, or the one it is to",
    "no_chart_key": "no visit number, account number, or patient with a service date",
}


class UnusableError(Exception):
    """A part that makes its whole fact unusable; the problem is already noted."""


class Source:
    """A message, its type (`DFT^P03`), its feed's rules, and the problems met while reading it."""

    __slots__ = (
        "about",
        "family",
        "kind",
        "message",
        "message_id",
        "names_participants",
        "order",
        "problems",
        "rules",
        "topic",
        "values",
    )

    def __init__(self, message_id: str, kind: str, message: Er7Message, rules: FeedRules) -> None:
        self.message_id = message_id
        self.kind = kind
        self.family = kind.partition("^")[0]
        self.message = message
        self.rules = rules
        self.values = values_of(rules, message.syntax)
        self.topic = ""
        self.problems: list[Problem] = []
        self.about = ""
        """The identifier of the part being read (FT1-2, DG1-20, PR1-19), by which a later message settles it."""
        self.names_participants = "ROL" in message.names or "PRT" in message.names
        self.order = message.order if self.names_participants else []
        """The names of all segments, where some of them name participants."""

    def origin(self, path: str) -> Origin:
        """The origin of a fact in this message."""
        return Origin(self.message_id, path)

    def note(self, path: str, rule: str) -> None:
        """Note a part that could not be used."""
        self.problems.append(Problem(self.origin(path), rule, f"{rule}: {_WORDS[rule]}", self.topic, self.about))

    def when(self, segment: Segment, number: int) -> When | None:
        """A date field; a bad date is noted and gives None."""
        text = segment.text(number)
        if not text:
            return None
        when = read_when(text, self.rules.time_zone)
        if when is None:
            self.note(segment.path_of(number), "not_a_date")
        return when

    def first_number(self, segment: Segment | None, number: int) -> Cx:
        """The first repetition of a CX field."""
        return self.values.first_number[segment.raw(number) if segment else ""]

    def numbers(self, segment: Segment, number: int) -> tuple[Cx, ...]:
        """The repetitions of a CX field that say something."""
        raw = segment.raw(number)
        return self.values.numbers[raw] if raw else ()

    def code(self, table: str, segment: Segment, number: int) -> str:
        """The code of a field as one of the feed's tables (`v2-sex`) translates it."""
        return self.values.translated[table][segment.raw(number)]

    def concept(self, segment: Segment, number: int, place: str) -> Concept | None:
        """A coded field of a place (`FT1-25`), by the feed's names and default of systems there."""
        raw = segment.raw(number)
        return self.values.concept[place][raw] if raw else None

    def concepts(self, segment: Segment, number: int, place: str) -> tuple[Concept, ...]:
        """The coded repetitions of a field."""
        raw = segment.raw(number)
        return self.values.concepts[place][raw] if raw else ()

    def members(self, role: str, segment: Segment, number: int) -> tuple[CareTeamMember, ...]:
        """The persons of a repeating XCN in one role."""
        raw = segment.raw(number)
        return self.values.members[role][raw] if raw else ()

    def modifiers(self, segment: Segment, number: int) -> tuple[Coding, ...]:
        """Procedure modifiers."""
        raw = segment.raw(number)
        return self.values.modifiers[raw] if raw else ()

    def location(self, segment: Segment, number: int) -> str:
        """A PL as the name of the place."""
        raw = segment.raw(number)
        return self.values.location[raw] if raw else ""

    def facility(self, segment: Segment, number: int) -> Organization | None:
        """An HD as an organisation."""
        raw = segment.raw(number)
        return self.values.facility[raw] if raw else None

    def payer(self, in1: Segment) -> Organization | None:
        """Who pays: IN1-3 to IN1-5."""
        return self.values.payer[self.message.syntax.field.join((in1.raw(3), in1.raw(4), in1.raw(5)))]

    def number(self, text: str, segment: Segment, number: int) -> Decimal:
        """A number of a field; raises UnusableError after noting what is none."""
        found = self.values.decimal[text]
        if found is None:
            self.note(segment.path_of(number), "not_a_number")
            raise UnusableError
        return found

    def money(self, segment: Segment, number: int) -> Money | None:
        """A composite price (CP) or a plain number; raises UnusableError after noting what is none."""
        raw = segment.raw(number)
        found = self.values.money[raw] if raw else None
        if isinstance(found, str):
            self.note(segment.path_of(number), found)
            raise UnusableError
        return found
