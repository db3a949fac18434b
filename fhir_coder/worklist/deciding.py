"""Deciding one chart: what a person chooses is tried without writing anything, then kept for coding to honour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from fhir_coder.errors import ConflictError, NotFoundError, UsageError
from fhir_coder.model import (
    BILLING_SYSTEMS,
    Chart,
    ClaimDraft,
    Coding,
    Finding,
    Gap,
    Kind,
    PersonDecision,
    Severity,
    System,
    Validity,
)
from fhir_coder.pipeline import Occasion, draft_claims
from fhir_coder.store import chart_decisions, groups, items, work
from fhir_coder.store.chart_decisions import Filed
from fhir_coder.terminology.charge_master import billing_system
from fhir_coder.terminology.header import system_uri
from fhir_coder.terminology.rows import MAX_MODIFIERS, NOT_BILLABLE
from fhir_coder.worklist.question import (
    Question,
    identity_of,
    must_have_a_fact,
    part_named,
    question_named,
    question_of_part,
)
from fhir_coder.worklist.taking import acting
from fhir_coder.worklist.workplace import Workplace


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person answers: `codes` as `CODE` or `SYSTEM|CODE`, the first one first; `not-billable` alone for nothing.

    `pointers` are the ICD-10-CM codes of the diagnoses that the lines point to. `source` names the fact that is decided
    where the item does not say it (`SYSTEM|CODE` as sent). `chart_key` names the chart where the item has several.
    """

    codes: tuple[str, ...]
    why: str = ""
    modifiers: tuple[str, ...] = ()
    pointers: tuple[str, ...] = ()
    source: str = ""
    chart_key: str = ""


@dataclass(frozen=True, slots=True)
class PreviewedClaim:
    """One claim of a chart as it would be: its codes (path, code, story), findings and gaps."""

    slot: str
    payer: str
    is_ready: bool
    total: Decimal
    currency: str
    codes: tuple[tuple[str, str, str], ...]
    findings: tuple[Finding, ...]
    gaps: tuple[Gap, ...]

    @property
    def rejecting(self) -> tuple[Finding, ...]:
        """The findings that hold it."""
        return tuple(f for f in self.findings if f.severity is Severity.REJECT)


@dataclass(frozen=True, slots=True)
class Preview:
    """The claims of a chart as they are now, and as they would be with a decision. Nothing is stored."""

    question: Question
    decision: PersonDecision
    before: tuple[PreviewedClaim, ...]
    after: tuple[PreviewedClaim, ...]


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision that was kept: its number, the chart it is about, and how many other charts of the item still wait."""

    number: int
    chart_key: str
    charts_left: int


def preview(place: Workplace, item_id: int, answer: Answer, actor: str) -> Preview:
    """The claims of a chart with a decision that is not made yet.

    Raises NotFoundError, UsageError where a code is not valid on the day of service or not of a system that is billed.
    """
    question = question_of(place, item_id, answer)
    decision = decision_of(place, question, answer, actor, item_id)
    chart, feeds = place.chart(question.chart_key)
    before = claims_of(place, chart, feeds)
    after = claims_of(place, replace(chart, decisions=(*chart.decisions, decision)), feeds)
    return Preview(question, decision, before, after)


def decide(place: Workplace, item_id: int, answer: Answer, actor: str) -> Decided:
    """Keep a decision for one chart of an item, and have the chart coded with it.

    Raises NotFoundError, UsageError, ConflictError where somebody else has the item or it waits for a review.
    """
    question = question_of(place, item_id, answer)
    decision = decision_of(place, question, answer, actor, item_id)
    with acting(place.ledger, item_id, actor) as one:
        if one.group.not_for == actor and one.group.kind == "audit":
            raise ConflictError(f"work item {one.group.id} reviews your own work: it is for somebody else")
        filed = Filed(question.chart_key, question.kind, replace(decision, item=one.group.id))
        number = chart_decisions.keep(one.connection, filed, one.at)
        one.count("decide", 1)
        one.note("decided", f"decision {number}")
        parts = items.open_parts_of_chart(one.connection, one.group.id, question.chart_key)
        if one.group.kind == "gap":
            items.close_items(one.connection, one.at, [p.id for p in parts], f"decision {number}", actor)
        work.ask(one.connection, "chart", question.chart_key, one.at)
        left = groups.by_id(one.connection, one.group.id)
    waits = left is not None and left.closed_at is None and left.kind == "gap"
    return Decided(number, question.chart_key, left.charts if left is not None and waits else 0)


def withdraw(place: Workplace, number: int, actor: str) -> str:
    """Let a decision count no more; its chart is coded without it. Answers the chart's key. Raises NotFoundError."""
    at = place.ledger.clock()
    with place.ledger.writing() as connection:
        chart_key = chart_decisions.withdraw(connection, number, actor, at)
        if not chart_key:
            raise NotFoundError(f"no decision {number} that counts: fhir-coder work show lists those of an item")
        work.ask(connection, "chart", chart_key, at)
    return chart_key


def question_of(place: Workplace, item_id: int, answer: Answer) -> Question:
    """The fact that an answer is about. Raises NotFoundError, UsageError, FhirCoderError."""
    part = part_named(place, item_id, answer.chart_key)
    if answer.source:
        return question_named(place, part.chart_key, answer.source)
    return must_have_a_fact(question_of_part(place, part, identity_of(place, part)), item_id)


def decision_of(place: Workplace, question: Question, answer: Answer, actor: str, item_id: int) -> PersonDecision:
    """An answer as coding takes it. Raises UsageError where a code is not to be billed on the day of service."""
    is_nothing = answer.codes == (NOT_BILLABLE,)
    if not answer.codes or (NOT_BILLABLE in answer.codes and not is_nothing):
        raise UsageError(f"choose codes, or {NOT_BILLABLE} alone")
    if not (question.code or question.words):
        raise UsageError("the message says neither a code nor words here: there is nothing to decide about")
    targets = () if is_nothing else tuple(target_of(place, code, question) for code in answer.codes)
    if answer.modifiers and question.kind is Kind.DIAGNOSIS:
        raise UsageError("a diagnosis has no modifiers")
    return PersonDecision(
        question.system if question.code else "",
        question.code,
        targets,
        actor,
        place.ledger.clock().isoformat(timespec="seconds"),
        "" if question.code else question.words,
        tuple(_modifiers(answer.modifiers)),
        tuple(pointer.strip().upper() for pointer in answer.pointers),
        answer.why,
        item_id,
    )


def target_of(place: Workplace, text: str, question: Question) -> Coding:
    """A billing code as a person writes it. Raises UsageError."""
    name, _, code = text.strip().rpartition("|")
    code = code.upper()
    is_diagnosis = question.kind is Kind.DIAGNOSIS
    system = system_uri(name) if name else System.ICD10CM if is_diagnosis else billing_system(code)
    if not system:
        raise UsageError("of which system is this code? Write SYSTEM|CODE, such as hcpcs|G0463")
    if is_diagnosis != (system == System.ICD10CM) or system not in BILLING_SYSTEMS | {System.REVENUE}:
        wanted = "ICD-10-CM" if is_diagnosis else "a system of services"
        raise UsageError(f"a {question.kind} is billed by a code of {wanted}")
    on = question.context.service_date
    if on and place.rulebook().code_sets.validity(system, code, on) is Validity.INVALID:
        raise UsageError(f"{code} is not a valid code of its system on {on}: fhir-coder codes show {code} says why")
    return Coding(system, code)


def claims_of(place: Workplace, chart: Chart, feeds: tuple[str, ...]) -> tuple[PreviewedClaim, ...]:
    """The claims that a chart gives now."""
    occasion = Occasion(place.ledger.clock(), feeds)
    return tuple(map(_previewed, draft_claims(chart, place.rulebook(), occasion)))


def _previewed(draft: ClaimDraft) -> PreviewedClaim:
    codes = tuple((t.path or "-", t.code or "not billable", t.note or t.version) for t in draft.traces)
    is_ready = not draft.gaps and not any(f.severity is Severity.REJECT for f in draft.findings)
    total = draft.total
    return PreviewedClaim(
        draft.slot,
        draft.payer,
        is_ready,
        total.value if total else Decimal(0),
        total.currency if total else "",
        codes,
        draft.findings,
        draft.gaps,
    )


def _modifiers(texts: Sequence[str]) -> Sequence[Coding]:
    codes = [text.strip().upper() for text in texts]
    if len(codes) > MAX_MODIFIERS:
        raise UsageError(f"a line has at most {MAX_MODIFIERS} modifiers")
    if any(len(code) != 2 or not code.isalnum() for code in codes):
        raise UsageError("a modifier has two letters or digits")
    return [Coding(System.CPT if code[0].isdigit() else System.HCPCS, code) for code in codes]
