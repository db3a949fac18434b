"""A claim of the ledger as a person reads it: each code with where it came from, each line with what was decided."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from fhir_coder.model import SYSTEM_TITLES, Json
from fhir_coder.screens import attempt_text, moved, payer_title
from fhir_coder.store.items import OWN_ACTOR


@dataclass(frozen=True, slots=True)
class CodeLine:
    """A diagnosis, procedure or line of a claim. `story` are the traces that gave its code and modifiers."""

    sequence: int
    code: str
    display: str
    about: str
    amount: Any
    currency: str
    story: Sequence[Json]
    decision: Json | None = None


@dataclass(frozen=True, slots=True)
class ClaimBody:
    """A claim in parts."""

    payer: str
    diagnoses: Sequence[CodeLine]
    procedures: Sequence[CodeLine]
    lines: Sequence[CodeLine]
    not_billed: Sequence[Json]
    gaps: Sequence[Json]
    findings: Sequence[Json]
    answer: Json | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened to a claim: an event, or a request to the payer (`is_request`)."""

    at: Any
    what: str
    why: str
    actor: str = ""
    is_request: bool = False
    then: str = ""


_WEIGHT = {"reject": 0, "warn": 1, "info": 2}


def claim_body(row: Any) -> ClaimBody:
    """The parts of a claim's row."""
    claim, explained = orjson.loads(row.body), orjson.loads(row.explained)
    answer = orjson.loads(row.adjudication) if row.adjudication else None
    reading = _Reading(claim, explained["traces"], answer or {})
    findings = sorted(explained["findings"], key=lambda f: _WEIGHT.get(f["severity"], 3))
    not_billed = [told(trace) for trace in explained["traces"] if not trace["path"]]
    return ClaimBody(
        payer_title(claim, row.payer),
        list(reading.diagnoses()),
        list(reading.procedures()),
        list(reading.lines()),
        not_billed,
        [told(gap) for gap in explained["gaps"]],
        findings,
        answer,
    )


@dataclass(frozen=True)
class _Reading:
    claim: Json
    traces: Sequence[Json]
    answer: Json
    decisions: dict[int, Json] = field(init=False)

    def __post_init__(self) -> None:
        decided = {line["sequence"]: line for line in self.answer.get("lines", ())}
        object.__setattr__(self, "decisions", decided)

    def diagnoses(self) -> Iterator[CodeLine]:
        for index, entry in enumerate(self.claim.get("diagnosis", ())):
            kinds = ", ".join(kind["coding"][0]["code"] for kind in entry.get("type", ()))
            yield self._line(entry, entry["diagnosisCodeableConcept"], f"Claim.diagnosis[{index}]", kinds)

    def procedures(self) -> Iterator[CodeLine]:
        for index, entry in enumerate(self.claim.get("procedure", ())):
            concept = entry.get("procedureCodeableConcept", {})
            yield self._line(entry, concept, f"Claim.procedure[{index}]", entry.get("date", "")[:10])

    def lines(self) -> Iterator[CodeLine]:
        for index, item in enumerate(self.claim.get("item", ())):
            about = [_quantity(item), _pointers(item)]
            yield self._line(item, item["productOrService"], f"Claim.item[{index}]", "   ".join(filter(None, about)))

    def _line(self, entry: Json, concept: Json, path: str, about: str) -> CodeLine:
        coding = concept.get("coding", [{}])[0]
        modifiers = [m["coding"][0]["code"] for m in entry.get("modifier", ())]
        story = [told(t) for t in self.traces if t["path"] == path or t["path"].startswith(f"{path}.")]
        net = entry.get("net", {})
        return CodeLine(
            entry["sequence"],
            " ".join([coding.get("code", "–"), *modifiers]),
            next((trace["display"] for trace in story if trace["display"]), coding.get("display", "")),
            about,
            net.get("value"),
            net.get("currency", ""),
            story,
            self.decisions.get(entry["sequence"]) if "productOrService" in entry else None,
        )


def _quantity(item: Json) -> str:
    quantity = item.get("quantity", {})
    unit = f" {quantity['unit']}" if "unit" in quantity else ""
    price = f" × {item['unitPrice']['value']:,.2f}" if "unitPrice" in item else ""
    return f"{quantity.get('value', ''):g}{unit}{price}" if quantity else ""


def _pointers(item: Json) -> str:
    return "dx " + " ".join(map(str, item["diagnosisSequence"])) if "diagnosisSequence" in item else ""


def told(said: Json) -> Json:
    """A trace or gap with its system in words: `from` is what the message says."""
    source = said.get("source") or {"system": said.get("system", ""), "code": said.get("code", "")}
    system = SYSTEM_TITLES.get(source["system"], source["system"])
    return {**said, "from": f"{system} {source['code']}".strip()}


def steps_of(events: Sequence[Any], attempts: Sequence[Any]) -> list[Step]:
    """What happened to a claim, oldest first. That somebody looked is not among it: the audit trail has it."""
    happened = [
        Step(e.at, moved(e), e.why, "" if e.actor == OWN_ACTOR else e.actor)
        for e in events
        if not e.why.startswith("shown ")
    ]
    happened += [
        Step(a.started_at, a.kind, attempt_text(a), is_request=True, then=a.next_action or "") for a in attempts
    ]
    return sorted(happened, key=lambda step: step.at)
