"""The conditions of a table row, decided with three values: true, false, or None where the context lacks the datum."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

from fhir_coder.model import CodingContext

SEXES = frozenset({"male", "female"})
"""The sexes a row may ask. Any other recorded value (`other`, `unknown`) leaves such a row undecided."""

LATERALITIES = frozenset({"left", "right", "bilateral"})
"""The sides a row may ask."""

USES = frozenset({"principal", "secondary"})
"""What a diagnosis is to the visit, where a row asks it."""

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


def age_text(age: AgeRange) -> str:
    """Write an age as `parse_age` reads it."""
    if age.low is None:
        return f"<={_bound_text(age.high, 11)}" if age.high else ""
    if age.high is None:
        return f">={_bound_text(age.low, 0)}"
    return f"{_bound_text(age.low, 0)}-{_bound_text(age.high, 11)}"


def _bound_text(bound: Bound, rest: int) -> str:
    is_year = bound.unit == "m" and bound.number % 12 == rest and bound.number >= 12
    return f"{bound.number // 12}y" if is_year else f"{bound.number}{bound.unit}"


def both_ages(one: AgeRange, other: AgeRange) -> AgeRange:
    """Give the ages that are in both. Raises ValueError where none is, or where days and months cannot be compared."""
    lows = [age.low for age in (one, other) if age.low]
    highs = [age.high for age in (one, other) if age.high]
    age = AgeRange(_outer(lows, -1) if lows else None, _outer(highs, 1) if highs else None)
    if age.low and age.high and _earliest_day(age.low) > _latest_day(age.high):
        raise ValueError("the ages exclude each other")
    return age


def _outer(bounds: list[Bound], sign: int) -> Bound:
    """The bound that leaves fewer ages: the lowest of the highs (sign 1), the highest of the lows (-1)."""
    if len({bound.unit for bound in bounds}) == 1:
        return min(bounds, key=lambda bound: sign * bound.number)
    one, other = sorted(bounds, key=lambda bound: sign * _earliest_day(bound))
    first, last = (one, other) if sign > 0 else (other, one)
    if _latest_day(first) >= _earliest_day(last):
        raise ValueError("ages in days and in months are too close to be compared")
    return one


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


def ages_cover(wide: AgeRange, narrow: AgeRange) -> bool:
    """Say whether everyone of the narrow ages is surely of the wide ones."""
    return _holds_low(wide.low, narrow.low) and _holds_high(wide.high, narrow.high)


def _holds_low(wide: Bound | None, narrow: Bound | None) -> bool:
    if wide is None or narrow is None:
        return wide is None
    return wide.number <= narrow.number if wide.unit == narrow.unit else _latest_day(wide) < _earliest_day(narrow)


def _holds_high(wide: Bound | None, narrow: Bound | None) -> bool:
    if wide is None or narrow is None:
        return wide is None
    return narrow.number <= wide.number if wide.unit == narrow.unit else _latest_day(narrow) < _earliest_day(wide)


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
    what the table covers, not which of two rows is meant. `recorded` are codes
    (`system|code`) that the chart must have.
    """

    sex: str = ""
    age: AgeRange | None = None
    encounter_classes: frozenset[str] = frozenset()
    payer: str = ""
    valid_from: date | None = None
    valid_to: date | None = None
    dated: bool = False
    care_settings: frozenset[str] = frozenset()
    feed: str = ""
    laterality: str = ""
    use: str = ""
    recorded: frozenset[str] = frozenset()
    tests: tuple[_Test, ...] = field(init=False, repr=False, compare=False, default=())

    def __post_init__(self) -> None:
        asked = tuple((name, fits) for name, asks, fits in _TESTS if asks(self))
        object.__setattr__(self, "tests", asked)

    @property
    def is_empty(self) -> bool:
        """True where the row fits every visit on every date."""
        return not self.tests

    @property
    def asks_more_than_dates(self) -> bool:
        """True where more than the date decides."""
        return any(fits is not _date_fits for _, fits in self.tests)

    def decide(self, context: CodingContext) -> bool | None:
        """Say whether the visit meets all conditions: False as soon as one is not met, None where one is unknown."""
        decided: bool | None = True
        for _, fits in self.tests:
            answer = fits(self, context)
            if answer is False:
                return False
            if answer is None:
                decided = None
        return decided

    def missing(self, context: CodingContext) -> tuple[str, ...]:
        """Name the data the context lacks to decide."""
        return tuple(name for name, fits in self.tests if fits(self, context) is None)

    def asked(self) -> tuple[str, ...]:
        """Name the data these conditions ask for."""
        return tuple(name for name, _ in self.tests)


_Fits = Callable[[Conditions, CodingContext], bool | None]
_Test = tuple[str, _Fits]


def _date_fits(asked: Conditions, context: CodingContext) -> bool | None:
    day = context.service_date
    if day is None:
        return None if asked.dated else True
    return not (asked.valid_from and day < asked.valid_from) and not (asked.valid_to and day > asked.valid_to)


def _sex_fits(asked: Conditions, context: CodingContext) -> bool | None:
    return context.sex == asked.sex if context.sex in SEXES else None


def _age_fits(asked: Conditions, context: CodingContext) -> bool | None:
    birth, day = context.birth_date, context.service_date
    # A birth after the service is a contradiction in the chart: no age follows from it.
    return asked.age.holds(birth, day) if asked.age and birth and day and birth <= day else None


def _class_fits(asked: Conditions, context: CodingContext) -> bool | None:
    return context.encounter_class in asked.encounter_classes if context.encounter_class else None


def _setting_fits(asked: Conditions, context: CodingContext) -> bool | None:
    return context.care_setting in asked.care_settings if context.care_setting else None


def _payer_fits(asked: Conditions, context: CodingContext) -> bool | None:
    return context.payer == asked.payer if context.payer else None


def _feed_fits(asked: Conditions, context: CodingContext) -> bool | None:
    return context.feed == asked.feed if context.feed else None


def _laterality_fits(asked: Conditions, context: CodingContext) -> bool | None:
    return context.laterality == asked.laterality if context.laterality else None


def _use_fits(asked: Conditions, context: CodingContext) -> bool | None:
    return context.use == asked.use if context.use else None


def _recorded_fits(asked: Conditions, context: CodingContext) -> bool | None:
    return None if context.codes is None else asked.recorded <= context.codes


_TESTS: tuple[tuple[str, Callable[[Conditions], bool], _Fits], ...] = (
    ("service date", lambda asked: bool(asked.valid_from or asked.valid_to or asked.dated), _date_fits),
    ("sex", lambda asked: bool(asked.sex), _sex_fits),
    ("age", lambda asked: asked.age is not None, _age_fits),
    ("encounter class", lambda asked: bool(asked.encounter_classes), _class_fits),
    ("care setting", lambda asked: bool(asked.care_settings), _setting_fits),
    ("payer", lambda asked: bool(asked.payer), _payer_fits),
    ("feed", lambda asked: bool(asked.feed), _feed_fits),
    ("laterality", lambda asked: bool(asked.laterality), _laterality_fits),
    ("use of the diagnosis", lambda asked: bool(asked.use), _use_fits),
    ("other codes of the chart", lambda asked: bool(asked.recorded), _recorded_fits),
)
"""Every datum a row may ask: its name, whether these conditions ask it, and whether the visit meets it."""

_ONE_OF = ("sex", "payer", "feed", "laterality", "use")
_ANY_OF = ("encounter_classes", "care_settings")


def overlap(one: Conditions, other: Conditions) -> bool:
    """Say whether some visit can meet both."""
    return (
        not any(_differ(getattr(one, name), getattr(other, name)) for name in _ONE_OF)
        and not any(_disjoint(getattr(one, name), getattr(other, name)) for name in _ANY_OF)
        and (one.age is None or other.age is None or ages_overlap(one.age, other.age))
        and not _dates_end_before(one, other)
        and not _dates_end_before(other, one)
    )


def _differ(one: str, other: str) -> bool:
    return bool(one and other and one != other)


def _disjoint(one: frozenset[str], other: frozenset[str]) -> bool:
    return bool(one and other and one.isdisjoint(other))


def covers(wide: Conditions, narrow: Conditions) -> bool:
    """Say whether every visit that meets `narrow` surely meets `wide`."""
    return (
        all(getattr(wide, name) in ("", getattr(narrow, name)) for name in _ONE_OF)
        and all(_holds_all(getattr(wide, name), getattr(narrow, name)) for name in _ANY_OF)
        and wide.recorded <= narrow.recorded
        and (wide.age is None or (narrow.age is not None and ages_cover(wide.age, narrow.age)))
        and (wide.valid_from is None or (narrow.valid_from is not None and wide.valid_from <= narrow.valid_from))
        and (wide.valid_to is None or (narrow.valid_to is not None and narrow.valid_to <= wide.valid_to))
    )


def _holds_all(wide: frozenset[str], narrow: frozenset[str]) -> bool:
    return not wide or bool(narrow and narrow <= wide)


def _dates_end_before(one: Conditions, other: Conditions) -> bool:
    return one.valid_to is not None and other.valid_from is not None and one.valid_to < other.valid_from
