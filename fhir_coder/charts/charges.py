"""The charges of a visit: repeats are one charge, credits take theirs away, whichever of the two comes first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal

from fhir_coder.model import ChargeFact, Problem


@dataclass
class Charges:
    """The charges of one visit, and the credits whose charge may still come. `key` is the chart's."""

    key: str
    charges: dict[str, ChargeFact] = field(default_factory=dict)
    credits: dict[str, ChargeFact] = field(default_factory=dict)
    taken_back: dict[str, str] = field(default_factory=dict)
    never_charged: dict[str, ChargeFact] = field(default_factory=dict)
    copayments: dict[str, ChargeFact] = field(default_factory=dict)

    def take(self, fact: ChargeFact) -> Problem | None:
        """Take a charge, credit or removal in. An adjustment, which changes an amount, is a problem for a person."""
        if fact.kind == "CR":
            self._credit(fact)
        elif fact.kind == "CO":
            self.copayments[fact.identity] = fact
        elif fact.kind == "AJ":
            text = "an adjustment (AJ) changes an amount: a person decides how"
            return Problem(fact.origin, "adjustment", text, self.key)
        elif fact.removed:
            self.charges.pop(fact.identity, None)
        else:
            self._charge(fact)
        return None

    def problems(self) -> Iterator[Problem]:
        """A problem for each credit that has taken nothing back."""
        for credit in self.credits.values():
            rule, text = "credit_without_charge", "a credit (CR) takes back a charge that never came"
            if (credit.reverses or credit.identity) in self.charges:
                rule, text = "partial_credit", "a credit (CR) is not of the amount of its charge: a person decides"
            yield Problem(credit.origin, rule, text, self.key)

    def _charge(self, fact: ChargeFact) -> None:
        known = self.never_charged.get(fact.identity)
        if known and replace(fact, origin=known.origin) == known:
            return  # a repeat of a charge that was taken back before it came
        credit = max(self.credits.values(), key=lambda c: _fit(c, fact), default=None)
        if credit and _fit(credit, fact):
            del self.credits[credit.identity]
            self.taken_back[credit.identity] = fact.identity
            self.never_charged[fact.identity] = fact
        else:
            self.charges[fact.identity] = fact

    def _credit(self, credit: ChargeFact) -> None:
        if credit.identity in self.taken_back:
            # A repeat, or a second reversal under one id: it takes its own charge back, never another that looks alike.
            self.charges.pop(self.taken_back[credit.identity], None)
            return
        charge = self._charge_of(credit)
        if charge:
            del self.charges[charge.identity]
            self.taken_back[credit.identity] = charge.identity
        else:
            self.credits[credit.identity] = credit  # the charge it takes back may still come

    def _charge_of(self, credit: ChargeFact) -> ChargeFact | None:
        named = self.charges.get(credit.reverses or credit.identity)
        if named and _fit(credit, named):
            return named
        # One that refers to a charge takes no other instead: all charges need not be looked through.
        others = self.charges.values() if not credit.reverses else ()
        return next((charge for charge in others if _fit(credit, charge)), None)


def _fit(credit: ChargeFact, charge: ChargeFact) -> int:
    """How surely a credit takes back a charge: 2 it names it, 1 it is alike, 0 it does not (or only a part of it)."""
    if charge.identity == (credit.reverses or credit.identity):
        return 2 if _is_whole(credit, charge) else 0
    alike = (
        not credit.reverses
        and credit.concept.key == charge.concept.key
        and _day(credit) == _day(charge)
        and abs(credit.quantity) == abs(charge.quantity)
        and _total(credit) == _total(charge)
    )
    return int(alike)


def _is_whole(credit: ChargeFact, charge: ChargeFact) -> bool:
    back, charged = _total(credit), _total(charge)
    if back is None or charged is None:
        return abs(credit.quantity) == abs(charge.quantity)
    return back == charged


def _total(charge: ChargeFact) -> Decimal | None:
    if charge.amount:
        return abs(charge.amount.value)
    return abs(charge.unit_amount.value * charge.quantity) if charge.unit_amount else None


def _day(charge: ChargeFact) -> str:
    return charge.service_date.text[:10] if charge.service_date else ""
