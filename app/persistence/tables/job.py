"""Background jobs that are remembered."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Field, SQLModel

from app.persistence.tables import columns


class FinishedJobRow(SQLModel, table=True):
    """When a job was last done to its end."""

    __tablename__ = "finished_job"

    name: str = Field(primary_key=True)
    at: datetime = Field(sa_column=columns.moment())
