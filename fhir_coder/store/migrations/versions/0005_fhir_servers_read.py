"""How far each FHIR server was read."""

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Apply."""
