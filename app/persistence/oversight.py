"""How far the receivers are, and where changes wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.domain.access import Role
from app.domain.client import Organisation
from app.domain.oversight import DeliveryState, ReceiverOverview
from app.persistence.advisory_locks import AdvisoryLock

if TYPE_CHECKING:
    import asyncpg

PENDING_AT_MOST = 10_000

# One step down the primary key of each feed. Of an entry that is no longer kept the time is not known;
# then the earliest one that is left counts.
_FIRST_UNACKNOWLEDGED = """
select e.numbered_at from feed_entry e
where e.organisation_id = f.organisation_id and e.number > f.acknowledged_number
order by e.number limit 1
"""
_RECEIVERS = f"""
select o.id, o.oin, o.role, o.name, o.region, f.last_number, f.last_at, f.acknowledged_number,
       f.acknowledged_at, ({_FIRST_UNACKNOWLEDGED}) as behind_since
from feed f join organisation o on o.id = f.organisation_id
where f.organisation_id > $1 order by f.organisation_id limit $2
"""
# pg_locks shows a lock with a 64-bit key in halves.
_STATE = f"""
select
  (select count(*) from (select 1 from pending_event limit $1) counted) as pending,
  (select s.recorded_at from pending_event p join status_event s on s.id = p.event_id
   order by p.event_id limit 1) as oldest_pending_at,
  (select count(*) from feed where last_number > acknowledged_number) as behind,
  (select min(({_FIRST_UNACKNOWLEDGED})) from feed f where f.last_number > f.acknowledged_number)
    as oldest_unacknowledged_at,
  exists (select 1 from pg_locks l where l.locktype = 'advisory' and l.objsubid = 1 and l.granted
          and l.database = (select oid from pg_database where datname = current_database())
          and l.classid::bigint = $2 and l.objid::bigint = $3) as dispatching
"""


class Oversight:
    """What the operator looks at."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    async def receivers(self, after: int, size: int) -> list[ReceiverOverview]:
        """Return up to `size` receivers in the order of their ids, after an id."""
        rows = await self._connection.fetch(_RECEIVERS, after, size)
        return [
            ReceiverOverview(
                Organisation(row["id"], row["oin"], Role(row["role"]), row["name"], row["region"]),
                row["last_number"],
                row["last_at"],
                row["acknowledged_number"],
                row["acknowledged_at"],
                row["behind_since"],
            )
            for row in rows
        ]

    async def delivery_state(self) -> DeliveryState:
        """Return where changes wait; pending events are counted up to 10,000."""
        key = AdvisoryLock.DISPATCHER
        row = await self._connection.fetchrow(_STATE, PENDING_AT_MOST, key >> 32, key & 0xFFFFFFFF)
        if row is None:
            return DeliveryState(0, None, 0, None, dispatching=False)
        return DeliveryState(
            pending_events=row["pending"],
            oldest_pending_at=row["oldest_pending_at"],
            receivers_behind=row["behind"],
            oldest_unacknowledged_at=row["oldest_unacknowledged_at"],
            dispatching=row["dispatching"],
        )
