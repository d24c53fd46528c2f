"""Links to exports.

Revision: 20261125_export_links
Follows: 20261125_published_tables
"""

from __future__ import annotations

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision: str = "20261125_export_links"
down_revision: str | None = "20261125_published_tables"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Step up."""
    op.execute("set local lock_timeout = '5s'")
    op.create_table(
        "export_link",
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("client_id", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("organisation_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "format",
            sa.Enum("CSV", "XLSX", name="exportformat", native_enum=False, length=30),
            nullable=False,
        ),
        sa.Column("school_year", sa.SmallInteger(), nullable=True),
        sa.Column("without_live_registration", sa.Boolean(), nullable=True),
        sa.Column("on_date", sa.Date(), nullable=True),
        sa.PrimaryKeyConstraint("secret_hash", name=op.f("export_link_pkey")),
    )
    op.create_index("export_link_expires_at_idx", "export_link", ["expires_at"], unique=False)


def downgrade() -> None:
    """Step down."""
    op.execute("set local lock_timeout = '5s'")
    op.drop_index("export_link_expires_at_idx", table_name="export_link")
    op.drop_table("export_link")
