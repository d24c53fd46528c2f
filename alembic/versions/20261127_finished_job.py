"""When background jobs were last done, so that a new process does not do them at once again.

Revision: 20261127_finished_job
Follows: 20261126_status_mix
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "20261127_finished_job"
down_revision: str | None = "20261126_status_mix"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Step up."""
    op.execute("set local lock_timeout = '5s'")
    op.create_table(
        "finished_job",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("finished_job_pkey")),
    )


def downgrade() -> None:
    """Step down."""
    op.execute("set local lock_timeout = '5s'")
    op.drop_table("finished_job")
