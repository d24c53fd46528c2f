"""Feeds after the restore of a backup, or a failover to a copy that lagged."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncpg

_ADVANCE = """
update feed set last_number = last_number + $1, expired_number = last_number + $1, acknowledged_number = 0,
                acknowledged_at = null
returning organisation_id
"""
_FORGET = """
delete from feed_entry where (organisation_id, number) in (
  select e.organisation_id, e.number from feed f
  join feed_entry e on e.organisation_id = f.organisation_id and e.number <= f.expired_number
  limit $1
)
"""


class Restoring:
    """What is done to feeds once, before hubs use a restored database; in one transaction."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    async def advance_feeds(self, by: int) -> int:
        """Move the numbers of all feeds on, and expire all entries; return how many feeds there are."""
        return len(await self._connection.fetch(_ADVANCE, by))

    async def forget_expired(self, at_most: int) -> int:
        """Remove entries that are expired; return how many."""
        status = await self._connection.execute(_FORGET, at_most)
        return int(status.rsplit(" ", 1)[1])
