"""Which topics a chart draws on, and which chart keys its visit had before."""

from __future__ import annotations

from collections.abc import Iterable

from fhir_coder.model import FiledFact, MessageFacts, MoveFact


class Reach:
    """The topics a chart draws on: its own, and every topic that a fact of a reached topic refers to."""

    def __init__(self, key: str) -> None:
        self.topics = {key}
        self._refs: dict[str, set[str]] = {}

    def add(self, facts: Iterable[FiledFact]) -> bool:
        """Take a message's facts in; answers whether facts of earlier messages are reached now that were not before."""
        earlier = self._refs.keys() & {filed.topic for filed in facts}
        for filed in facts:
            self._refs.setdefault(filed.topic, set()).update(filed.refs)
        own = {filed.topic for filed in facts}
        grown = self._grown({ref for filed in facts if filed.topic in self.topics for ref in filed.refs})
        return any(topic in self._refs and (topic in earlier or topic not in own) for topic in grown)

    def _grown(self, waiting: set[str]) -> set[str]:
        grown: set[str] = set()
        waiting -= self.topics
        while waiting:
            topic = waiting.pop()
            self.topics.add(topic)
            grown.add(topic)
            waiting |= self._refs.get(topic, set()) - self.topics
        return grown


def topics_reached(key: str, messages: Iterable[MessageFacts]) -> set[str]:
    """The topics a chart draws on, from all messages that may mention it."""
    reach = Reach(key)
    for message in messages:
        reach.add(message.facts)
    return reach.topics


def keys_of_visit(key: str, facts: Iterable[FiledFact]) -> frozenset[str]:
    """The chart key of a visit and those it had before it moved."""
    moves = {(filed.topic, filed.fact.to) for filed in facts if isinstance(filed.fact, MoveFact)}
    keys = {key}
    while found := {topic for topic, to in moves if to in keys} - keys:
        keys |= found
    return frozenset(keys)
