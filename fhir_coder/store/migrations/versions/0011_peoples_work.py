"""People's work: items grouped and ordered, decisions, proposals, reviews, handovers."""

from alembic import op
import sqlalchemy as sa


revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Apply. The open items of before are grouped when the ledger is opened next."""
    op.add_column("charts", sa.Column("care", sa.String(length=16), nullable=True))
    op.add_column("charts", sa.Column("specialty", sa.String(length=64), nullable=True))
    op.add_column("charts", sa.Column("is_emergency", sa.Boolean(), nullable=True))
    op.add_column("charts", sa.Column("charged", sa.String(length=32), nullable=True))
    op.add_column("charts", sa.Column("currency", sa.String(length=3), nullable=True))
    op.add_column("work_items", sa.Column("group_id", sa.Integer(), nullable=True))
    op.add_column("work_items", sa.Column("amount", sa.String(length=32), nullable=True))
    op.add_column("work_items", sa.Column("file_by", sa.Date(), nullable=True))
    op.add_column("work_items", sa.Column("answer_by", sa.Date(), nullable=True))
    op.create_index("work_items_by_group", "work_items", ["group_id", "closed_at", "id"])
    op.create_index("work_items_by_filing", "work_items", ["group_id", "closed_at", "file_by"])
    op.create_index("work_items_by_answer", "work_items", ["group_id", "closed_at", "answer_by"])
    _make_groups()
    _make_decisions()
    _make_reviews()


def _make_groups() -> None:
    op.create_table(
        "work_groups",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("solved_by", sa.String(length=500), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("care", sa.String(length=16), nullable=False),
        sa.Column("specialty", sa.String(length=64), nullable=False),
        sa.Column("payer", sa.String(length=64), nullable=False),
        sa.Column("charts", sa.Integer(), nullable=False),
        sa.Column("amount", sa.String(length=32), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("file_by", sa.Date(), nullable=True),
        sa.Column("answer_by", sa.Date(), nullable=True),
        sa.Column("is_emergency", sa.Boolean(), nullable=False),
        sa.Column("is_escalated", sa.Boolean(), nullable=False),
        sa.Column("not_for", sa.String(length=64), nullable=False),
        sa.Column("opened_at", sa.DateTime(), nullable=False),
        sa.Column("due_at", sa.DateTime(), nullable=False),
        sa.Column("closed_at", sa.DateTime(), nullable=True),
        sa.Column("assigned_to", sa.String(length=64), nullable=False),
        sa.Column("taken_by", sa.String(length=64), nullable=False),
        sa.Column("taken_at", sa.DateTime(), nullable=True),
        sa.Column("taken_until", sa.DateTime(), nullable=True),
        sa.Column("held_until", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("work_groups_by_assigned", "work_groups", ["assigned_to", "status", "due_at", "id"])
    op.create_index("work_groups_by_care", "work_groups", ["status", "care", "due_at", "id"])
    op.create_index("work_groups_by_due", "work_groups", ["status", "due_at", "id"])
    op.create_index("work_groups_by_hold", "work_groups", ["status", "held_until"])
    op.create_index("work_groups_by_kind", "work_groups", ["status", "kind", "due_at", "id"])
    op.create_index("work_groups_by_payer", "work_groups", ["status", "payer", "due_at", "id"])
    op.create_index("work_groups_by_solved", "work_groups", ["solved_by"])
    queue = ["status", "care", "specialty", "payer", "kind", "due_at"]
    op.create_index("work_groups_by_queue", "work_groups", queue)
    op.create_index("work_groups_by_opened", "work_groups", ["opened_at"])
    op.create_index("work_groups_by_closed", "work_groups", ["closed_at"])
    op.create_index("work_groups_by_specialty", "work_groups", ["status", "specialty", "due_at", "id"])
    op.create_index("work_groups_by_taken", "work_groups", ["taken_by", "taken_until"])
    op.create_table(
        "work_rules",
        sa.Column("name", sa.String(length=16), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "work_skips",
        sa.Column("item_id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("until", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("item_id", "actor"),
    )
    op.create_table(
        "work_done",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("item_id", sa.Integer(), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("charts", sa.Integer(), nullable=False),
        sa.Column("amount", sa.String(length=32), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("work_done_by_actor", "work_done", ["actor", "at"])
    op.create_index("work_done_by_time", "work_done", ["at"])


def _make_decisions() -> None:
    op.create_table(
        "decisions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("chart_key", sa.String(length=400), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("system", sa.String(length=200), nullable=False),
        sa.Column("code", sa.String(length=200), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("targets", sa.Text(), nullable=False),
        sa.Column("modifiers", sa.Text(), nullable=False),
        sa.Column("pointers", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("item_id", sa.Integer(), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("decided_at", sa.DateTime(), nullable=False),
        sa.Column("withdrawn_at", sa.DateTime(), nullable=True),
        sa.Column("withdrawn_by", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("decisions_by_chart", "decisions", ["chart_key", "id"])
    op.create_index("decisions_by_code", "decisions", ["code", "system", "id"])
    op.create_index("decisions_by_item", "decisions", ["item_id"])
    op.create_table(
        "proposals",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("item_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("system", sa.String(length=200), nullable=False),
        sa.Column("code", sa.String(length=200), nullable=False),
        sa.Column("cells", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("proposed_by", sa.String(length=64), nullable=False),
        sa.Column("proposed_at", sa.DateTime(), nullable=False),
        sa.Column("decided_by", sa.String(length=64), nullable=False),
        sa.Column("decided_at", sa.DateTime(), nullable=True),
        sa.Column("decided_why", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("proposals_by_code", "proposals", ["code", "system", "id"])
    op.create_index("proposals_by_item", "proposals", ["item_id", "id"])
    op.create_index("proposals_by_status", "proposals", ["status", "id"])


def _make_reviews() -> None:
    op.create_table(
        "audits",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("claim_id", sa.String(length=26), nullable=False),
        sa.Column("chart_key", sa.String(length=400), nullable=False),
        sa.Column("payer", sa.String(length=64), nullable=False),
        sa.Column("coder", sa.String(length=64), nullable=False),
        sa.Column("is_blind", sa.Boolean(), nullable=False),
        sa.Column("sampled_by", sa.String(length=64), nullable=False),
        sa.Column("sampled_at", sa.DateTime(), nullable=False),
        sa.Column("reviewed_by", sa.String(length=64), nullable=False),
        sa.Column("reviewed_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("claim_id", name="audits_once"),
    )
    op.create_index("audits_by_review", "audits", ["reviewed_at", "id"])
    op.create_table(
        "audit_codes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("audit_id", sa.Integer(), nullable=False),
        sa.Column("system", sa.String(length=200), nullable=False),
        sa.Column("code", sa.String(length=200), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("billed", sa.String(length=200), nullable=False),
        sa.Column("coder", sa.String(length=64), nullable=False),
        sa.Column("said", sa.String(length=200), nullable=False),
        sa.Column("agrees", sa.Boolean(), nullable=True),
        sa.Column("why", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("audit_codes_by_audit", "audit_codes", ["audit_id", "id"])
    op.create_index("audit_codes_by_coder", "audit_codes", ["coder", "billed"])
    op.create_table(
        "handovers",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("queue", sa.String(length=200), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("handovers_by_queue", "handovers", ["queue", "id"])
