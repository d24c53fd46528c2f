"""Whom a pending event is about, beside its id, so that numbering need not look it up.

Revision: 20261125_pending_subjects
Follows: 20261125_deliveries
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "20261125_pending_subjects"
down_revision: str | None = "20261125_deliveries"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Step up. Both may be null: hubs from before this step leave them out."""
    op.execute("set local lock_timeout = '5s'")
    op.add_column("pending_event", sa.Column("student_id", sa.BigInteger(), nullable=True))
    op.add_column("pending_event", sa.Column("vavo", sa.Boolean(), nullable=True))


def downgrade() -> None:
    """Step down."""
    op.execute("set local lock_timeout = '5s'")
    op.drop_column("pending_event", "vavo")
    op.drop_column("pending_event", "student_id")
