"""Messages to a chart: a pure fold, in the order of events whatever the order of arrival.

The fold goes on from where it stood when a message comes whose event is the latest; else it begins anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set

from fhir_coder.charts.gathering import Gathering
from fhir_coder.charts.order import EventOrder, event_order
from fhir_coder.charts.topics import Reach
from fhir_coder.model import Chart, FiledFact, MessageFacts, MoveFact, Problem


class ChartFold:
    """The fold of one chart, given its messages in order of arrival; after each, `chart()` is as a whole fold gives it.

    Messages may hold facts of other visits: only those of topics reached from `key` count.
    """

    def __init__(self, key: str, messages: Iterable[MessageFacts] = ()) -> None:
        self.key = key
        self._reach = Reach(key)
        self._arrived: dict[str, MessageFacts] = {}
        self._gathering: Gathering | None = Gathering.of(key, ())
        self._latest: EventOrder | None = None
        self._has_problems = False
        for message in messages:
            self.add(message)

    @property
    def topics(self) -> frozenset[str]:
        """The topics the chart draws on, as far as the messages say."""
        return frozenset(self._reach.topics)

    def add(self, message: MessageFacts) -> None:
        """Take one message more. One that was taken already changes nothing."""
        if message.message in self._arrived:
            return
        self._arrived[message.message] = message
        known = len(self._reach.topics)
        reaches_back = self._reach.add(message.facts)
        # A problem of what is reached only now (a payer, an account) may stand in any message.
        reaches_back = reaches_back or (self._has_problems and len(self._reach.topics) > known)
        self._has_problems = self._has_problems or bool(message.problems)
        order = event_order(message)
        is_late = self._latest is not None and order < self._latest
        # A move says of messages taken before it whose they are.
        if reaches_back or is_late or any(isinstance(filed.fact, MoveFact) for filed in message.facts):
            self._gathering = None
        if self._gathering:
            self._latest = order
            self._take(self._gathering, message)

    def chart(self) -> Chart:
        """The chart from all messages taken."""
        if self._gathering is None:
            self._gathering = self._gathered()
        return self._gathering.chart()

    def steps(self) -> Iterator[tuple[MessageFacts | None, Chart]]:
        """The chart before any message, then after each that says something of the visit, in the order of events."""
        gathering, messages = self._begun()
        yield None, gathering.chart()
        for message in messages:
            if self._take(gathering, message):
                yield message, gathering.chart()

    def _begun(self) -> tuple[Gathering, list[MessageFacts]]:
        messages = sorted(self._arrived.values(), key=event_order)
        return Gathering.of(self.key, [filed for message in messages for filed in self._facts(message)]), messages

    def _gathered(self) -> Gathering:
        gathering, messages = self._begun()
        for message in messages:
            self._take(gathering, message)
        self._latest = event_order(messages[-1])
        return gathering

    def _take(self, gathering: Gathering, message: MessageFacts) -> bool:
        facts, problems = self._facts(message), _problems(message, self._reach.topics)
        if facts or problems:
            gathering.take(message.message, facts, problems)
        return bool(facts or problems)

    def _facts(self, message: MessageFacts) -> list[FiledFact]:
        topics = self._reach.topics
        return [filed for filed in message.facts if filed.topic in topics]


def fold_chart(key: str, messages: Iterable[MessageFacts]) -> Chart:
    """Fold all messages that mention a visit (in order of arrival) into its chart."""
    return ChartFold(key, messages).chart()


def _problems(message: MessageFacts, topics: Set[str]) -> list[Problem]:
    return [problem for problem in message.problems if problem.topic in topics]
