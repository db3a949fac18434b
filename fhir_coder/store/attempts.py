"""What was sent to payers and what came back: one row a request, and the bytes that are sent for each claim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import orjson
from sqlalchemy import Connection, bindparam, delete, func, insert, select

from fhir_coder.model import Outcome, OutcomeKind
from fhir_coder.store.prepared import Prepared, PreparedChange
from fhir_coder.store.schema import attempts, submissions

_DELIVERING = ("submit", "look-up", "repeat")


@dataclass(frozen=True, slots=True)
class Submission:
    """What is sent for a claim; `body` None is the claim's own bytes. `path` is relative to the payer's address."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes | None


class Request(Protocol):
    """One HTTP request that was made, as the payers' client notes it."""

    @property
    def what(self) -> str:
        """submit, find or poll."""

    @property
    def started_at(self) -> datetime:
        """When it began."""

    @property
    def ended_at(self) -> datetime:
        """When its answer was read."""

    @property
    def outcome(self) -> Outcome:
        """What it came to."""

    @property
    def line(self) -> str:
        """Method and address."""

    @property
    def headers(self) -> str:
        """The headers sent."""

    @property
    def body(self) -> bytes:
        """The body sent."""

    @property
    def answer_headers(self) -> str:
        """The headers that came back."""


def submission_of(connection: Connection, claim_id: str) -> Submission | None:
    """What is sent for a claim, None where it was never prepared."""
    for method, path, headers, body in _SUBMISSION.fetch_all(connection, {"claim": claim_id}):
        return Submission(method, path, orjson.loads(headers), body)
    return None


def keep_submission(connection: Connection, claim_id: str, one: Submission, at: datetime) -> None:
    """Keep what is sent for a claim, before it is sent first."""
    headers = orjson.dumps(dict(one.headers)).decode()
    row = {"claim_id": claim_id, "method": one.method, "path": one.path, "headers": headers, "body": one.body}
    _KEEP.run_all(connection, [row | {"prepared_at": at}])


_SUBMISSION = Prepared(
    select(submissions.c.method, submissions.c.path, submissions.c.headers, submissions.c.body).where(
        submissions.c.claim_id == bindparam("claim")
    )
)
_KEEP = Prepared(insert(submissions), ("claim_id", "method", "path", "headers", "body", "prepared_at"))


def forget_submission(connection: Connection, claim_id: str) -> None:
    """Have a claim prepared anew: it surely was not taken, and what is sent now is something else."""
    connection.execute(delete(submissions).where(submissions.c.claim_id == claim_id))


def begin(connection: Connection, claim_id: str, kind: str, at: datetime) -> int:
    """Open an attempt row before anything is sent. `kind` is submit, look-up, repeat, poll or inquiry."""
    row = {"claim_id": claim_id, "kind": kind, "started_at": at}
    return int(_BEGIN.first(connection, {**_NOTHING_YET, **row}))


_NOTHING_YET: Mapping[str, object] = {
    **dict.fromkeys(("outcome", "reason", "request_line", "request_headers", "response_headers", "next_action"), ""),
    "response": b"",
}
_BEGIN = Prepared(insert(attempts).returning(attempts.c.id), (*_NOTHING_YET, "claim_id", "kind", "started_at"))
_CHANGE = PreparedChange(attempts.c.id)


def end(connection: Connection, attempt_id: int, requests: Sequence[Request], next_action: str, at: datetime) -> None:
    """Close an attempt with what its last request came to; those before it get rows of their own.

    They were repeated at once because the payer surely had not taken them.
    """
    *earlier, last = requests
    for one in earlier:
        its = select(attempts.c.claim_id, attempts.c.kind).where(attempts.c.id == attempt_id)
        values = _came_to(one) | {"next_action": "again within the attempt"}
        connection.execute(insert(attempts).values(**connection.execute(its).one()._mapping, **values))
    closed = _came_to(last) | {"ended_at": at, "next_action": next_action}
    _CHANGE.run(connection, attempt_id, closed)


def _came_to(one: Request) -> dict[str, Any]:
    return {
        "started_at": one.started_at,
        "ended_at": one.ended_at,
        "outcome": one.outcome.kind.value,
        "reason": one.outcome.reason,
        "http_status": one.outcome.http_status,
        "retry_after": one.outcome.retry_after,
        "request_line": one.line,
        "request_headers": one.headers,
        "request_body": one.body if one.body and one.what != "submit" else None,
        "response_headers": one.answer_headers,
        "response": one.outcome.body,
    }


def note_answer(connection: Connection, claim_id: str, response: bytes, at: datetime, next_action: str) -> None:
    """Write down a decision that the payer sent unasked: nothing was asked, so there is an answer only."""
    values = {"started_at": at, "ended_at": at, "outcome": OutcomeKind.ANSWERED.value, "reason": "sent unasked"}
    values |= {"response": response, "next_action": next_action}
    connection.execute(insert(attempts).values(claim_id=claim_id, kind="callback", **values))


def first_since(connection: Connection, claim_id: str, since: datetime) -> datetime | None:
    """When a claim was first sent or looked up from a time on."""
    query = select(func.min(attempts.c.started_at)).where(
        attempts.c.claim_id == claim_id, attempts.c.kind.in_(_DELIVERING), attempts.c.started_at >= since
    )
    return connection.execute(query).scalar()


def last_of(connection: Connection, claim_id: str, kind: str) -> datetime | None:
    """When the last attempt of a kind at a claim began, None where there was none."""
    query = select(func.max(attempts.c.started_at)).where(attempts.c.claim_id == claim_id, attempts.c.kind == kind)
    return connection.execute(query).scalar()


def times_not_found(connection: Connection, claim_id: str) -> int:
    """How often the payer was asked for a claim and did not have it."""
    query = select(attempts.c.id).where(attempts.c.claim_id == claim_id, attempts.c.outcome == "not-found")
    return len(connection.execute(query).all())


def of_claim(connection: Connection, claim_id: str) -> list[Any]:
    """A claim's attempts, oldest first."""
    query = select(attempts).where(attempts.c.claim_id == claim_id).order_by(attempts.c.started_at, attempts.c.id)
    return list(connection.execute(query).all())


def decision_of(connection: Connection, claim_id: str) -> bytes:
    """The payer's last answer with a decision on a claim, as received; empty where there is none."""
    answered = (attempts.c.claim_id == claim_id) & (attempts.c.outcome == OutcomeKind.ANSWERED.value)
    query = select(attempts.c.response).where(answered).order_by(attempts.c.id.desc()).limit(1)
    return connection.execute(query).scalar() or b""
