"""Links to exports that wait to be used."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import Column, Index, LargeBinary, SmallInteger
from sqlmodel import Field, SQLModel

from app.domain.export import ExportFormat
from app.persistence.tables import columns


class ExportLinkRow(SQLModel, table=True):
    """A link, known by a hash of its secret, for one client and one use: using it removes the row.

    `overview_of`: the school year of an annual overview; without, the link is to followed students.
    """

    __tablename__ = "export_link"
    __table_args__ = (Index("export_link_expires_at_idx", "expires_at"),)

    secret_hash: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    client_id: str
    organisation_id: int = Field(sa_column=columns.key())
    expires_at: datetime = Field(sa_column=columns.moment())
    format: ExportFormat = Field(sa_column=columns.choice(ExportFormat))
    school_year: int | None = Field(default=None, sa_column=Column(SmallInteger, nullable=True))
    without_live_registration: bool | None = None
    on_date: date | None = None
    overview_of: int | None = Field(default=None, sa_column=Column(SmallInteger, nullable=True))
