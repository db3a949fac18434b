"""What a gap says to the person who settles it. Pure.

Texts name tables, rows and kinds of data, never what the sender wrote: its words may name a patient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from fhir_coder.model import ICD10_BEGAN, SYSTEM_TITLES, Choice, Kind
from fhir_coder.terminology.table import Row, Undecided


def target_not_valid_text(choice: Choice) -> str:
    """The row's code is not one of its code set on the day of service."""
    trace = choice.trace
    title = SYSTEM_TITLES.get(trace.system, trace.system)
    return (
        f"Row {trace.table}:{trace.row} gives {trace.code}, which is not a valid {title} code on the day of service: "
        "end the row and write one for the days after, or choose the code."
    )


BEFORE_ICD10 = (
    f"Services before {ICD10_BEGAN} are billed with the ICD-9-CM code itself, and no ICD-10 code is valid then: "
    "correct the day of service, or bill the visit outside this program."
)
"""What is said of an ICD-9-CM code of a time when it was the billing code."""


def advice(rows: Sequence[Row]) -> str:
    """The notes of rows, for the end of a text; empty where there is none."""
    notes = dict.fromkeys(row.note.rstrip(".") for row in rows if row.note)
    return f" Advice of the table: {'; '.join(notes)}." if notes else ""


def place(row: Row) -> str:
    """Where a row stands: table and line."""
    return f"{row.table}:{row.line}"


def listed(words: Sequence[str], joint: str = "and") -> str:
    """Words in a row with commas, the last joined by a word."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {joint} {words[-1]}"


def display(rows: Sequence[Row]) -> str:
    """The first row's words for the code."""
    return next((row.display for row in rows if row.display), "")


def detail(row: Row) -> str:
    """What a row wants to know before a person can choose."""
    return row.note or f"Row {place(row)} asks for more detail than was recorded; a person chooses the code."


def undecided_text(found: Undecided) -> str:
    """Why rows do not decide, and what would settle it."""
    return _UNDECIDED_TEXTS[found.reason](found)


def _text_unknown_context(found: Undecided) -> str:
    verb, them = ("is", "it") if len(found.missing) == 1 else ("are", "them")
    return (
        f"The {listed(found.missing)} {verb} not known, and row {place(found.rows[0])} asks for {them}: "
        f"record the {listed(found.missing)} for the visit, or choose the code.{advice(found.rows)}"
    )


def _text_ambiguous(found: Undecided) -> str:
    places = listed([f"{place(row)}{f' ({row.target.code})' if row.target else ''}" for row in found.rows])
    return (
        f"Rows {places} fit equally well with different answers: set their priorities, or choose the code."
        f"{advice(found.rows)}"
    )


def _text_no_row_fits(found: Undecided) -> str:
    tables = listed(list(dict.fromkeys(row.table for row in found.rows)))
    asked = dict.fromkeys(name for row in found.rows for name in row.conditions.asked())
    return (
        f"Table {tables} has rows for this code, but none fits the {listed(list(asked) or ['visit'])}: "
        "correct the visit, add a row, or choose the code."
    )


_UNDECIDED_TEXTS: Mapping[str, Callable[[Undecided], str]] = {
    "unknown_context": _text_unknown_context,
    "ambiguous": _text_ambiguous,
    "no_row_fits": _text_no_row_fits,
}


def _code_title(system: str) -> str:
    title = SYSTEM_TITLES.get(system, "code of its system")
    return title if "code" in title else f"{title} code"


def _codes_title(system: str) -> str:
    return _code_title(system).replace("code", "codes", 1)


NO_ROW_TEXTS: Mapping[str, Callable[[Kind, str], str]] = {
    "no_row": lambda kind, system: (
        f"No {kind} table has a row for this {_code_title(system)}: add a row, or choose the code."
    ),
    "no_table": lambda kind, system: (
        f"There is no {kind} table for {_codes_title(system)}: add one, or choose the code."
    ),
    "no_system": lambda kind, _: (
        f"The sender named no code system for this {kind}: have the sender name it, or choose the code."
    ),
    "no_code": lambda kind, _: f"The sender gave words without a code for this {kind}: choose the code.",
}
"""By the reason of a gap that no row speaks of: the text for a kind of table and the system of the code."""
