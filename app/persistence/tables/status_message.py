"""The log of messages: ids, parties, times, outcome and a keyed digest; never their content."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Column, Index, SmallInteger, String
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from app.domain.status_message import Outcome, Refusal
from app.persistence.tables import columns


class StatusMessageRow(SQLModel, table=True):
    """A message that was ACCEPTED or OUTDATED; its id is taken for its sender."""

    __tablename__ = "status_message"
    __table_args__ = (Index("status_message_brin_received_at_idx", "brin", "received_at"),)

    organisation_id: int = Field(sa_column=columns.key(primary=True))
    message_id: UUID = Field(primary_key=True)
    brin: str
    registration_id: int = Field(sa_column=columns.key())
    outcome: Outcome = Field(sa_column=columns.choice(Outcome))
    findings: list[str] = Field(sa_column=Column(ARRAY(String), nullable=False))
    digest: bytes = Field(sa_column=columns.secret_hash())
    digest_version: int = Field(sa_column=Column(SmallInteger, nullable=False))
    occurred_at: datetime = Field(sa_column=columns.moment())
    received_at: datetime = Field(sa_column=columns.moment())


class RefusedMessageRow(SQLModel, table=True):
    """A message that was refused. Its id is free; what was refused may hold anything, so it is not kept."""

    __tablename__ = "refused_message"
    __table_args__ = (
        Index("refused_message_organisation_id_message_id_idx", "organisation_id", "message_id", "id"),
        Index("refused_message_brin_received_at_idx", "brin", "received_at"),
    )

    id: int | None = Field(default=None, sa_column=columns.identity())
    organisation_id: int = Field(sa_column=columns.key())
    message_id: UUID
    brin: str | None = None
    code: Refusal = Field(sa_column=columns.choice(Refusal))
    field: str | None = None
    received_at: datetime = Field(sa_column=columns.moment())
