"""The stages a message goes through, in order: facts, chart, codes, claim, findings. Pure: a rulebook in, values out.

`fhir_coder.stages` runs them against the ledger; `convert`, `bulk` and the tests call them as they are.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from fhir_coder import fhir, hl7v2
from fhir_coder.charts import fold_chart
from fhir_coder.claims import (
    WEIGHT_TABLE,
    ClaimNumber,
    ClaimPlace,
    arranged,
    build_claim,
    claim_type,
    corrected,
    coverages_not_billed,
    parts_of,
    payer_name,
    payers_asked_ahead,
    payers_in_order,
    wait_of,
    with_drg,
    with_original,
)
from fhir_coder.claims.lines import kinds_of, of_kind, only_lines
from fhir_coder.claims.model_check import model_findings
from fhir_coder.claims.when import ON_REQUEST, Wait
from fhir_coder.coding import VisitPlace, code_chart
from fhir_coder.edits import ClaimContext, findings_for, judged_by, rejects
from fhir_coder.edits.mce import drg_of
from fhir_coder.errors import UnreadableError
from fhir_coder.model import (
    CLAIM,
    PREAUTHORIZATION,
    STANDARD_LIMITS,
    Billing,
    BillingRule,
    Chart,
    ClaimDraft,
    ClaimStatus,
    CodedChart,
    Denied,
    Finding,
    Json,
    Message,
    MessageFacts,
    MessageFormat,
    MessageStatus,
    Money,
    Payer,
    PriorDecision,
    Site,
    Slot,
    Verdict,
)
from fhir_coder.terminology import CodeSets, Tables

BILLS_NOTHING = "a type that bills nothing"
SAYS_NOTHING = "nothing in it is billed"
_MOST_LISTED = 20
"""Findings of one message that its event names."""


FeedHook = Callable[[MessageFacts, bytes], MessageFacts]
"""A site's own last word on what a message says: its facts and its bytes in, its facts out."""


@dataclass(frozen=True, slots=True)
class FeedCheck:
    """A feed's messages against the standard. Where it `rejects`, a rejecting finding quarantines the message."""

    findings: Callable[[bytes], Sequence[Finding]]
    rejects: bool

    def judged(self, message: Message, found: Verdict) -> tuple[Verdict, str]:
        """What becomes of a message that would be charted, and what to write down of its findings.

        What was checked before its sender was answered is not checked again.
        """
        findings = () if message.answered.checked else self.findings(message.body)
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
    billing: Billing = field(default_factory=Billing)

    def rules_of(self, feed: str) -> hl7v2.FeedRules:
        """How a feed's HL7 v2 messages are read."""
        return self.hl7v2_by_feed.get(feed, self.hl7v2_rules)


def facts_of(message: Message, rulebook: Rulebook, feed: str = "") -> MessageFacts | None:
    """What a message says; None for one that bills nothing. Raises UnreadableError."""
    if why_ignored(message, rulebook, feed):
        return None
    if message.header.format is MessageFormat.FHIR:
        facts = fhir.facts_from_message(message, rulebook.fhir_by_feed.get(feed, rulebook.fhir_rules))
    else:
        facts = hl7v2.facts_from_message(message, rulebook.rules_of(feed))
    hook = rulebook.hooks.get(feed)
    said = hook(facts, message.body) if hook else facts
    # An ExplanationOfBenefit without a Coverage, a charge that was billed already, a person without a number:
    # understood, and nothing to bill by.
    may_be_needless = message.header.format is MessageFormat.FHIR or message.header.type in hl7v2.PERSON_TYPES
    return None if may_be_needless and not (said.facts or said.problems) else said


def why_ignored(message: Message, rulebook: Rulebook, feed: str = "") -> str:
    """Why a message says nothing to bill by, by its type; empty where it does."""
    if message.header.format is MessageFormat.FHIR:
        return "" if fhir.is_billed(message.header.type) else BILLS_NOTHING
    return hl7v2.why_ignored(message.header.type, rulebook.rules_of(feed))


def judge(read: Callable[[], MessageFacts | None], why: Callable[[], str] = lambda: BILLS_NOTHING) -> Verdict:
    """What becomes of a message, by what `read` (`facts_of` with its arguments) says of it.

    `why` (`why_ignored` with the same ones) is asked for the reason where it says nothing to bill by. A message of
    which nothing can be used waits for a person, and so do the visits that its problems are about.
    """
    try:
        facts = read()
    except UnreadableError as error:
        return Verdict(MessageStatus.QUARANTINED, str(error))
    if facts is None:
        return Verdict(MessageStatus.IGNORED, why() or SAYS_NOTHING)
    if not facts.facts:
        problems = "; ".join(f"{p.origin.path}: {p.text}" for p in facts.problems)
        about = facts if any(p.topic for p in facts.problems) else None
        return Verdict(MessageStatus.QUARANTINED, problems or "it says nothing that can be used", about)
    return Verdict(MessageStatus.CHARTED, "", facts)


def claim_identifier(chart_key: str, payer: str, revision: int, slot: str = "") -> str:
    """A claim's identifier: the same for the same chart, payer, revision and slot; fits 837 CLM01 (20 characters).

    `slot` is left out for the claim of the visit's own kind to its first payer.
    """
    named = f"{chart_key}\n{payer}" + (f"\n{slot}" if slot else "")
    digest = hashlib.sha256(named.encode()).digest()
    return f"CLM-{base64.b32encode(digest).decode()[:12]}-{revision}"


def chart_of(key: str, messages: Sequence[MessageFacts]) -> Chart:
    """The chart of one visit from all messages that mention it."""
    return fold_chart(key, messages)


@dataclass(frozen=True, slots=True)
class Occasion:
    """What is known besides a chart when its claims are made.

    `feeds` are those its messages came by, oldest first. `is_requested`: a person has asked for the claims.
    `elsewhere` are claims of the patient's other visits that a payer has or may have, as R4 JSON. `denied` is what
    payers often denied before.
    """

    now: datetime
    feeds: tuple[str, ...] = ()
    is_requested: bool = False
    elsewhere: tuple[Json, ...] = ()
    denied: Denied = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Earlier:
    """What the payers before a claim's own decided. `is_open`: one of them has not."""

    decisions: tuple[PriorDecision, ...] = ()
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class BilledSlot:
    """One of the claims a chart gives: to whom, and the part of the coded chart that stands on it.

    `is_own`: it is of the visit's own kind and for its first payer. `is_alone`: there is one payer.
    """

    slot: Slot
    payer: Payer | None
    payer_name: str
    coded: CodedChart
    is_own: bool
    is_alone: bool = True

    def identifier(self, revision: int) -> str:
        """The identifier of a revision of this claim."""
        slot = "" if self.is_own else self.slot.name
        return claim_identifier(self.coded.chart.key, self.payer_name, revision, slot)


def billed_slots(chart: Chart, rulebook: Rulebook, feeds: Sequence[str] = ()) -> tuple[BilledSlot, ...]:
    """The claims a chart gives: one for each kind its lines are split into, each payer, and each part of a large bill.

    Payers in order of benefits; then those that are asked before a planned visit begins.
    """
    payers = payers_in_order(chart, rulebook.payers)
    ahead = [(1, payer) for payer in payers_asked_ahead(chart, rulebook.payers)]
    return tuple(
        billed
        for order, payer in (*payers, *ahead)
        for billed in _slots_of(chart, rulebook, feeds, (order, payer), is_alone=len(payers) == 1)
    )


def _slots_of(
    chart: Chart, rulebook: Rulebook, feeds: Sequence[str], billed_to: tuple[int, Payer | None], *, is_alone: bool
) -> Iterator[BilledSlot]:
    """The claims for one payer at its place in the order of benefits."""
    order, payer = billed_to
    own, split = claim_type(chart, rulebook.site), rulebook.billing.split
    setting = rulebook.site.place_of_service.get(chart.visit.class_code, "") if chart.visit else ""
    place = VisitPlace(feeds[0] if feeds else "", setting)
    name = payer.name if payer else payer_name(chart.coverages[0]) if chart.coverages else "none"
    use = payer.use if payer else CLAIM
    coded = code_chart(chart, rulebook.tables, name, rulebook.site.currency, place)
    if payer and use == PREAUTHORIZATION and payer.prior_auth_codes is not None:
        asked = [i for i, line in enumerate(coded.lines) if line.code.code in payer.prior_auth_codes]
        if not asked:
            return
        coded = only_lines(coded, asked, unpointed=False)
    for kind in kinds_of(coded, own, split):
        whole = arranged(of_kind(coded, kind, own, split) if split else coded, kind, payer)
        parts = parts_of(whole, kind, payer.limits_of(kind) if payer else STANDARD_LIMITS[kind])
        for number, part in enumerate(parts, start=1):
            slot = Slot(kind, order, number, use)
            tells_payments = slot == Slot(own, order)
            billed = part if tells_payments else replace(part, chart=replace(part.chart, copayments=()))
            told = corrected(billed, slot, payer)
            yield BilledSlot(slot, payer, name, told, slot == Slot(own), is_alone and len(parts) == 1)


def draft_claim(
    billed: BilledSlot, rulebook: Rulebook, number: ClaimNumber, occasion: Occasion, earlier: Earlier = Earlier()
) -> ClaimDraft:
    """Build one claim of a chart and check it. Held where a gap or a rejecting finding stands, else ready."""
    coded, payer, slot = billed.coded, billed.payer, billed.slot
    number = with_original(number, coded.chart)
    created = occasion.now.date()
    place = ClaimPlace(slot.kind, slot.order, earlier.decisions)
    built = build_claim(coded, rulebook.site, payer, number, created, place)
    wait = _wait(billed, rulebook.billing, occasion)
    context = ClaimContext(
        built.claim,
        coded,
        payer,
        rulebook.code_sets,
        slot.order,
        wait.text if wait else "",
        earlier.is_open,
        _is_paid_in_full(built.total, payer, earlier),
        coverages_not_billed(coded.chart, rulebook.payers) if billed.is_own else (),
        occasion.elsewhere,
        occasion.denied,
    )
    built = with_drg(built, drg_of(context), coded, rulebook.tables.concept(WEIGHT_TABLE))
    context = replace(context, claim=built.claim)
    findings = findings_for(context) + judged_by(payer, model_findings(built.claim))
    return ClaimDraft(
        chart_key=coded.chart.key,
        payer=billed.payer_name,
        identifier=number.identifier,
        revision=number.revision,
        status=ClaimStatus.HELD if coded.gaps or rejects(findings) else ClaimStatus.READY,
        claim=built.claim,
        traces=built.traces + coded.not_billable,
        findings=findings,
        gaps=coded.gaps,
        total=built.total,
        slot=slot.name,
        replaces=number.replaces,
        purpose=number.purpose,
        due_at=wait.until if wait else None,
        file_by=_file_by(coded.chart, payer),
    )


def draft_claims(chart: Chart, rulebook: Rulebook, occasion: Occasion) -> tuple[ClaimDraft, ...]:
    """All claims a chart gives, as they are where none was made before: no payer has decided anything yet."""
    drafts = []
    for billed in billed_slots(chart, rulebook, occasion.feeds):
        number = ClaimNumber(billed.identifier(1))
        earlier = Earlier(is_open=billed.slot.order > 1)
        drafts.append(draft_claim(billed, rulebook, number, occasion, earlier))
    return tuple(drafts)


def _wait(billed: BilledSlot, billing: Billing, occasion: Occasion) -> Wait | None:
    """What the claim still waits for. A planned visit is asked about at once, or when a person asks for it."""
    rule = _rule_of(billed.payer, billing, occasion.feeds)
    if billed.slot.use != CLAIM and rule.when != ON_REQUEST:
        return None
    return wait_of(billed.coded.chart, rule, occasion.now, occasion.is_requested)


def _rule_of(payer: Payer | None, billing: Billing, feeds: Sequence[str]) -> BillingRule:
    """When a claim is made: by its payer's rule, else its feed's, else the site's."""
    of_feed = next((billing.feeds[feed] for feed in feeds if feed in billing.feeds), billing.rule)
    return payer.rule(of_feed) if payer else of_feed


def _is_paid_in_full(total: Money | None, payer: Payer | None, earlier: Earlier) -> bool:
    paid = [d.paid for d in earlier.decisions if d.paid]
    if total is None or earlier.is_open or not paid or (payer and payer.secondary_when_paid_in_full):
        return False
    return {p.currency for p in paid} == {total.currency} and sum(p.value for p in paid) >= total.value


def _file_by(chart: Chart, payer: Payer | None) -> date | None:
    days = payer.timely_filing_days if payer else None
    return chart.service_date + timedelta(days=days) if chart.service_date and days is not None else None
