"""The frozen figures: made in one statement, read by key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.domain.statistics import STATUS_WEIGHT, Cell
from app.persistence.advisory_locks import AdvisoryLock

if TYPE_CHECKING:
    from datetime import datetime

    import asyncpg

_WEIGHT = " ".join(f"when '{status}' then {weight}" for status, weight in STATUS_WEIGHT.items())
_LIVE = ", ".join(f"'{status}'" for status in STATUS_WEIGHT)

_LOCK = "select pg_advisory_xact_lock($1)"
_LATEST = "select id, as_of from statistics_snapshot order by id desc limit 1"
_MAKE = f"""
with snapshot as (insert into statistics_snapshot (as_of) values ($1) returning id),
weighed as (
  select school_year, brin, programme_code, student_id,
         case when status in ({_LIVE}) then 1 else 0 end as live,
         case status {_WEIGHT} else 0 end as weight
  from registration where annulled_by is null
),
compared as (
  select *, count(*) over student as of_student, sum(live) over student as live_of_student,
         weight::float8 / nullif(sum(weight) over student, 0) as chance
  from weighed window student as (partition by student_id, school_year)
)
insert into statistics_cell (snapshot_id, school_year, brin, programme_code, registrations, live, multiple,
                             multiple_live, students, expected_enrolments, expected_variance)
select snapshot.id, school_year, coalesce(brin, ''), coalesce(programme_code, ''), count(*), sum(live),
       count(*) filter (where of_student >= 2), count(*) filter (where live = 1 and live_of_student >= 2),
       count(distinct student_id), coalesce(sum(chance), 0), coalesce(sum(chance * (1 - chance)), 0)
from compared cross join snapshot
group by snapshot.id, school_year, grouping sets ((), (brin), (programme_code), (brin, programme_code))
"""
_PRUNE = """
with old as (select id from statistics_snapshot where as_of < $1),
cells as (delete from statistics_cell where snapshot_id in (select id from old))
select count(*) from old
"""
_PRUNE_SNAPSHOTS = """
delete from statistics_snapshot s where as_of < $1
and not exists (select 1 from statistics_cell c where c.snapshot_id = s.id)
"""
_CELLS = """
select programme_code, registrations, live, multiple, multiple_live, students, expected_enrolments,
       expected_variance
from statistics_cell where snapshot_id = $1 and school_year = $2 and brin = $3
order by programme_code collate "C"
"""


class Statistics:
    """Snapshots of the figures in one transaction."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    async def lock(self) -> None:
        """Let nobody else make a snapshot until this transaction ends."""
        await self._connection.execute(_LOCK, AdvisoryLock.STATISTICS)

    async def latest(self) -> tuple[int, datetime] | None:
        """Return key and time of the newest snapshot."""
        row = await self._connection.fetchrow(_LATEST)
        return None if row is None else (row["id"], row["as_of"])

    async def make(self, as_of: datetime) -> None:
        """Freeze the figures of this moment."""
        await self._connection.execute("set local statement_timeout = '30min'")
        await self._connection.execute(_MAKE, as_of, timeout=1800)

    async def prune(self, before: datetime) -> None:
        """Remove snapshots of before."""
        await self._connection.execute(_PRUNE, before)
        await self._connection.execute(_PRUNE_SNAPSHOTS, before)

    async def cells(self, snapshot_id: int, school_year: int, brin: str | None) -> list[Cell]:
        """Return the cells of one institution (None: national) in a school year, the total first."""
        rows = await self._connection.fetch(_CELLS, snapshot_id, school_year, brin or "")
        return [Cell(*row) for row in rows]
