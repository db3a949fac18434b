"""Translating one code outside a chart: what a person or another system asks of the tables."""

from __future__ import annotations

import calendar
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from fhir_coder.model import Choice, Coding, CodingContext, Concept, Gap, Json, Kind, Origin, System, Trace
from fhir_coder.terminology.eras import icd9_dotted
from fhir_coder.terminology.table import Row
from fhir_coder.terminology.tables import Tables

ASKED_KINDS = (Kind.IMMUNIZATION, Kind.DIAGNOSIS, Kind.PROCEDURE, Kind.CHARGE, Kind.VISIT)
"""The kinds of table in the order that a code is looked for where no kind is named."""

EPISODE_TABLE = "episode-of-care"
"""The concept table that says by visit type or class which episode of care a visit is: A, D or S (7th character)."""

_ORIGIN = Origin("", "")
_AGE = re.compile(r"(\d{1,4})([dmy]?)")
_OLDEST = 150


@dataclass(frozen=True, slots=True)
class Translation:
    """The answer for one code: the billing codes, or the gap. Without either the code is not billable."""

    choices: tuple[Choice, ...] = ()
    gap: Gap | None = None

    @property
    def is_not_billable(self) -> bool:
        """True where a row says that nothing is billed."""
        return self.gap is None and not any(choice.code for choice in self.choices)

    def as_json(self) -> Json:
        """The answer as JSON: `targets`, each with its row, and `gap`, null where there is none."""
        return {
            "targets": [_target(choice) for choice in self.choices if choice.code],
            "not_billable": self.is_not_billable,
            "gap": {"reason": self.gap.reason, "text": self.gap.text} if self.gap else None,
        }


def translate(
    tables: Tables, asked: Coding | Concept, context: CodingContext, kind: Kind | None = None, target: str = ""
) -> Translation:
    """Translate a code, or a concept of several, as a chart's fact with this context would be.

    Of no kind: by the first kind that has rows, in tables that lead to the system `target` where one is named.
    """
    concept = asked if isinstance(asked, Concept) else Concept((asked,))
    answer = tables.choose(kind or _first_kind(tables, concept, target), concept, context, _ORIGIN, "")
    if isinstance(answer, Gap):
        return Translation(gap=answer)
    return Translation((answer, *answer.also))


def _first_kind(tables: Tables, concept: Concept, target: str) -> Kind:
    served = [kind for kind in (*ASKED_KINDS, Kind.CONCEPT) if _is_served(tables, kind, concept, target)]
    known = (kind for kind in served if tables.has(kind, concept))
    return next(known, next(iter(served), Kind.DIAGNOSIS))


def _is_served(tables: Tables, kind: Kind, concept: Concept, target: str) -> bool:
    asked = (table for coding in concept.codings for table in tables.tables_for(kind, coding.system))
    return any(not target or target in table.header.target_systems for table in asked)


def row_of(tables: Tables, trace: Trace) -> Row | None:
    """The row that a trace names; None where these tables have another version."""
    source = trace.source
    for kind in Kind:
        for table in tables.tables_for(kind, source.system):
            if table.version == trace.version:
                code = icd9_dotted(source.code, kind) if source.system == System.ICD9CM else source.code
                return next((row for row in table.rows.get(code, ()) if row.line == trace.row), None)
    return None


def born(age: str, on: date) -> date:
    """The birth date of someone who is of an age on a day: `70` or `70y`, `3m`, `10d`. Raises ValueError."""
    found = _AGE.fullmatch(age)
    if not found:
        raise ValueError("not an age: write 70 for years, 3m for months, 10d for days")
    number, unit = int(found[1]), found[2] or "y"
    if unit == "y" and number > _OLDEST:
        raise ValueError("nobody is that old")
    try:
        return on - timedelta(days=number) if unit == "d" else _months_before(on, number * (12 if unit == "y" else 1))
    except (ValueError, OverflowError):
        raise ValueError("nobody is that old") from None


def _months_before(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    if year < 1:
        raise ValueError
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def chart_codes(codes: Sequence[str], system: str) -> frozenset[str]:
    """Further codes of a chart as a row's `with` asks them: `CODE` is of the same system, else `SYSTEM|CODE`."""
    parts = [code.rpartition("|") for code in codes if code]
    return frozenset(f"{name or system}|{code}" for name, _, code in parts)


def episode_of(tables: Tables, encounter_class: str) -> str:
    """The episode of care that the table `episode-of-care` gives for a class of visit, empty where it says none."""
    return tables.concept(EPISODE_TABLE).get(encounter_class, "")


def _target(choice: Choice) -> Json:
    trace = choice.trace
    target: Json = {
        "system": trace.system,
        "code": trace.code,
        "table": trace.table,
        "row": trace.row,
        "version": trace.version,
    }
    if trace.note:
        target["note"] = trace.note
    if choice.modifiers:
        target["modifiers"] = [modifier.code for modifier in choice.modifiers]
    if choice.revenue_code:
        target["revenue_code"] = choice.revenue_code
    if choice.units != 1:
        target["units"] = choice.units
    if choice.unit_price is not None:
        target["unit_price"] = choice.unit_price
    return target
