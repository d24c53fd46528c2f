"""Subjects of external issuers.

Revision: 20261125_foreign_subjects
Follows: 20261125_pending_subjects
"""

from __future__ import annotations

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision: str = "20261125_foreign_subjects"
down_revision: str | None = "20261125_pending_subjects"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Step up."""
    op.execute("set local lock_timeout = '5s'")
    op.create_table(
        "foreign_subject",
        sa.Column("issuer", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("subject", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("client_id", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["client_id"], ["client.client_id"], name=op.f("foreign_subject_client_id_fkey")
        ),
        sa.PrimaryKeyConstraint("issuer", "subject", name=op.f("foreign_subject_pkey")),
    )


def downgrade() -> None:
    """Step down."""
    op.execute("set local lock_timeout = '5s'")
    op.drop_table("foreign_subject")
