"""The ledger's tables. Alembic's migrations make exactly these; a test compares them.

Times are aware UTC. Money is decimal text. JSON is text written by orjson.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    Boolean,
    Column,
    Date,
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
    false,
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
    Column("answered", Text),
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
"""`corrects`: the message that a person edited to make this one, none for what a sender sent. `answered`: ids that the
sender of a FHIR payload was told, and what of it was not taken, as JSON; none where its bytes say it all. Lists and
searches never read `body`; the indexes that end in `id` give them their order."""

fhir_resources = Table(
    "fhir_resources",
    metadata,
    Column("feed", String(64), primary_key=True),
    Column("type", String(64), primary_key=True),
    Column("id", String(64), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("message_id", String(26), ForeignKey("messages.id"), nullable=False),
    Column("path", String(200), nullable=False),
    Column("deleted", Boolean, nullable=False, default=False),
    Column("changed_at", UtcTime, nullable=False),
    Index("fhir_resources_by_message", "message_id"),
)
"""The newest version of each resource that came over HTTP, and where in which message it stands."""

fhir_identifiers = Table(
    "fhir_identifiers",
    metadata,
    Column("digest", String(32), primary_key=True),
    Column("feed", String(64), primary_key=True),
    Column("type", String(64), primary_key=True),
    Column("id", String(64), primary_key=True),
    Index("fhir_identifiers_by_resource", "feed", "type", "id"),
)
"""Which resources of `fhir_resources` have a business identifier, by its keyed hash: what a conditional create asks."""

inboxes = Table(
    "inboxes",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("filed", Integer, nullable=False),
)
"""Up to which number the messages of an inbox (`store.inbox`) are filed here."""

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
    Column("status", String(16)),
    Column("messages", Integer),
    Column("moved_to", String(400)),
    Column("body", LargeBinary),
    Column("content_hash", String(64)),
    Column("coded_from", Integer),
    Column("care", String(16)),
    Column("specialty", String(64)),
    Column("is_emergency", Boolean),
    Column("charged", String(32)),
    Column("currency", String(3)),
    Index("charts_by_folded", "folded_at", "key"),
)
"""`body`: the chart as last folded (`charts.wire`), none before its first folding; `messages` is how many it has.
`coded_from`: the number of the activation whose tables, or later ones, a person wants it coded with. `care`,
`specialty`, `is_emergency` and `charged` (in `currency`) are what the worklist orders by."""

claims = Table(
    "claims",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("identifier", String(64), nullable=False, unique=True),
    Column("chart_key", String(400), ForeignKey("charts.key"), nullable=False),
    Column("payer", String(64), nullable=False),
    Column("slot", String(24), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("purpose", String(16), nullable=False),
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
    Column("file_by", Date),
    Column("tables_as_of", String(400)),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("asked", Boolean, nullable=False, default=False, server_default=false()),
    Column("sent_at", UtcTime),
    Column("decided_at", UtcTime),
    Column("answer_seconds", Integer),
    Column("allowed", String(32), nullable=False, default="", server_default=""),
    Column("paid", String(32), nullable=False, default="", server_default=""),
    UniqueConstraint("chart_key", "slot", "revision", name="claims_one_per_revision"),
    Index("claims_by_status", "status", "id"),
    Index("claims_by_payer", "payer", "id"),
    Index("claims_by_payer_and_status", "payer", "status", "id"),
    Index(
        "claims_by_made",
        *("created_at", "payer", "currency", "status", "purpose", "asked", "total", "allowed", "paid"),
        *("sent_at", "answer_seconds"),
    ),
)
"""`slot`: which of the visit's claims (`institutional-1`). `purpose`: what it is sent for. `file_by`: the payer's last
day for it. `hold`: why a held claim is held (`edits`, `refused`, `person`), or that a person withdrew it (`cancelled`).
`stale`: its chart changed while it was on its way. `explained`: traces, findings and gaps as JSON. `tables_as_of`: the
numbers of the activations whose tables it was coded with, with blanks between them, the one asked first in front; none
where it is from before the first one. `asked`: a gap or a finding of it was put to a person. `sent_at` is when it was
sent first, `decided_at` when the payer's decision came, `answer_seconds` what lies between; `allowed` and `paid` are
what it decided, in the claim's currency, empty where it did not say. `claims_by_made` holds all that reports count, so
that they read no claim."""

claim_tables = Table(
    "claim_tables",
    metadata,
    Column("version", String(200), primary_key=True),
    Column("claim_id", String(26), ForeignKey("claims.id"), primary_key=True),
    Index("claim_tables_by_claim", "claim_id"),
)
"""The versions of the tables (`id@hash`) whose rows gave a claim its codes."""

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
    Column("request_line", Text, nullable=False, default=""),
    Column("request_headers", Text, nullable=False, default=""),
    Column("request_body", LargeBinary),
    Column("response_headers", Text, nullable=False, default=""),
    Column("response", LargeBinary, nullable=False, default=b""),
    Column("next_action", Text, nullable=False, default=""),
    Index("attempts_by_claim", "claim_id", "id"),
)
"""Each HTTP request about a claim. `request_line` is method and address, headers are lines without what is secret.
`request_body` is none where it is the claim's submission, or nothing was sent."""

submissions = Table(
    "submissions",
    metadata,
    Column("claim_id", String(26), ForeignKey("claims.id"), primary_key=True),
    Column("method", String(8), nullable=False),
    Column("path", Text, nullable=False),
    Column("headers", Text, nullable=False),
    Column("body", LargeBinary),
    Column("prepared_at", UtcTime, nullable=False),
)
"""What is sent for a claim, written before it is sent first; every repeat has the same bytes. `headers` is JSON, and
`body` is none where it is the claim's own."""

payer_answers = Table(
    "payer_answers",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("payer", String(64), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("received_at", UtcTime, nullable=False),
    Column("status", String(16), nullable=False),
    Column("reason", Text, nullable=False, default="", server_default=""),
    UniqueConstraint("payer", "sha256", name="payer_answers_once"),
    Index("payer_answers_by_status", "status", "id"),
)
"""What payers sent unasked: decisions called back, and notifications of Subscriptions that say something."""

line_decisions = Table(
    "line_decisions",
    metadata,
    Column("claim_id", String(26), ForeignKey("claims.id"), primary_key=True),
    Column("sequence", Integer, primary_key=True),
    Column("reason", String(64), primary_key=True),
    Column("payer", String(64), nullable=False),
    Column("code", String(64), nullable=False),
    Column("denied", Boolean, nullable=False),
    Column("amount", String(32), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("decided_at", UtcTime, nullable=False),
    Index("line_decisions_by_code", "payer", "code", "decided_at", "claim_id"),
)
Index(
    "line_denials",
    *(line_decisions.c.decided_at, line_decisions.c.payer, line_decisions.c.code, line_decisions.c.reason),
    *(line_decisions.c.claim_id, line_decisions.c.amount, line_decisions.c.currency, line_decisions.c.sequence),
    sqlite_where=line_decisions.c.denied,
    postgresql_where=line_decisions.c.denied,
)
"""What payers decided on each line: `code` is the line's billing code, `amount` what was charged. A denied line has
a row for each reason, one with an empty reason where none was given; a claim decided as a whole has `sequence` 0."""

claim_corrections = Table(
    "claim_corrections",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("chart_key", String(400), ForeignKey("charts.key"), nullable=False),
    Column("slot", String(24), nullable=False),
    Column("field", String(32), nullable=False),
    Column("value", Text, nullable=False),
    Column("actor", String(64), nullable=False),
    Column("why", Text, nullable=False, default="", server_default=""),
    Column("at", UtcTime, nullable=False),
    Index("claim_corrections_by_chart", "chart_key", "id"),
)
"""What people say of a visit's claims over what the messages say. The newest row of a field counts; an empty value
takes the correction back."""

breakers = Table(
    "breakers",
    metadata,
    Column("payer", String(64), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("failures", Integer, nullable=False),
    Column("openings", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("since", UtcTime, nullable=False),
    Column("resume_at", UtcTime),
)
"""The breaker of each payer that ever failed, shared by all workers (`payers.breaker`)."""

work = Table(
    "work",
    metadata,
    Column("stage", String(8), primary_key=True),
    Column("key", String(400), primary_key=True),
    Column("asked_at", UtcTime, nullable=False),
    Column("due_at", UtcTime, nullable=False),
    Column("tries", Integer, nullable=False, default=0),
    Column("generation", Integer, nullable=False, default=0),
    Column("lane", String(80), nullable=False, default="", server_default=""),
    Column("rank", String(48), nullable=False, default="", server_default=""),
    Index("work_by_due", "lane", "due_at"),
    Index("work_by_stage", "stage", "asked_at"),
)
Index(
    "claims_by_reference",
    claims.c.payer,
    claims.c.payer_reference,
    sqlite_where=claims.c.payer_reference != "",
    postgresql_where=claims.c.payer_reference != "",
)
"""Claims by the payer's names for them: what a payer sends unasked may name them so."""

Index(
    "work_by_rank",
    work.c.lane,
    work.c.rank,
    work.c.due_at,
    sqlite_where=work.c.rank != "",
    postgresql_where=work.c.rank != "",
)
"""What is to be done: stage `read` (a message), `chart` (a chart key), `submit` or `poll` (a claim), `answer` (of
a payer). `lane` is empty
for what needs no payer, else stage and payer: each is taken from by itself. In a lane with ranks the lowest due goes
first."""

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
    Column("group_id", Integer),
    Column("amount", String(32)),
    Column("file_by", Date),
    Column("answer_by", Date),
    Index("work_items_open", "closed_at", "id"),
    Index("work_items_by_identity", "identity"),
    Index("work_items_by_chart", "chart_key"),
    Index("work_items_by_group", "group_id", "closed_at", "id"),
    Index("work_items_by_filing", "group_id", "closed_at", "file_by"),
    Index("work_items_by_answer", "group_id", "closed_at", "answer_by"),
)
"""What a person must decide about one chart, claim or message. `group_id`: the item of the worklist (`work_groups`)
that it is part of; `amount` is what waits for it."""

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

audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("at", UtcTime, nullable=False),
    Column("actor", String(64), nullable=False),
    Column("action", String(1), nullable=False),
    Column("subject", String(16), nullable=False),
    Column("subject_id", String(400), nullable=False),
    Column("shown", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index("audit_by_subject", "subject", "subject_id", "id"),
    Index("audit_by_actor", "actor", "id"),
)
"""Who saw what, numbered without a hole: `hash` is that of the entry and of the one before (`store.audit`)."""

fhir_servers = Table(
    "fhir_servers",
    metadata,
    Column("feed", String(64), primary_key=True),
    Column("state", String(8), nullable=False),
    Column("reason", String(64), nullable=False, default=""),
    Column("since", UtcTime, nullable=False),
    Column("read_at", UtcTime),
)
"""The FHIR servers that are read: `state` is `up` or `down` since a time; `read_at`: when all was read last."""

fhir_searches = Table(
    "fhir_searches",
    metadata,
    Column("feed", String(64), primary_key=True),
    Column("type", String(64), primary_key=True),
    Column("watermark", UtcTime),
    Column("next_link", Text, nullable=False, default=""),
)
"""How far a resource type was read: all changed before `watermark` is kept; `next_link` is the page to go on at."""

fhir_exports = Table(
    "fhir_exports",
    metadata,
    Column("feed", String(64), primary_key=True),
    Column("level", String(80), nullable=False, default=""),
    Column("status_url", Text, nullable=False, default=""),
    Column("manifest", Text, nullable=False, default=""),
    Column("files_read", Integer, nullable=False, default=0),
    Column("watermark", String(40), nullable=False, default=""),
    Column("finished_at", UtcTime),
)
"""The bulk export of a feed that runs, and what the last one came to. `manifest` is JSON, empty until the server is
done; `watermark` is the server's transactionTime of the last one that was read whole."""
