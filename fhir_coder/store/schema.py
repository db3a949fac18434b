"""The ledger's tables. Alembic's migrations make exactly these; a test compares them.

Times are aware UTC. Money is decimal text. JSON is text written by orjson.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

metadata = MetaData()


class UtcTime(TypeDecorator[datetime]):
    """An aware UTC time; SQLite has no zones, so it is stored without and given back with one."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 the base class's signature
        """To the database."""
        return value.astimezone(UTC).replace(tzinfo=None) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 the base class's signature
        """From the database."""
        return value.replace(tzinfo=UTC) if value else None


messages = Table(
    "messages",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("feed", String(64), nullable=False),
    Column("format", String(8), nullable=False),
    Column("type", String(64), nullable=False),
    Column("control_id", String(200), nullable=False),
    Column("sender", String(400), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("received_at", UtcTime, nullable=False),
    Column("status", String(16), nullable=False),
    Column("reason", Text, nullable=False, default=""),
    Column("corrects", String(26)),
    Index("messages_by_control_id", "feed", "sender", "control_id"),
    Index("messages_by_digest", "sha256"),
    Index("messages_by_status", "status", "id"),
    Index("messages_by_feed", "feed", "id", "status"),
    Index("messages_by_type", "type", "id"),
    Index("messages_by_own_control_id", "control_id", "id"),
)
Index(
    "messages_by_corrected",
    messages.c.corrects,
    sqlite_where=messages.c.corrects.is_not(None),
    postgresql_where=messages.c.corrects.is_not(None),
)
"""`corrects`: the message that a person edited to make this one, none for what a sender sent. Lists and searches never
read `body`; the indexes that end in `id` give them their order."""

message_people = Table(
    "message_people",
    metadata,
    Column("digest", String(32), primary_key=True),
    Column("message_id", String(26), ForeignKey("messages.id"), primary_key=True),
    Index("message_people_by_message", "message_id"),
)
"""Which messages name an identifier of a person; `digest` is its keyed hash (`store.people`), never the identifier."""

message_topics = Table(
    "message_topics",
    metadata,
    Column("topic", String(400), primary_key=True),
    Column("message_id", String(26), ForeignKey("messages.id"), primary_key=True),
    Index("message_topics_by_message", "message_id"),
)

topic_refs = Table(
    "topic_refs",
    metadata,
    Column("ref", String(400), primary_key=True),
    Column("topic", String(400), primary_key=True),
)
"""`topic` draws on `ref`: when a message of `ref` comes, the charts that draw on it are folded again."""

charts = Table(
    "charts",
    metadata,
    Column("key", String(400), primary_key=True),
    Column("first_seen_at", UtcTime, nullable=False),
    Column("folded_at", UtcTime),
    Column("cancelled", Boolean, nullable=False, default=False),
)

claims = Table(
    "claims",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("identifier", String(64), nullable=False, unique=True),
    Column("chart_key", String(400), ForeignKey("charts.key"), nullable=False),
    Column("payer", String(64), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("status", String(16), nullable=False),
    Column("hold", String(16), nullable=False, default=""),
    Column("stale", Boolean, nullable=False, default=False),
    Column("body", LargeBinary, nullable=False),
    Column("content_hash", String(64), nullable=False),
    Column("explained", Text, nullable=False),
    Column("total", String(32), nullable=False, default=""),
    Column("currency", String(3), nullable=False, default=""),
    Column("replaces", String(64), nullable=False, default=""),
    Column("payer_reference", String(400), nullable=False, default=""),
    Column("adjudication", Text, nullable=False, default=""),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    UniqueConstraint("chart_key", "revision", name="claims_one_per_revision"),
    Index("claims_by_status", "status", "id"),
)
"""`hold`: why a held claim is held (`edits`, `refused`). `stale`: its chart changed while it was on its way.
`explained`: traces, findings and gaps as JSON."""

attempts = Table(
    "attempts",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("claim_id", String(26), ForeignKey("claims.id"), nullable=False),
    Column("kind", String(8), nullable=False),
    Column("started_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    Column("outcome", String(16), nullable=False, default=""),
    Column("reason", Text, nullable=False, default=""),
    Column("http_status", Integer),
    Column("retry_after", Float),
    Column("response", LargeBinary, nullable=False, default=b""),
    Column("next_action", Text, nullable=False, default=""),
    Index("attempts_by_claim", "claim_id", "id"),
)

work = Table(
    "work",
    metadata,
    Column("stage", String(8), primary_key=True),
    Column("key", String(400), primary_key=True),
    Column("asked_at", UtcTime, nullable=False),
    Column("due_at", UtcTime, nullable=False),
    Column("tries", Integer, nullable=False, default=0),
    Column("generation", Integer, nullable=False, default=0),
    Index("work_by_due", "due_at"),
    Index("work_by_stage", "stage", "asked_at"),
)
"""What is to be done: stage `read` (a message), `chart` (a chart key), `submit` or `poll` (a claim)."""

work_items = Table(
    "work_items",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("identity", String(500), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("chart_key", String(400), nullable=False, default=""),
    Column("claim_id", String(26), nullable=False, default=""),
    Column("message_id", String(26), nullable=False, default=""),
    Column("reason", String(64), nullable=False),
    Column("text", Text, nullable=False, default=""),
    Column("opened_at", UtcTime, nullable=False),
    Column("closed_at", UtcTime),
    Index("work_items_open", "closed_at", "id"),
    Index("work_items_by_identity", "identity"),
    Index("work_items_by_chart", "chart_key"),
)

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", UtcTime, nullable=False),
    Column("actor", String(64), nullable=False),
    Column("subject", String(16), nullable=False),
    Column("subject_id", String(400), nullable=False),
    Column("from_status", String(16), nullable=False, default=""),
    Column("to_status", String(16), nullable=False, default=""),
    Column("why", Text, nullable=False, default=""),
    Index("events_by_subject", "subject", "subject_id", "id"),
)
