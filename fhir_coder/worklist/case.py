"""All that a person needs to decide one item: what is asked, where it comes from, what was tried, what may be meant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fhir_coder.errors import NotFoundError
from fhir_coder.model import Coding
from fhir_coder.store import chart_decisions
from fhir_coder.terminology.tried import TriedRow, rows_tried
from fhir_coder.worklist.items import Part, WorkItem
from fhir_coder.worklist.listing import find_item, history_of, parts_of
from fhir_coder.worklist.proposing import ProposedRow, proposed_row
from fhir_coder.worklist.question import Question, identity_of, part_named, question_of_part, questions_of
from fhir_coder.worklist.source import Source, source_of
from fhir_coder.worklist.suggesting import Suggestion, suggestions_for
from fhir_coder.worklist.workplace import Workplace

_SHOWN = 100
BLIND = "blind_review"
"""The reason of items whose reviewer does not see what was decided."""


@dataclass(frozen=True, slots=True)
class Case:
    """An item opened by a person. What it does not have is None or empty.

    `question` is the fact that `part` (the chart shown) is about; `source` the message that says it. `history` are the
    item's events, `decisions` those of people about the chart, as rows of the ledger. `source` and `question.words` may
    name a patient. `facts` are those of the chart where the item is about none of them: what `Answer.source` may name.
    """

    item: WorkItem
    parts: tuple[Part, ...]
    part: Part | None
    question: Question | None
    source: Source | None
    tried: tuple[TriedRow, ...]
    suggestions: tuple[Suggestion, ...]
    proposal: ProposedRow | None
    history: tuple[Any, ...]
    decisions: tuple[Any, ...]
    facts: tuple[Question, ...] = ()


def open_case(place: Workplace, item_id: int, chart_key: str = "") -> Case:
    """An item with one of its charts, by default the first. Raises NotFoundError."""
    item = find_item(place.ledger, item_id)
    parts = tuple(parts_of(place.ledger, item.id, _SHOWN))
    part = _part(place, item, parts, chart_key)
    question = question_of_part(place, part, identity_of(place, part)) if part else None
    tried: tuple[TriedRow, ...] = ()
    suggestions: tuple[Suggestion, ...] = ()
    if question:
        tables = place.rulebook().tables
        tried = rows_tried(tables, question.kind, Coding(question.system, question.code), question.context)
        suggestions = suggestions_for(place, question, tried)
    return Case(
        item,
        parts,
        part,
        question,
        source_of(place, question) if question else None,
        tried,
        suggestions,
        _proposal(place, item.id),
        tuple(history_of(place.ledger, item.id)),
        () if item.reason == BLIND else _decisions(place, part),
        _facts(place, part) if part and question is None and item.reason != BLIND else (),
    )


def _part(place: Workplace, item: WorkItem, parts: tuple[Part, ...], chart_key: str) -> Part | None:
    if not chart_key:
        return parts[0] if parts else None
    return next((p for p in parts if p.chart_key == chart_key), None) or part_named(place, item.id, chart_key)


def _facts(place: Workplace, part: Part) -> tuple[Question, ...]:
    if not part.chart_key:
        return ()
    chart, feeds = place.chart(part.chart_key)
    return tuple(questions_of(place, chart, feeds))


def _proposal(place: Workplace, item_id: int) -> ProposedRow | None:
    try:
        return proposed_row(place, item_id)
    except NotFoundError:
        return None


def _decisions(place: Workplace, part: Part | None) -> tuple[Any, ...]:
    if part is None or not part.chart_key:
        return ()
    with place.ledger.reading() as connection:
        return tuple(chart_decisions.rows_of_chart(connection, part.chart_key))
