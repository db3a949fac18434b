"""`feeds try`: what the messages of a file say by a feed's rules, each fact with the path it came from. No ledger."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, is_dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from fhir_coder import hl7v2
from fhir_coder.intake.groups import file_bytes
from fhir_coder.intake.payloads import header_or_fault, payloads_in
from fhir_coder.model import Concept, FiledFact, Header, Json, Message, MessageFormat, MessageStatus, Problem, Verdict
from fhir_coder.pipeline import Rulebook, facts_of, judge, why_ignored


@dataclass(frozen=True, slots=True)
class TriedMessage:
    """One payload of a file as a feed's rules read it. `moved` are the fields that were read from elsewhere."""

    id: str
    header: Header
    verdict: Verdict
    moved: tuple[tuple[str, str], ...] = ()
    departures: str = ""

    @property
    def facts(self) -> tuple[FiledFact, ...]:
        """What it says."""
        return self.verdict.facts.facts if self.verdict.facts else ()

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The parts of it that could not be used."""
        return self.verdict.facts.problems if self.verdict.facts else ()

    @property
    def charts(self) -> tuple[str, ...]:
        """The keys of the charts it belongs to."""
        return self.verdict.facts.charts if self.verdict.facts else ()

    def to_json(self) -> Json:
        """For `--json`; amounts are Decimal."""
        event_at = self.verdict.facts.event_at if self.verdict.facts else None
        return {
            "id": self.id,
            "type": self.header.type,
            "control_id": self.header.control_id,
            "status": self.verdict.status.value,
            "reason": self.verdict.why,
            "chart_keys": list(self.charts),
            "event_at": event_at.text if event_at else None,
            "facts": [_fact_to_json(filed) for filed in self.facts],
            "moved": [{"field": field, "path": path} for field, path in self.moved],
            "problems": [{"path": p.origin.path, "rule": p.rule, "text": p.text} for p in self.problems],
            "departures": self.departures,
        }

    def lines(self) -> list[str]:
        """For people: the message, its facts, what was read elsewhere, what could not be used. Not yet `one_line`."""
        lines = [f"{self.id}   {self.header.type}   {self.verdict.status.value}   {', '.join(self.charts)}".rstrip()]
        if self.verdict.why:
            lines.append(f"  {self.verdict.why}")
        for filed in self.facts:
            lines.append(f"  {filed.fact.origin.path:12} {_kind(filed)}")
            lines += [f"  {'':12}   {name}: {value}" for name, value in _values(filed)]
        lines += [f"  {path:12} is read as {field}" for field, path in self.moved]
        lines += [f"  {p.origin.path:12} problem: {p.text}" for p in self.problems]
        if self.departures:
            lines.append(f"  {self.departures}")
        return lines


def try_file(path: Path, rulebook: Rulebook, feed: str) -> list[TriedMessage]:
    """Read every payload of a file, plain or gzip, by a feed's rules; one that cannot be read is quarantined."""
    return try_bytes(file_bytes(path), str(path), rulebook, feed)


def try_bytes(data: bytes, name: str, rulebook: Rulebook, feed: str) -> list[TriedMessage]:
    """The same for bytes that go by a name."""
    bodies = list(payloads_in(data)) or [data]
    return [_tried(f"{name}:{number}", body, rulebook, feed) for number, body in enumerate(bodies, start=1)]


def _tried(message_id: str, body: bytes, rulebook: Rulebook, feed: str) -> TriedMessage:
    header, fault = header_or_fault(body)
    if fault:
        return TriedMessage(message_id, header, Verdict(MessageStatus.QUARANTINED, fault))
    message = Message(message_id, body, header)
    found = judge(lambda: facts_of(message, rulebook, feed), lambda: why_ignored(message, rulebook, feed))
    if found.facts is None:
        return TriedMessage(message_id, header, found)
    is_v2 = header.format is MessageFormat.HL7V2
    moved = tuple(hl7v2.moved_fields(hl7v2.message_of_feed(body, rulebook.rules_of(feed)))) if is_v2 else ()
    check = rulebook.checks.get(feed)
    found, departures = check.judged(message, found) if check else (found, "")
    return TriedMessage(message_id, header, found, moved, departures)


def _kind(filed: FiledFact) -> str:
    return type(filed.fact).__name__.removesuffix("Fact").lower()


def _fact_to_json(filed: FiledFact) -> Json:
    said = asdict(filed.fact)
    return {"fact": _kind(filed), "path": said.pop("origin")["path"], "chart_key": filed.topic, "says": said}


def _values(filed: FiledFact) -> Iterator[tuple[str, str]]:
    """The parts of a fact that say something, as short texts."""
    for field in fields(filed.fact):
        value = getattr(filed.fact, field.name)
        if field.name != "origin" and value not in (None, "", (), False):
            yield field.name.replace("_", " "), _shown(value)


def _shown_concept(concept: Concept) -> str:
    """Codes with their texts; a text that only repeats one is said once."""
    displays = {coding.display for coding in concept.codings}
    said = [_shown(coding) for coding in concept.codings]
    return " ".join([*said, concept.text] if concept.text and concept.text not in displays else said)


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_shown, value))
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, Concept):
        return _shown_concept(value)
    if not is_dataclass(value):
        return str(value)
    parts = (_shown(part) for part in (getattr(value, field.name) for field in fields(value)) if part)
    return " ".join(part for part in parts if part)
