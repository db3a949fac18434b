"""From a gap's work item and a person's decision to the row that says so from now on, for review."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date

from fhir_coder.errors import FhirCoderError, NotFoundError
from fhir_coder.filing import as_decided, gap_identity
from fhir_coder.model import Asked, Chart, Coding, CodingContext, Gap, Kind
from fhir_coder.pipeline import Rulebook, billed_slots
from fhir_coder.store import Ledger, items
from fhir_coder.terminology.names import NO_NAMES, unknown_name
from fhir_coder.terminology.proposing import (
    ABOUT_ONE_VISIT,
    REFUSED,
    Proposal,
    needed_conditions,
    rows_about,
    target_cells,
)
from fhir_coder.terminology.rows import COLUMNS, Cells

_ONE_WORD = re.compile(r"\S{1,64}")
_NOT_SET = ("source_code", "target_system", "target_code", "note")


@dataclass(frozen=True, slots=True)
class Question:
    """What a row is asked for: a code, and where it came from a work item the gap's reason and the visit's context."""

    kind: Kind
    coding: Coding
    item: int = 0
    reason: str = ""
    display: str = ""
    context: CodingContext = field(default_factory=CodingContext)


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person decided: the target, further cells of the row, why, and who and on which day."""

    target: str
    said: Mapping[str, str]
    why: str
    by: str
    on: date


def question_of_item(ledger: Ledger, item_id: int, fold: Callable[[str], Chart], rulebook: Rulebook) -> Question:
    """The gap that a work item is about, as its chart has it now.

    Raises NotFoundError where no such gap item is open, FhirCoderError where the gap is gone or no row settles it.
    """
    with ledger.reading() as connection:
        item = items.open_part_of(connection, item_id)
    if item is None or item.kind != "gap":
        raise NotFoundError(f"no open gap {item_id}: fhir-coder work list shows them")
    chart = fold(item.chart_key)
    with ledger.reading() as connection:
        chart = as_decided(connection, chart)
    for billed in billed_slots(chart, rulebook):
        for one in billed.coded.asked:
            if isinstance(one.answer, Gap) and gap_identity(one.answer)[:500] == item.identity:
                return _question(item_id, one, one.answer)
    raise FhirCoderError(f"the gap of work item {item_id} is gone: its chart has a code for it now")


def _question(item_id: int, asked: Asked, gap: Gap) -> Question:
    if gap.reason in REFUSED:
        raise FhirCoderError(f"{gap.reason}: {REFUSED[gap.reason]}")
    coding = Coding(gap.system, gap.code)
    return Question(asked.kind, coding, item_id, gap.reason, gap.display, asked.context)


def proposal_of(question: Question, decision: Decision, rulebook: Rulebook) -> Proposal:
    """The row that a decision implies. Raises FhirCoderError where it is not clear for which visits it would hold."""
    if not _ONE_WORD.fullmatch(question.coding.code):
        raise FhirCoderError("words stand where the code belongs: a row would keep them; have the sender code it")
    unknown = sorted(set(decision.said) - {name for name in COLUMNS if name not in _NOT_SET})
    if unknown:
        raise FhirCoderError(f"--set: {unknown[0]} is no column that can be set (docs/reference/tables.md)")
    if question.reason in ABOUT_ONE_VISIT and not decision.why:
        raise FhirCoderError(
            f"{question.reason}: the tables ask for more than this visit says. A row would hold for every visit: "
            "say with --why why it may, or have the sender send what is missing"
        )
    names = {"payer": [*(payer.name for payer in rulebook.payers), "none"]} if rulebook.payers else NO_NAMES
    if rule := unknown_name("payer", decision.said.get("payer", ""), names):
        raise FhirCoderError(f"--set payer: {rule}")
    cells: Cells = {"source_code": question.coding.code, "display": question.display}
    cells |= target_cells(decision.target, question.kind, rulebook.code_sets, _day(question, decision))
    cells |= _conditions(question, decision, rulebook)
    cells["note"] = _note(question, decision)
    return Proposal(question.kind, question.coding.system, {name: text for name, text in cells.items() if text})


def _conditions(question: Question, decision: Decision, rulebook: Rulebook) -> Cells:
    if question.reason != "no_row_fits":
        return dict(decision.said)
    tables = rulebook.tables.tables_for(question.kind, question.coding.system)
    return needed_conditions(rows_about(tables, question.coding), question.context, decision.said)


def _day(question: Question, decision: Decision) -> date:
    return question.context.service_date or decision.on


def _note(question: Question, decision: Decision) -> str:
    source = f", work item {question.item}, {question.reason}" if question.item else ""
    said = f"proposed {decision.on} by {decision.by}{source}"
    return f"{decision.why}; {said}" if decision.why else said
