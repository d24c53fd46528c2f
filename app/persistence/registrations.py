"""Registrations: locked and written in batches, read within what the caller may see."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.domain.codes import LearningPath, Status, StatusSource
from app.domain.registration import Registration

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    import asyncpg

# In the order of the fields of Registration.
COLUMNS = """
r.id, r.public_id, r.application_id, r.student_id, r.brin, r.programme_code, r.learning_path, r.school_year,
r.programme_year, r.status, r.status_since, r.status_source, r.effective_at, r.last_confirmed_at,
r.annulled_by, r.reported_by, r.region
"""
COLUMN_COUNT = 17

# Made in the order of the key; whoever comes second waits here and then finds the row.
_CREATE = """
insert into registration (public_id, application_id, student_id, brin, programme_code, learning_path,
                          school_year, programme_year, status, status_since, status_source, effective_at,
                          created_at, last_confirmed_at, region, annulled_by, reported_by)
select public_id, application_id, student_id, brin, programme_code, learning_path, school_year,
       programme_year, status, status_since, status_source, effective_at, last_confirmed_at,
       last_confirmed_at, region, null, array[reported_by]
from unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::smallint[],
            $8::smallint[], $9::text[], $10::timestamptz[], $11::text[], $12::timestamptz[],
            $13::timestamptz[], $14::text[], $15::bigint[])
     as made (public_id, application_id, student_id, brin, programme_code, learning_path, school_year,
              programme_year, status, status_since, status_source, effective_at, last_confirmed_at, region,
              reported_by)
order by application_id collate "C"
on conflict (application_id) do nothing
returning application_id
"""
_EXISTING = "select application_id from registration where application_id = any($1::text[])"
_DISCARD = "delete from registration where application_id = any($1::text[])"
_LOCK = f"""
select {COLUMNS} from registration r
where r.application_id = any($1::text[])
order by r.application_id collate "C"
for update
"""
_UPDATE = """
update registration r set
  student_id = u.student_id, programme_code = u.programme_code, learning_path = u.learning_path,
  school_year = u.school_year, programme_year = u.programme_year, status = u.status,
  status_since = u.status_since, status_source = u.status_source, effective_at = u.effective_at,
  last_confirmed_at = u.last_confirmed_at, annulled_by = u.annulled_by, region = coalesce(u.region, r.region),
  reported_by = case when u.reporter = any(r.reported_by) then r.reported_by
                     else array_append(r.reported_by, u.reporter) end
from unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::smallint[], $6::smallint[], $7::text[],
            $8::timestamptz[], $9::text[], $10::timestamptz[], $11::timestamptz[], $12::bigint[], $13::text[],
            $14::bigint[])
     as u (id, student_id, programme_code, learning_path, school_year, programme_year, status, status_since,
           status_source, effective_at, last_confirmed_at, annulled_by, region, reporter)
where r.id = u.id
"""
_BY_ID = f"select {COLUMNS} from registration r where r.id = any($1::bigint[])"
_OF_STUDENTS = f"""
select {COLUMNS} from registration r
where r.student_id = any($1::bigint[]) and r.annulled_by is null and ($2 or r.learning_path <> 'VAVO')
order by r.student_id, r.id
"""
_REGIONS = "select code, region from school where code = any($1::text[])"

_STATUS = {status.value: status for status in Status}
_PATH = {path.value: path for path in LearningPath}
_SOURCE = {source.value: source for source in StatusSource}


def registration_of(row: asyncpg.Record, reference: str | None = None) -> Registration:
    """Return the registration in a row that begins with COLUMNS."""
    values = list(row[:COLUMN_COUNT])
    values[6] = _PATH[values[6]]
    values[9] = _STATUS[values[9]]
    values[11] = _SOURCE[values[11]]
    values[15] = tuple(values[15])
    values.append(reference)
    return Registration(*values)


class Registrations:
    """Registrations in one transaction."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    async def create(self, made: Sequence[Registration]) -> set[str]:
        """Insert those whose application id is unknown; return the application ids that this made."""
        if not made:
            return set()
        rows = await self._connection.fetch(
            _CREATE,
            [one.public_id for one in made],
            [one.application_id for one in made],
            [one.student_id for one in made],
            [one.brin for one in made],
            [one.programme_code for one in made],
            [one.learning_path for one in made],
            [one.school_year for one in made],
            [one.programme_year for one in made],
            [one.status for one in made],
            [one.status_since for one in made],
            [one.status_source for one in made],
            [one.effective_at for one in made],
            [one.last_confirmed_at for one in made],
            [one.region for one in made],
            [one.reported_by[0] for one in made],
        )
        return {row["application_id"] for row in rows}

    async def existing(self, application_ids: Collection[str]) -> set[str]:
        """Return those application ids that have a registration; takes no lock."""
        rows = await self._connection.fetch(_EXISTING, list(application_ids))
        return {row["application_id"] for row in rows}

    async def discard(self, application_ids: Collection[str]) -> None:
        """Take back registrations that this transaction made for a message which was then refused."""
        if application_ids:
            await self._connection.execute(_DISCARD, list(application_ids))

    async def lock(self, application_ids: Collection[str]) -> dict[str, Registration]:
        """Lock and return those that exist, in one order for all writers."""
        rows = await self._connection.fetch(_LOCK, list(application_ids))
        return {row["application_id"]: registration_of(row) for row in rows}

    async def update(self, changed: Sequence[Registration], reporter: int) -> None:
        """Write the present state of registrations that this transaction has locked."""
        if not changed:
            return
        await self._connection.execute(
            _UPDATE,
            [one.id for one in changed],
            [one.student_id for one in changed],
            [one.programme_code for one in changed],
            [one.learning_path for one in changed],
            [one.school_year for one in changed],
            [one.programme_year for one in changed],
            [one.status for one in changed],
            [one.status_since for one in changed],
            [one.status_source for one in changed],
            [one.effective_at for one in changed],
            [one.last_confirmed_at for one in changed],
            [one.annulled_by for one in changed],
            [one.region for one in changed],
            [reporter] * len(changed),
        )

    async def by_ids(self, ids: Collection[int]) -> dict[int, Registration]:
        """Return registrations by the hub's key, without looking at rights."""
        rows = await self._connection.fetch(_BY_ID, list(ids))
        return {row["id"]: registration_of(row) for row in rows}

    async def of_students(self, student_ids: Collection[int], *, vavo: bool) -> dict[int, list[Registration]]:
        """Return what stands for each of these students, annulled ones left out."""
        found: dict[int, list[Registration]] = {student_id: [] for student_id in student_ids}
        for row in await self._connection.fetch(_OF_STUDENTS, list(student_ids), vavo):
            found[row["student_id"]].append(registration_of(row))
        return found

    async def regions(self, schools: Iterable[str]) -> dict[str, str]:
        """Return the region of each branch of a school that the catalogue knows."""
        wanted = list(schools)
        if not wanted:
            return {}
        return {row["code"]: row["region"] for row in await self._connection.fetch(_REGIONS, wanted)}
