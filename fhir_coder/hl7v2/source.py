"""One message being read for facts: where things stand in it, and the parts of it that could not be used."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal

from fhir_coder.hl7v2.dates import read_when
from fhir_coder.hl7v2.reader import Er7Message, Field, Segment
from fhir_coder.hl7v2.rules import FeedRules
from fhir_coder.hl7v2.systems import read_concept
from fhir_coder.model import Concept, Money, Origin, Problem, When

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)")
_CURRENCY = re.compile(r"[A-Z]{3}")
_WORDS = {
    "not_a_date": "no date or time of HL7",
    "not_a_number": "no number of HL7",
    "not_a_currency": "no currency code of three letters",
    "unknown_transaction_type": "neither charge, credit, adjustment nor payment",
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

    def origin(self, path: str) -> Origin:
        """The origin of a fact in this message."""
        return Origin(self.message_id, path)

    def note(self, path: str, rule: str) -> None:
        """Note a part that could not be used."""
        self.problems.append(Problem(self.origin(path), rule, f"{rule}: {_WORDS[rule]}", self.topic))

    def when(self, segment: Segment, number: int, component: int = 1) -> When | None:
        """A date field; a bad date is noted and gives None."""
        text = segment.text(number, component)
        if not text:
            return None
        when = read_when(text, self.rules.time_zone)
        if when is None:
            self.note(segment.path_of(number), "not_a_date")
        return when

    def concept(self, field: Field, place: str, procedure: bool = False) -> Concept | None:
        """A coded field of a place (`FT1-25`), by the feed's names and default of systems there."""
        return read_concept(field, self.rules.default_system(place), procedure, self.rules.code_systems)

    def number(self, text: str, path: str) -> Decimal:
        """A number; raises UnusableError after noting what is none."""
        if not _NUMBER.fullmatch(text):
            self.note(path, "not_a_number")
            raise UnusableError
        return Decimal(text)

    def money(self, amount: Field) -> Money | None:
        """A composite price (CP) or a plain number, in the feed's currency where it names none."""
        text = amount.text(1)
        if not text:
            return None
        # Some senders write MO where CP is due: the currency then stands where CP has its two-letter price type.
        second = amount.text(2)
        currency = amount.text(1, 2) or (second if len(second) == 3 else "") or self.rules.currency
        if not _CURRENCY.fullmatch(currency.upper()):
            self.note(amount.path, "not_a_currency")
            raise UnusableError
        return Money(self.number(text, amount.path), currency.upper())
