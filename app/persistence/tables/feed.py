"""The numbered feeds of receivers, and the events that wait for their numbers."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Boolean, Column, Index, Sequence
from sqlmodel import Field, SQLModel

from app.persistence.tables import columns

# Drawn under the dispatcher's lock, one number for each batch of entries.
FEED_BATCH = Sequence("feed_batch_seq", metadata=SQLModel.metadata)


class FeedRow(SQLModel, table=True):
    """A receiver's feed. `complete`: it holds every change (CAMBO), not those of followed students."""

    __tablename__ = "feed"

    organisation_id: int = Field(sa_column=columns.reference("organisation.id", primary=True))
    complete: bool = Field(sa_column=Column(Boolean, nullable=False))
    last_number: int = Field(default=0, sa_column=columns.key())
    last_at: datetime | None = Field(default=None, sa_column=columns.moment(now=True))
    expired_number: int = Field(default=0, sa_column=columns.key())
    acknowledged_number: int = Field(default=0, sa_column=columns.key())
    acknowledged_at: datetime | None = Field(default=None, sa_column=columns.moment(nullable=True))


class FeedEntryRow(SQLModel, table=True):
    """A change under its number in one feed. `follow_id` is the right to see it; None in a complete feed."""

    __tablename__ = "feed_entry"
    __table_args__ = (Index("feed_entry_batch_idx", "batch"),)

    organisation_id: int = Field(sa_column=columns.key(primary=True))
    number: int = Field(sa_column=columns.key(primary=True))
    batch: int = Field(sa_column=columns.key())
    event_id: int = Field(sa_column=columns.key())
    follow_id: int | None = Field(default=None, sa_column=columns.key(nullable=True))
    numbered_at: datetime = Field(sa_column=columns.moment())


class PendingEventRow(SQLModel, table=True):
    """An event from its insert until it is numbered: what there is to do for the dispatcher.

    It says itself whom it is about and whether that is VAVO. Both are null where a hub of an earlier release
    wrote it; then the event is looked at.
    """

    __tablename__ = "pending_event"

    event_id: int = Field(sa_column=columns.key(primary=True))
    student_id: int | None = Field(default=None, sa_column=columns.key(nullable=True))
    vavo: bool | None = Field(default=None, sa_column=Column(Boolean, nullable=True))
