"""Documents that clients have registered."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Field, SQLModel

from app.persistence.tables import columns


class TrustedDocumentRow(SQLModel, table=True):
    """A document that a client may name by its id."""

    __tablename__ = "trusted_document"

    client_id: str = Field(primary_key=True, foreign_key="client.client_id")
    document_id: str = Field(primary_key=True)
    text: str
    added_at: datetime | None = Field(default=None, sa_column=columns.moment(now=True))
