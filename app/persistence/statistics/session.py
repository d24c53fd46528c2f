"""One refresh at a time, over all processes, each on one view of the data."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from app.persistence.advisory_locks import AdvisoryLock
from app.persistence.statistics.repository import Statistics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from app.persistence.database import Database

_WAITS_SECONDS = 3600.0


@asynccontextmanager
async def refreshing(database: Database) -> AsyncIterator[Statistics]:
    """Open the transaction of a refresh once no other one is at work; committed when the block ends.

    Its statements see one and the same moment: a student that is removed meanwhile is either wholly among the
    live rows or wholly among the carried cells. The lock is taken before that moment and outlives the commit,
    so whoever waited for it sees what was frozen. A process that dies loses the lock with its connection.
    """
    async with database.connection() as connection:
        async with connection.transaction():
            await connection.execute("set local lock_timeout = 0")
            await connection.execute("set local statement_timeout = 0")
            await connection.execute(
                "select pg_advisory_lock($1)", AdvisoryLock.STATISTICS, timeout=_WAITS_SECONDS
            )
        try:
            async with connection.transaction(isolation="repeatable_read"):
                await connection.execute("set local statement_timeout = '30min'")
                await connection.execute("set local idle_in_transaction_session_timeout = '10min'")
                await connection.execute("set local work_mem = '64MB'")
                # The planner takes what the statement has made for a few rows, and compares all of them.
                await connection.execute("set local enable_nestloop = off")
                yield Statistics(connection)
        finally:
            if not connection.is_closed():
                await connection.execute("select pg_advisory_unlock($1)", AdvisoryLock.STATISTICS)
