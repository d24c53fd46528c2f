"""Students whose time is over: found in bites, announced, and removed with everything about them.

The rows of the students are locked first: whoever makes a registration or a follow for one of them waits for
this transaction (the foreign key sees to that), finds the student gone, and begins anew. Registrations are
locked next, in the order of all writers, so that no message comes between the last look and the removal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.domain.registration import ChangeKind
from app.domain.retention import Trace

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import date, datetime

    import asyncpg

_TRACES = """
select s.id, e.kind, e.occurred_at, e.recorded_at,
       exists (select from follow f where f.student_id = s.id and f.ended_at is null and f.until >= $1)
         as followed,
       (select max(least(f.ended_at, (f.until + 1)::timestamptz)) from follow f where f.student_id = s.id)
         as follow_ended_at
from student s
left join lateral (
  select e.kind, e.occurred_at, e.recorded_at
  from registration r join status_event e on e.registration_id = r.id
  where r.student_id = s.id and e.kind <> 'OUTDATED' order by e.id desc limit 1
) e on true
"""
_NEXT = f"{_TRACES} where s.id > $2 order by s.id limit $3"
_THESE = f"{_TRACES} where s.id = any($2::bigint[])"
_LOCK_STUDENTS = "select id from student where id = any($1::bigint[]) order by id for update"
_LOCK_REGISTRATIONS = """
select id from registration where student_id = any($1::bigint[])
order by application_id collate "C" for update
"""
# For feeds that hold every change; who follows a student hears nothing of it (see the numbering).
_ANNOUNCE = """
with announced as (
  insert into status_event (registration_id, student_id, organisation_id, kind, status, learning_path,
                            source, occurred_at, recorded_at)
  select r.id, r.student_id, r.reported_by[1], 'REMOVAL_ANNOUNCED', r.status, r.learning_path,
         r.status_source, due.removal_at, $3
  from unnest($1::bigint[], $2::timestamptz[]) as due (student_id, removal_at)
  join registration r on r.student_id = due.student_id order by r.id
  returning id
)
insert into pending_event (event_id) select id from announced
"""
_REMOVE = (
    """
delete from status_event e using registration r
where r.student_id = any($1::bigint[]) and e.registration_id = r.id
""",
    "delete from registration where student_id = any($1::bigint[])",
    "delete from follow where student_id = any($1::bigint[])",
    "delete from student where id = any($1::bigint[])",
)
_PSEUDONYMS = "select id, pseudonym, key_version from student where id = any($1::bigint[]) order by id"
_ALL_PSEUDONYMS = "select id, pseudonym, key_version from student where id > $1 order by id limit $2"


class Retention:
    """What is known of students for how long, in one transaction."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    async def traces(self, after: int, size: int, today: date) -> list[Trace]:
        """Return what was last seen of up to `size` students after a key."""
        return [_trace(row) for row in await self._connection.fetch(_NEXT, today, after, size)]

    async def lock(self, student_ids: Collection[int], today: date) -> list[Trace]:
        """Let nothing happen to these students until this transaction ends; return what was last seen.

        Those that are gone meanwhile are left out.
        """
        ids = list(student_ids)
        there = [row["id"] for row in await self._connection.fetch(_LOCK_STUDENTS, ids)]
        await self._connection.execute(_LOCK_REGISTRATIONS, there)
        return [_trace(row) for row in await self._connection.fetch(_THESE, today, there)]

    async def announce(self, removals: Sequence[tuple[int, datetime]], now: datetime) -> None:
        """Record for each registration of these students when it will go; they are locked."""
        ids, moments = [one for one, _ in removals], [moment for _, moment in removals]
        await self._connection.execute(_ANNOUNCE, ids, moments, now)

    async def remove(self, student_ids: Collection[int]) -> None:
        """Remove everything about these students, which are locked; entries of feeds keep their numbers."""
        ids = list(student_ids)
        for statement in _REMOVE:
            await self._connection.execute(statement, ids)

    async def pseudonyms(self, student_ids: Collection[int]) -> list[tuple[int, bytes, int]]:
        """Return (key, pseudonym, version of the keys) of each of these students."""
        return [tuple(row) for row in await self._connection.fetch(_PSEUDONYMS, list(student_ids))]

    async def all_pseudonyms(self, after: int, size: int) -> list[tuple[int, bytes, int]]:
        """Return (key, pseudonym, version of the keys) of up to `size` students after a key."""
        return [tuple(row) for row in await self._connection.fetch(_ALL_PSEUDONYMS, after, size)]


def _trace(row: asyncpg.Record) -> Trace:
    student_id, kind, occurred_at, recorded_at, followed, follow_ended_at = row
    return Trace(
        student_id,
        None if kind is None else ChangeKind(kind),
        occurred_at,
        recorded_at,
        followed,
        follow_ended_at,
    )
