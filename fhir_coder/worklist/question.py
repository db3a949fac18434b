"""What an item asks about one of its charts: the fact it is about, where that stands, and in which context."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from fhir_coder.charts import words_of
from fhir_coder.errors import FhirCoderError, NotFoundError, UsageError
from fhir_coder.filing import gap_identity
from fhir_coder.model import Asked, Chart, Choice, CodingContext, Concept, Gap, Json, Kind, Origin
from fhir_coder.pipeline import billed_slots
from fhir_coder.store import claims, groups, items
from fhir_coder.worklist.items import Part, part_of_row
from fhir_coder.worklist.workplace import Workplace


@dataclass(frozen=True, slots=True)
class Question:
    """One fact of a chart that a code is asked for, with the answer of now.

    `words` are the sender's for it: they may name a patient. `billed` are the codes it gives now, none for a gap.
    """

    chart_key: str
    kind: Kind
    system: str
    code: str
    words: str
    origin: Origin
    context: CodingContext
    billed: tuple[str, ...] = ()
    reason: str = ""
    text: str = ""
    display: str = ""

    @property
    def name(self) -> str:
        """`system|code`, or the words where there is no code: what a decision is filed under."""
        return f"{self.system}|{self.code}" if self.code else self.words


def part_named(place: Workplace, item_id: int, chart_key: str = "") -> Part:
    """The open part of an item about a chart; without a chart the only one.

    Raises NotFoundError where there is none, UsageError where the item has several and none is named.
    """
    with place.ledger.reading() as connection:
        group = groups.group_of_item(connection, item_id)
        parts = groups.open_parts(connection, group.id, 2) if group is not None else []
        if chart_key and group is not None:
            parts = items.open_parts_of_chart(connection, group.id, chart_key)
    if not parts:
        about = " about this chart" if chart_key else ""
        raise NotFoundError(f"no open work item {item_id}{about}: fhir-coder work list shows them")
    if len({part.chart_key for part in parts}) > 1:
        raise UsageError(
            f"work item {item_id} is about several charts: name one (fhir-coder work show lists them), "
            "or propose a row for all"
        )
    return part_of_row(parts[0])


def questions_of(place: Workplace, chart: Chart, feeds: tuple[str, ...]) -> list[Question]:
    """Every fact of a chart that may be billed, as it is answered now; each once, though several claims have it."""
    found: dict[tuple[str, str], Question] = {}
    for billed in billed_slots(chart, place.rulebook(), feeds):
        for one in billed.coded.asked:
            asked = _question(chart, one)
            found.setdefault((asked.name, asked.origin.path), asked)
    return list(found.values())


def question_of_part(place: Workplace, part: Part, identity: str) -> Question | None:
    """The fact that a part is about, as its chart has it now; None where it is about none, or is gone.

    A gap's by its identity; a finding's by the place in the claim that it names.
    """
    if not part.chart_key:
        return None
    chart, feeds = place.chart(part.chart_key)
    for billed in billed_slots(chart, place.rulebook(), feeds):
        for one in billed.coded.asked:
            if isinstance(one.answer, Gap) and gap_identity(one.answer)[:500] == identity:
                return _question(chart, one)
    origin = _origin_by_path(place, part)
    asked = questions_of(place, chart, feeds) if origin else []
    return next((one for one in asked if origin in ((one.origin.message, one.origin.path),)), None)


def question_named(place: Workplace, chart_key: str, source: str) -> Question:
    """The fact of a chart that goes by `SYSTEM|CODE`, or by its code alone. Raises UsageError with what there is."""
    chart, feeds = place.chart(chart_key)
    asked = questions_of(place, chart, feeds)
    fits = [one for one in asked if source and source in (one.name, one.code, _short(one))]
    if not fits:
        known = ", ".join(dict.fromkeys(_short(one) for one in asked if one.code)) or "none with a code"
        raise UsageError(f"the chart has no such code: it has {known}")
    if len({one.name for one in fits}) > 1:
        raise UsageError("the chart has this code in several systems: write SYSTEM|CODE")
    return fits[0]


def identity_of(place: Workplace, part: Part) -> str:
    """What makes the part the same one when its chart is coded again."""
    with place.ledger.reading() as connection:
        row = items.open_item_of_id(connection, part.id)
    return row.identity if row is not None else ""


def _short(one: Question) -> str:
    from fhir_coder.terminology.rows import short_name  # noqa: PLC0415 - loads the tables' reader only for an error

    return f"{short_name(one.system)}|{one.code}"


def _question(chart: Chart, one: Asked) -> Question:
    answer = one.answer
    if isinstance(answer, Gap):
        origin, system, code = answer.origin, answer.system, answer.code
        billed: tuple[str, ...] = ()
        told = (answer.reason, answer.text, answer.display)
    else:
        origin, source = answer.trace.origin, answer.trace.source
        system, code = source.system, source.code
        billed, told = tuple(_codes(answer)), ("", "", answer.trace.display)
    concept = next((c for o, c in _facts(chart) if o == origin and _names(c, system, code)), None)
    words = words_of(concept) if concept else ""
    return Question(chart.key, one.kind, system, code, words, origin, one.context, billed, *told)


def _names(concept: Concept, system: str, code: str) -> bool:
    return not code or any((c.system, c.code) == (system, code) for c in concept.codings)


def _codes(choice: Choice) -> Iterator[str]:
    for one in (choice, *choice.also):
        if one.code:
            yield "-".join([one.code.code, *(modifier.code for modifier in one.modifiers)])


def _facts(chart: Chart) -> Iterator[tuple[Origin, Concept]]:
    yield from ((fact.origin, fact.concept) for fact in chart.diagnoses)
    yield from ((fact.origin, fact.concept) for fact in chart.procedures)
    yield from ((fact.origin, fact.concept) for fact in chart.immunizations)
    for charge in chart.charges:
        yield charge.origin, charge.concept
        if charge.item:
            yield charge.origin, charge.item
    if chart.visit:
        yield from ((chart.visit.origin, concept) for concept in chart.visit.types)


def _origin_by_path(place: Workplace, part: Part) -> tuple[str, str] | None:
    """Where the field stands that gave the element of the claim that a finding names."""
    if not part.claim_id:
        return None
    with place.ledger.reading() as connection:
        explained: Json = orjson.loads(claims.by_id(connection, part.claim_id).explained)
    path = part.text.partition(": ")[0]
    fits = [t for t in explained["traces"] if t["path"] and (path == t["path"] or path.startswith(f"{t['path']}."))]
    if not fits:
        return None
    origin = max(fits, key=lambda trace: len(trace["path"]))["origin"]
    return origin["message"], origin["path"]


def must_have_a_fact(question: Question | None, item_id: int) -> Question:
    """The question, where there is one. Raises FhirCoderError."""
    if question is None:
        raise FhirCoderError(
            f"work item {item_id} is about no single code: name the code that is decided with --source SYSTEM|CODE"
        )
    return question
