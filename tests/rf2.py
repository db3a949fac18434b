"""RF2 ExtendedMap files with invented concepts: the real grammar in all its forms, and no content of the NLM map."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fhir_coder.terminology.check_digits import has_check_digit
from fhir_coder.terminology.nlm_map import COLUMNS, REFSET

HEADER = "\t".join(COLUMNS)
MODULE = "5991000124107"
ONSET, AGE, FEMALE, MALE = "445518008", "424144002", "248152002", "248153007"


def concept(number: int) -> str:
    """The invented concept of a number: an identifier with the right check digit."""
    stem = f"{900_000 + number}10"
    return next(f"{stem}{digit}" for digit in range(10) if has_check_digit(f"{stem}{digit}"))


@dataclass(frozen=True)
class MapRow:
    """One line of the file; what is not named is as in a sound row."""

    concept: str
    target: str = "I10"
    rule: str = "TRUE"
    group: str = "1"
    priority: str = "1"
    advice: str = "ALWAYS"
    active: str = "1"
    refset: str = REFSET
    module: str = MODULE
    category: str = ""
    time: str = "20260901"

    def line(self, number: int = 0) -> str:
        category = self.category or ("447637006" if self.target else "447638001")
        cells = (
            f"00000000-0000-5000-8000-{number:012d}",
            self.time,
            self.active,
            self.module,
            self.refset,
            self.concept,
        )
        more = (self.group, self.priority, self.rule, self.advice, self.target, "447561005", category)
        return "\t".join((*cells, *more))


def ifa(concept_id: str, compared: str = "", bar: str = "|") -> str:
    """A clause of a rule."""
    return f"IFA {concept_id} {bar} invented term {bar} {compared}".strip()


def text(rows: Sequence[MapRow], end: str = "\n") -> str:
    """A whole file."""
    return end.join([HEADER, *(row.line(number) for number, row in enumerate(rows)), ""])


TARGETS = ("I10", "E11.9", "J45.909", "K21.9", "N39.0", "M54.50", "R51.9", "F41.1", "G43.909", "L20.9")
ALWAYS = "OTHERWISE TRUE"


def rows_of(number: int) -> tuple[MapRow, ...]:
    """The rows of one invented concept: every tenth has another of the grammar's forms."""
    one, target = concept(number), TARGETS[number % len(TARGETS)]
    match number % 20:
        case 1:
            return (MapRow(one, "P29.2", ifa(ONSET, "< 29.0 days")), MapRow(one, target, ALWAYS, priority="2"))
        case 2:
            young = f"{ifa(ONSET, '>= 12 years')} AND {ifa(ONSET, '< 20.0 years')}"
            return (
                MapRow(one, "N91.0", f"{young} AND {ifa(FEMALE)}"),
                MapRow(one, "N91.1", ifa(FEMALE, bar="&#x7C;"), priority="2"),
                MapRow(one, target, ALWAYS, priority="3"),
            )
        case 3:
            return (
                MapRow(one, "E11.22", f"({ifa(concept(number + 1))} AND ({ifa(AGE, '> 1 month')}))"),
                MapRow(one, "", ALWAYS, priority="2", advice="MAP SOURCE CONCEPT CANNOT BE CLASSIFIED"),
            )
        case 4:
            return (
                MapRow(one, target),
                MapRow(one, "B96.20", group="2", advice="CONSIDER ADDITIONAL CODE"),
                MapRow(one, "Z79.4", ifa(MALE), group="3"),
                MapRow(one, "Z79.84", ALWAYS, group="3", priority="2"),
            )
        case 5 | 6 | 7 | 8 | 9 | 10 | 11:
            code = f"S{number % 90 + 10}.{number % 1000:03d}?"
            return (MapRow(one, code, advice="EPISODE OF CARE INFORMATION NEEDED"),)
        case _:
            return (MapRow(one, target),)


def generated(concepts: int) -> Iterator[str]:
    """The lines of a map of so many concepts, in an order that is not theirs, with rows of the other reference set."""
    yield HEADER
    for place in range(concepts):
        number = place * 7919 % concepts
        for row in rows_of(number):
            yield row.line(number)
        if number % 10 == 0:
            yield MapRow(concept(number), "I10", refset="447562003", module="449080006").line(number)
        if number % 17 == 0:
            yield MapRow(concept(number), "I11.9", active="0").line(number)


def write(path: Path, concepts: int) -> Path:
    """A file of so many concepts."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        stream.writelines(f"{line}\r\n" for line in generated(concepts))
    return path
