"""Charts as they were last folded, and visits that moved."""

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Apply."""
