"""Messages counted by day, and deliveries as frozen.

Revision: 20261125_deliveries
Follows: 20261125_client_certificates
"""

from __future__ import annotations

import sqlalchemy as sa
import sqlmodel
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "20261125_deliveries"
down_revision: str | None = "20261125_client_certificates"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Step up."""
    op.execute("set local lock_timeout = '5s'")
    op.create_table(
        "completeness",
        sa.Column("brin", sa.String(collation="C"), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("registrations", sa.Integer(), nullable=False),
        sa.Column("from_cambo", sa.Integer(), nullable=False),
        sa.Column("unconfirmed", sa.Integer(), nullable=False),
        sa.Column("compared", sa.Integer(), nullable=False),
        sa.Column("stuck", sa.Integer(), nullable=False),
        sa.Column("elsewhere", sa.Float(), nullable=True),
        sa.Column("findings", postgresql.ARRAY(sa.String()), nullable=False),
        sa.Column("senders", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("sender_registrations", postgresql.ARRAY(sa.Integer()), nullable=False),
        sa.Column("sender_compared", postgresql.ARRAY(sa.Integer()), nullable=False),
        sa.Column("sender_stuck", postgresql.ARRAY(sa.Integer()), nullable=False),
        sa.PrimaryKeyConstraint("brin", name=op.f("completeness_pkey")),
    )
    op.create_table(
        "delivery_day",
        sa.Column("brin", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("organisation_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("messages", sa.Integer(), nullable=False),
        sa.Column("unusual", sa.Integer(), nullable=False),
        sa.Column("late", sa.Integer(), nullable=False),
        sa.Column("delays", postgresql.ARRAY(sa.Integer()), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("brin", "organisation_id", "day", name=op.f("delivery_day_pkey")),
    )
    op.create_table(
        "delivery_progress",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("counted_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("refused_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("delivery_progress_pkey")),
    )
    op.create_table(
        "delivery_refusal",
        sa.Column("brin", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("organisation_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column(
            "code",
            sa.Enum(
                "PERSONAL_NUMBER_INVALID",
                "FIELD_INVALID",
                "NO_MANDATE",
                "OTHER_INSTITUTION",
                "OTHER_STUDENT",
                "MESSAGE_ID_REUSED",
                "UNKNOWN_INSTITUTION",
                "UNKNOWN_REGISTRATION",
                "IN_THE_FUTURE",
                "REFERENCE_IN_USE",
                "ALREADY_ENROLLED",
                name="refusal",
                native_enum=False,
                length=30,
            ),
            nullable=False,
        ),
        sa.Column("messages", sa.Integer(), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("brin", "organisation_id", "day", "code", name=op.f("delivery_refusal_pkey")),
    )
    op.create_table(
        "sender_delivery",
        sa.Column("brin", sa.String(collation="C"), nullable=False),
        sa.Column("organisation_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "DELIVERING", "NEW", "SILENT", "NEVER_HEARD", name="senderstate", native_enum=False, length=30
            ),
            nullable=False,
        ),
        sa.Column("last_message_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("usual_gap", sa.Integer(), nullable=True),
        sa.Column("long_gap", sa.Integer(), nullable=True),
        sa.Column("days_without", sa.Integer(), nullable=False),
        sa.Column("silent_after", sa.Integer(), nullable=False),
        sa.Column("messages", sa.Integer(), nullable=False),
        sa.Column("refused", sa.Integer(), nullable=False),
        sa.Column("unusual", sa.Integer(), nullable=False),
        sa.Column("late", sa.Integer(), nullable=False),
        sa.Column("delays", postgresql.ARRAY(sa.Integer()), nullable=False),
        sa.Column("registrations", sa.Integer(), nullable=False),
        sa.Column("stuck", sa.Integer(), nullable=False),
        sa.Column("findings", postgresql.ARRAY(sa.String()), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisation.id"], name=op.f("sender_delivery_organisation_id_fkey")
        ),
        sa.PrimaryKeyConstraint("brin", "organisation_id", name=op.f("sender_delivery_pkey")),
    )


def downgrade() -> None:
    """Step down."""
    op.execute("set local lock_timeout = '5s'")
    op.drop_table("sender_delivery")
    op.drop_table("delivery_refusal")
    op.drop_table("delivery_progress")
    op.drop_table("delivery_day")
    op.drop_table("completeness")
