"""What a person does to messages that came: have them read again with the rules of now, or correct one.

The reading itself is left to the service: what is asked for here is work like any other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from fhir_coder.errors import FhirCoderError
from fhir_coder.intake.payloads import header_or_fault, payloads_in, read_header
from fhir_coder.model import Header, MessageFormat, MessageStatus
from fhir_coder.pipeline import Rulebook, facts_of, judge, why_ignored
from fhir_coder.queries import MessageSearch, list_messages, message_named, message_story
from fhir_coder.store import Ledger, corrections, messages
from fhir_coder.store.messages import Incoming

_PAGE = 200
NEEDS_ACCEPTING = "its control id was used before: --accept-conflict takes it as it is"


@dataclass(frozen=True, slots=True)
class Preview:
    """What a message would become with the rules of now; `text` is its charts, or why it makes none."""

    id: str
    status: str
    becomes: str
    text: str


def selected(ledger: Ledger, names: Sequence[str], search: MessageSearch) -> Iterator[list[Any]]:
    """The messages that are named, else all that a search finds: pages of rows without bodies, oldest first.

    Raises NotFoundError where one that is named is not there.
    """
    if names:
        rows = [message_story(ledger, message_named(ledger, name)).row for name in names]
        yield sorted({row.id: row for row in rows}.values(), key=lambda row: row.id)
        return
    after = search.after
    while page := list_messages(ledger, _after(search, after), _PAGE, oldest_first=True):
        yield page
        after = page[-1].id


def _after(search: MessageSearch, after: str) -> MessageSearch:
    return MessageSearch(status=search.status, feed=search.feed, type=search.type, after=after)


def reprocess(ledger: Ledger, rows: Sequence[Any], actor: str, accept_conflict: bool = False) -> Counter[str]:
    """Ask for messages to be read again, in one transaction; answers what was done, by fixed words.

    `asked`; `unreadable`: still without a header that can be read; `conflict`: found to be one, or to be accepted
    first; `superseded`: its correction is read instead.
    """
    headers = {row.id: _header_now(ledger, row.id) for row in rows if row.format == MessageFormat.UNKNOWN}
    with ledger.writing() as connection:
        asking = _Asking(connection, actor, ledger.clock(), accept_conflict)
        return Counter(asking.ask(row, *headers.get(row.id, (None, ""))) for row in rows)


@dataclass(frozen=True, slots=True)
class _Asking:
    """One transaction of `reprocess`."""

    connection: Any
    actor: str
    at: datetime
    accept_conflict: bool

    def ask(self, row: Any, header: Header | None, fault: str) -> str:
        """Ask for one message to be read again. `header` is the one of now where it was kept without one."""
        status = messages.status_of(self.connection, row.id)
        if status is MessageStatus.SUPERSEDED:
            return "superseded"
        if status is MessageStatus.CONFLICT and not self.accept_conflict:
            return "conflict"
        if fault:
            corrections.note_unreadable(self.connection, row.id, fault, self.actor, self.at)
            return "unreadable"
        if header:
            corrections.take_header(self.connection, row.id, header)
            first = "" if self.accept_conflict else _first_of(self.connection, row, header)
            if first:
                corrections.find_conflict(self.connection, row.id, first, self.actor, self.at)
                return "conflict"
        accepted = status is MessageStatus.CONFLICT
        why = "accepted, though its control id was used before" if accepted else "to be read again"
        corrections.read_again(self.connection, row.id, why, self.actor, self.at)
        return "asked"


def _first_of(connection: Any, row: Any, header: Header) -> str:
    """Another message that has used its control id, empty where there is none."""
    return corrections.first_of_control_id(connection, row.feed, header, row.id) if header.control_id else ""


def _header_now(ledger: Ledger, message_id: str) -> tuple[Header, str]:
    with ledger.reading() as connection:
        message, _ = messages.load(connection, message_id)
    return header_or_fault(message.body)


def preview(ledger: Ledger, rows: Sequence[Any], rulebook: Rulebook, accept_conflict: bool = False) -> list[Preview]:
    """What messages would become if they were read again; nothing is written."""
    return [_preview(ledger, row, rulebook, accept_conflict) for row in rows]


def _preview(ledger: Ledger, row: Any, rulebook: Rulebook, accept_conflict: bool) -> Preview:
    if row.status == MessageStatus.SUPERSEDED:
        return Preview(row.id, row.status, row.status, "its correction is read instead")
    if row.status == MessageStatus.CONFLICT and not accept_conflict:
        return Preview(row.id, row.status, row.status, NEEDS_ACCEPTING)
    with ledger.reading() as connection:
        message, feed = messages.load(connection, row.id)
        if message.header.format is MessageFormat.UNKNOWN:
            header, fault = header_or_fault(message.body)
            if fault:
                return Preview(row.id, row.status, MessageStatus.QUARANTINED.value, fault)
            message = replace(message, header=header)
            if _first_of(connection, row, header) and not accept_conflict:
                return Preview(row.id, row.status, MessageStatus.CONFLICT.value, NEEDS_ACCEPTING)
    found = judge(lambda: facts_of(message, rulebook, feed), lambda: why_ignored(message, rulebook, feed))
    check = rulebook.checks.get(feed)
    if check and found.status is MessageStatus.CHARTED:
        found, _ = check.judged(message, found)
    charts = ", ".join(found.facts.charts) if found.facts else ""
    return Preview(row.id, row.status, found.status.value, found.why or charts)


def correct(ledger: Ledger, message_id: str, body: bytes, actor: str) -> str:
    """File an edited payload as the correction of a message; answers the new message's id.

    Raises UnreadableError where it cannot be read, CorrectedError where the message has a correction already, and
    FhirCoderError where nothing was changed or it is not one message.
    """
    with ledger.reading() as connection:
        message, feed = messages.load(connection, message_id)
    if body.strip() == message.body.strip():
        raise FhirCoderError("nothing was changed: nothing is filed")
    header = read_header(body)
    number = sum(1 for _ in payloads_in(body))
    if number != 1:
        raise FhirCoderError(f"it holds {number} messages: a correction is one; nothing is filed")
    incoming = Incoming(feed, header, body, corrects=message_id, actor=actor)
    with ledger.writing() as connection:
        return corrections.file_correction(connection, incoming, ledger.clock())
