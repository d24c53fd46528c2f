"""The security log and the processing log. Rows are added, never changed: a trigger refuses that."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Column, Index, Integer
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from app.domain.record import Activity, ProcessingStatus, SecurityEvent, SecurityOutcome
from app.domain.record_export import RecordLog
from app.persistence.tables import columns


class SecurityRecordRow(SQLModel, table=True):
    """Who did what, when, and how it ended; `count` alike events where one row each could be a flood."""

    __tablename__ = "security_record"
    __table_args__ = (Index("security_record_at_idx", "at"),)

    id: int | None = Field(default=None, sa_column=columns.identity())
    at: datetime = Field(sa_column=columns.moment())
    event: SecurityEvent = Field(sa_column=columns.choice(SecurityEvent))
    outcome: SecurityOutcome = Field(sa_column=columns.choice(SecurityOutcome))
    actor: str | None = None
    on_behalf_of: str | None = None
    subject: str | None = None
    detail: str | None = None
    count: int = Field(sa_column=Column(Integer, nullable=False))


class ProcessingRecordRow(SQLModel, table=True):
    """One operation on personal data, with the students that it was about."""

    __tablename__ = "processing_record"

    id: int | None = Field(default=None, sa_column=columns.identity())
    trace_id: str
    span_id: str
    activity: Activity = Field(sa_column=columns.choice(Activity))
    organisation_id: int = Field(sa_column=columns.key())
    client_id: str
    status: ProcessingStatus = Field(sa_column=columns.choice(ProcessingStatus))
    started_at: datetime = Field(sa_column=columns.moment())
    ended_at: datetime = Field(sa_column=columns.moment())
    first_number: int | None = Field(default=None, sa_column=columns.key(nullable=True))
    last_number: int | None = Field(default=None, sa_column=columns.key(nullable=True))
    student_ids: list[int] = Field(sa_column=Column(ARRAY(BigInteger), nullable=False))


class RecordExportRow(SQLModel, table=True):
    """Up to which id a log has been exported."""

    __tablename__ = "record_export"

    log: RecordLog = Field(sa_column=columns.choice(RecordLog, primary=True))
    position: int = Field(sa_column=columns.key())
    exported_at: datetime = Field(sa_column=columns.moment())
