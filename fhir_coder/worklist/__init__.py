"""People's work: what waits for a decision, in which order, who has it, and what becomes of it.

Lists and what is done besides deciding need a ledger. What is decided needs the site's tables too: a `Workplace`
(`App.workplace`). Every function that changes something takes the `actor`: a user's name, or the command line's.
"""

from fhir_coder.worklist.auditing import (
    Agreement,
    Review,
    ReviewedCode,
    Sample,
    Sampled,
    agreement,
    draw,
    review,
    review_of,
)
from fhir_coder.worklist.case import Case, open_case
from fhir_coder.worklist.deciding import (
    Answer,
    Decided,
    Preview,
    PreviewedClaim,
    decide,
    decision_of,
    preview,
    withdraw,
)
from fhir_coder.worklist.items import (
    EVERY_OPEN,
    Page,
    Part,
    Queue,
    WorkItem,
)
from fhir_coder.worklist.listing import (
    QueueCount,
    counts_by_status,
    find_item,
    history_of,
    list_items,
    parts_of,
    queues,
)
from fhir_coder.worklist.order import keep_order
from fhir_coder.worklist.proposing import (
    ProposedRow,
    Released,
    WhatIf,
    approve,
    propose,
    proposed_row,
    reject,
    what_if,
)
from fhir_coder.worklist.question import Question, question_named
from fhir_coder.worklist.source import Source, SourceLine
from fhir_coder.worklist.suggesting import Suggestion
from fhir_coder.worklist.summary import (
    DaySummary,
    Figures,
    Handover,
    Note,
    day_summary,
    hand_over,
    handover_of,
)
from fhir_coder.worklist.taking import (
    ask_clinician,
    assign,
    close,
    escalate,
    give_back,
    hold,
    skip,
    take,
    take_answer,
    take_next,
)
from fhir_coder.worklist.workplace import Workplace

__all__ = [
    "EVERY_OPEN",
    "Agreement",
    "Answer",
    "Case",
    "DaySummary",
    "Decided",
    "Figures",
    "Handover",
    "Note",
    "Page",
    "Part",
    "Preview",
    "PreviewedClaim",
    "ProposedRow",
    "Question",
    "Queue",
    "QueueCount",
    "Released",
    "Review",
    "ReviewedCode",
    "Sample",
    "Sampled",
    "Source",
    "SourceLine",
    "Suggestion",
    "WhatIf",
    "WorkItem",
    "Workplace",
    "agreement",
    "approve",
    "ask_clinician",
    "assign",
    "close",
    "counts_by_status",
    "day_summary",
    "decide",
    "decision_of",
    "draw",
    "escalate",
    "find_item",
    "give_back",
    "hand_over",
    "handover_of",
    "history_of",
    "hold",
    "keep_order",
    "list_items",
    "open_case",
    "parts_of",
    "preview",
    "propose",
    "proposed_row",
    "question_named",
    "queues",
    "reject",
    "review",
    "review_of",
    "skip",
    "take",
    "take_answer",
    "take_next",
    "what_if",
    "withdraw",
]
