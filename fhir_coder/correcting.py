"""A person corrects a claim: what would become of it is shown first, then kept, and the chart is coded with it.

The way of the correction is that of every change of a chart: a claim that was not sent is made again, one that the
payer has is replaced (frequency 7), voided and billed anew, or corrected by hand, as the payer's `corrections` say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import orjson

from fhir_coder.charts import different_paths
from fhir_coder.errors import ConflictError, UsageError
from fhir_coder.model import (
    GONE,
    Chart,
    ClaimCorrection,
    ClaimField,
    ClaimStatus,
    Finding,
    Gap,
    Json,
    PersonDecision,
    Purpose,
    Severity,
)
from fhir_coder.queries import claim_story
from fhir_coder.stages import Stages
from fhir_coder.store import chart_decisions, claim_corrections, claims
from fhir_coder.store.chart_decisions import Filed
from fhir_coder.store.claim_corrections import Corrected
from fhir_coder.store.claims import ClaimRow
from fhir_coder.worklist import Answer, Question, Workplace, decision_of, question_named

_LONGEST: Mapping[str, int] = {ClaimField.NOTE: 1000, ClaimField.MEMBER_ID: 80}
_LONG = 50
"""Characters of a value: a number of the 837 has 50 (REF02), a member's id 80 (NM109)."""

_RELATIONSHIPS = ("child", "parent", "spouse", "common", "other", "self", "injured")
"""The codes of FHIR's subscriber-relationship."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person asks for: values by field (`ClaimField`; empty: as sent again), codes by the code as sent, why.

    Codes are `CODE` or `SYSTEM|CODE`, as for `work decide`; they count for all claims of the visit.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    codes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    why: str = ""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What becomes of a claim with a correction. `word` is that of its plan (docs/reference/logs.md, `chart_coded`).

    `replaces` is the claim that the payer has and that the new one takes the place of, empty where it replaces none.
    `paths` are where the claim changes, without values; `others` the slots of the visit whose claims change too.
    """

    identifier: str
    status: str
    payer: str
    word: str
    replaces: str
    paths: tuple[str, ...]
    findings: tuple[Finding, ...]
    gaps: tuple[Gap, ...]
    others: tuple[str, ...]

    @property
    def rejecting(self) -> tuple[Finding, ...]:
        """The findings that hold it."""
        return tuple(f for f in self.findings if f.severity is Severity.REJECT)


@dataclass(frozen=True, slots=True)
class _Meant:
    """The claim that is corrected, with the decisions about its chart's codes."""

    row: ClaimRow
    decisions: Sequence[tuple[Question, PersonDecision]]


def outlook(place: Workplace, stages: Stages, name: str, asked: Asked, actor: str) -> Outlook:
    """What a correction would make of a claim. Nothing is written.

    Raises NotFoundError, UsageError where a value or code cannot be, ConflictError where the claim is over.
    """
    return _outlook(place, stages, _meant(place, name, asked, actor), asked, actor)


def correct(place: Workplace, stages: Stages, name: str, asked: Asked, actor: str) -> Outlook:
    """Keep a correction, and have the chart coded with it; answers what becomes of the claim. Raises as `outlook`."""
    meant = _meant(place, name, asked, actor)
    seen = _outlook(place, stages, meant, asked, actor)
    at = place.ledger.clock()
    with place.ledger.writing() as connection:
        row = claims.by_id(connection, meant.row.id)
        _refuse_over(row)
        for question, decision in meant.decisions:
            chart_decisions.keep(connection, Filed(row.chart_key, question.kind, decision), at)
        claim_corrections.keep(connection, row, Corrected(asked.values, actor, asked.why), at)
    return seen


def _meant(place: Workplace, name: str, asked: Asked, actor: str) -> _Meant:
    if not asked.values and not asked.codes:
        raise UsageError("say what is corrected: --set FIELD=VALUE, --unset FIELD, --note TEXT or --code SENT=CODE")
    for field_name, value in asked.values.items():
        _check(field_name, value)
    row = claim_story(place.ledger, name).row
    _refuse_over(row)
    decisions = []
    for source, codes in asked.codes.items():
        question = question_named(place, row.chart_key, source)
        decisions.append((question, decision_of(place, question, Answer(codes, asked.why), actor, 0)))
    return _Meant(row, decisions)


def _check(name: str, value: str) -> None:
    """Refuse what cannot stand on a claim; the value is not repeated."""
    if name not in set(ClaimField):
        raise UsageError(f"no field '{name}': it is one of {', '.join(ClaimField)}")
    longest = _LONGEST.get(name, _LONG)
    if len(value) > longest:
        raise UsageError(f"{name}: at most {longest} characters")
    if value != value.strip() or not value.isprintable():
        raise UsageError(f"{name}: no blanks around it, no line breaks")
    if name == ClaimField.RELATIONSHIP and value not in ("", *_RELATIONSHIPS):
        raise UsageError(f"{name}: it is one of {', '.join(_RELATIONSHIPS)}")


def _refuse_over(row: ClaimRow) -> None:
    if row.purpose == Purpose.VOID:
        raise ConflictError(f"{row.identifier} takes a claim back: there is nothing on it to correct")
    if ClaimStatus(row.status) in GONE:
        raise ConflictError(f"{row.identifier} is {row.status}: correct the newest of its lineage (claims show)")


def _outlook(place: Workplace, stages: Stages, meant: _Meant, asked: Asked, actor: str) -> Outlook:
    row, at = meant.row, place.ledger.clock().isoformat(timespec="seconds")
    told = tuple(ClaimCorrection(row.slot, name, value, actor, at) for name, value in asked.values.items() if value)
    decisions = tuple(decision for _, decision in meant.decisions)

    def changed(chart: Chart) -> Chart:
        kept = tuple(c for c in chart.corrections if c.slot != row.slot or c.field not in asked.values)
        return replace(chart, corrections=(*kept, *told), decisions=(*chart.decisions, *decisions))

    plans = {plan.slot: plan for plan in stages.planned(row.chart_key, changed)}
    before = {plan.slot: plan for plan in stages.planned(row.chart_key, lambda chart: chart)}
    plan = plans.get(row.slot)
    draft = plan.draft if plan else None
    others = [
        slot for slot, one in plans.items() if slot != row.slot and one.word != getattr(before.get(slot), "word", "")
    ]
    return Outlook(
        row.identifier,
        row.status,
        row.payer,
        plan.word if plan else "cancelled",
        plan.filed.draft.replaces if plan and plan.filed else "",
        _paths(orjson.loads(row.body), draft.claim if draft else {}),
        draft.findings if draft else (),
        draft.gaps if draft else (),
        tuple(others),
    )


_ITS_OWN = ("identifier", "created", "related")
"""What every revision of a claim says anew."""


def _paths(before: Json, after: Json) -> tuple[str, ...]:
    one, other = ({k: v for k, v in claim.items() if k not in _ITS_OWN} for claim in (before, after))
    return tuple(f"Claim.{path}" for path in different_paths(orjson.dumps(one), orjson.dumps(other, default=float)))
