"""Finding messages fast, by keyed hashes of people's identifiers too, and corrections that name what they correct."""

from alembic import op
import sqlalchemy as sa


revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Apply. No table is copied: a ledger of a million messages is brought up to date in place."""
    op.add_column("messages", sa.Column("corrects", sa.String(length=26), nullable=True))
    op.create_index("messages_by_feed", "messages", ["feed", "id", "status"])
    op.create_index("messages_by_type", "messages", ["type", "id"])
    op.create_index("messages_by_own_control_id", "messages", ["control_id", "id"])
    is_correction = sa.text("corrects IS NOT NULL")
    op.create_index(
        "messages_by_corrected",
        "messages",
        ["corrects"],
        sqlite_where=is_correction,
        postgresql_where=is_correction,
    )
    op.create_table(
        "message_people",
        sa.Column("digest", sa.String(length=32), nullable=False),
        sa.Column("message_id", sa.String(length=26), nullable=False),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"]),
        sa.PrimaryKeyConstraint("digest", "message_id"),
    )
    op.create_index("message_people_by_message", "message_people", ["message_id"])
