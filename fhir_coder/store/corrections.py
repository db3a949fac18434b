"""Messages that a person has read again or corrects. Every function but `record_viewing` runs inside one transaction.

A correction takes the place of the message it corrects when it has been read, in the transaction that files its facts:
no chart is ever folded without both.
"""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, bindparam, select, update
from sqlalchemy.exc import OperationalError

from fhir_coder.errors import FhirCoderError
from fhir_coder.model import Header, MessageStatus
from fhir_coder.store import audit, messages, work
from fhir_coder.store.events import Change, record
from fhir_coder.store.ledger import Ledger
from fhir_coder.store.messages import ACTOR, Incoming
from fhir_coder.store.prepared import Prepared
from fhir_coder.store.schema import messages as message_table


class CorrectedError(FhirCoderError):
    """A message has a correction already: that one is edited, or nothing."""


def read_again(connection: Connection, message_id: str, why: str, actor: str, at: datetime) -> None:
    """Ask for a message to be read as if it had just come; its facts count on until it has been."""
    _restart(connection, message_id, MessageStatus.RECEIVED, why, (actor, at))
    work.ask(connection, "read", message_id, at)


def take_header(connection: Connection, message_id: str, header: Header) -> None:
    """Write down the header of a message that was kept without one."""
    matches = message_table.c.id == message_id
    connection.execute(update(message_table).where(matches).values(messages.header_columns(header)))


def first_of_control_id(connection: Connection, feed: str, header: Header, besides: str) -> str:
    """The first message of a feed and sender with a control id, one left out; empty where there is none."""
    columns = messages.header_columns(header)
    same = [message_table.c[name] == columns[name] for name in ("sender", "control_id")]
    query = select(message_table.c.id).where(message_table.c.feed == feed, *same, message_table.c.id != besides)
    return connection.execute(query.order_by(message_table.c.id).limit(1)).scalar() or ""


def find_conflict(connection: Connection, message_id: str, first: str, actor: str, at: datetime) -> None:
    """A message whose header can be read now has a control id that message `first` has used: a person decides."""
    why = messages.conflict_text(first)
    _restart(connection, message_id, MessageStatus.CONFLICT, why, (actor, at))
    messages.close_items_of(connection, message_id, "its header can be read now", at)
    messages.open_item_of(connection, message_id, MessageStatus.CONFLICT, why, at)


def note_unreadable(connection: Connection, message_id: str, fault: str, actor: str, at: datetime) -> None:
    """A message was tried again and its header still cannot be read."""
    matches = message_table.c.id == message_id
    connection.execute(update(message_table).where(matches).values(reason=fault))
    status = MessageStatus.QUARANTINED
    record(connection, at, Change("message", message_id, status, status, f"tried again: {fault}", actor[:ACTOR]))


def _restart(
    connection: Connection, message_id: str, status: MessageStatus, why: str, who_when: tuple[str, datetime]
) -> None:
    actor, at = who_when
    before = messages.status_of(connection, message_id)
    reason = why if status is MessageStatus.CONFLICT else ""
    matches = message_table.c.id == message_id
    connection.execute(update(message_table).where(matches).values(status=status.value, reason=reason))
    record(connection, at, Change("message", message_id, before, status, why, actor[:ACTOR]))


def file_correction(connection: Connection, incoming: Incoming, at: datetime) -> str:
    """File an edited payload as a new message that names the one it corrects; answers its id.

    It is no conflict, though its control id was used before. Raises CorrectedError where that message has a correction
    already.
    """
    other = correction_of(connection, incoming.corrects)
    if other:
        raise CorrectedError(f"message {incoming.corrects} is corrected by {other}: edit that one")
    why = f"corrects message {incoming.corrects}"
    # What the first one's sender was told stays true: later references lead to the ids that were given then.
    corrected, _ = messages.load(connection, incoming.corrects)
    answered = replace(corrected.answered, checked=False)
    taken = replace(incoming, fault="", answered=answered)
    return messages.insert_message(connection, taken, MessageStatus.RECEIVED, why, at)


def correction_of(connection: Connection, message_id: str) -> str:
    """The message that corrects this one, empty where there is none."""
    query = select(message_table.c.id).where(message_table.c.corrects == message_id)
    return connection.execute(query).scalar() or ""


def settle(connection: Connection, message_id: str, at: datetime) -> set[str]:
    """A message could be read: its work items close, and what it corrects is superseded.

    Answers the keys of the charts that lost a message.
    """
    messages.close_items_of(connection, message_id, "the message was read", at)
    touched: set[str] = set()
    corrected = _corrected_by(connection, message_id)
    while corrected:  # a correction that could not be read has been corrected in its turn
        if messages.status_of(connection, corrected) is not MessageStatus.SUPERSEDED:
            touched |= messages.charts_of(connection, corrected)
            why = f"corrected by message {message_id}"
            messages.set_status(connection, corrected, MessageStatus.SUPERSEDED, why, at)
            messages.close_items_of(connection, corrected, why, at)
        corrected = _corrected_by(connection, corrected)
    return touched


def _corrected_by(connection: Connection, message_id: str) -> str:
    return _CORRECTS.first(connection, {"message": message_id}) or ""


_CORRECTS = Prepared(select(message_table.c.corrects).where(message_table.c.id == bindparam("message")))


def record_viewing(ledger: Ledger, subject_id: str, shown: str, actor: str, subject: str = "message") -> None:
    """Write down in the audit trail that a person sees a message, claim or chart. `shown` says what of it: raw, parsed.

    A message's story tells it too. A ledger that takes nothing, a copy on a disk that is read only, has no such entry.
    """
    try:
        with ledger.writing() as connection:
            at = ledger.clock()
            if subject == "message":
                record(connection, at, Change(subject, subject_id, "", "", f"shown {shown}", actor[:ACTOR]))
            audit.append(connection, audit.Entry(actor, audit.READ, subject, subject_id, shown), at)
    except (OperationalError, sqlite3.OperationalError) as error:
        said = error.orig if isinstance(error, OperationalError) else error
        if not getattr(said, "sqlite_errorname", "").startswith("SQLITE_READONLY"):
            raise
