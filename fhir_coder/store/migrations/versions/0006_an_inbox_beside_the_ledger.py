"""Up to where the inbox beside the ledger was filed."""

from alembic import op
import sqlalchemy as sa


revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "inboxes",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("filed", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
