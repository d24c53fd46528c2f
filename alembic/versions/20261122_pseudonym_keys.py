"""Which keys of pseudonyms students are written with.

Revision: 20261122_pseudonym_keys
Follows: 20261122_webhooks
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "20261122_pseudonym_keys"
down_revision: str | None = "20261122_webhooks"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Step up."""
    op.execute("set local lock_timeout = '5s'")
    op.create_table(
        "pseudonym_key",
        sa.Column("version", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("switched_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("version", name=op.f("pseudonym_key_pkey")),
    )


def downgrade() -> None:
    """Step down."""
    op.execute("set local lock_timeout = '5s'")
    op.drop_table("pseudonym_key")
