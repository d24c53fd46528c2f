"""Which transfer system follows which student."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel

from app.persistence.tables import columns

_OPEN = text("ended_at is null")


class FollowRow(SQLModel, table=True):
    """A follow, open until `ended_at` is set or `until` (inclusive, Europe/Amsterdam) has passed."""

    __tablename__ = "follow"
    __table_args__ = (
        Index(
            "follow_student_id_organisation_id_key",
            "student_id",
            "organisation_id",
            unique=True,
            postgresql_where=_OPEN,
        ),
        Index(
            "follow_organisation_id_reference_key",
            "organisation_id",
            "reference",
            unique=True,
            postgresql_where=_OPEN,
        ),
        Index(
            "follow_organisation_id_student_id_idx", "organisation_id", "student_id", postgresql_where=_OPEN
        ),
        Index("follow_until_idx", "until", postgresql_where=_OPEN),
        # For the removal of students, who may have follows that have ended.
        Index("follow_student_id_idx", "student_id"),
    )

    id: int | None = Field(default=None, sa_column=columns.identity())
    organisation_id: int = Field(sa_column=columns.reference("feed.organisation_id"))
    student_id: int = Field(sa_column=columns.reference("student.id"))
    reference: str = Field(sa_column=columns.code())
    region: str | None = None
    since: datetime = Field(sa_column=columns.moment())
    until: date
    ended_at: datetime | None = Field(default=None, sa_column=columns.moment(nullable=True))
