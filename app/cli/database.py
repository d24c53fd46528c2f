"""The database of a command: that of the settings, or the embedded one, at the newest migration."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from app.bootstrap import open_database as open_database_of
from app.persistence.migrations import migrate
from app.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from app.persistence.database import Database


@asynccontextmanager
async def open_database() -> AsyncIterator[Database]:
    """Connect, and migrate where that is due."""
    async with open_database_of(load_settings()) as database:
        await asyncio.to_thread(migrate, database.url)
        yield database
