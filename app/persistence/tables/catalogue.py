"""Institutions, programmes and schools, as RIO and DUO publish them."""

from __future__ import annotations

from sqlmodel import Field, SQLModel


class InstitutionRow(SQLModel, table=True):
    """An mbo institution by its BRIN; `region` is the code of its RMC region."""

    __tablename__ = "institution"

    brin: str = Field(primary_key=True)
    name: str
    region: str | None = None


class ProgrammeRow(SQLModel, table=True):
    """A programme by its crebo; `level` is 1 to 4, None where unknown."""

    __tablename__ = "programme"

    code: str = Field(primary_key=True)
    name: str
    level: int | None = None


class SchoolRow(SQLModel, table=True):
    """A branch of a secondary school (BRIN and two digits), kept for its region alone."""

    __tablename__ = "school"

    code: str = Field(primary_key=True)
    region: str
