"""The hub's first tables.

Revision: 20261122_the_hub
"""

from __future__ import annotations

import sqlalchemy as sa
import sqlmodel
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "20261122_the_hub"
down_revision: str | None = None
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Step up."""
    op.execute("set local lock_timeout = '5s'")
    op.execute(sa.schema.CreateSequence(sa.Sequence("feed_batch_seq")))
    op.create_table(
        "client_assertion",
        sa.Column("client_id", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("jti", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("client_id", "jti", name=op.f("client_assertion_pkey")),
    )
    op.create_index("client_assertion_expires_at_idx", "client_assertion", ["expires_at"], unique=False)
    op.create_table(
        "feed_entry",
        sa.Column("organisation_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("batch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("follow_id", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("numbered_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("organisation_id", "number", name=op.f("feed_entry_pkey")),
    )
    op.create_index("feed_entry_batch_idx", "feed_entry", ["batch"], unique=False)
    op.create_table(
        "institution",
        sa.Column("brin", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("name", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("region", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.PrimaryKeyConstraint("brin"),
    )
    op.create_table(
        "organisation",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("oin", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column(
            "role",
            sa.Enum(
                "sis",
                "os",
                "institution",
                "cambo",
                "region",
                "operator",
                name="role",
                native_enum=False,
                length=30,
            ),
            nullable=False,
        ),
        sa.Column("name", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("region", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("organisation_pkey")),
        sa.UniqueConstraint("oin", "role", name=op.f("organisation_oin_role_key")),
    )
    op.create_table(
        "pending_event",
        sa.Column("event_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pending_event_pkey")),
    )
    op.create_table(
        "programme",
        sa.Column("code", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("name", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("level", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("code"),
    )
    op.create_table(
        "refused_message",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("organisation_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("brin", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
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
        sa.Column("field", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("refused_message_pkey")),
    )
    op.create_index(
        "refused_message_brin_received_at_idx", "refused_message", ["brin", "received_at"], unique=False
    )
    op.create_index(
        "refused_message_organisation_id_message_id_idx",
        "refused_message",
        ["organisation_id", "message_id", "id"],
        unique=False,
    )
    op.create_table(
        "school",
        sa.Column("code", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("region", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.PrimaryKeyConstraint("code"),
    )
    op.create_table(
        "statistics_snapshot",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("statistics_snapshot_pkey")),
    )
    op.create_table(
        "status_event",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True, cache=1), nullable=False),
        sa.Column("registration_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("student_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("organisation_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "STATUS",
                "DATA",
                "CORRECTED",
                "ANNULLED",
                "HIDDEN",
                "OUTDATED",
                name="changekind",
                native_enum=False,
                length=30,
            ),
            nullable=False,
        ),
        sa.Column(
            "status",
            sa.Enum(
                "RECEIVED",
                "OFFERED",
                "ENROLLED",
                "WITHDRAWN",
                "REJECTED",
                name="status",
                native_enum=False,
                length=30,
            ),
            nullable=False,
        ),
        sa.Column(
            "previous_status",
            sa.Enum(
                "RECEIVED",
                "OFFERED",
                "ENROLLED",
                "WITHDRAWN",
                "REJECTED",
                name="status",
                native_enum=False,
                length=30,
            ),
            nullable=True,
        ),
        sa.Column(
            "learning_path",
            sa.Enum(
                "BOL",
                "BBL",
                "OVO",
                "ODT",
                "EX",
                "NFO",
                "VAVO",
                name="learningpath",
                native_enum=False,
                length=30,
            ),
            nullable=False,
        ),
        sa.Column(
            "source",
            sa.Enum("CAMBO", "SIS", name="statussource", native_enum=False, length=30),
            nullable=False,
        ),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("status_event_pkey")),
    )
    op.create_index(
        "status_event_registration_id_id_idx", "status_event", ["registration_id", "id"], unique=False
    )
    op.create_table(
        "status_message",
        sa.Column("organisation_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("brin", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("registration_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "outcome",
            sa.Enum(
                "ACCEPTED", "DUPLICATE", "OUTDATED", "REFUSED", name="outcome", native_enum=False, length=30
            ),
            nullable=False,
        ),
        sa.Column("findings", postgresql.ARRAY(sa.String()), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("digest_version", sa.SmallInteger(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("organisation_id", "message_id", name=op.f("status_message_pkey")),
    )
    op.create_index(
        "status_message_brin_received_at_idx", "status_message", ["brin", "received_at"], unique=False
    )
    op.create_table(
        "student",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("pseudonym", sa.LargeBinary(), nullable=False),
        sa.Column("key_version", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("student_pkey")),
        sa.UniqueConstraint("pseudonym", name=op.f("student_pseudonym_key")),
    )
    op.create_table(
        "client",
        sa.Column("client_id", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("organisation_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("jwks", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisation.id"], name=op.f("client_organisation_id_fkey")
        ),
        sa.PrimaryKeyConstraint("client_id", name=op.f("client_pkey")),
    )
    op.create_table(
        "feed",
        sa.Column("organisation_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.Column("last_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expired_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("acknowledged_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisation.id"], name=op.f("feed_organisation_id_fkey")
        ),
        sa.PrimaryKeyConstraint("organisation_id", name=op.f("feed_pkey")),
    )
    op.create_table(
        "mandate",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("organisation_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("brin", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("kind", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisation.id"], name=op.f("mandate_organisation_id_fkey")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("mandate_pkey")),
    )
    op.create_index("mandate_organisation_id_brin_idx", "mandate", ["organisation_id", "brin"], unique=False)
    op.create_table(
        "own_institution",
        sa.Column("organisation_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("brin", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisation.id"], name=op.f("own_institution_organisation_id_fkey")
        ),
        sa.PrimaryKeyConstraint("organisation_id", "brin", name=op.f("own_institution_pkey")),
    )
    op.create_table(
        "registration",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("public_id", sa.Uuid(), nullable=False),
        sa.Column("application_id", sa.String(collation="C"), nullable=False),
        sa.Column("student_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("brin", sa.String(collation="C"), nullable=False),
        sa.Column("programme_code", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column(
            "learning_path",
            sa.Enum(
                "BOL",
                "BBL",
                "OVO",
                "ODT",
                "EX",
                "NFO",
                "VAVO",
                name="learningpath",
                native_enum=False,
                length=30,
            ),
            nullable=False,
        ),
        sa.Column("school_year", sa.SmallInteger(), nullable=False),
        sa.Column("programme_year", sa.SmallInteger(), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "RECEIVED",
                "OFFERED",
                "ENROLLED",
                "WITHDRAWN",
                "REJECTED",
                name="status",
                native_enum=False,
                length=30,
            ),
            nullable=False,
        ),
        sa.Column("status_since", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "status_source",
            sa.Enum("CAMBO", "SIS", name="statussource", native_enum=False, length=30),
            nullable=False,
        ),
        sa.Column("effective_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_confirmed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("region", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("annulled_by", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("reported_by", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.ForeignKeyConstraint(["student_id"], ["student.id"], name=op.f("registration_student_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("registration_pkey")),
        sa.UniqueConstraint("application_id", name=op.f("registration_application_id_key")),
        sa.UniqueConstraint("public_id", name=op.f("registration_public_id_key")),
        postgresql_with={"fillfactor": "60"},
    )
    op.create_index("registration_brin_id_idx", "registration", ["brin", "id"], unique=False)
    op.create_index("registration_student_id_id_idx", "registration", ["student_id", "id"], unique=False)
    op.create_table(
        "statistics_cell",
        sa.Column("snapshot_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("school_year", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("brin", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("programme_code", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("registrations", sa.Integer(), nullable=False),
        sa.Column("live", sa.Integer(), nullable=False),
        sa.Column("multiple", sa.Integer(), nullable=False),
        sa.Column("multiple_live", sa.Integer(), nullable=False),
        sa.Column("students", sa.Integer(), nullable=False),
        sa.Column("expected_enrolments", sa.Float(), nullable=False),
        sa.Column("expected_variance", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["snapshot_id"], ["statistics_snapshot.id"], name=op.f("statistics_cell_snapshot_id_fkey")
        ),
        sa.PrimaryKeyConstraint(
            "snapshot_id", "school_year", "brin", "programme_code", name=op.f("statistics_cell_pkey")
        ),
    )
    op.create_table(
        "follow",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("organisation_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("student_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("reference", sa.String(collation="C"), nullable=False),
        sa.Column("region", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.Date(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["feed.organisation_id"], name=op.f("follow_organisation_id_fkey")
        ),
        sa.ForeignKeyConstraint(["student_id"], ["student.id"], name=op.f("follow_student_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("follow_pkey")),
    )
    op.create_index(
        "follow_organisation_id_reference_key",
        "follow",
        ["organisation_id", "reference"],
        unique=True,
        postgresql_where=sa.text("ended_at is null"),
    )
    op.create_index(
        "follow_organisation_id_student_id_idx",
        "follow",
        ["organisation_id", "student_id"],
        unique=False,
        postgresql_where=sa.text("ended_at is null"),
    )
    op.create_index(
        "follow_student_id_organisation_id_key",
        "follow",
        ["student_id", "organisation_id"],
        unique=True,
        postgresql_where=sa.text("ended_at is null"),
    )
    op.create_index(
        "follow_until_idx", "follow", ["until"], unique=False, postgresql_where=sa.text("ended_at is null")
    )


def downgrade() -> None:
    """Step down."""
    op.execute("set local lock_timeout = '5s'")
    op.drop_index("follow_until_idx", table_name="follow", postgresql_where=sa.text("ended_at is null"))
    op.drop_index(
        "follow_student_id_organisation_id_key",
        table_name="follow",
        postgresql_where=sa.text("ended_at is null"),
    )
    op.drop_index(
        "follow_organisation_id_student_id_idx",
        table_name="follow",
        postgresql_where=sa.text("ended_at is null"),
    )
    op.drop_index(
        "follow_organisation_id_reference_key",
        table_name="follow",
        postgresql_where=sa.text("ended_at is null"),
    )
    op.drop_table("follow")
    op.drop_table("statistics_cell")
    op.drop_index("registration_student_id_id_idx", table_name="registration")
    op.drop_index("registration_brin_id_idx", table_name="registration")
    op.drop_table("registration")
    op.drop_table("own_institution")
    op.drop_index("mandate_organisation_id_brin_idx", table_name="mandate")
    op.drop_table("mandate")
    op.drop_table("feed")
    op.drop_table("client")
    op.drop_table("student")
    op.drop_index("status_message_brin_received_at_idx", table_name="status_message")
    op.drop_table("status_message")
    op.drop_index("status_event_registration_id_id_idx", table_name="status_event")
    op.drop_table("status_event")
    op.drop_table("statistics_snapshot")
    op.drop_table("school")
    op.drop_index("refused_message_organisation_id_message_id_idx", table_name="refused_message")
    op.drop_index("refused_message_brin_received_at_idx", table_name="refused_message")
    op.drop_table("refused_message")
    op.drop_table("programme")
    op.drop_table("pending_event")
    op.drop_table("organisation")
    op.drop_table("institution")
    op.drop_index("feed_entry_batch_idx", table_name="feed_entry")
    op.drop_table("feed_entry")
    op.drop_index("client_assertion_expires_at_idx", table_name="client_assertion")
    op.drop_table("client_assertion")
    op.execute(sa.schema.DropSequence(sa.Sequence("feed_batch_seq")))
