"""The stages a message goes through, in order: facts, chart, codes, claim, findings. Pure: a rulebook in, values out.

`fhir_coder.stages` runs them against the ledger; `convert`, `bulk` and the tests call them as they are.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from fhir_coder import fhir, hl7v2
from fhir_coder.charts import fold_chart
from fhir_coder.claims import build_claim, choose_payer, payer_name
from fhir_coder.claims.build import ClaimNumber
from fhir_coder.claims.model_check import model_findings
from fhir_coder.coding import code_chart
from fhir_coder.edits import ClaimContext, findings_for, rejects
from fhir_coder.errors import UnreadableError
from fhir_coder.model import (
    Chart,
    ClaimDraft,
    ClaimStatus,
    Finding,
    Message,
    MessageFacts,
    MessageFormat,
    MessageStatus,
    Payer,
    Site,
    Verdict,
)
from fhir_coder.terminology import CodeSets, Tables

BILLS_NOTHING = "a type that bills nothing"
_MOST_LISTED = 20
"""Findings of one message that its event names."""


FeedHook = Callable[[MessageFacts, bytes], MessageFacts]
"""A site's own last word on what a message says: its facts and its bytes in, its facts out."""


@dataclass(frozen=True, slots=True)
class FeedCheck:
    """A feed's messages against the standard. Where it `rejects`, a rejecting finding quarantines the message."""

    findings: Callable[[bytes], Sequence[Finding]]
    rejects: bool

    def judged(self, body: bytes, found: Verdict) -> tuple[Verdict, str]:
        """What becomes of a message that would be charted, and what to write down of its findings."""
        findings = self.findings(body)
        listed = "; ".join(f"{f.path}: {f.text}" for f in findings[:_MOST_LISTED])
        more = f"; and {len(findings) - _MOST_LISTED} more" if len(findings) > _MOST_LISTED else ""
        report = f"departs from the standard: {listed}{more}" if findings else ""
        if self.rejects and rejects(findings):
            return Verdict(MessageStatus.QUARANTINED, report), ""
        return found, report


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
    hooks: Mapping[str, FeedHook] = field(default_factory=dict)
    checks: Mapping[str, FeedCheck] = field(default_factory=dict)

    def rules_of(self, feed: str) -> hl7v2.FeedRules:
        """How a feed's HL7 v2 messages are read."""
        return self.hl7v2_by_feed.get(feed, self.hl7v2_rules)


def facts_of(message: Message, rulebook: Rulebook, feed: str = "") -> MessageFacts | None:
    """What a message says; None for a type that bills nothing. Raises UnreadableError."""
    if why_ignored(message, rulebook, feed):
        return None
    if message.header.format is MessageFormat.FHIR:
        facts = fhir.facts_from_message(message, rulebook.fhir_by_feed.get(feed, rulebook.fhir_rules))
    else:
        facts = hl7v2.facts_from_message(message, rulebook.rules_of(feed))
    hook = rulebook.hooks.get(feed)
    return hook(facts, message.body) if hook else facts


def why_ignored(message: Message, rulebook: Rulebook, feed: str = "") -> str:
    """Why a message says nothing to bill by, by its type; empty where it does."""
    if message.header.format is MessageFormat.FHIR:
        return "" if fhir.is_billed(message.header.type) else BILLS_NOTHING
    return hl7v2.why_ignored(message.header.type, rulebook.rules_of(feed))


def judge(read: Callable[[], MessageFacts | None], why: Callable[[], str] = lambda: BILLS_NOTHING) -> Verdict:
    """What becomes of a message, by what `read` (`facts_of` with its arguments) says of it.

    `why` (`why_ignored` with the same ones) is asked for the reason where it says nothing to bill by.
    """
    try:
        facts = read()
    except UnreadableError as error:
        return Verdict(MessageStatus.QUARANTINED, str(error))
    if facts is None:
        return Verdict(MessageStatus.IGNORED, why())
    if not facts.facts:
        problems = "; ".join(f"{p.origin.path}: {p.text}" for p in facts.problems)
        return Verdict(MessageStatus.QUARANTINED, problems or "it says nothing that can be used")
    return Verdict(MessageStatus.CHARTED, "", facts)


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
