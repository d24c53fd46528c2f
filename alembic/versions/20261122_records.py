"""The security log and the processing log.

Revision: 20261122_records
Follows: 20261122_pseudonym_keys
"""

from __future__ import annotations

import sqlalchemy as sa
import sqlmodel
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "20261122_records"
down_revision: str | None = "20261122_pseudonym_keys"
branch_labels: str | None = None
depends_on: str | None = None

_TABLES = ("security_record", "processing_record")


def upgrade() -> None:
    """Step up."""
    op.execute("set local lock_timeout = '5s'")
    text = sqlmodel.sql.sqltypes.AutoString
    op.create_table(
        "security_record",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "event",
            sa.Enum(
                "TOKEN_ISSUED",
                "TOKEN_REFUSED",
                "CLIENT_ADDED",
                "CLIENT_REVOKED",
                "MANDATE_ADDED",
                "MANDATE_REMOVED",
                "SIGNING_KEY_ADDED",
                "PSEUDONYM_KEY_ADDED",
                "PSEUDONYMS_ROTATED",
                "ACCESS_REFUSED",
                name="securityevent",
                native_enum=False,
                length=30,
            ),
            nullable=False,
        ),
        sa.Column(
            "outcome",
            sa.Enum("DONE", "REFUSED", name="securityoutcome", native_enum=False, length=30),
            nullable=False,
        ),
        sa.Column("actor", text(), nullable=True),
        sa.Column("on_behalf_of", text(), nullable=True),
        sa.Column("subject", text(), nullable=True),
        sa.Column("detail", text(), nullable=True),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("security_record_pkey")),
    )
    op.create_index("security_record_at_idx", "security_record", ["at"], unique=False)
    op.create_table(
        "processing_record",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("trace_id", text(), nullable=False),
        sa.Column("span_id", text(), nullable=False),
        sa.Column(
            "activity",
            sa.Enum(
                "report-statuses",
                "correct-registrations",
                "follow-students",
                "read-registrations",
                "read-followed-students",
                "read-status-changes",
                "deliver-status-changes",
                "read-message-results",
                name="activity",
                native_enum=False,
                length=30,
            ),
            nullable=False,
        ),
        sa.Column("organisation_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("client_id", text(), nullable=False),
        sa.Column(
            "status", sa.Enum("OK", name="processingstatus", native_enum=False, length=30), nullable=False
        ),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("first_number", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("last_number", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("student_ids", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("processing_record_pkey")),
    )
    # Rows leave only when they are as old as may be kept, which is a DELETE; nobody changes one.
    op.execute(
        "create function refuse_change() returns trigger language plpgsql as "
        "$$begin raise exception 'records are not changed'; end$$"
    )
    for table in _TABLES:
        op.execute(
            f"create trigger {table}_is_append_only before update or truncate on {table} "
            "for each statement execute function refuse_change()"
        )


def downgrade() -> None:
    """Step down."""
    op.execute("set local lock_timeout = '5s'")
    op.drop_table("processing_record")
    op.drop_index("security_record_at_idx", table_name="security_record")
    op.drop_table("security_record")
    op.execute("drop function refuse_change()")
