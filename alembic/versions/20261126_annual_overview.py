"""Overviews of 1 October.

Revision: 20261126_annual_overview
Follows: 20261125_record_export
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "20261126_annual_overview"
down_revision: str | None = "20261125_record_export"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Step up."""
    op.execute("set local lock_timeout = '5s'")
    op.create_table(
        "annual_overview_table",
        sa.Column("school_year", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=30), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("content", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("school_year", "name", name=op.f("annual_overview_table_pkey")),
    )


def downgrade() -> None:
    """Step down."""
    op.execute("set local lock_timeout = '5s'")
    op.drop_table("annual_overview_table")
