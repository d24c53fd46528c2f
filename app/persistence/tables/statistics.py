"""Frozen figures; queries read these and nothing else."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column, Float, SmallInteger
from sqlmodel import Field, SQLModel

from app.persistence.tables import columns


class StatisticsSnapshotRow(SQLModel, table=True):
    """One refresh of all figures."""

    __tablename__ = "statistics_snapshot"

    id: int | None = Field(default=None, sa_column=columns.identity())
    as_of: datetime = Field(sa_column=columns.moment())


class StatisticsCellRow(SQLModel, table=True):
    """The true counts of one cell; disclosed only through the rules. '' stands for all."""

    __tablename__ = "statistics_cell"

    snapshot_id: int = Field(sa_column=columns.reference("statistics_snapshot.id", primary=True))
    school_year: int = Field(sa_column=Column(SmallInteger, primary_key=True, autoincrement=False))
    brin: str = Field(primary_key=True)
    programme_code: str = Field(primary_key=True)
    registrations: int
    live: int
    multiple: int
    multiple_live: int
    students: int
    expected_enrolments: float = Field(sa_column=Column(Float, nullable=False))
    expected_variance: float = Field(sa_column=Column(Float, nullable=False))
