"""Follows: which transfer system hears of which student, until when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.domain.following import Follow
from app.persistence.kept_plans import unseen

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import date, datetime

    import asyncpg

_CLOSE_ENDED = f"""
update follow set ended_at = $4
where organisation_id = $1 and ended_at is null and until < {unseen(5, "date")}
  and (student_id = any({unseen(2, "bigint[]")}) or reference = any({unseen(3, "text[]")}))
"""
_OPEN = f"""
select id, student_id, reference, since, until from follow
where organisation_id = $1 and ended_at is null
  and (student_id = any({unseen(2, "bigint[]")}) or reference = any({unseen(3, "text[]")}))
"""
_ADD = """
insert into follow (organisation_id, student_id, reference, region, since, until)
select $1, student_id, reference, region, $6, until
from unnest($2::bigint[], $3::text[], $4::text[], $5::date[]) as added (student_id, reference, region, until)
"""
_EXTEND = """
update follow f set until = e.until, region = coalesce(e.region, f.region)
from unnest($1::bigint[], $2::date[], $3::text[]) as e (id, until, region) where f.id = e.id
"""
_END = f"""
update follow set ended_at = $3
where organisation_id = $1 and reference = any({unseen(2, "text[]")}) and ended_at is null and until >= $4
returning reference
"""
# $8 is the end of the day that is asked about; what had no effect and what is annulled does not count.
_THEN = """(
      select e.status from status_event e
      where e.registration_id = r.id and e.kind <> 'OUTDATED' and e.occurred_at < $8
      order by e.id desc limit 1)"""


def _page(status: str) -> str:
    return f"""
select f.id, f.student_id, f.reference, f.since, f.until from follow f
where f.organisation_id = $1 and f.ended_at is null and f.until >= $2 and f.reference > $3
  and $8::timestamptz is {"null" if status == "r.status" else "not null"}
  and ($4::smallint is null or $5::boolean is not null or exists (
    select 1 from registration r where r.student_id = f.student_id and r.school_year = $4
      and {status} is not null and r.annulled_by is null and ($7 or r.learning_path <> 'VAVO')))
  and ($5::boolean is null or $5 <> exists (
    select 1 from registration r where r.student_id = f.student_id
      and ($4::smallint is null or r.school_year = $4)
      and {status} in ('RECEIVED', 'OFFERED', 'ENROLLED')
      and r.annulled_by is null and ($7 or r.learning_path <> 'VAVO')))
order by f.reference limit $6
"""


_PAGE = _page("r.status")
_PAGE_THEN = _page(_THEN)
_ONE = """
select id, student_id, reference, since, until from follow
where organisation_id = $1 and ended_at is null and until >= $2 and reference = $3
"""


@dataclass(frozen=True, slots=True)
class NewFollow:
    """A follow to be opened."""

    student_id: int
    reference: str
    region: str | None
    until: date


def _follow_of(row: asyncpg.Record) -> Follow:
    return Follow(row["id"], row["student_id"], row["reference"], row["since"], row["until"])


class Follows:
    """Follows in one transaction. Whoever writes holds the lock on the organisation's feed row."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    async def open_of(
        self,
        organisation_id: int,
        student_ids: Collection[int],
        references: Collection[str],
        *,
        now: datetime,
        today: date,
    ) -> list[Follow]:
        """Close those whose date has passed, and return the open ones of these students or references."""
        students, names = list(student_ids), list(references)
        await self._connection.execute(_CLOSE_ENDED, organisation_id, students, names, now, today)
        rows = await self._connection.fetch(_OPEN, organisation_id, students, names)
        return [_follow_of(row) for row in rows]

    async def add(self, organisation_id: int, added: Sequence[NewFollow], now: datetime) -> None:
        """Open follows."""
        if added:
            await self._connection.execute(
                _ADD,
                organisation_id,
                [one.student_id for one in added],
                [one.reference for one in added],
                [one.region for one in added],
                [one.until for one in added],
                now,
            )

    async def extend(self, changed: Sequence[tuple[int, date, str | None]]) -> None:
        """Set the end (and the region, where one is given) of open follows."""
        if changed:
            await self._connection.execute(
                _EXTEND,
                [follow_id for follow_id, _, _ in changed],
                [until for _, until, _ in changed],
                [region for _, _, region in changed],
            )

    async def end(
        self, organisation_id: int, references: Collection[str], now: datetime, today: date
    ) -> set[str]:
        """End open follows; return the references that there were."""
        rows = await self._connection.fetch(_END, organisation_id, list(references), now, today)
        return {row["reference"] for row in rows}

    async def page(  # noqa: PLR0913 - the two filters of the API, and the keyset
        self,
        organisation_id: int,
        today: date,
        after: str,
        size: int,
        *,
        school_year: int | None,
        without_live_registration: bool | None,
        vavo: bool,
        before: datetime | None = None,
    ) -> list[Follow]:
        """Return up to `size` open follows after a reference; with `before` by the statuses of then."""
        statement = _PAGE if before is None else _PAGE_THEN
        rows = await self._connection.fetch(
            statement,
            organisation_id,
            today,
            after,
            school_year,
            without_live_registration,
            size,
            vavo,
            before,
        )
        return [_follow_of(row) for row in rows]

    async def by_reference(self, organisation_id: int, reference: str, today: date) -> Follow | None:
        """Return the open follow under this reference, or None."""
        row = await self._connection.fetchrow(_ONE, organisation_id, today, reference)
        return None if row is None else _follow_of(row)
