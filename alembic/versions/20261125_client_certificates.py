"""Certificates of clients, and the days of their vetting.

Revision: 20261125_client_certificates
Follows: 20261125_digests
"""

from __future__ import annotations

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision: str = "20261125_client_certificates"
down_revision: str | None = "20261125_digests"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Step up."""
    op.execute("set local lock_timeout = '5s'")
    op.create_table(
        "client_certificate",
        sa.Column("client_id", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("thumbprint", sa.LargeBinary(), nullable=False),
        sa.Column("oin", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["client_id"], ["client.client_id"], name=op.f("client_certificate_client_id_fkey")
        ),
        sa.PrimaryKeyConstraint("client_id", "thumbprint", name=op.f("client_certificate_pkey")),
    )
    op.add_column("client", sa.Column("second_factor_stated_on", sa.Date(), nullable=True))
    op.add_column("client", sa.Column("penetration_tested_on", sa.Date(), nullable=True))


def downgrade() -> None:
    """Step down."""
    op.execute("set local lock_timeout = '5s'")
    op.drop_column("client", "penetration_tested_on")
    op.drop_column("client", "second_factor_stated_on")
    op.drop_table("client_certificate")
