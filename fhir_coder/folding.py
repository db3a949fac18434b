"""Charts from the ledger's messages. A fold that was made is kept, and gone on with when only newer messages came."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from fhir_coder.charts import ChartFold
from fhir_coder.model import Chart, MessageFacts
from fhir_coder.store import Ledger, messages

_MOST_KEPT = 200
"""Folds that are kept. Each holds the facts of its messages."""


@dataclass
class _Kept:
    """A fold with the messages it was made of: what they say is the same as long as the program's rules are."""

    fold: ChartFold
    ids: list[str] = field(default_factory=list)


class Folding:
    """Folds charts; safe to use from many threads. `facts` reads a message by its id, None where it bills nothing."""

    def __init__(self, ledger: Ledger, facts: Callable[[str], MessageFacts | None]) -> None:
        self._ledger, self._facts = ledger, facts
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def chart(self, key: str) -> Chart:
        """The chart of a visit from its messages."""
        with self._lock:
            kept = self._kept.pop(key, None)  # nobody else goes on with it meanwhile
        made = self._made(key, kept)
        chart = _chart_of(made.fold)
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
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
        with self._lock:
            for key in [key for key, kept in self._kept.items() if message_id in kept.ids]:
                del self._kept[key]

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
            kept.ids = ids
            if kept.fold.topics <= topics:
                return kept
            topics = kept.fold.topics


def _chart_of(fold: ChartFold) -> Chart:
    chart = fold.chart()
    # Every message of the visit was corrected away: nothing says any more that there was one.
    return chart if chart.messages else replace(chart, cancelled=True)
