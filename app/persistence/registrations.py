"""Registrations: locked and written in batches, read within what the caller may see."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.domain.codes import LearningPath, Status, StatusSource
from app.domain.registration import Registration
from app.persistence.kept_plans import unseen
from app.persistence.packing import pack, pack_each, pack_moments, pack_nullable, unpack, unpack_unseen
from app.persistence.parts import Part

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    import asyncpg

# In the order of the fields of Registration. Times take asyncpg longest to read, and two of these are
# mostly the same: the second is null then.
COLUMNS = """
r.id, r.public_id, r.application_id, r.student_id, r.brin, r.programme_code, r.learning_path, r.school_year,
r.programme_year, r.status, r.status_since, r.status_source, nullif(r.effective_at, r.status_since),
r.last_confirmed_at, r.annulled_by, r.reported_by, r.region
"""
COLUMN_COUNT = 17

# Made in the order of the key; whoever comes second waits here and then finds the row.
_CREATE = f"""
insert into registration (public_id, application_id, student_id, brin, programme_code, learning_path,
                          school_year, programme_year, status, status_since, status_source, effective_at,
                          created_at, last_confirmed_at, region, annulled_by, reported_by)
select public_id, application_id, student_id, brin, programme_code, learning_path, school_year,
       programme_year, status, status_since, status_source, effective_at, last_confirmed_at,
       last_confirmed_at, region, null, array[reported_by]
from unnest({unpack(1, "uuid")}, {unpack(2)}, {unpack(3, "bigint")}, {unpack(4)}, {unpack(5)}, {unpack(6)},
            {unpack(7, "smallint")}, {unpack(8, "smallint")}, {unpack(9)}, {unpack(10, "timestamptz")},
            {unpack(11)}, {unpack(12, "timestamptz")}, {unpack(13, "timestamptz")}, {unpack(14)},
            {unpack(15, "bigint")})
     as made (public_id, application_id, student_id, brin, programme_code, learning_path, school_year,
              programme_year, status, status_since, status_source, effective_at, last_confirmed_at, region,
              reported_by)
order by application_id collate "C"
on conflict (application_id) do nothing
returning application_id
"""
_DISCARD = "delete from registration where application_id = any($1::text[])"
_LOCK = f"""
select {COLUMNS} from registration r
where r.application_id = any({unpack_unseen(1)})
order by r.application_id collate "C"
for update
"""
_UPDATE = f"""
updated as (
update registration r set
  student_id = u.student_id, programme_code = u.programme_code, learning_path = u.learning_path,
  school_year = u.school_year, programme_year = u.programme_year, status = u.status,
  status_since = u.status_since, status_source = u.status_source, effective_at = u.effective_at,
  last_confirmed_at = u.last_confirmed_at, annulled_by = u.annulled_by, region = coalesce(u.region, r.region),
  reported_by = string_to_array(u.reported_by, ' ')::bigint[]
from unnest({unpack(1, "bigint")}, {unpack(2, "bigint")}, {unpack(3)}, {unpack(4)}, {unpack(5, "smallint")},
            {unpack(6, "smallint")}, {unpack(7)}, {unpack(8, "timestamptz")}, {unpack(9)},
            {unpack(10, "timestamptz")}, {unpack(11, "timestamptz")}, {unpack(12, "bigint")}, {unpack(13)},
            {unpack(14)})
     as u (id, student_id, programme_code, learning_path, school_year, programme_year, status, status_since,
           status_source, effective_at, last_confirmed_at, annulled_by, region, reported_by)
where r.id = u.id
)
"""
_BY_ID = f"select {COLUMNS} from registration r where r.id = any({unseen(1, 'bigint[]')})"
_OF_STUDENTS = f"""
select {COLUMNS} from registration r
where r.student_id = any({unseen(1, "bigint[]")}) and r.annulled_by is null
  and ($2 or r.learning_path <> 'VAVO')
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
    if values[12] is None:
        values[12] = values[10]
    values[15] = tuple(values[15])
    values.append(reference)
    return Registration(*values)


def updating(changed: Sequence[Registration]) -> Part:
    """Return what writes the present state of registrations that this transaction has locked."""
    return Part(
        _UPDATE,
        (
            pack_each(one.id for one in changed),
            pack_each(one.student_id for one in changed),
            pack(one.programme_code for one in changed),
            pack(one.learning_path for one in changed),
            pack_each(one.school_year for one in changed),
            pack_each(one.programme_year for one in changed),
            pack(one.status for one in changed),
            pack_moments(one.status_since for one in changed),
            pack(one.status_source for one in changed),
            pack_moments(one.effective_at for one in changed),
            pack_moments(one.last_confirmed_at for one in changed),
            pack_nullable(one.annulled_by for one in changed),
            pack_nullable(one.region for one in changed),
            pack(" ".join(map(str, one.reported_by)) for one in changed),
        ),
    )


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
            pack_each(one.public_id for one in made),
            pack(one.application_id for one in made),
            pack_each(one.student_id for one in made),
            pack(one.brin for one in made),
            pack(one.programme_code for one in made),
            pack(one.learning_path for one in made),
            pack_each(one.school_year for one in made),
            pack_each(one.programme_year for one in made),
            pack(one.status for one in made),
            pack_moments(one.status_since for one in made),
            pack(one.status_source for one in made),
            pack_moments(one.effective_at for one in made),
            pack_moments(one.last_confirmed_at for one in made),
            pack_nullable(one.region for one in made),
            pack_each(one.reported_by[0] for one in made),
        )
        return {row["application_id"] for row in rows}

    async def discard(self, application_ids: Collection[str]) -> None:
        """Take back registrations that this transaction made for a message which was then refused."""
        if application_ids:
            await self._connection.execute(_DISCARD, list(application_ids))

    async def lock(self, application_ids: Collection[str]) -> dict[str, Registration]:
        """Lock and return those that exist, in one order for all writers."""
        rows = await self._connection.fetch(_LOCK, pack(application_ids))
        return {row["application_id"]: registration_of(row) for row in rows}

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
