"""Estimates from what may be known: no chances by student, statuses alone, outcomes as institutions saw them.

Revision: 20261126_status_mix
Follows: 20261126_history
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "20261126_status_mix"
down_revision: str | None = "20261126_history"
branch_labels: str | None = None
depends_on: str | None = None

_CELLS = ("statistics_cell", "statistics_carried_cell")
_CHANCES = ("expected", "variance")
_OUTCOMES = ("statistics_history", "statistics_carried_history")


def _create(table: str, *more: sa.Column[int]) -> None:
    key = ["school_year", "brin", "programme_code", *(column.name for column in more), "status"]
    op.create_table(
        table,
        sa.Column("school_year", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("brin", sa.String(), nullable=False),
        sa.Column("programme_code", sa.String(), nullable=False),
        *more,
        sa.Column("status", sa.String(length=30), nullable=False),
        sa.Column("registrations", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(*key, name=op.f(f"{table}_pkey")),
    )


def upgrade() -> None:
    """Step up."""
    op.execute("set local lock_timeout = '5s'")
    _create("statistics_carried_mix")
    op.execute(
        "insert into statistics_carried_mix (school_year, brin, programme_code, status, registrations)"
        " select school_year, brin, programme_code, status, sum(registrations)"
        " from statistics_carried_stratum group by school_year, brin, programme_code, status"
    )
    op.drop_table("statistics_carried_stratum")
    for table in _CELLS:
        for column in _CHANCES:
            op.drop_column(table, column)
    for table in _OUTCOMES:
        op.add_column(table, sa.Column("enrolled_here", sa.BigInteger(), nullable=True))
        op.execute(f"update {table} set enrolled_here = enrolled")  # noqa: S608 - constants
        op.alter_column(table, "enrolled_here", nullable=False)
    # The next refresh makes estimates anew, also beside figures that stand still.
    op.execute(
        "update statistics_table set content = jsonb_set(content, '{block,beside}', '{}')"
        " where name = 'MULTIPLE_LIVE'"
    )


def downgrade() -> None:
    """Step down; chances of removed students, and how many registrations they had, do not come back."""
    op.execute("set local lock_timeout = '5s'")
    for table in _OUTCOMES:
        op.drop_column(table, "enrolled_here")
    for table in _CELLS:
        for column in _CHANCES:
            op.add_column(
                table, sa.Column(column, sa.BigInteger(), nullable=False, server_default=sa.text("0"))
            )
            op.alter_column(table, column, server_default=None)
    _create(
        "statistics_carried_stratum",
        sa.Column("live_of_student", sa.SmallInteger(), autoincrement=False, nullable=False),
    )
    op.execute(
        "insert into statistics_carried_stratum"
        " (school_year, brin, programme_code, live_of_student, status, registrations)"
        " select school_year, brin, programme_code, 1, status, registrations from statistics_carried_mix"
    )
    op.drop_table("statistics_carried_mix")
