"""What payers sent unasked: decisions called back, and notifications of Subscriptions."""

from alembic import op
import sqlalchemy as sa


revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "payer_answers",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("payer", sa.String(length=64), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.DateTime(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False, server_default=""),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("payer", "sha256", name="payer_answers_once"),
    )
    op.create_index("payer_answers_by_status", "payer_answers", ["status", "id"])
    named = sa.text("payer_reference != ''")
    op.create_index("claims_by_reference", "claims", ["payer", "payer_reference"], sqlite_where=named)
