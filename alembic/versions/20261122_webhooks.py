"""Webhooks of receivers.

Revision: 20261122_webhooks
Follows: 20261122_the_hub
"""

from __future__ import annotations

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision: str = "20261122_webhooks"
down_revision: str | None = "20261122_the_hub"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Step up."""
    op.execute("set local lock_timeout = '5s'")
    op.create_table(
        "webhook",
        sa.Column("organisation_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("webhook_id", sa.Uuid(), nullable=False),
        sa.Column("url", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("sealed_secret", sa.LargeBinary(), nullable=False),
        sa.Column(
            "state",
            sa.Enum("ACTIVE", "RETRYING", "STOPPED", name="webhookstate", native_enum=False, length=30),
            nullable=False,
        ),
        sa.Column("delivered_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("notification_id", sa.Uuid(), nullable=True),
        sa.Column("notification_number", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("notification_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "last_problem",
            sa.Enum(
                "NAME_NOT_FOUND",
                "ADDRESS_NOT_ALLOWED",
                "NOT_CONNECTED",
                "CERTIFICATE_REFUSED",
                "TIMED_OUT",
                "NOT_HTTP",
                "REDIRECTED",
                "GONE",
                "TOO_MANY_REQUESTS",
                "REFUSED",
                "FAILED",
                "SECRET_UNREADABLE",
                name="webhookproblem",
                native_enum=False,
                length=30,
            ),
            nullable=True,
        ),
        sa.Column("lease", sa.Uuid(), nullable=True),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["feed.organisation_id"], name=op.f("webhook_organisation_id_fkey")
        ),
        sa.PrimaryKeyConstraint("organisation_id", name=op.f("webhook_pkey")),
        sa.UniqueConstraint("webhook_id", name=op.f("webhook_webhook_id_key")),
    )


def downgrade() -> None:
    """Step down."""
    op.execute("set local lock_timeout = '5s'")
    op.drop_table("webhook")
