"""When background jobs were last done, by the clock of the database."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncpg

_SINCE = "select clock_timestamp() - at from finished_job where name = $1"
_NOTE = """
insert into finished_job (name, at) values ($1, clock_timestamp())
on conflict (name) do update set at = excluded.at
"""


class FinishedJobs:
    """What was done, on one connection."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    async def since(self, name: str) -> timedelta | None:
        """Return how long ago a job was done; None where nobody knows, or the clock has gone back."""
        passed = await self._connection.fetchval(_SINCE, name)
        return passed if isinstance(passed, timedelta) and passed >= timedelta() else None

    async def note(self, name: str) -> None:
        """Note that a job has just been done."""
        await self._connection.execute(_NOTE, name)
