"""The cube: cells by dimension, and what removed students leave in them.

Revision: 20261125_cube
Follows: 20261125_foreign_subjects
"""

from __future__ import annotations

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision: str = "20261125_cube"
down_revision: str | None = "20261125_foreign_subjects"
branch_labels: str | None = None
depends_on: str | None = None

_MEASURES = (
    "registrations",
    "live",
    "multiple",
    "multiple_live",
    "students",
    "own_multiple",
    "own_multiple_live",
    "expected",
    "variance",
)


def _cell_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("school_year", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("dimension", sa.String(length=30), nullable=False),
        sa.Column("brin", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("category", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        *(sa.Column(measure, sa.BigInteger(), nullable=False) for measure in _MEASURES),
    ]


def upgrade() -> None:
    """Step up."""
    op.execute("set local lock_timeout = '5s'")
    # Frozen figures are made anew by the next refresh, in the new form.
    op.drop_table("statistics_cell")
    op.execute("delete from statistics_snapshot")
    op.create_table(
        "statistics_cell",
        sa.Column("snapshot_id", sa.BigInteger(), autoincrement=False, nullable=False),
        *_cell_columns(),
        sa.ForeignKeyConstraint(
            ["snapshot_id"], ["statistics_snapshot.id"], name=op.f("statistics_cell_snapshot_id_fkey")
        ),
        sa.PrimaryKeyConstraint(
            "snapshot_id", "school_year", "dimension", "brin", "category", name=op.f("statistics_cell_pkey")
        ),
    )
    op.create_table(
        "statistics_carried_cell",
        *_cell_columns(),
        sa.PrimaryKeyConstraint(
            "school_year", "dimension", "brin", "category", name=op.f("statistics_carried_cell_pkey")
        ),
    )
    op.create_table(
        "statistics_carried_stratum",
        sa.Column("school_year", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("brin", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("programme_code", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("live_of_student", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("status", sa.String(length=30), nullable=False),
        sa.Column("registrations", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "school_year",
            "brin",
            "programme_code",
            "live_of_student",
            "status",
            name=op.f("statistics_carried_stratum_pkey"),
        ),
    )


def downgrade() -> None:
    """Step down."""
    op.execute("set local lock_timeout = '5s'")
    op.drop_table("statistics_carried_stratum")
    op.drop_table("statistics_carried_cell")
    op.drop_table("statistics_cell")
    op.execute("delete from statistics_snapshot")
    op.create_table(
        "statistics_cell",
        sa.Column("snapshot_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("school_year", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("brin", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("programme_code", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("registrations", sa.Integer(), nullable=False),
        sa.Column("live", sa.Integer(), nullable=False),
        sa.Column("multiple", sa.Integer(), nullable=False),
        sa.Column("multiple_live", sa.Integer(), nullable=False),
        sa.Column("students", sa.Integer(), nullable=False),
        sa.Column("expected_enrolments", sa.Float(), nullable=False),
        sa.Column("expected_variance", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["snapshot_id"], ["statistics_snapshot.id"], name=op.f("statistics_cell_snapshot_id_fkey")
        ),
        sa.PrimaryKeyConstraint(
            "snapshot_id", "school_year", "brin", "programme_code", name=op.f("statistics_cell_pkey")
        ),
    )
