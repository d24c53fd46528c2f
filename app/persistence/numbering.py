"""The dispatcher's own connection: one leader among all hubs on a database, and its transactions.

The leader holds a session lock on a connection outside the pool and numbers on that same connection, so a
leader without the lock has no connection either. Its time limits let the server free the lock of a process
that hangs.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Self

from app.persistence.feeds import PendingEvents

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

    from app.persistence.database import Database

LEADER = 0x6B6F707001
_NUMBERING = 0x6B6F707002
_LIMIT = "3s"


class NumberingConnection:
    """A connection that may become the leader's."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection
        self.pending = PendingEvents(connection)

    @classmethod
    @asynccontextmanager
    async def open(cls, database: Database) -> AsyncIterator[Self]:
        """Connect; the lock goes with the connection, whatever ends it."""
        connection = await database.dedicated(
            # With the process, so that an operator who sees the lock finds its holder.
            application_name=f"koppelpunt dispatcher {os.getpid()}",
            idle_session_timeout=_LIMIT,
            idle_in_transaction_session_timeout=_LIMIT,
            statement_timeout=_LIMIT,
        )
        try:
            yield cls(connection)
        finally:
            connection.terminate()

    async def try_to_lead(self) -> bool:
        """Tell whether this connection now holds the leader's lock; asking keeps it alive, too."""
        return bool(await self._connection.fetchval("select pg_try_advisory_lock($1)", LEADER))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PendingEvents]:
        """Open a transaction in which nobody else can number."""
        async with self._connection.transaction():
            await self._connection.execute("select pg_advisory_xact_lock($1)", _NUMBERING)
            yield self.pending
