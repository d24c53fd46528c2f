"""What clients have used of what they may."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Field, SQLModel

from app.persistence.tables import columns


class RateBucketRow(SQLModel, table=True):
    """A bucket as all processes together see it. Unlogged: that after a crash all are full is no harm."""

    __tablename__ = "rate_bucket"
    __table_args__ = {"prefixes": ["UNLOGGED"]}

    client_id: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    tokens: float
    at: datetime = Field(sa_column=columns.moment())


class QuotaUseRow(SQLModel, table=True):
    """How often a client did something in one day or hour."""

    __tablename__ = "quota_use"

    client_id: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    since: datetime = Field(sa_column=columns.moment(primary=True))
    used: int = Field(sa_column=columns.key())
