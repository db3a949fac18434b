"""The segments of a message beside the tree that says which ones belong where (HL7 v2.9 chapter 2.12)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fhir_coder.hl7v2.profile import GROUP, Rule
from fhir_coder.hl7v2.reader import Er7Message, Segment


@dataclass(frozen=True, slots=True)
class Met:
    """How often one rule was met at one place; `group` is the group that it stands in, `CHARGE[2]`."""

    rule: Rule
    times: int
    group: str

    @property
    def what(self) -> str:
        """A group or a segment."""
        return "group" if self.rule.kind == GROUP else "segment"


class Matching:
    """Which segment of a message each rule of a tree is for.

    `placed` are the segments that have a place, `passed_over` the others, `met` every rule that was looked at.
    """

    def __init__(self, message: Er7Message, rules: Sequence[Rule]) -> None:
        self.placed: list[tuple[Rule, Segment]] = []
        self.passed_over: list[Segment] = []
        self.met: list[Met] = []
        self._segments = list(message)
        self._at = 0
        self._match(rules, frozenset(), "")
        self.passed_over += self._segments[self._at :]

    def _match(self, rules: Sequence[Rule], after: frozenset[str], group: str) -> None:
        for place, rule in enumerate(rules, 1):
            later = after.union(*map(_begins, rules[place:]))
            self.met.append(Met(rule, self._take(rule, later), group))

    def _take(self, rule: Rule, later: frozenset[str]) -> int:
        """Place the segments that are a rule's, and pass over those that are nobody's; answers how often it is met."""
        begins, times = _begins(rule), 0
        while self._at < len(self._segments):
            name, start = self._segments[self._at].name, self._at
            is_full = rule.high is not None and times >= rule.high
            if name in begins and not (is_full and name in later):
                times += 1
                self._place(rule, later | begins, times)
            elif name in later:
                break
            if self._at == start:
                self.passed_over.append(self._segments[self._at])
                self._at += 1
        return times

    def _place(self, rule: Rule, later: frozenset[str], times: int) -> None:
        if rule.kind == GROUP:
            self._match(rule.parts, later, f"{rule.name}[{times}]")
        else:
            self.placed.append((rule, self._segments[self._at]))
            self._at += 1


def _begins(rule: Rule) -> frozenset[str]:
    """The names of the segments that a rule's match can begin with."""
    if rule.kind != GROUP:
        return frozenset({rule.name})
    names: frozenset[str] = frozenset()
    for part in rule.parts:
        names |= _begins(part)
        if part.is_required:
            break
    return names
