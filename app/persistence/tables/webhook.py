"""Where receivers without a connection are notified."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Column, LargeBinary
from sqlmodel import Field, SQLModel

from app.domain.webhook import WebhookProblem, WebhookState
from app.persistence.tables import columns


class WebhookRow(SQLModel, table=True):
    """The one webhook of a receiver.

    `notification_*` is what is being told: set before it is sent, gone once the receiver has taken it.
    `lease` is held by who is sending until `leased_until`, by the clock of the database. No index on times:
    there is one row a receiver, and without it what changes with each notification stays in its page.
    """

    __tablename__ = "webhook"

    organisation_id: int = Field(sa_column=columns.reference("feed.organisation_id", primary=True))
    webhook_id: UUID = Field(unique=True)
    url: str
    sealed_secret: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    state: WebhookState = Field(sa_column=columns.choice(WebhookState))
    delivered_number: int = Field(sa_column=columns.key())
    notification_id: UUID | None = None
    notification_number: int | None = Field(default=None, sa_column=columns.key(nullable=True))
    notification_at: datetime | None = Field(default=None, sa_column=columns.moment(nullable=True))
    failures: int = 0
    failing_since: datetime | None = Field(default=None, sa_column=columns.moment(nullable=True))
    last_attempt_at: datetime | None = Field(default=None, sa_column=columns.moment(nullable=True))
    next_attempt_at: datetime = Field(sa_column=columns.moment())
    last_problem: WebhookProblem | None = Field(
        default=None, sa_column=columns.choice(WebhookProblem, nullable=True)
    )
    lease: UUID | None = None
    leased_until: datetime | None = Field(default=None, sa_column=columns.moment(nullable=True))
    created_at: datetime | None = Field(default=None, sa_column=columns.moment(now=True))
