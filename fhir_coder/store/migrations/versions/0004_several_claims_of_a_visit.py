"""Several claims of one visit, and claims that void another."""

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Apply."""
