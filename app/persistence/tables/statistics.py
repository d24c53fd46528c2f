"""Frozen figures, which queries read and nothing else; and what removed students have left in them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, SmallInteger
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from app.domain.codes import Status
from app.domain.cube import Dimension
from app.domain.disclosure.publishing import TableName
from app.persistence.tables import columns


class StatisticsSnapshotRow(SQLModel, table=True):
    """One refresh of all figures."""

    __tablename__ = "statistics_snapshot"

    id: int | None = Field(default=None, sa_column=columns.identity())
    as_of: datetime = Field(sa_column=columns.moment())


class Measures(SQLModel):
    """The measures of a cell, all of them sums over students (see `contributions`)."""

    registrations: int = Field(sa_type=BigInteger)
    live: int = Field(sa_type=BigInteger)
    multiple: int = Field(sa_type=BigInteger)
    multiple_live: int = Field(sa_type=BigInteger)
    students: int = Field(sa_type=BigInteger)
    own_multiple: int = Field(sa_type=BigInteger)
    own_multiple_live: int = Field(sa_type=BigInteger)


class StatisticsCellRow(Measures, table=True):
    """The true counts of one cell; disclosed only through the rules. '' stands for all."""

    __tablename__ = "statistics_cell"

    snapshot_id: int = Field(sa_column=columns.reference("statistics_snapshot.id", primary=True))
    school_year: int = Field(
        primary_key=True, sa_type=SmallInteger, sa_column_kwargs={"autoincrement": False}
    )
    dimension: Dimension = Field(sa_column=columns.choice(Dimension, primary=True))
    brin: str = Field(primary_key=True)
    category: str = Field(primary_key=True)


class StatisticsTableRow(SQLModel, table=True):
    """A table as it may be read. `of` is a BRIN, '' for the country, or a region.

    `content` holds what is shown; of figures that do not move daily (`block`) the true ones too, since what
    may be shown next depends on them. `as_of` is their moment.
    """

    __tablename__ = "statistics_table"

    snapshot_id: int = Field(sa_column=columns.reference("statistics_snapshot.id", primary=True))
    school_year: int = Field(
        primary_key=True, sa_type=SmallInteger, sa_column_kwargs={"autoincrement": False}
    )
    name: TableName = Field(sa_column=columns.choice(TableName, primary=True))
    of: str = Field(primary_key=True)
    as_of: datetime = Field(sa_column=columns.moment())
    content: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))


class AnnualOverviewTableRow(SQLModel, table=True):
    """A table of the country as it was shown on 1 October, or first after; written once, kept for good."""

    __tablename__ = "annual_overview_table"

    school_year: int = Field(
        primary_key=True, sa_type=SmallInteger, sa_column_kwargs={"autoincrement": False}
    )
    name: TableName = Field(sa_column=columns.choice(TableName, primary=True))
    as_of: datetime = Field(sa_column=columns.moment())
    content: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))


class StatisticsCarriedCellRow(Measures, table=True):
    """What removed students have left in a cell. Region and coverage keep the institution in their key."""

    __tablename__ = "statistics_carried_cell"

    school_year: int = Field(
        primary_key=True, sa_type=SmallInteger, sa_column_kwargs={"autoincrement": False}
    )
    dimension: Dimension = Field(sa_column=columns.choice(Dimension, primary=True))
    brin: str = Field(primary_key=True)
    category: str = Field(primary_key=True)


class StatisticsCarriedMixRow(SQLModel, table=True):
    """Live registrations that removed students have left, by status."""

    __tablename__ = "statistics_carried_mix"

    school_year: int = Field(
        primary_key=True, sa_type=SmallInteger, sa_column_kwargs={"autoincrement": False}
    )
    brin: str = Field(primary_key=True)
    programme_code: str = Field(primary_key=True)
    status: Status = Field(sa_column=columns.choice(Status, primary=True))
    registrations: int = Field(sa_type=BigInteger)


class Outcomes(SQLModel):
    """Live registrations so many weeks before 1 October, and what they were on it: see `Past`."""

    school_year: int = Field(
        primary_key=True, sa_type=SmallInteger, sa_column_kwargs={"autoincrement": False}
    )
    weeks: int = Field(primary_key=True, sa_type=SmallInteger, sa_column_kwargs={"autoincrement": False})
    brin: str = Field(primary_key=True)
    live_of_student: int = Field(
        primary_key=True, sa_type=SmallInteger, sa_column_kwargs={"autoincrement": False}
    )
    status: str = Field(primary_key=True, max_length=30)
    live: int = Field(sa_type=BigInteger)
    enrolled: int = Field(sa_type=BigInteger)
    enrolled_here: int = Field(sa_type=BigInteger)


class StatisticsHistoryRow(Outcomes, table=True):
    """The outcomes of a school year as of so many weeks before 1 October; written once, kept for good."""

    __tablename__ = "statistics_history"


class StatisticsCarriedHistoryRow(Outcomes, table=True):
    """What removed students have left in outcomes that were not frozen yet."""

    __tablename__ = "statistics_carried_history"
