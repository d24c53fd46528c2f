"""Messages counted by day, and what is frozen of it for who asks. No row is about a person."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import BigInteger, Column, Float, Integer, SmallInteger, String
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from app.domain.delivery import SenderState
from app.domain.status_message import Refusal
from app.persistence.tables import columns


class DeliveryProgressRow(SQLModel, table=True):
    """How far messages are counted: by the time of those that were accepted, by the id of those refused."""

    __tablename__ = "delivery_progress"

    id: int = Field(sa_column=Column(SmallInteger, primary_key=True, autoincrement=False))
    counted_until: datetime = Field(sa_column=columns.moment())
    refused_id: int = Field(sa_column=columns.key())


class DeliveryDayRow(SQLModel, table=True):
    """Messages of a sender about one institution that were received on one day (Europe/Amsterdam)."""

    __tablename__ = "delivery_day"

    brin: str = Field(primary_key=True)
    organisation_id: int = Field(sa_column=columns.key(primary=True))
    day: date = Field(primary_key=True)
    messages: int
    unusual: int
    late: int
    delays: list[int] = Field(sa_column=Column(ARRAY(Integer), nullable=False))
    last_at: datetime = Field(sa_column=columns.moment())


class DeliveryRefusalRow(SQLModel, table=True):
    """Messages of a sender that were refused on one day, by code; '' where the institution is unknown."""

    __tablename__ = "delivery_refusal"

    brin: str = Field(primary_key=True)
    organisation_id: int = Field(sa_column=columns.key(primary=True))
    day: date = Field(primary_key=True)
    code: Refusal = Field(sa_column=Column(columns.choice(Refusal).type, primary_key=True))
    messages: int
    last_at: datetime = Field(sa_column=columns.moment())


class SenderDeliveryRow(SQLModel, table=True):
    """One sender at one institution, as frozen."""

    __tablename__ = "sender_delivery"

    brin: str = Field(sa_column=Column(String(collation="C"), primary_key=True))
    organisation_id: int = Field(sa_column=columns.reference("organisation.id", primary=True))
    as_of: datetime = Field(sa_column=columns.moment())
    state: SenderState = Field(sa_column=columns.choice(SenderState))
    last_message_at: datetime | None = Field(default=None, sa_column=columns.moment(nullable=True))
    usual_gap: int | None = None
    long_gap: int | None = None
    days_without: int
    silent_after: int
    messages: int
    refused: int
    unusual: int
    late: int
    delays: list[int] = Field(sa_column=Column(ARRAY(Integer), nullable=False))
    registrations: int
    stuck: int
    findings: list[str] = Field(sa_column=Column(ARRAY(String), nullable=False))


class CompletenessRow(SQLModel, table=True):
    """The registrations of one institution, as frozen once a day."""

    __tablename__ = "completeness"

    brin: str = Field(sa_column=Column(String(collation="C"), primary_key=True))
    as_of: datetime = Field(sa_column=columns.moment())
    registrations: int
    from_cambo: int
    unconfirmed: int
    compared: int
    stuck: int
    elsewhere: float | None = Field(default=None, sa_column=Column(Float, nullable=True))
    findings: list[str] = Field(sa_column=Column(ARRAY(String), nullable=False))
    senders: list[int] = Field(sa_column=Column(ARRAY(BigInteger), nullable=False))
    sender_registrations: list[int] = Field(sa_column=Column(ARRAY(Integer), nullable=False))
    sender_compared: list[int] = Field(sa_column=Column(ARRAY(Integer), nullable=False))
    sender_stuck: list[int] = Field(sa_column=Column(ARRAY(Integer), nullable=False))
