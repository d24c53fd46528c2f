"""Records that have been kept for long enough leave, from the beginning of their log on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.persistence.record_exports import TABLES, TIMES

if TYPE_CHECKING:
    from datetime import datetime

    import asyncpg

    from app.domain.record_export import RecordLog

# In the order of the ids up to the first that is young enough: after a clock went back an old row may stand
# behind a young one, and goes with it.
_REMOVE = """
with head as (
  select id, {time} as at from {table}
  where id > $1 and ($2::bigint is null or id <= $2) order by id limit $3
),
due as (
  select max(id) as high from head
  where id < coalesce((select min(id) from head where at >= $4), 9223372036854775807)
),
gone as (delete from {table} using due where id > $1 and id <= due.high returning id)
select count(*) as removed, coalesce(max(id), $1) as up_to from gone
"""


class RecordRemoval:
    """The old ends of both logs, in one transaction."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    async def remove(
        self, log: RecordLog, after: int, limit: int | None, before: datetime, size: int
    ) -> tuple[int, int]:
        """Remove up to `size` rows with ids in (after, limit] that are older than a moment.

        Return how many they were, and the last id.
        """
        statement = _REMOVE.format(table=TABLES[log], time=TIMES[log])
        row = await self._connection.fetchrow(statement, after, limit, size, before)
        return (0, after) if row is None else (row["removed"], row["up_to"])
