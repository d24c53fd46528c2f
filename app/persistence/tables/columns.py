"""Columns that several tables have alike, and the names of constraints."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, Enum, ForeignKey, Identity, LargeBinary, String, func
from sqlmodel import SQLModel

SQLModel.metadata.naming_convention = {
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ck": "%(table_name)s_%(constraint_name)s_check",
    "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    "pk": "%(table_name)s_pkey",
}


def identity() -> Column[Any]:
    """Return a key that the database hands out."""
    return Column(BigInteger, Identity(always=True), primary_key=True)


def key(*, nullable: bool = False, primary: bool = False, index: bool = False) -> Column[Any]:
    """Return a 64-bit number."""
    return Column(BigInteger, nullable=nullable, primary_key=primary, autoincrement=False, index=index)


def reference(target: str, *, nullable: bool = False, primary: bool = False) -> Column[Any]:
    """Return a foreign key to a column with 64-bit numbers."""
    return Column(BigInteger, ForeignKey(target), nullable=nullable, primary_key=primary, autoincrement=False)


def moment(*, nullable: bool = False, now: bool = False, primary: bool = False) -> Column[datetime]:
    """Return a point in time; `now` lets the database fill it in."""
    return Column(
        DateTime(timezone=True),
        nullable=nullable,
        server_default=func.now() if now else None,
        primary_key=primary,
    )


def code() -> Column[str]:
    """Return a text that is compared and sorted by its bytes, as keyset pages need it."""
    return Column(String(collation="C"), nullable=False)


def secret_hash(*, nullable: bool = False, unique: bool = False) -> Column[bytes]:
    """Return the 32 bytes of a keyed hash."""
    return Column(LargeBinary, nullable=nullable, unique=unique)


def choice(values: type[StrEnum], *, nullable: bool = False, primary: bool = False) -> Column[Any]:
    """Return a text that is one of a closed list; the lists live in the domain, which alone writes here."""
    kind = Enum(
        values,
        native_enum=False,
        create_constraint=False,
        length=30,
        values_callable=lambda choices: [choice.value for choice in choices],
    )
    return Column(kind, nullable=nullable, primary_key=primary)
