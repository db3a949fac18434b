"""What a review of services says (Da Vinci PAS 2.2.1): each line's X12 306 code, its number, and what is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_coder.model import DocumentRequest, Json
from fhir_coder.payers.answer import codes, member, objects, text

PAS = "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/"

CERTIFIED = frozenset({"A1", "NA", "C"})
"""Review codes (X12 306) that leave nothing open: certified in total, no review needed, cancelled as asked."""

CERTIFIED_IN_PART = frozenset({"A2", "A5", "A6"})
NOT_CERTIFIED = frozenset({"A3"})

_ATTACHMENTS, _QUESTIONNAIRE = "attachments-needed", "questionnaire-context"


@dataclass(frozen=True, slots=True)
class Review:
    """The review of one line, or of the whole request. `code` is empty where none was told."""

    code: str = ""
    number: str = ""
    reasons: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether the payer has not decided: pended, to be talked over, or a code this reader does not know."""
        return bool(self.code) and self.code not in CERTIFIED | CERTIFIED_IN_PART | NOT_CERTIFIED


def extension(holder: Any, name: str) -> Json:
    """An extension by its url, or by the last part of a PAS url; empty where there is none."""
    found = (e for e in objects(holder, "extension") if text(e, "url") in (name, f"{PAS}extension-{name}"))
    return next(found, {})


def review_of(holder: Json) -> Review:
    """The review told in the adjudications of a line, of an added line or of the whole response."""
    for entry in objects(holder, "adjudication"):
        action = extension(entry, "reviewAction")
        if action:
            concepts = [member(e, "valueCodeableConcept") for e in _all(action, "reasonCode")]
            return Review(
                code=next(iter(codes(member(_code(action), "valueCodeableConcept"))), ""),
                number=text(extension(action, "number"), "valueString"),
                reasons=tuple(code for concept in concepts for code in codes(concept)),
                texts=texts_of(concepts),
            )
    return Review()


def _code(action: Json) -> Json:
    return extension(action, "reviewActionCode") or extension(action, "code")


def _all(holder: Json, name: str) -> list[Json]:
    return [e for e in objects(holder, "extension") if text(e, "url") == name]


def texts_of(concepts: Sequence[Any]) -> tuple[str, ...]:
    """The words of CodeableConcepts: their text, else the first display."""
    words = (text(c, "text") or next((text(d, "display") for d in objects(c, "coding")), "") for c in concepts)
    return tuple(dict.fromkeys(word for word in words if word))


def requests_in(beside: Sequence[Json]) -> tuple[DocumentRequest, ...]:
    """What the payer asks for: the CommunicationRequests and Tasks that stand beside its response."""
    return tuple(request for resource in beside for request in _requests(resource))


def _requests(resource: Json) -> Iterator[DocumentRequest]:
    kind = resource.get("resourceType")
    if kind == "CommunicationRequest" and text(resource, "status") in ("active", ""):
        yield _of_communication(resource)
    elif kind == "Task" and text(resource, "status") not in ("completed", "cancelled", "rejected", "entered-in-error"):
        yield from _of_task(resource)


def _of_communication(resource: Json) -> DocumentRequest:
    asked = [text(payload, "contentString") for payload in objects(resource, "payload")]
    asked += [code for concept in objects(resource, "category") for code in codes(concept)] if not any(asked) else []
    due = text(member(resource, "occurrencePeriod"), "end") or text(resource, "occurrenceDateTime")
    return DocumentRequest("documents", tuple(c for c in asked if c), _lines([resource]), due[:10], _name(resource))


def _of_task(resource: Json) -> Iterator[DocumentRequest]:
    """A Task asks for attachments by their codes, or for a questionnaire that is fetched with a context."""
    due = text(member(resource, "restriction", "period"), "end")[:10]
    for wanted, kind in ((_ATTACHMENTS, "documents"), (_QUESTIONNAIRE, "questionnaire")):
        inputs = [i for i in objects(resource, "input") if wanted in codes(i.get("type"))]
        if inputs:
            asked = [code for i in inputs for code in codes(i.get("valueCodeableConcept"))]
            yield DocumentRequest(kind, tuple(dict.fromkeys(asked)), _lines(inputs), due, _name(resource))


def _lines(holders: Sequence[Json]) -> tuple[int, ...]:
    numbers = [extension(holder, "serviceLineNumber").get("valuePositiveInt") for holder in holders]
    named = [n for n in numbers if type(n) is int]
    return tuple(dict.fromkeys(named))


def _name(resource: Json) -> str:
    identity = text(resource, "id")
    return f"{resource['resourceType']}/{identity}" if identity else ""
