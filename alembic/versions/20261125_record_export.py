"""How far both logs have been exported.

Revision: 20261125_record_export
Follows: 20261125_export_links
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "20261125_record_export"
down_revision: str | None = "20261125_export_links"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Step up."""
    op.execute("set local lock_timeout = '5s'")
    op.create_table(
        "record_export",
        sa.Column(
            "log",
            sa.Enum("processing", "security", name="recordlog", native_enum=False, length=30),
            nullable=False,
        ),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("exported_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("log", name=op.f("record_export_pkey")),
    )


def downgrade() -> None:
    """Step down."""
    op.execute("set local lock_timeout = '5s'")
    op.drop_table("record_export")
