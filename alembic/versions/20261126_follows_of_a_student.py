"""An index of all follows by student, those that have ended too.

Revision: 20261126_follows_of_a_student
Follows: 20261126_links_to_overviews
"""

from __future__ import annotations

from alembic import op

revision: str = "20261126_follows_of_a_student"
down_revision: str | None = "20261126_links_to_overviews"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Step up. Who follows waits while it is built: some seconds for a million follows."""
    op.execute("set local lock_timeout = '5s'")
    op.create_index("follow_student_id_idx", "follow", ["student_id"], unique=False)


def downgrade() -> None:
    """Step down."""
    op.execute("set local lock_timeout = '5s'")
    op.drop_index("follow_student_id_idx", table_name="follow")
