"""Codes that may answer a question, the likeliest first: what people decided before, rows that nearly fit, words.

A suggestion is never taken by itself: a person chooses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_coder.model import SYSTEM_SHORT_NAMES, Coding, Kind, System, Validity
from fhir_coder.store import chart_decisions, row_proposals
from fhir_coder.terminology.codesets.book import ICD10CM, CodeBook, Found, read_abbreviations
from fhir_coder.terminology.header import system_uri
from fhir_coder.terminology.rows import NEEDS_DETAIL, NOT_BILLABLE
from fhir_coder.terminology.tried import TriedRow
from fhir_coder.worklist.question import Question
from fhir_coder.worklist.workplace import Workplace

_PAST = 200
_FAR_BELOW = 0.5
"""A hit of less than this part of the best one's score is about something else."""
_SERVICES = ("hcpcs", "cpt", "cdt")


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A code that may be meant, and why it is suggested. `code` is None for "not billable".

    `source` is decision, proposal, row or search. `score` orders them; it says nothing by itself.
    """

    code: Coding | None
    title: str
    source: str
    why: str
    score: float

    @property
    def name(self) -> str:
        """What a person types to choose it."""
        return self.code.code if self.code else NOT_BILLABLE


def suggestions_for(
    place: Workplace, question: Question, tried: Sequence[TriedRow], limit: int = 10
) -> tuple[Suggestion, ...]:
    """What may answer a question, the likeliest first; each code once, for the best of its reasons."""
    found = [*_from_decisions(place, question), *_from_proposals(place, question), *_from_rows(tried)]
    with CodeBook(place.rulebook().code_sets, read_abbreviations(place.settings.codeset_folders())) as book:
        found += _from_search(book, question, limit)
        best: dict[str, Suggestion] = {}
        for one in sorted(found, key=lambda one: -one.score):
            if one.name not in best and _may_be_billed(place, question, one):
                best[one.name] = one
        return tuple(_titled(book, one) for one in list(best.values())[:limit])


def _from_decisions(place: Workplace, question: Question) -> Iterator[Suggestion]:
    """What people chose for the same code in other charts: the more often, the likelier."""
    if not question.code:
        return
    with place.ledger.reading() as connection:
        rows = chart_decisions.about_code(connection, question.system, question.code, _PAST)
    counted = Counter(chart_decisions.codings_of(row.targets)[:1] for row in rows)
    for targets, times in counted.items():
        why = f"chosen for this code {times} time{'s' * (times != 1)}, last on {_last(rows, targets)}"
        yield Suggestion(targets[0] if targets else None, "", "decision", why, 90 + min(times, 9))


def _last(rows: Sequence[Any], targets: tuple[Coding, ...]) -> str:
    same = (row for row in rows if chart_decisions.codings_of(row.targets)[:1] == targets)
    return str(next(same).decided_at.date())


def _from_proposals(place: Workplace, question: Question) -> Iterator[Suggestion]:
    """Rows that were proposed for the same code; one that was rejected says so and goes last."""
    if not question.code:
        return
    with place.ledger.reading() as connection:
        rows = row_proposals.about_code(connection, question.system, question.code, _PAST)
    for row in rows:
        cells = row_proposals.cells_of(row)
        code = cells.get("target_code", "")
        system = system_uri(cells.get("target_system", "")) or ""
        if code == NEEDS_DETAIL:
            continue
        is_rejected = row.status == row_proposals.REJECTED
        why = f"proposed by {row.proposed_by} on {row.proposed_at.date()}, {row.status}"
        coding = None if code == NOT_BILLABLE else Coding(system, code)
        yield Suggestion(coding, "", "proposal", why, 5 if is_rejected else 85)


def _from_rows(tried: Sequence[TriedRow]) -> Iterator[Suggestion]:
    """Rows of the code that fit in all but some of what they ask."""
    for row in tried:
        if not row.needs_detail:
            score = 80 - 20 * len(row.misses) - 5 * len(row.unknown)
            yield Suggestion(row.gives, "", "row", f"row {row.table}:{row.line} {row.why}", score)


def _from_search(book: CodeBook, question: Question, limit: int) -> Iterator[Suggestion]:
    """Codes that the words of the code mean: the table's words, else the sender's."""
    words = question.display or question.words
    if not words or not question.context.service_date:
        return
    names = [ICD10CM] if question.kind is Kind.DIAGNOSIS else [n for n in book.names() if n in _SERVICES]
    if ICD10CM in names and not book.is_indexed():
        return  # making the index takes ten seconds: `codes search` does it
    hits = book.search(words, question.context.service_date, names, limit)
    for place, hit in enumerate(hit for hit in hits if hit.score >= hits[0].score * _FAR_BELOW):
        note = " (a header: choose a code below it)" if hit.status in ("header", "7th character") else ""
        why = f"the words fit{note}"
        yield Suggestion(_coding(hit), hit.title, "search", why, 60 - place - (20 if note else 0))


def _coding(hit: Found) -> Coding:
    return Coding(SYSTEM_SHORT_NAMES[hit.set_name], hit.code)


def _may_be_billed(place: Workplace, question: Question, one: Suggestion) -> bool:
    """Whether a code is valid on the day of service, as far as that is known."""
    on = question.context.service_date
    if one.code is None or on is None or one.source == "search":
        return True
    return place.rulebook().code_sets.validity(one.code.system, one.code.code, on) is not Validity.INVALID


def _titled(book: CodeBook, one: Suggestion) -> Suggestion:
    if one.title or one.code is None or one.code.system != System.ICD10CM or not book.is_indexed():
        return one
    title = book.title(ICD10CM, one.code.code)
    return Suggestion(one.code, title, one.source, one.why, one.score)
