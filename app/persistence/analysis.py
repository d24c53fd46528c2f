"""The periods of status of all registrations, streamed in the order of the registrations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.domain.analysis import StatusPeriod
from app.domain.codes import Status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

# What a message said of another student, before that was corrected, is not of this registration's student.
_PERIODS = """
select r.application_id, r.created_at, max(e.recorded_at) over registration, o.oin, r.student_id, r.brin,
       r.programme_code, r.learning_path, e.status, e.occurred_at,
       lead(e.occurred_at) over (partition by r.id order by e.id), r.school_year, e.source
from registration r
join status_event e on e.registration_id = r.id and e.student_id = r.student_id
join organisation o on o.id = e.organisation_id
where r.annulled_by is null and e.kind in ('STATUS', 'CORRECTED')
  and ($1::smallint is null or r.school_year = $1)
window registration as (partition by r.id)
order by r.id, e.id
"""
_COUNT = """
select count(*) from registration where annulled_by is null and ($1::smallint is null or school_year = $1)
"""
_AT_ONCE = 5000


class Analysis:
    """What is exported for analysis; in one transaction (REPEATABLE READ), so that it is of one moment."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    async def count(self, school_year: int | None) -> int:
        """Return how many registrations there are in a school year (None: in all)."""
        return int(await self._connection.fetchval(_COUNT, school_year))

    async def periods(self, school_year: int | None) -> AsyncIterator[StatusPeriod]:
        """Yield each period of each registration."""
        async for row in self._connection.cursor(_PERIODS, school_year, prefetch=_AT_ONCE):
            values = list(row)
            values[8] = Status(values[8])
            yield StatusPeriod(*values)
