"""What was sent for a claim, byte for byte; a lane of work for each payer; the payers' breakers."""

from alembic import op
import sqlalchemy as sa


revision = "0008"
down_revision = "0007"

_CLAIM = "(SELECT {} FROM claims WHERE claims.id = work.key)"
_OF_A_PAYER = "stage IN ('submit', 'poll') AND key IN (SELECT id FROM claims)"
_RANK = (
    "coalesce(date(file_by, 'weekday 0', '-6 days'), '9999-12-31') || ' ' || "
    "printf('%015d', 999999999999999 - CAST(round(100 * CAST(total AS REAL)) AS INTEGER)) || ' ' || substr(id, 1, 10)"
)


def upgrade() -> None:
    """Apply. Work that waits is put into its payer's lane, with the rank it would get now."""
    op.add_column("attempts", sa.Column("request_line", sa.Text(), nullable=False, server_default=""))
    op.add_column("attempts", sa.Column("request_headers", sa.Text(), nullable=False, server_default=""))
    op.add_column("attempts", sa.Column("request_body", sa.LargeBinary(), nullable=True))
    op.add_column("attempts", sa.Column("response_headers", sa.Text(), nullable=False, server_default=""))
    op.create_table(
        "submissions",
        sa.Column("claim_id", sa.String(length=26), nullable=False),
        sa.Column("method", sa.String(length=8), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("prepared_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["claim_id"], ["claims.id"]),
        sa.PrimaryKeyConstraint("claim_id"),
    )
    op.create_table(
        "breakers",
        sa.Column("payer", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("openings", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(), nullable=False),
        sa.Column("resume_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("payer"),
    )
    op.add_column("work", sa.Column("lane", sa.String(length=80), nullable=False, server_default=""))
    op.add_column("work", sa.Column("rank", sa.String(length=48), nullable=False, server_default=""))
    op.execute(f"UPDATE work SET lane = stage || ' ' || {_CLAIM.format('payer')} WHERE {_OF_A_PAYER}")
    op.execute(f"UPDATE work SET rank = {_CLAIM.format(_RANK)} WHERE lane LIKE 'submit %'")
    op.drop_index("work_by_due", "work")
    op.create_index("work_by_due", "work", ["lane", "due_at"])
    op.create_index("work_by_rank", "work", ["lane", "rank", "due_at"], sqlite_where=sa.text("rank != ''"))
