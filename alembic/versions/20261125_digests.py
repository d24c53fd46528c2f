"""An index by the hash of the application id, for digests.

Revision: 20261125_digests
Follows: 20261122_trusted_documents
"""

from __future__ import annotations

from alembic import op

revision: str = "20261125_digests"
down_revision: str | None = "20261122_trusted_documents"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Step up. Writers wait while it is built: some seconds for a million registrations.

    Not concurrently: that waits for every older snapshot, those of hubs that queue for the lock of the
    migrations among them, and neither would ever go on.
    """
    op.execute("set local lock_timeout = '5s'")
    op.execute(
        "create index registration_digest_idx on registration "
        r"(brin, school_year, sha256(replace(application_id, '\', '\\')::bytea))"
    )


def downgrade() -> None:
    """Step down."""
    op.execute("set local lock_timeout = '5s'")
    op.drop_index("registration_digest_idx", table_name="registration")
