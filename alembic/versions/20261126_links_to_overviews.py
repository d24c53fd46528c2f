"""Links to annual overviews.

Revision: 20261126_links_to_overviews
Follows: 20261126_annual_overview
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "20261126_links_to_overviews"
down_revision: str | None = "20261126_annual_overview"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Step up."""
    op.execute("set local lock_timeout = '5s'")
    op.add_column("export_link", sa.Column("overview_of", sa.SmallInteger(), nullable=True))


def downgrade() -> None:
    """Step down."""
    op.execute("set local lock_timeout = '5s'")
    # Without the column such a link would be one to followed students.
    op.execute("delete from export_link where overview_of is not null")
    op.drop_column("export_link", "overview_of")
