"""Files to claims in memory: no ledger, no network. The shape of the JSON is docs/reference/convert.schema.json."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time

from fhir_coder.intake.payloads import header_or_fault, payloads_in
from fhir_coder.model import (
    BY_ITS_BYTES,
    Answered,
    Chart,
    ClaimDraft,
    Finding,
    Gap,
    Header,
    Json,
    Message,
    MessageFacts,
    MessageStatus,
    Trace,
    Verdict,
)
from fhir_coder.pipeline import Occasion, Rulebook, chart_of, draft_claims, facts_of, judge, why_ignored


@dataclass(frozen=True, slots=True)
class Source:
    """Something to convert: a name to call it by, and its bytes."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class ConvertedMessage:
    """One payload of a source, and what became of it. `reason` says why it was not charted."""

    id: str
    header: Header
    status: MessageStatus
    chart_keys: tuple[str, ...] = ()
    reason: str = ""

    def to_json(self) -> Json:
        """As in the convert contract."""
        return {
            "id": self.id,
            "format": self.header.format.value,
            "type": self.header.type,
            "control_id": self.header.control_id,
            "status": self.status.value,
            "chart_key": self.chart_keys[0] if self.chart_keys else None,
            "chart_keys": list(self.chart_keys),
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a conversion gave: every message with its status, every claim, every gap.

    `cancelled` are the chart keys of visits that were called off: nothing is billed for them. `moved` are former chart
    keys, each with the one under which its visit is billed now.
    """

    messages: tuple[ConvertedMessage, ...]
    claims: tuple[ClaimDraft, ...]
    cancelled: tuple[str, ...] = ()
    moved: tuple[tuple[str, str], ...] = ()

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """The gaps of all claims; one that holds several claims of a visit is told once."""
        return tuple(dict.fromkeys(gap for claim in self.claims for gap in claim.gaps))

    @property
    def unreadable(self) -> tuple[ConvertedMessage, ...]:
        """The payloads that could not be read."""
        return tuple(m for m in self.messages if m.status is MessageStatus.QUARANTINED)

    def to_json(self) -> Json:
        """The public contract (docs/reference/convert.schema.json); money is Decimal."""
        return {
            "messages": [m.to_json() for m in self.messages],
            "claims": [claim_to_json(c) for c in self.claims],
            "gaps": [gap_to_json(g) for g in self.gaps],
            "cancelled": list(self.cancelled),
            "moved": [{"chart_key": key, "moved_to": present} for key, present in self.moved],
        }


def claim_to_json(draft: ClaimDraft) -> Json:
    """One claim as in the convert contract."""
    return {
        "chart_key": draft.chart_key,
        "payer": draft.payer,
        "identifier": draft.identifier,
        "revision": draft.revision,
        "status": draft.status.value,
        "claim": draft.claim,
        "traces": [trace_to_json(t) for t in draft.traces if t.path],
        "findings": [finding_to_json(f) for f in draft.findings],
    }


def trace_to_json(trace: Trace) -> Json:
    """One trace as in the convert contract."""
    return {
        "path": trace.path,
        "system": trace.system,
        "code": trace.code,
        "origin": {"message": trace.origin.message, "path": trace.origin.path},
        "source": {"system": trace.source.system, "code": trace.source.code},
        "table": trace.table or None,
        "row": trace.row,
        "version": trace.version or None,
        "note": trace.note,
    }


def finding_to_json(finding: Finding) -> Json:
    """One finding as in the convert contract."""
    return {
        "edit": finding.edit,
        "severity": finding.severity.value,
        "path": finding.path,
        "text": finding.text,
        "advice": finding.advice,
    }


def gap_to_json(gap: Gap) -> Json:
    """One gap as in the convert contract."""
    return {
        "chart_key": gap.chart_key,
        "origin": {"message": gap.origin.message, "path": gap.origin.path},
        "system": gap.system,
        "code": gap.code,
        "reason": gap.reason,
        "text": gap.text,
    }


def read_payload(
    message_id: str, body: bytes, rulebook: Rulebook, feed: str = "", answered: Answered = BY_ITS_BYTES
) -> tuple[Header, Verdict]:
    """The header of a payload and what becomes of it, by the rules of its feed."""
    header, fault = header_or_fault(body)
    if fault:
        return header, Verdict(MessageStatus.QUARANTINED, fault)
    message = Message(message_id, body, header, answered)
    return header, judge(lambda: facts_of(message, rulebook, feed), lambda: why_ignored(message, rulebook, feed))


@dataclass
class Reading:
    """Payloads as they are read, one after the other, and the charts that they give together."""

    rulebook: Rulebook
    messages: list[ConvertedMessage] = field(default_factory=list)
    said: list[MessageFacts] = field(default_factory=list)
    keys: dict[str, None] = field(default_factory=dict)

    def read(self, message_id: str, body: bytes) -> None:
        """Read one payload: what it says is kept, its bytes are not."""
        header, found = read_payload(message_id, body, self.rulebook)
        charts = found.facts.charts if found.facts else ()
        self.messages.append(ConvertedMessage(message_id, header, found.status, charts, found.why))
        if found.facts:
            self.said.append(found.facts)
            self.keys.update(dict.fromkeys(charts))

    def charts(self) -> Iterator[Chart]:
        """The charts of all payloads, folded one at a time."""
        by_topic = _by_topic(self.said)
        return (chart_of(key, _said_about(key, by_topic)) for key in self.keys)


def occasion_of(created: date, feeds: tuple[str, ...] = ()) -> Occasion:
    """The occasion of making claims on a day: it is over for a bill hold, as the hour is not known."""
    return Occasion(datetime.combine(created, time.max, UTC), feeds)


def convert_sources(sources: Iterable[Source], rulebook: Rulebook, created: date) -> Conversion:
    """Convert sources to claims. Payloads of one visit, from whatever source, make one chart and its claims."""
    reading = Reading(rulebook)
    for source in sources:
        for number, body in enumerate(payloads_in(source.data), start=1):
            reading.read(f"{source.name}:{number}", body)
        if not source.data.strip():
            reading.read(f"{source.name}:1", source.data)
    charts = list(reading.charts())
    occasion = occasion_of(created)
    claims = tuple(
        draft
        for chart in charts
        if not (chart.cancelled or chart.moved_to)
        for draft in draft_claims(chart, rulebook, occasion)
    )
    cancelled = tuple(chart.key for chart in charts if chart.cancelled and not chart.moved_to)
    moved = tuple((chart.key, chart.moved_to) for chart in charts if chart.moved_to)
    return Conversion(tuple(reading.messages), claims, cancelled, moved)


def _by_topic(said: Sequence[MessageFacts]) -> dict[str, list[MessageFacts]]:
    """Messages by topic, so that a chart is folded from its own messages and not from all of a file."""
    found: dict[str, list[MessageFacts]] = {}
    for message in said:
        for topic in dict.fromkeys(
            [*(f.topic for f in message.facts), *message.charts, *(p.topic for p in message.problems)]
        ):
            found.setdefault(topic, []).append(message)
    return found


def _said_about(key: str, by_topic: dict[str, list[MessageFacts]]) -> list[MessageFacts]:
    chosen: dict[str, MessageFacts] = {}
    seen: set[str] = set()
    waiting = [key]
    while waiting:
        topic = waiting.pop()
        if topic in seen:
            continue
        seen.add(topic)
        for message in by_topic.get(topic, ()):
            chosen[message.message] = message
            waiting += [r for f in message.facts if f.topic == topic for r in f.refs]
    return list(chosen.values())
