"""The order things happened in: of messages by their event times, of versions of one FHIR resource by their stamps."""

from __future__ import annotations

from datetime import UTC, datetime

from fhir_coder.model import MessageFacts, Stamp, When

EventOrder = tuple[datetime, datetime, int]

_LATEST = datetime.max.replace(tzinfo=UTC)


def event_order(message: MessageFacts) -> EventOrder:
    """What sorts messages into the order of their events; those that it cannot tell apart stay in order of arrival.

    A message without a time of its own counts as the latest: it says what its sender knows now.
    """
    sequence = -1 if message.sequence is None else message.sequence
    return _moment(message.event_at), _moment(message.sent_at), sequence


def _moment(when: When | None) -> datetime:
    if when is None:
        return _LATEST
    if when.instant:
        return when.instant
    padded = when.text + "-01-01"[len(when.text) - 4 :] if len(when.text) < 10 else when.text
    return datetime.fromisoformat(padded).replace(tzinfo=UTC)


class Stamps:
    """The newest version known of each FHIR resource."""

    def __init__(self) -> None:
        self._newest: dict[str, Stamp] = {}

    def are_outdone(self, stamp: Stamp | None) -> bool:
        """Whether a newer version of the resource is known already; else this one is the newest now."""
        if stamp is None:
            return False
        known = self._newest.get(stamp.resource)
        if known and _is_older(stamp, known):
            return True
        self._newest[stamp.resource] = stamp
        return False


def _is_older(stamp: Stamp, known: Stamp) -> bool:
    """By meta.lastUpdated, else by version numbers; versions that are no numbers have no order (FHIR R4 2.26.3.2)."""
    if stamp.updated and known.updated and _moment(stamp.updated) != _moment(known.updated):
        return _moment(stamp.updated) < _moment(known.updated)
    are_numbers = stamp.version.isdecimal() and known.version.isdecimal()
    return are_numbers and int(stamp.version) < int(known.version)
