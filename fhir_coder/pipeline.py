"""The stages a message goes through, in order: facts, chart, codes, claim, findings. Pure: a rulebook in, values out.

`fhir_coder.stages` runs them against the ledger; `convert`, `bulk` and the tests call them as they are.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from fhir_coder import fhir, hl7v2
from fhir_coder.charts import fold_chart
from fhir_coder.claims import build_claim, choose_payer, payer_name
from fhir_coder.claims.build import ClaimNumber
from fhir_coder.claims.model_check import model_findings
from fhir_coder.coding import code_chart
from fhir_coder.edits import ClaimContext, findings_for, rejects
from fhir_coder.model import (
    Chart,
    ClaimDraft,
    ClaimStatus,
    Message,
    MessageFacts,
    MessageFormat,
    Payer,
    Site,
)
from fhir_coder.terminology import CodeSets, Tables


@dataclass(frozen=True, slots=True)
class Rulebook:
    """Everything a site decides: its tables, code sets, payers, and how each feed is read (by feed name)."""

    site: Site
    payers: tuple[Payer, ...]
    tables: Tables
    code_sets: CodeSets
    hl7v2_rules: hl7v2.FeedRules
    fhir_rules: fhir.FhirRules
    hl7v2_by_feed: Mapping[str, hl7v2.FeedRules] = field(default_factory=dict)
    fhir_by_feed: Mapping[str, fhir.FhirRules] = field(default_factory=dict)


def facts_of(message: Message, rulebook: Rulebook, feed: str = "") -> MessageFacts | None:
    """What a message says; None for a type that bills nothing. Raises UnreadableError."""
    if message.header.format is MessageFormat.FHIR:
        if not fhir.is_billed(message.header.type):
            return None
        return fhir.facts_from_message(message, rulebook.fhir_by_feed.get(feed, rulebook.fhir_rules))
    if not hl7v2.is_billed(message.header.type):
        return None
    return hl7v2.facts_from_message(message, rulebook.hl7v2_by_feed.get(feed, rulebook.hl7v2_rules))


def claim_identifier(chart_key: str, payer: str, revision: int) -> str:
    """A claim's identifier: the same for the same chart, payer and revision; short enough for 837 CLM01 (20)."""
    digest = hashlib.sha256(f"{chart_key}\n{payer}".encode()).digest()
    return f"CLM-{base64.b32encode(digest).decode()[:12]}-{revision}"


def chart_of(key: str, messages: Sequence[MessageFacts]) -> Chart:
    """The chart of one visit from all messages that mention it."""
    return fold_chart(key, messages)


def draft_claim(chart: Chart, rulebook: Rulebook, created: date, revision: int = 1, replaces: str = "") -> ClaimDraft:
    """Code a chart, build its claim and check it. Held where a gap or a rejecting finding stands, else ready."""
    payer = choose_payer(chart, rulebook.payers)
    name = payer.name if payer else payer_name(chart.coverages[0]) if chart.coverages else "none"
    coded = code_chart(chart, rulebook.tables, name, rulebook.site.currency)
    identifier = claim_identifier(chart.key, name, revision)
    built = build_claim(coded, rulebook.site, payer, ClaimNumber(identifier, revision, replaces), created)
    findings = findings_for(ClaimContext(built.claim, coded, payer, rulebook.code_sets))
    findings += tuple(model_findings(built.claim))
    held = bool(coded.gaps) or rejects(findings)
    return ClaimDraft(
        chart_key=chart.key,
        payer=name,
        identifier=identifier,
        revision=revision,
        status=ClaimStatus.HELD if held else ClaimStatus.READY,
        claim=built.claim,
        traces=built.traces + coded.not_billable,
        findings=findings,
        gaps=coded.gaps,
        total=built.total,
    )
