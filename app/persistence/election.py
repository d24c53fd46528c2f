"""One process of all that share a database is elected for a task, by a session lock on its own connection.

The lock goes with the connection, whatever ends it: the process, the network, or the server, which closes the
connection of a process that hangs.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Self

from app.persistence.database import UNAVAILABLE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

    from app.persistence.advisory_locks import AdvisoryLock
    from app.persistence.database import Database


class Candidacy:
    """A connection that stands for one task."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record], key: AdvisoryLock) -> None:
        self.connection = connection
        self._key = key

    @classmethod
    @asynccontextmanager
    async def standing(
        cls, database: Database, key: AdvisoryLock, task: str, *, limit: str
    ) -> AsyncIterator[Self]:
        """Connect, outside the pool; who says nothing for `limit` ("3s") loses connection and lock."""
        connection = await database.dedicated(
            # With the process, so that an operator who sees the lock finds its holder.
            application_name=f"koppelpunt {task} {os.getpid()}",
            idle_session_timeout=limit,
            idle_in_transaction_session_timeout=limit,
            statement_timeout=limit,
        )
        try:
            yield cls(connection, key)
        except UNAVAILABLE as error:
            # A server that is there ends a statement before this side loses its patience.
            await database.distrust(silent=isinstance(error, TimeoutError))
            raise
        finally:
            connection.terminate()

    async def try_to_lead(self) -> bool:
        """Tell whether this connection now holds the lock; asking keeps it alive, too."""
        return bool(await self.connection.fetchval("select pg_try_advisory_lock($1)", self._key))

    async def confirm(self) -> None:
        """Say that this process is there; raises one of UNAVAILABLE when connection and lock are not."""
        await self.connection.execute("select 1")
