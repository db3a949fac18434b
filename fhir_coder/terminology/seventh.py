"""The 7th character of an injury's code: which the episode of care alone decides.

Initial encounter A, subsequent D, sequela S. For fractures A says "closed" too (B and C are open), and D "routine
healing" (G delayed, K nonunion, P malunion): where such rivals are valid, the episode alone decides nothing
(ICD-10-CM guidelines, I.C.19.a and c).
"""

from __future__ import annotations

from collections.abc import Callable

from fhir_coder.model import Coding

LACKS_SEVENTH = "?"
"""What the NLM map ends a target with that lacks its 7th character."""

EPISODES = ("A", "D", "S")
"""Initial encounter, subsequent encounter, sequela."""

_RIVALS = {"A": "B", "D": "G", "S": ""}
"""Every category with open fractures has B, every one with healing that goes wrong has G (ICD-10-CM tabular list)."""


def with_seventh(target: Coding, episode: str) -> Coding:
    """The code with its 7th character."""
    return Coding(target.system, target.code.removesuffix(LACKS_SEVENTH) + episode, target.display)


def decided_sevenths(code: str, is_valid: Callable[[str], bool]) -> str:
    """Give those of A, D and S that are valid for a code ending in `?` and have no rival of the same episode."""
    stem = code.removesuffix(LACKS_SEVENTH)
    found = (
        episode
        for episode in EPISODES
        if is_valid(stem + episode) and not any(is_valid(stem + rival) for rival in _RIVALS[episode])
    )
    return "".join(found)
