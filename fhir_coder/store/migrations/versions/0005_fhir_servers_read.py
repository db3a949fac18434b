"""How far each FHIR server was read, and which resources came over HTTP."""

from alembic import op
import sqlalchemy as sa


revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "fhir_servers",
        sa.Column("feed", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.Column("since", sa.DateTime(), nullable=False),
        sa.Column("read_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("feed"),
    )
    op.create_table(
        "fhir_searches",
        sa.Column("feed", sa.String(length=64), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("watermark", sa.DateTime(), nullable=True),
        sa.Column("next_link", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("feed", "type"),
    )
    op.create_table(
        "fhir_exports",
        sa.Column("feed", sa.String(length=64), nullable=False),
        sa.Column("level", sa.String(length=80), nullable=False),
        sa.Column("status_url", sa.Text(), nullable=False),
        sa.Column("manifest", sa.Text(), nullable=False),
        sa.Column("files_read", sa.Integer(), nullable=False),
        sa.Column("watermark", sa.String(length=40), nullable=False),
        sa.Column("finished_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("feed"),
    )
    op.add_column("messages", sa.Column("answered", sa.Text(), nullable=True))
    op.create_table(
        "fhir_resources",
        sa.Column("feed", sa.String(length=64), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("message_id", sa.String(length=26), nullable=False),
        sa.Column("path", sa.String(length=200), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("changed_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"]),
        sa.PrimaryKeyConstraint("feed", "type", "id"),
    )
    op.create_index("fhir_resources_by_message", "fhir_resources", ["message_id"])
    op.create_table(
        "fhir_identifiers",
        sa.Column("digest", sa.String(length=32), nullable=False),
        sa.Column("feed", sa.String(length=64), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("digest", "feed", "type", "id"),
    )
    op.create_index("fhir_identifiers_by_resource", "fhir_identifiers", ["feed", "type", "id"])
