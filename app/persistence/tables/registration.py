"""Students by pseudonym, their registrations, and what happened to those."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Column, Identity, Index, SmallInteger, String, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from app.domain.codes import LearningPath, Status, StatusSource
from app.domain.registration import ChangeKind
from app.persistence.tables import columns


class StudentRow(SQLModel, table=True):
    """A student, known by a keyed hash of the personal number only."""

    __tablename__ = "student"

    id: int | None = Field(default=None, sa_column=columns.identity())
    pseudonym: bytes = Field(sa_column=columns.secret_hash(unique=True))
    key_version: int = Field(sa_column=Column(SmallInteger, nullable=False))


class PseudonymKeyRow(SQLModel, table=True):
    """A version of the keys that students are written under since a rotation; the first has no row."""

    __tablename__ = "pseudonym_key"

    version: int = Field(sa_column=Column(SmallInteger, primary_key=True, autoincrement=False))
    fingerprint: bytes = Field(sa_column=columns.secret_hash())
    switched_at: datetime | None = Field(default=None, sa_column=columns.moment(now=True))
    completed_at: datetime | None = Field(default=None, sa_column=columns.moment(nullable=True))


class RegistrationRow(SQLModel, table=True):
    """The present state of a registration. Locked in the order of `application_id COLLATE "C"`."""

    __tablename__ = "registration"
    __table_args__ = (
        Index("registration_brin_id_idx", "brin", "id"),
        # By the hash of the application id, for digests. None of its columns changes with a status, so that
        # an update can stay in its page.
        Index(
            "registration_digest_idx",
            "brin",
            "school_year",
            text(r"sha256(replace(application_id, '\', '\\')::bytea)"),
        ),
        Index("registration_student_id_id_idx", "student_id", "id"),
        {"postgresql_with": {"fillfactor": "60"}},
    )

    id: int | None = Field(default=None, sa_column=columns.identity())
    public_id: UUID = Field(unique=True)
    application_id: str = Field(sa_column=Column(String(collation="C"), nullable=False, unique=True))
    student_id: int = Field(sa_column=columns.reference("student.id"))
    brin: str = Field(sa_column=columns.code())
    programme_code: str
    learning_path: LearningPath = Field(sa_column=columns.choice(LearningPath))
    school_year: int = Field(sa_column=Column(SmallInteger, nullable=False))
    programme_year: int = Field(sa_column=Column(SmallInteger, nullable=False))
    status: Status = Field(sa_column=columns.choice(Status))
    status_since: datetime = Field(sa_column=columns.moment())
    status_source: StatusSource = Field(sa_column=columns.choice(StatusSource))
    effective_at: datetime = Field(sa_column=columns.moment())
    created_at: datetime = Field(sa_column=columns.moment())
    last_confirmed_at: datetime = Field(sa_column=columns.moment())
    region: str | None = None
    annulled_by: int | None = Field(default=None, sa_column=columns.key(nullable=True))
    reported_by: list[int] = Field(sa_column=Column(ARRAY(BigInteger), nullable=False))


class StatusEventRow(SQLModel, table=True):
    """Something that happened to a registration. Ids rise within a registration: drawn under its lock.

    Without foreign keys: it is written only beside the locked row that it is about, and a check for each
    row would cost PostgreSQL more than the insert.
    """

    __tablename__ = "status_event"
    __table_args__ = (Index("status_event_registration_id_id_idx", "registration_id", "id"),)

    id: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(always=True, cache=1), primary_key=True)
    )
    registration_id: int = Field(sa_column=columns.key())
    student_id: int = Field(sa_column=columns.key())
    organisation_id: int = Field(sa_column=columns.key())
    kind: ChangeKind = Field(sa_column=columns.choice(ChangeKind))
    status: Status = Field(sa_column=columns.choice(Status))
    previous_status: Status | None = Field(default=None, sa_column=columns.choice(Status, nullable=True))
    learning_path: LearningPath = Field(sa_column=columns.choice(LearningPath))
    source: StatusSource = Field(sa_column=columns.choice(StatusSource))
    occurred_at: datetime = Field(sa_column=columns.moment())
    recorded_at: datetime = Field(sa_column=columns.moment())
