"""The dispatcher's own connection: one leader among all hubs on a database, and its transactions.

The leader holds a session lock on a connection outside the pool and numbers on that same connection, so a
leader without the lock has no connection either. Its time limits let the server free the lock of a process
that hangs.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Self

from app.persistence.advisory_locks import AdvisoryLock
from app.persistence.election import Candidacy
from app.persistence.feeds import PendingEvents

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from app.persistence.database import Database

_LIMIT = "3s"
# In one round trip, since numbering is hot.
_BEGIN = f"begin; select pg_advisory_xact_lock({AdvisoryLock.NUMBERING:d})"


class NumberingConnection:
    """A connection that may become the leader's."""

    def __init__(self, candidacy: Candidacy) -> None:
        self._connection = candidacy.connection
        self.try_to_lead = candidacy.try_to_lead
        self.pending = PendingEvents(self._connection)

    @classmethod
    @asynccontextmanager
    async def open(cls, database: Database) -> AsyncIterator[Self]:
        """Connect; the lock goes with the connection, whatever ends it."""
        async with Candidacy.standing(
            database, AdvisoryLock.DISPATCHER, "dispatcher", limit=_LIMIT
        ) as candidacy:
            # What is known of a queue's size is always of another moment.
            await candidacy.connection.execute("set enable_seqscan = off")
            yield cls(candidacy)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PendingEvents]:
        """Open a transaction in which nobody else can number."""
        await self._connection.execute(_BEGIN)
        try:
            yield self.pending
        except TimeoutError:
            raise  # nor would a rollback be answered; whoever opened the connection ends it
        except BaseException:
            with suppress(Exception):  # what went wrong first is told; whoever opened the connection ends it
                await self._connection.execute("rollback")
            raise
        await self._connection.execute("commit")
