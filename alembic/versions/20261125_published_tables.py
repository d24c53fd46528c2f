"""Tables of figures as they may be read.

Revision: 20261125_published_tables
Follows: 20261125_cube
"""

from __future__ import annotations

import sqlalchemy as sa
import sqlmodel
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "20261125_published_tables"
down_revision: str | None = "20261125_cube"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Step up."""
    op.execute("set local lock_timeout = '5s'")
    op.create_table(
        "statistics_table",
        sa.Column("snapshot_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("school_year", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=30), nullable=False),
        sa.Column("of", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("content", postgresql.JSONB(), nullable=False),
        sa.ForeignKeyConstraint(
            ["snapshot_id"], ["statistics_snapshot.id"], name=op.f("statistics_table_snapshot_id_fkey")
        ),
        sa.PrimaryKeyConstraint(
            "snapshot_id", "school_year", "name", "of", name=op.f("statistics_table_pkey")
        ),
    )
    # A snapshot without tables tells nothing; the next refresh makes both.
    op.execute("delete from statistics_cell")
    op.execute("delete from statistics_snapshot")


def downgrade() -> None:
    """Step down."""
    op.execute("set local lock_timeout = '5s'")
    op.drop_table("statistics_table")
