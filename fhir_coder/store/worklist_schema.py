"""The ledger's tables of people's work. Same rules as in `schema`."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Date, Float, Index, Integer, String, Table, Text, UniqueConstraint

from fhir_coder.store.schema import UtcTime, metadata

work_groups = Table(
    "work_groups",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("solved_by", String(500), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("reason", String(64), nullable=False),
    Column("text", Text, nullable=False),
    Column("status", String(16), nullable=False),
    Column("care", String(16), nullable=False),
    Column("specialty", String(64), nullable=False),
    Column("payer", String(64), nullable=False),
    Column("charts", Integer, nullable=False),
    Column("amount", String(32), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("file_by", Date),
    Column("answer_by", Date),
    Column("is_emergency", Boolean, nullable=False),
    Column("is_escalated", Boolean, nullable=False),
    Column("not_for", String(64), nullable=False),
    Column("opened_at", UtcTime, nullable=False),
    Column("due_at", UtcTime, nullable=False),
    Column("closed_at", UtcTime),
    Column("assigned_to", String(64), nullable=False),
    Column("taken_by", String(64), nullable=False),
    Column("taken_at", UtcTime),
    Column("taken_until", UtcTime),
    Column("held_until", UtcTime),
    Index("work_groups_by_due", "status", "due_at", "id"),
    Index("work_groups_by_queue", "status", "care", "specialty", "payer", "kind", "due_at"),
    Index("work_groups_by_payer", "status", "payer", "due_at", "id"),
    Index("work_groups_by_care", "status", "care", "due_at", "id"),
    Index("work_groups_by_specialty", "status", "specialty", "due_at", "id"),
    Index("work_groups_by_kind", "status", "kind", "due_at", "id"),
    Index("work_groups_by_assigned", "assigned_to", "status", "due_at", "id"),
    Index("work_groups_by_taken", "taken_by", "taken_until"),
    Index("work_groups_by_hold", "status", "held_until"),
    Index("work_groups_by_solved", "solved_by"),
    Index("work_groups_by_opened", "opened_at"),
    Index("work_groups_by_closed", "closed_at"),
)
"""What a person sees as one work item: all open `work_items` that one decision settles. Its number is that of the
first of them. `solved_by` says which they are. `due_at` is when it is wanted done (`model.WorkRules`): it is written
when what it is made of changes, never because time passes, so that a list reads it in the order of an index. `payer`
and `specialty` are `several` where its charts have several. `not_for` may not take it: whose work it reviews."""

work_rules = Table(
    "work_rules",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("body", Text, nullable=False),
)
"""The rules that the open groups were ordered by, as JSON: one row."""

work_skips = Table(
    "work_skips",
    metadata,
    Column("item_id", Integer, primary_key=True, autoincrement=False),
    Column("actor", String(64), primary_key=True),
    Column("until", UtcTime, nullable=False),
)
"""Who is not offered an item for a while, because they skipped it."""

work_done = Table(
    "work_done",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", UtcTime, nullable=False),
    Column("actor", String(64), nullable=False),
    Column("item_id", Integer, nullable=False),
    Column("action", String(16), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("charts", Integer, nullable=False),
    Column("amount", String(32), nullable=False),
    Column("seconds", Float, nullable=False),
    Index("work_done_by_time", "at"),
    Index("work_done_by_actor", "actor", "at"),
)
"""What people did to items. `seconds` are from taking the item to this."""

decisions = Table(
    "decisions",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("chart_key", String(400), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("system", String(200), nullable=False),
    Column("code", String(200), nullable=False),
    Column("text", Text, nullable=False),
    Column("targets", Text, nullable=False),
    Column("modifiers", Text, nullable=False),
    Column("pointers", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("item_id", Integer, nullable=False),
    Column("actor", String(64), nullable=False),
    Column("decided_at", UtcTime, nullable=False),
    Column("withdrawn_at", UtcTime),
    Column("withdrawn_by", String(64), nullable=False),
    Index("decisions_by_chart", "chart_key", "id"),
    Index("decisions_by_code", "code", "system", "id"),
    Index("decisions_by_item", "item_id"),
)
"""What people decided for one chart. `targets` is JSON, `[]` where nothing is billed. Of two about the same code the
later one counts."""

proposals = Table(
    "proposals",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("item_id", Integer, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("system", String(200), nullable=False),
    Column("code", String(200), nullable=False),
    Column("cells", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("status", String(16), nullable=False),
    Column("proposed_by", String(64), nullable=False),
    Column("proposed_at", UtcTime, nullable=False),
    Column("decided_by", String(64), nullable=False),
    Column("decided_at", UtcTime),
    Column("decided_why", Text, nullable=False),
    Index("proposals_by_status", "status", "id"),
    Index("proposals_by_item", "item_id", "id"),
    Index("proposals_by_code", "code", "system", "id"),
)
"""Rows that people propose for all charts; `cells` is the row as JSON. Status: waiting, approved, rejected."""

audits = Table(
    "audits",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("claim_id", String(26), nullable=False),
    Column("chart_key", String(400), nullable=False),
    Column("payer", String(64), nullable=False),
    Column("coder", String(64), nullable=False),
    Column("is_blind", Boolean, nullable=False),
    Column("sampled_by", String(64), nullable=False),
    Column("sampled_at", UtcTime, nullable=False),
    Column("reviewed_by", String(64), nullable=False),
    Column("reviewed_at", UtcTime),
    UniqueConstraint("claim_id", name="audits_once"),
    Index("audits_by_review", "reviewed_at", "id"),
)
"""Claims drawn for a second review, each once."""

audit_codes = Table(
    "audit_codes",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("audit_id", Integer, nullable=False),
    Column("system", String(200), nullable=False),
    Column("code", String(200), nullable=False),
    Column("text", Text, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("billed", String(200), nullable=False),
    Column("coder", String(64), nullable=False),
    Column("said", String(200), nullable=False),
    Column("agrees", Boolean),
    Column("why", Text, nullable=False),
    Index("audit_codes_by_audit", "audit_id", "id"),
    Index("audit_codes_by_coder", "coder", "billed"),
)
"""The codes of a claim under review: the source (`system`, `code`, or `text`), what was billed and by whom it was
chosen, what the reviewer says, and whether that is the same; none while it is not reviewed."""

handovers = Table(
    "handovers",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("queue", String(200), nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("actor", String(64), nullable=False),
    Column("text", Text, nullable=False),
    Index("handovers_by_queue", "queue", "id"),
)
"""What one shift tells the next about a queue."""
