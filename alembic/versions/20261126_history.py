"""What became of live registrations, by stratum and weeks to 1 October.

Revision: 20261126_history
Follows: 20261126_record_removal
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "20261126_history"
down_revision: str | None = "20261126_record_removal"
branch_labels: str | None = None
depends_on: str | None = None

_TABLES = ("statistics_history", "statistics_carried_history")


def upgrade() -> None:
    """Step up."""
    op.execute("set local lock_timeout = '5s'")
    for table in _TABLES:
        op.create_table(
            table,
            sa.Column("school_year", sa.SmallInteger(), autoincrement=False, nullable=False),
            sa.Column("weeks", sa.SmallInteger(), autoincrement=False, nullable=False),
            sa.Column("brin", sa.String(), nullable=False),
            sa.Column("live_of_student", sa.SmallInteger(), autoincrement=False, nullable=False),
            sa.Column("status", sa.String(length=30), nullable=False),
            sa.Column("live", sa.BigInteger(), nullable=False),
            sa.Column("enrolled", sa.BigInteger(), nullable=False),
            sa.PrimaryKeyConstraint(
                "school_year", "weeks", "brin", "live_of_student", "status", name=op.f(f"{table}_pkey")
            ),
        )


def downgrade() -> None:
    """Step down."""
    op.execute("set local lock_timeout = '5s'")
    for table in _TABLES:
        op.drop_table(table)
