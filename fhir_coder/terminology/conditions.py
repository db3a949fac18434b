"""The conditions of a table row, decided with three values: true, false, or None where the context lacks the datum."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import date

from fhir_coder.model import CodingContext

SEXES = frozenset({"male", "female"})
"""The sexes a row may ask. Any other recorded value (`other`, `unknown`) leaves such a row undecided."""

_COMPARED = re.compile(r"(<=|>=|<|>)\s*(\d{1,4})([dmy])")
_BETWEEN = re.compile(r"(\d{1,4})([dmy])\s*-\s*(\d{1,4})([dmy])")


@dataclass(frozen=True, slots=True)
class Bound:
    """One end of an age range, inclusive, in completed units. `unit` is d (days) or m (months); a year is 12 months."""

    number: int
    unit: str


@dataclass(frozen=True, slots=True)
class AgeRange:
    """Completed ages from `low` to `high`, both inclusive; None is open."""

    low: Bound | None = None
    high: Bound | None = None

    def holds(self, birth: date, day: date) -> bool:
        """Say whether someone born on `birth` is of such an age on `day`."""
        if self.low and _completed(birth, day, self.low.unit) < self.low.number:
            return False
        return not (self.high and _completed(birth, day, self.high.unit) > self.high.number)


def parse_age(text: str) -> AgeRange:
    """Read `<29d`, `>=65y` or `12y-17y` (inclusive). Raises ValueError with the rule that is broken."""
    if found := _COMPARED.fullmatch(text):
        return _compared(found[1], int(found[2]), found[3])
    if found := _BETWEEN.fullmatch(text):
        low, high = _low(int(found[1]), found[2]), _high(int(found[3]), found[4])
        if _earliest_day(low) > _latest_day(high):
            raise ValueError("the age range ends before it begins")
        return AgeRange(low, high)
    raise ValueError("not an age: write <29d, <=17y, >=65y, >18y or 12y-17y with d, m or y")


def _compared(operator: str, number: int, unit: str) -> AgeRange:
    match operator:
        case "<":
            if number == 0:
                raise ValueError("nobody is younger than 0")
            return AgeRange(high=_high(number - 1, unit))
        case "<=":
            return AgeRange(high=_high(number, unit))
        case ">":
            return AgeRange(low=_low(number + 1, unit))
        case _:
            return AgeRange(low=_low(number, unit))


def _low(number: int, unit: str) -> Bound:
    return Bound(number * 12, "m") if unit == "y" else Bound(number, unit)


def _high(number: int, unit: str) -> Bound:
    # Someone is 17 until the day before the 18th birthday: 17 years and 11 months are still 17y.
    return Bound(number * 12 + 11, "m") if unit == "y" else Bound(number, unit)


def _completed(birth: date, day: date, unit: str) -> int:
    if unit == "d":
        return (day - birth).days
    return (day.year - birth.year) * 12 + day.month - birth.month - (day.day < birth.day)


def _earliest_day(bound: Bound) -> int:
    """The fewest days someone of this age can have lived (three short of the average month covers February)."""
    return bound.number if bound.unit == "d" else max(0, math.floor(bound.number * 30.436875) - 3)


def _latest_day(bound: Bound) -> int:
    """The most days someone of this age can have lived."""
    return bound.number if bound.unit == "d" else math.ceil((bound.number + 1) * 30.436875) + 2


def ages_overlap(one: AgeRange, other: AgeRange) -> bool:
    """Say whether someone can be of both ages. Days beside months are compared with a few days' tolerance."""
    return not _ends_before(one, other) and not _ends_before(other, one)


def _ends_before(one: AgeRange, other: AgeRange) -> bool:
    if one.high is None or other.low is None:
        return False
    if one.high.unit == other.low.unit:
        return one.high.number < other.low.number
    return _latest_day(one.high) < _earliest_day(other.low)


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a row asks of the visit. Empty asks nothing.

    `valid_from` and `valid_to` (inclusive) are the row's dates, or its table's where it has none. `dated` is true where
    the row has dates of its own: only then does a missing service date leave it undecided. The table's own period says
    what the table covers, not which of two rows is meant.
    """

    sex: str = ""
    age: AgeRange | None = None
    encounter_classes: frozenset[str] = frozenset()
    payer: str = ""
    valid_from: date | None = None
    valid_to: date | None = None
    dated: bool = False

    @property
    def is_empty(self) -> bool:
        """True where the row fits every visit on every date."""
        return self == Conditions()

    def decide(self, context: CodingContext) -> bool | None:
        """Say whether the visit meets all conditions: False as soon as one is not met, None where one is unknown."""
        decided = (
            self._date_fits(context.service_date),
            self._sex_fits(context.sex),
            self._age_fits(context),
            self._class_fits(context.encounter_class),
            self._payer_fits(context.payer),
        )
        if False in decided:
            return False
        return None if None in decided else True

    def missing(self, context: CodingContext) -> tuple[str, ...]:
        """Name the data the context lacks to decide."""
        asked = (
            ("service date", self._date_fits(context.service_date)),
            ("sex", self._sex_fits(context.sex)),
            ("age", self._age_fits(context)),
            ("encounter class", self._class_fits(context.encounter_class)),
            ("payer", self._payer_fits(context.payer)),
        )
        return tuple(name for name, decided in asked if decided is None)

    def asked(self) -> tuple[str, ...]:
        """Name the data these conditions ask for."""
        return (
            *(("service date",) if self.valid_from or self.valid_to else ()),
            *(("sex",) if self.sex else ()),
            *(("age",) if self.age else ()),
            *(("encounter class",) if self.encounter_classes else ()),
            *(("payer",) if self.payer else ()),
        )

    def _date_fits(self, day: date | None) -> bool | None:
        if day is None:
            return None if self.dated else True
        return not (self.valid_from and day < self.valid_from) and not (self.valid_to and day > self.valid_to)

    def _sex_fits(self, sex: str) -> bool | None:
        if not self.sex:
            return True
        return sex == self.sex if sex in SEXES else None

    def _age_fits(self, context: CodingContext) -> bool | None:
        if self.age is None:
            return True
        birth, day = context.birth_date, context.service_date
        # A birth after the service is a contradiction in the chart: no age follows from it.
        return self.age.holds(birth, day) if birth and day and birth <= day else None

    def _class_fits(self, encounter_class: str) -> bool | None:
        if not self.encounter_classes:
            return True
        return encounter_class in self.encounter_classes if encounter_class else None

    def _payer_fits(self, payer: str) -> bool | None:
        if not self.payer:
            return True
        return payer == self.payer if payer else None


def overlap(one: Conditions, other: Conditions) -> bool:
    """Say whether some visit can meet both."""
    return (
        not (one.sex and other.sex and one.sex != other.sex)
        and not (one.payer and other.payer and one.payer != other.payer)
        and not (
            one.encounter_classes
            and other.encounter_classes
            and one.encounter_classes.isdisjoint(other.encounter_classes)
        )
        and (one.age is None or other.age is None or ages_overlap(one.age, other.age))
        and not _dates_end_before(one, other)
        and not _dates_end_before(other, one)
    )


def covers(wide: Conditions, narrow: Conditions) -> bool:
    """Say whether every visit that meets `narrow` surely meets `wide`."""
    return (
        wide.sex in ("", narrow.sex)
        and wide.payer in ("", narrow.payer)
        and wide.age in (None, narrow.age)
        and (
            not wide.encounter_classes
            or bool(narrow.encounter_classes and narrow.encounter_classes <= wide.encounter_classes)
        )
        and (wide.valid_from is None or (narrow.valid_from is not None and wide.valid_from <= narrow.valid_from))
        and (wide.valid_to is None or (narrow.valid_to is not None and narrow.valid_to <= wide.valid_to))
    )


def _dates_end_before(one: Conditions, other: Conditions) -> bool:
    return one.valid_to is not None and other.valid_from is not None and one.valid_to < other.valid_from
