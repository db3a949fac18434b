"""Several claims of one visit, and claims that void another."""

from alembic import op
import sqlalchemy as sa


revision = "0004"
down_revision = "0003"

_KEPT = (
    "id, identifier, chart_key, payer, revision, status, hold, stale, body, content_hash, explained, total, currency, "
    "replaces, payer_reference, adjudication, created_at, updated_at"
)
_KIND = "coalesce(json_extract(CAST(body AS TEXT), '$.type.coding[0].code'), 'professional')"


def upgrade() -> None:
    """Apply. Every claim keeps its identifier; its slot is that of the kind it was made as.

    A table constraint changes, so the table is made anew. Attempts point to its rows: the rows leave and come back
    under the same ids within this transaction, and only its end checks that they did.
    """
    op.execute("PRAGMA defer_foreign_keys = ON")
    op.execute(f"CREATE TEMPORARY TABLE claims_kept AS SELECT {_KEPT}, {_KIND} || '-1' AS slot FROM claims")
    op.drop_table("claims")
    op.create_table(
        "claims",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("identifier", sa.String(length=64), nullable=False),
        sa.Column("chart_key", sa.String(length=400), nullable=False),
        sa.Column("payer", sa.String(length=64), nullable=False),
        sa.Column("slot", sa.String(length=24), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("hold", sa.String(length=16), nullable=False),
        sa.Column("stale", sa.Boolean(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("content_hash", sa.String(length=64), nullable=False),
        sa.Column("explained", sa.Text(), nullable=False),
        sa.Column("total", sa.String(length=32), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("replaces", sa.String(length=64), nullable=False),
        sa.Column("payer_reference", sa.String(length=400), nullable=False),
        sa.Column("adjudication", sa.Text(), nullable=False),
        sa.Column("file_by", sa.Date(), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["chart_key"], ["charts.key"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("chart_key", "slot", "revision", name="claims_one_per_revision"),
        sa.UniqueConstraint("identifier"),
    )
    op.execute(f"INSERT INTO claims ({_KEPT}, slot, purpose) SELECT {_KEPT}, slot, 'bill' FROM claims_kept")
    op.execute("DROP TABLE claims_kept")
    op.create_index("claims_by_status", "claims", ["status", "id"])
