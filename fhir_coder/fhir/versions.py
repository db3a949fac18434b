"""Elements that R5 writes differently from R4 and R4B, read alike.

Which version a resource is of is not asked: the elements themselves tell. R5 has CodeableReference, one element for
what R4 wrote as two (`reasonCode` and `reasonReference` are `reason`).
"""

from __future__ import annotations

from fhir_coder.fhir.elements import Element


def concepts_at(element: Element, *names: str) -> list[Element]:
    """The CodeableConcepts at any of these names, those of R5's CodeableReferences that refer to nothing among them.

    One that also refers to a resource is left out: its concept only repeats what the resource says.
    """
    found = []
    for part in _parts(element, names):
        inner = part.child("concept")
        if inner is None:
            if not _is_reference(part):
                found.append(part)
        elif not isinstance(part.json.get("reference"), dict):
            found.append(inner)
    return found


def references_at(element: Element, *names: str) -> list[Element]:
    """The References at any of these names, those of R5's CodeableReferences among them."""
    found = []
    for part in _parts(element, names):
        if isinstance(part.json.get("reference"), dict):
            found += part.listed("reference")
        elif _is_reference(part):
            found.append(part)
    return found


def _parts(element: Element, names: tuple[str, ...]) -> list[Element]:
    return [part for name in names if name in element.json for part in element.listed(name)]


def _is_reference(part: Element) -> bool:
    return "reference" in part.json or "identifier" in part.json or "type" in part.json
