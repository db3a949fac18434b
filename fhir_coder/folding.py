"""Charts from the ledger's messages. A fold that was made is kept, and gone on with when only newer messages came."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from fhir_coder.charts import ChartFold
from fhir_coder.model import Chart, MessageFacts
from fhir_coder.recent import Recent
from fhir_coder.store import Ledger, messages

MOST_FACTS = 50_000
"""Facts of messages that are kept by one holder: about 50 MB. A message of 16 MB may say more than all others."""


@dataclass
class _Kept:
    """A fold with the messages it was made of: what they say is the same as long as the program's rules are."""

    fold: ChartFold
    ids: list[str] = field(default_factory=list)
    facts: int = 0


class Folding:
    """Folds charts; safe to use from many threads. `facts` reads a message by its id, None where it bills nothing."""

    def __init__(self, ledger: Ledger, facts: Callable[[str], MessageFacts | None]) -> None:
        self._ledger, self._facts = ledger, facts
        self._kept = Recent[str, _Kept](MOST_FACTS, lambda kept: kept.facts + 100)

    def chart(self, key: str) -> Chart:
        """The chart of a visit from its messages."""
        made = self._made(key, self._kept.take(key))  # taken: nobody else goes on with it meanwhile
        chart = _chart_of(made.fold)
        self._kept.put(key, made)
        return chart

    def chart_anew(self, key: str, as_of: datetime | None = None) -> Chart:
        """The chart folded from its first message on; as of a time, from what had come by then."""
        return _chart_of(self._made(key, None, as_of).fold)

    def messages_of(self, key: str, as_of: datetime | None = None) -> list[MessageFacts]:
        """What the messages of a chart say, in order of arrival; as of a time, those that had come by then."""
        made = self._made(key, None, as_of)
        return [facts for facts in map(self._facts, made.ids) if facts]

    def forget(self, message_id: str) -> None:
        """A message is read again: what was folded with it is not gone on with."""
        self._kept.drop_where(lambda kept: message_id in kept.ids)

    def _made(self, key: str, kept: _Kept | None, as_of: datetime | None = None) -> _Kept:
        """The fold of a chart's messages. Which they are shows as they are read: each may refer to more topics."""
        kept = kept or _Kept(ChartFold(key))
        topics = kept.fold.topics
        while True:
            with self._ledger.reading() as connection:
                ids = messages.ids_of_topics(connection, topics, as_of)
            if ids[: len(kept.ids)] != kept.ids:
                kept = _Kept(ChartFold(key))  # one was corrected away, or one came between
            for facts in filter(None, map(self._facts, ids[len(kept.ids) :])):
                kept.fold.add(facts)
                kept.facts += weight_of(facts)
            kept.ids = ids
            if kept.fold.topics <= topics:
                return kept
            topics = kept.fold.topics


def weight_of(facts: MessageFacts | None) -> int:
    """How much memory what a message says takes, in facts."""
    return 1 + len(facts.facts) if facts else 1


def _chart_of(fold: ChartFold) -> Chart:
    chart = fold.chart()
    # Every message of the visit was corrected away: nothing says any more that there was one.
    return chart if chart.messages else replace(chart, cancelled=True)
