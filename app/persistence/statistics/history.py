"""What became of live registrations, counted in SQL from what happened to them.

A status at a moment is that of the last event before it that had an effect. A day counts to its end
(Europe/Amsterdam). A student has one enrolment at most: of several, that which changed last. The counts of a
removed student depend on that student alone, so they are carried like those of the cube; a school year and
week that is frozen already holds them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.domain.codes import LIVE, Status
from app.domain.cube import MOST_LIVE
from app.domain.history import MOST_WEEKS, Past
from app.domain.status_mix import Present
from app.persistence.statistics import contributions

if TYPE_CHECKING:
    from collections.abc import Iterator

    import asyncpg

KEY = ("school_year", "weeks", "brin", "live_of_student", "status")
COUNTS = ("live", "enrolled", "enrolled_here")
_LONG = 1800.0

_STATUSES = [*sorted(LIVE), *sorted(set(Status) - LIVE)]
_CODES = "array[" + ", ".join(f"'{status}'" for status in _STATUSES) + "]"
_ENROLLED = _STATUSES.index(Status.ENROLLED) + 1
_DAY_AFTER = "(make_date(m.school_year, 10, 2){earlier})::timestamp at time zone 'Europe/Amsterdam'"
_UNTIL = f"filter (where e.occurred_at < {_DAY_AFTER})"
# The number of an event and the status that it led to, in one number, so that the greatest tells both.
_LAST = f"max(e.id * 8 + array_position({_CODES}, e.status::text)) {_UNTIL}"


def outcomes(moments: str, whose: str = "") -> str:
    """Return a WITH list whose `contributed` has KEY and COUNTS, for the moments (school_year, weeks)."""
    return f"""
moment as ({moments}),
known as (
  select m.school_year, m.weeks, r.id, r.student_id, r.brin,
         {_LAST.format(earlier=" - 7 * m.weeks")} % 8 as status,
         {_LAST.format(earlier="")} % 8 = {_ENROLLED} as enrolled,
         max(e.occurred_at) {_UNTIL.format(earlier="")} as changed_at
  from moment m join registration r on r.school_year = m.school_year
  join status_event e on e.registration_id = r.id
  where r.annulled_by is null and e.kind <> 'OUTDATED' {whose}
  group by m.school_year, m.weeks, r.id
),
compared as (
  select *, count(*) filter (where status <= {len(LIVE)}) over student as live_of_student,
         row_number() over (student order by enrolled desc nulls last, changed_at desc, id) as nth
  from known window student as (partition by school_year, weeks, student_id)
),
contributed as (
  select school_year, weeks, brin, least(live_of_student, {MOST_LIVE}) as live_of_student,
         ({_CODES})[status] as status, count(*) as live,
         count(*) filter (where enrolled and nth = 1) as enrolled,
         count(*) filter (where enrolled) as enrolled_here
  from compared where status <= {len(LIVE)} group by 1, 2, 3, 4, 5
)"""


_COLUMNS = ", ".join((*KEY, *COUNTS))
IS_FROZEN = "select exists (select from statistics_history where school_year = $1 and weeks = $2)"
FREEZE = f"""
with {outcomes("select $1::smallint as school_year, $2::smallint as weeks")}
insert into statistics_history ({_COLUMNS})
select {", ".join(KEY)}, {", ".join(f"sum({count})" for count in COUNTS)} from (
  select {_COLUMNS} from contributed
  union all
  select {_COLUMNS} from statistics_carried_history where school_year = $1 and weeks = $2
) everybody group by {", ".join(KEY)}
"""
# All weeks of the school years that these students have registrations in, but those that are frozen.
TO_CARRY = outcomes(
    f"""
  select year.school_year, week.weeks::smallint as weeks
  from (select distinct school_year from registration where student_id = any($1::bigint[])) year
  cross join generate_series(0, {MOST_WEEKS}) as week(weeks)
  where not exists (
    select from statistics_history h where h.school_year = year.school_year and h.weeks = week.weeks
  )
""",
    "and r.student_id = any($1::bigint[])",
)
_PAST = """
select brin, live_of_student, status, live, enrolled, enrolled_here from statistics_history
where school_year = $1 and weeks = $2
"""
_MIX = ", ".join(contributions.MIX_KEY[1:])
_PRESENT = f"""
with {contributions.mixes("and school_year = $1")}
select {_MIX}, sum(registrations)::bigint as live from (
  select {_MIX}, registrations from contributed
  union all
  select {_MIX}, registrations from statistics_carried_mix where school_year = $1
) everybody group by {_MIX}
"""


class Histories:
    """The outcomes of earlier school years, and the registrations of today that they are laid on."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    async def of(self, school_year: int, weeks: int) -> list[Past]:
        """Return the outcomes of a school year, whose 1 October has passed, at so many weeks before it.

        What is not frozen yet is frozen now: once and for all, whoever is removed afterwards.
        """
        if not await self._connection.fetchval(IS_FROZEN, school_year, weeks):
            await self._connection.execute(FREEZE, school_year, weeks, timeout=_LONG)
        return [Past(*row) for row in await self._connection.fetch(_PAST, school_year, weeks)]

    async def present(self, school_year: int) -> Iterator[Present]:
        """Return the live registrations of a school year by status."""
        rows = await self._connection.fetch(_PRESENT, school_year, timeout=_LONG)
        return (Present(*row) for row in rows)
