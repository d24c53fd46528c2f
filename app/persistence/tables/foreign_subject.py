"""Who a subject of an external issuer is to the hub."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Field, SQLModel

from app.persistence.tables import columns


class ForeignSubjectRow(SQLModel, table=True):
    """A subject in the tokens of another issuer, and the client that it stands for."""

    __tablename__ = "foreign_subject"

    issuer: str = Field(primary_key=True)
    subject: str = Field(primary_key=True)
    client_id: str = Field(foreign_key="client.client_id")
    added_at: datetime | None = Field(default=None, sa_column=columns.moment(now=True))
