"""What a preauthorization changes of the one before: its lines keep their numbers, and say what became of them.

A payer that reviews services compares by these numbers (Da Vinci PAS 2.2.1, Claim Update): a line that is the same has
the same number, a new one a number that was never used, one that is gone stays and says so.
"""

from __future__ import annotations

from collections.abc import Sequence

from fhir_coder.claims.wire import to_bytes
from fhir_coder.model import Json

CHANGED = "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/extension-infoChanged"
IS_CANCELLED = "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/modifierextension-infoCancelled"

_NOT_THE_SERVICE = frozenset({"sequence", "extension", "modifierExtension", "careTeamSequence"})
_IDENTITY = ("productOrService", "modifier", "revenue")


def with_changes(claim: Json, prior: Json) -> Json:
    """The claim with its lines numbered and marked against those of `prior`, the gone ones added at the end."""
    before = list(prior.get("item", ()))
    left = [item for item in before if not _is_cancelled(item)]
    following = max((item["sequence"] for item in before), default=0)
    items = []
    for item, same in _matched(claim.get("item", ()), left):
        if same is None:
            following += 1
            items.append(_marked(item, following, "added"))
        else:
            left.remove(same)
            is_same = _service(item) == _service(same)
            items.append(_marked(item, same["sequence"], "" if is_same else "changed"))
    gone = [_gone(item) for item in before if item in left or _is_cancelled(item)]
    return claim | {"item": sorted(items + gone, key=lambda item: int(item["sequence"]))}


def _matched(items: Sequence[Json], before: Sequence[Json]) -> list[tuple[Json, Json | None]]:
    """Each line with the one it was: all that are wholly the same first, then those of the same service."""
    free, found = list(before), dict[int, Json]()
    for told in (_service, _code):
        for place, item in enumerate(items):
            same = next((b for b in free if place not in found and told(item) == told(b)), None)
            if same is not None:
                found[place] = same
                free.remove(same)
    return [(item, found.get(place)) for place, item in enumerate(items)]


def _marked(item: Json, sequence: int, change: str) -> Json:
    marked = item | {"sequence": sequence}
    return marked | {"extension": [{"url": CHANGED, "valueCode": change}]} if change else marked


def _gone(item: Json) -> Json:
    # What it pointed to may not stand on this claim any more.
    pointers = ("careTeamSequence", "diagnosisSequence", "procedureSequence", "informationSequence")
    kept = {k: v for k, v in item.items() if k not in pointers}
    return kept | {
        "extension": [{"url": CHANGED, "valueCode": "changed"}],
        "modifierExtension": [{"url": IS_CANCELLED, "valueBoolean": True}],
    }


def _is_cancelled(item: Json) -> bool:
    return any(e["url"] == IS_CANCELLED and e.get("valueBoolean") is True for e in item.get("modifierExtension", ()))


def _service(item: Json) -> bytes:
    return to_bytes({k: v for k, v in item.items() if k not in _NOT_THE_SERVICE})


def _code(item: Json) -> bytes:
    codings = [[c.get("code") for c in concept.get("coding", ())] for concept in _concepts(item)]
    return to_bytes(codings)


def _concepts(item: Json) -> list[Json]:
    told = [item.get(name) for name in _IDENTITY]
    return [one for value in told for one in (value if isinstance(value, list) else [value]) if one]
