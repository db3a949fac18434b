"""What a person decided about a code of one chart, as the answer that coding takes before every table. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from fhir_coder.model import Choice, Coding, Concept, Origin, PersonDecision, Trace


def decision_about(decisions: Sequence[PersonDecision], concept: Concept) -> PersonDecision | None:
    """The decision about a concept: by one of its codes, or by its words where it has none. The last one counts."""
    if not decisions:
        return None
    names = {(coding.system, coding.code) for coding in concept.codings if coding.code}
    words = "" if names else words_of(concept)
    return next(
        (
            one
            for one in reversed(decisions)
            if ((one.system, one.code) in names if one.code else bool(words) and one.text == words)
        ),
        None,
    )


def words_of(concept: Concept) -> str:
    """The words that stand for a concept without a code."""
    return concept.text or next((coding.display for coding in concept.codings if coding.display), "")


def choice_of(decided: PersonDecision, concept: Concept, origin: Origin) -> Choice:
    """The answer that a decision is; its trace names who decided, when, why and for which work item."""
    source = next((c for c in concept.codings if (c.system, c.code) == (decided.system, decided.code)), None)
    source = source or (concept.codings[0] if concept.codings else Coding("", ""))
    note = story_of(decided)
    if not decided.targets:
        return Choice(None, Trace("", "", origin, source, note=note))
    first, *others = [
        Choice(
            code,
            Trace(code.system, code.code, origin, source, note=note, display=code.display),
            modifiers=decided.modifiers,
            pointers=decided.pointers,
        )
        for code in (Coding(target.system, target.code) for target in decided.targets)
    ]
    return Choice(first.code, first.trace, modifiers=first.modifiers, also=tuple(others), pointers=first.pointers)


def story_of(decided: PersonDecision) -> str:
    """Who decided, when, for which work item, and why: the words of a trace."""
    item = f", work item {decided.item}" if decided.item else ""
    why = f": {decided.why}" if decided.why else ""
    return f"decided by {decided.actor} at {decided.at}{item}{why}"
