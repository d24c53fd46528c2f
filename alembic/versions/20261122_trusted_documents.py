"""Documents that clients have registered.

Revision: 20261122_trusted_documents
Follows: 20261122_rates
"""

from __future__ import annotations

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision: str = "20261122_trusted_documents"
down_revision: str | None = "20261122_rates"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Step up."""
    op.execute("set local lock_timeout = '5s'")
    op.create_table(
        "trusted_document",
        sa.Column("client_id", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("document_id", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("text", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["client_id"], ["client.client_id"], name=op.f("trusted_document_client_id_fkey")
        ),
        sa.PrimaryKeyConstraint("client_id", "document_id", name=op.f("trusted_document_pkey")),
    )
    op.add_column(
        "client", sa.Column("trusted_only", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )


def downgrade() -> None:
    """Step down."""
    op.execute("set local lock_timeout = '5s'")
    op.drop_column("client", "trusted_only")
    op.drop_table("trusted_document")
