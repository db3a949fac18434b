"""A bill that is larger than one claim carries, as several: each line whole, with every diagnosis it points to."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from fhir_coder.claims.diagnoses import is_counted, with_diagnoses
from fhir_coder.claims.lines import only_lines
from fhir_coder.model import CodedChart, Limits, Trace


@dataclass
class _Part:
    """Positions of the lines of one claim, and of the limited diagnoses they need."""

    lines: list[int] = field(default_factory=list)
    diagnoses: set[int] = field(default_factory=set)

    def has_room(self, needed: set[int], limits: Limits) -> bool:
        """Whether one more line that points to these diagnoses fits."""
        return len(self.lines) < limits.lines and len(self.diagnoses | needed) <= limits.diagnoses


def parts_of(coded: CodedChart, kind: str, limits: Limits) -> list[CodedChart]:
    """The coded charts of the claims that one bill makes, in the order of its lines; itself where it fits.

    Each part names the diagnoses its lines point to, then others in their order while there is room. One that no line
    points to and that no part has room for is told in `not_billable`.
    """
    counted = {i for i, d in enumerate(coded.diagnoses) if is_counted(d, coded.chart, kind)}
    if len(coded.lines) <= limits.lines and len(counted) <= limits.diagnoses:
        return [coded]
    parts = _filled(coded, counted, limits)
    kept = [_kept(part, coded, counted, limits) for part in parts]
    left = [i for i in range(len(coded.diagnoses)) if not any(i in one for one in kept)]
    made = [
        with_diagnoses(only_lines(coded, part.lines) if coded.lines else coded, named)
        for part, named in zip(parts, kept, strict=True)
    ]
    told = tuple(_left_out(coded.diagnoses[i].trace, limits) for i in left)
    return [replace(made[0], not_billable=(*coded.not_billable, *told)), *made[1:]]


def _filled(coded: CodedChart, counted: set[int], limits: Limits) -> list[_Part]:
    """Each line on the first claim that has room for it and its diagnoses: so there are few of them."""
    parts = [_Part()]
    for position, line in enumerate(coded.lines):
        needed = counted & set(line.diagnoses)
        found = next((part for part in parts if part.has_room(needed, limits)), None)
        if found is None:
            found = _Part()
            parts.append(found)
        found.lines.append(position)
        found.diagnoses |= needed
    return parts


def _kept(part: _Part, coded: CodedChart, counted: set[int], limits: Limits) -> list[int]:
    """The diagnoses of a part in their order."""
    room = limits.diagnoses - len(part.diagnoses)
    others = [i for i in sorted(counted) if i not in part.diagnoses][: max(room, 0)]
    return sorted({*part.diagnoses, *others, *(set(range(len(coded.diagnoses))) - counted)})


def _left_out(trace: Trace, limits: Limits) -> Trace:
    return replace(trace, path="", note=f"no line points to it, and a claim carries {limits.diagnoses} diagnoses")
