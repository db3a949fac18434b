"""Which versions of tables a claim was made with, and from which activation on a person has a visit coded."""

from alembic import op
import sqlalchemy as sa


revision = "0007"
down_revision = "0006"

_VERSION = "json_extract(trace.value, '$.version')"


def upgrade() -> None:
    """Apply. The claims of before are listed by their traces; no version had been activated then."""
    op.add_column("charts", sa.Column("coded_from", sa.Integer(), nullable=True))
    op.add_column("claims", sa.Column("tables_as_of", sa.String(length=400), nullable=True))
    op.create_table(
        "claim_tables",
        sa.Column("version", sa.String(length=200), nullable=False),
        sa.Column("claim_id", sa.String(length=26), nullable=False),
        sa.ForeignKeyConstraint(["claim_id"], ["claims.id"]),
        sa.PrimaryKeyConstraint("version", "claim_id"),
    )
    op.create_index("claim_tables_by_claim", "claim_tables", ["claim_id"])
    op.execute(
        f"INSERT INTO claim_tables (version, claim_id) SELECT DISTINCT {_VERSION}, claims.id "
        f"FROM claims, json_each(claims.explained, '$.traces') AS trace WHERE coalesce({_VERSION}, '') != ''"
    )
