"""The database of the settings, and what runs beside it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from app.bootstrap.background import running
from app.domain.errors import UnavailableError
from app.persistence.database import Database
from app.persistence.embedded import EmbeddedServer, EmbeddedServerError
from app.settings import Settings, SettingsError
from app.telemetry import log

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable


_RETRY_SECONDS = 1.0


@asynccontextmanager
async def open_database(settings: Settings, *, patience: float = 0) -> AsyncIterator[Database]:
    """Connect to the database of the settings, or start (or join) the server that comes along.

    With `patience` (seconds) what fails is tried again for so long.
    """
    async with AsyncExitStack() as stack:
        url = settings.database_url
        if url is None:
            server = EmbeddedServer(settings.data_dir)
            try:
                await _tried(partial(asyncio.to_thread, server.start), patience)
            except EmbeddedServerError as error:
                raise SettingsError(str(error)) from error
            stack.push_async_callback(asyncio.to_thread, server.stop)
            stack.enter_context(running(server.watch, "embedded-watch"))
            url = server.url
        database = Database(url, pool_size=settings.database_pool)
        await _tried(database.open, patience)
        stack.push_async_callback(database.close)
        yield database


async def _tried(work: Callable[[], Awaitable[None]], patience: float) -> None:
    until = asyncio.get_running_loop().time() + patience
    while True:
        try:
            return await work()
        except (EmbeddedServerError, UnavailableError) as error:
            if asyncio.get_running_loop().time() >= until:
                raise
            log.warning("database_awaited", error=type(error).__name__)
        await asyncio.sleep(_RETRY_SECONDS)
