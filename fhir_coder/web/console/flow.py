"""The flow through the stages as a picture: where each step stands, what it says, and where it leads."""

from __future__ import annotations

from dataclasses import dataclass

from fhir_coder.queries import FlowStep, Pulse

BOX, GAP, HEIGHT = 150, 44, 132
"""Width of a step, the way between two, and how high a step is, in the picture's own units."""


@dataclass(frozen=True, slots=True)
class FlowBox:
    """A step in the picture. `path` and `query` lead to the list of what waits; `tone` is busy, warn or quiet."""

    step: FlowStep
    x: int
    title: str
    waits: str
    path: str
    query: dict[str, str]
    tone: str


_STEPS: dict[str, tuple[str, str, str, dict[str, str], str]] = {
    "received": ("Received", "to be read", "/messages", {"status": "received"}, "busy"),
    "charted": ("Charted", "visits to be coded", "/charts", {}, "busy"),
    "coded": ("Coded", "held for a person", "/claims", {"status": "held"}, "warn"),
    "ready": ("Ready", "to be sent", "/claims", {"status": "ready"}, "busy"),
    "sent": ("Sent", "await an answer", "/claims", {"status": "sent,unknown,queued"}, "busy"),
    "answered": ("Answered", "", "/claims", {"status": "complete,partial,denied"}, "busy"),
}


def flow_boxes(now: Pulse) -> list[FlowBox]:
    """The steps from left to right."""
    found = []
    for place, step in enumerate(now.flow):
        title, waits, path, query, tone = _STEPS[step.name]
        found.append(FlowBox(step, place * (BOX + GAP), title, waits, path, query, tone if step.waiting else "quiet"))
    return found
