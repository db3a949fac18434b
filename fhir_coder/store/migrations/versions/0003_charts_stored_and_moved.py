"""Charts as they were last folded, and visits that moved."""

from alembic import op
import sqlalchemy as sa


revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Apply. Charts that were folded before get their new columns when they are folded next."""
    op.add_column("charts", sa.Column("status", sa.String(length=16), nullable=True))
    op.add_column("charts", sa.Column("messages", sa.Integer(), nullable=True))
    op.add_column("charts", sa.Column("moved_to", sa.String(length=400), nullable=True))
    op.add_column("charts", sa.Column("body", sa.LargeBinary(), nullable=True))
    op.add_column("charts", sa.Column("content_hash", sa.String(length=64), nullable=True))
    op.create_index("charts_by_folded", "charts", ["folded_at", "key"])
