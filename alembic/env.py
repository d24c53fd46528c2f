"""Alembic's environment: the hub's tables, its database, one migration at a time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from alembic import context
from sqlalchemy import text
from sqlmodel import SQLModel

from app.persistence import tables
from app.persistence.database import engine_for
from app.settings import load_settings

if TYPE_CHECKING:
    from sqlalchemy import Connection

_LOCK = 0x6B6F7070  # "kopp": whoever migrates holds it, so that workers that start together queue up

assert tables.__all__  # noqa: S101 - importing the tables is what fills the metadata


def _url() -> str:
    url = context.config.attributes.get("url") or load_settings().database_url
    if url is None:
        message = "KOPPELPUNT_DATABASE_URL is not set"
        raise SystemExit(message)
    return str(url)


def _migrate(connection: Connection) -> None:
    connection.execute(text("select pg_advisory_lock(:key)"), {"key": _LOCK})
    connection.commit()
    try:
        context.configure(
            connection=connection,
            target_metadata=SQLModel.metadata,
            compare_type=True,
            transaction_per_migration=True,
        )
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()
    finally:
        connection.rollback()
        connection.execute(text("select pg_advisory_unlock(:key)"), {"key": _LOCK})
        connection.commit()


async def _online() -> None:
    engine = engine_for(_url(), command_seconds=None, pooled=False)
    async with engine.connect() as connection:
        await connection.run_sync(_migrate)
    await engine.dispose()


if context.is_offline_mode():
    context.configure(url=_url(), target_metadata=SQLModel.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    asyncio.run(_online())
