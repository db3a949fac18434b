"""Claims of one payer, listed newest first."""

from alembic import op


revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Apply."""
    op.create_index("claims_by_payer", "claims", ["payer", "id"])
    op.create_index("claims_by_payer_and_status", "claims", ["payer", "status", "id"])
