"""Edits on the modifiers of a line: those that contradict each other, and the side of the diagnosis."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from fhir_coder.edits.edit import ClaimContext, Edit, Hit
from fhir_coder.model import CodedLine, Severity, System

_SIDE_OF: dict[str, str] = {
    **dict.fromkeys(("LT", "E1", "E2", "FA", "F1", "F2", "F3", "F4", "TA", "T1", "T2", "T3", "T4"), "left"),
    **dict.fromkeys(("RT", "E3", "E4", "F5", "F6", "F7", "F8", "F9", "T5", "T6", "T7", "T8", "T9"), "right"),
}
"""Modifiers of HCPCS Level II by the side of the body that they name."""

_BOTH_SIDES = "50"  # CPT's; the identifier alone, as CMS manual 100-04, chapter 12, section 40.7 names it

_CONTRARY = frozenset(
    frozenset(pair)
    for pair in (
        ("LT", _BOTH_SIDES),
        ("RT", _BOTH_SIDES),
        ("LT", "RT"),
        ("GA", "GZ"),  # a waiver is on file, and is not
        ("GA", "GY"),
        ("GX", "GZ"),
        ("TC", "26"),  # the technical and the professional part: the whole is billed without either
    )
)
"""Modifiers that say the contrary of each other (CMS manual 100-04, chapters 12, 13 and 30)."""


def modifier_conflict(context: ClaimContext) -> Iterator[Hit]:
    """Two modifiers of one line that say the contrary, or one that stands twice."""
    for index, line in enumerate(context.coded.lines):
        for (_, one), (place, other) in combinations(enumerate(m.code for m in line.modifiers), 2):
            path = f"Claim.item[{index}].modifier[{place}]"
            if one == other:
                yield path, f"modifier {one} stands twice"
            elif frozenset((one, other)) in _CONTRARY:
                yield path, f"modifiers {one} and {other} contradict each other"


def side_conflict(context: ClaimContext) -> Iterator[Hit]:
    """A line's modifier names one side, and all of its diagnoses that name a side name the other."""
    for index, line in enumerate(context.coded.lines):
        sides = {_SIDE_OF[m.code] for m in line.modifiers if m.code in _SIDE_OF}
        told = _sides_of_diagnoses(context, line)
        if len(sides) == 1 and told and not told & {*sides, "bilateral"}:
            side = sides.pop()
            yield f"Claim.item[{index}].modifier", f"the line is of the {side} side, its diagnoses of the other"


def _sides_of_diagnoses(context: ClaimContext, line: CodedLine) -> set[str]:
    codes = [context.coded.diagnoses[place].code for place in line.diagnoses]
    return {context.code_sets.notes.side(c.code) for c in codes if c.system == System.ICD10CM} - {""}


EDITS = (
    Edit(
        "modifier-conflict",
        "Modifiers contradict each other",
        Severity.REJECT,
        "Keep the one that is right (FT1-26); bill each side on a line of its own.",
        modifier_conflict,
        path="Claim.item.modifier",
    ),
    Edit(
        "side-conflict",
        "Side of the line and of the diagnosis differ",
        Severity.REJECT,
        "Correct the modifier (FT1-26), or the diagnosis.",
        side_conflict,
        path="Claim.item.modifier",
    ),
)
"""In the order shown to the coder."""
