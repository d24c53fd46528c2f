"""Registrations as a caller may see them: the right is part of each statement.

SIS vendor: what it reported itself, for institutions with a mandate today. CAMBO: all. Transfer system:
students it follows today. An annulled registration is there for the organisation that annulled it alone.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from app.domain.access import Role
from app.domain.seen import SeenRegistration
from app.domain.value import value
from app.persistence.kept_plans import unseen
from app.persistence.unread import without

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import date
    from uuid import UUID

    import asyncpg

    from app.domain.catalogue import Names
    from app.domain.codes import Status

# In the order of the fields of SeenRegistration, but for its first three, which are made here. Ids travel as
# they are: to make texts of them is a tenth of PostgreSQL's work for a page, and next to nothing here.
_COLUMNS = """
r.public_id, r.id, r.application_id, r.student_id, r.learning_path, r.school_year, r.programme_year,
r.status, r.status_since, r.status_source, r.last_confirmed_at, r.annulled_by is not null
"""
_CODES = "r.brin, r.programme_code"
_SEEN = f"{_COLUMNS}, null as reference, {_CODES}"
_SEEN_BY_FOLLOWER = f"{_COLUMNS}, f.reference, {_CODES}"
_MANDATE = """exists (
  select 1 from mandate m where m.organisation_id = $1 and m.brin = {brin}
  and m.valid_from <= $2 and (m.valid_to is null or m.valid_to >= $2)
)"""
_NOT_ANNULLED = "(r.annulled_by is null or r.annulled_by = $1)"
_FOLLOW_OPEN = "f.organisation_id = $1 and f.ended_at is null and f.until >= $2"
_VAVO = "($3 or r.learning_path <> 'VAVO')"

# $1 organisation, $2 today, $3 whether VAVO is shown, $4 the keys
_SOME = {
    Role.SIS: f"""
select {_SEEN} from registration r
where {{keys}} and $1 = any(r.reported_by) and {_MANDATE.format(brin="r.brin")}
  and {_NOT_ANNULLED} and $3::boolean is not null""",
    Role.CAMBO: f"""
select {_SEEN} from registration r
where {{keys}} and {_NOT_ANNULLED} and $2::date is not null and $3::boolean is not null""",
    Role.OS: f"""
select {_SEEN_BY_FOLLOWER} from registration r
join follow f on f.student_id = r.student_id and {_FOLLOW_OPEN}
where {{keys}} and r.annulled_by is null and {_VAVO}""",
}

# What a page is asked with, the institutions in order and behind which key: where the planner does not look.
_ASKED = """(
  select $1::bigint as organisation_id, $2::date as today, $3::boolean as vavo, $4::smallint as school_year,
         $5::text[] as statuses, $6::bigint as size, $7::text[] as brins, $8::text as text, $9::bigint as id
  offset 0
) asked"""
_FILTERS = """(asked.school_year is null or r.school_year = asked.school_year)
    and (asked.statuses is null or r.status = any(asked.statuses))"""
_PAGE_OF_SENDER = f"""
select {_SEEN}
from {_ASKED}
cross join unnest(asked.brins) as wanted (brin)
cross join lateral (
  select * from registration r
  where r.brin = wanted.brin and r.id > case when wanted.brin = asked.text then asked.id else 0 end
    and $1 = any(r.reported_by) and {_NOT_ANNULLED} and {_FILTERS}
  order by r.id limit asked.size
) r
where {_MANDATE.format(brin="wanted.brin")}
order by r.brin, r.id limit {unseen(6, "bigint")}
"""
_PAGE_OF_ALL = f"""
select {_SEEN}
from {_ASKED}
cross join lateral (
  select * from registration r
  where (r.brin, r.id) > (asked.text, asked.id) and (asked.brins is null or r.brin = any(asked.brins))
    and {_NOT_ANNULLED} and {_FILTERS}
  order by r.brin, r.id limit asked.size
) r
order by r.brin, r.id
"""
_PAGE_OF_FOLLOWER = f"""
select {_SEEN_BY_FOLLOWER}
from {_ASKED}
join follow f on f.organisation_id = asked.organisation_id and f.reference >= asked.text
cross join lateral (
  select * from registration r
  where r.student_id = f.student_id and (f.reference > asked.text or r.id > asked.id)
    and (asked.brins is null or r.brin = any(asked.brins)) and r.annulled_by is null
    and (asked.vavo or r.learning_path <> 'VAVO') and {_FILTERS}
  order by r.id
) r
where f.ended_at is null and f.until >= asked.today
order by f.reference, r.id limit {unseen(6, "bigint")}
"""
# Of one institution, as nearly every page is. Only what is asked for stands in it: then one plan is as good
# as a plan for each request, and PostgreSQL keeps it. To plan took longer than to read.
_PAGE_OF_INSTITUTION = f"""
select {_SEEN} from registration r
where r.brin = $3 and r.id > $4 and {_NOT_ANNULLED} and {{right}} {{filters}}
order by r.id limit {unseen(5, "bigint")}
"""
_RIGHT = {
    Role.SIS: f"$1 = any(r.reported_by) and {_MANDATE.format(brin='$3')}",
    Role.CAMBO: "$2::date is not null",
}
_MANDATES = """
select brin from mandate
where organisation_id = $1 and valid_from <= $2 and (valid_to is null or valid_to >= $2)
group by brin order by brin collate "C"
"""


class Viewpoint(NamedTuple):
    """Who looks, on which day, and whether VAVO is shown to transfer systems."""

    organisation_id: int
    role: Role
    today: date
    vavo: bool


@value
class RegistrationFilter:
    """What a page is about; None: no restriction."""

    brin: str | None = None
    school_year: int | None = None
    statuses: tuple[Status, ...] | None = None


class VisibleRegistrations:
    """Reads within what one caller may see."""

    def __init__(
        self, connection: asyncpg.Connection[asyncpg.Record], viewpoint: Viewpoint, names: Names
    ) -> None:
        self._connection = connection
        self._viewpoint = viewpoint
        self._names = names

    async def by_public_ids(self, public_ids: Collection[UUID]) -> dict[UUID, SeenRegistration]:
        """Return those of these registrations that may be seen."""
        found = await self._find(f"r.public_id = any({unseen(4, 'uuid[]')})", list(public_ids))
        return {registration.public_id: registration for registration in found}

    async def by_application_ids(self, application_ids: Collection[str]) -> dict[str, SeenRegistration]:
        """Return those of these registrations that may be seen, of whatever institution."""
        found = await self._find(f"r.application_id = any({unseen(4, 'text[]')})", list(application_ids))
        return {registration.application_id: registration for registration in found}

    async def _find(self, keys: str, values: Sequence[object]) -> list[SeenRegistration]:
        view = self._viewpoint
        statement = _SOME[view.role].format(keys=keys)
        rows = await self._connection.fetch(statement, view.organisation_id, view.today, view.vavo, values)
        return self._seen(rows)

    async def page(
        self,
        wanted: RegistrationFilter,
        after: tuple[str, int] | None,
        size: int,
        unread: frozenset[str] = frozenset(),
    ) -> list[SeenRegistration]:
        """Return up to `size` registrations after a key: (BRIN, id), or (reference, id) for a follower.

        The times that are named in `unread` are None in all of them.
        """
        view = self._viewpoint
        last_text, last_id = after or ("", 0)
        if wanted.brin is not None and view.role in _RIGHT:
            if last_text > wanted.brin:
                return []
            first_id = last_id if last_text == wanted.brin else 0
            return await self._page_of_institution(wanted.brin, wanted, first_id, size, unread)
        brins: Sequence[str] | None = None if wanted.brin is None else [wanted.brin]
        statement = _PAGE_OF_ALL
        if view.role is Role.OS:
            statement = _PAGE_OF_FOLLOWER
        elif view.role is Role.SIS:
            statement = _PAGE_OF_SENDER
            brins = [brin for brin in brins or await self._mandates() if brin >= last_text]
        rows = await self._connection.fetch(
            without(statement, unread),
            view.organisation_id,
            view.today,
            view.vavo,
            wanted.school_year,
            wanted.statuses,
            size,
            brins,
            last_text,
            last_id,
        )
        return self._seen(rows)

    async def _page_of_institution(
        self, brin: str, wanted: RegistrationFilter, after: int, size: int, unread: frozenset[str]
    ) -> list[SeenRegistration]:
        view = self._viewpoint
        values: list[object] = [view.organisation_id, view.today, brin, after, size]
        filters = ""
        if wanted.school_year is not None:
            values.append(wanted.school_year)
            filters += f" and r.school_year = ${len(values)}"
        if wanted.statuses is not None:
            values.append(wanted.statuses)
            filters += f" and r.status = any(${len(values)}::text[])"
        statement = _PAGE_OF_INSTITUTION.format(right=_RIGHT[view.role], filters=filters)
        return self._seen(await self._connection.fetch(without(statement, unread), *values))

    def _seen(self, rows: Sequence[asyncpg.Record]) -> list[SeenRegistration]:
        institutions, programmes = self._names.institutions, self._names.programmes
        make = partial(tuple.__new__, SeenRegistration)  # what its `_make` does, without a call of Python
        return [make((institutions[row[-2]], programmes[row[-1]], str(row[0]), *row)) for row in rows]

    async def _mandates(self) -> list[str]:
        rows = await self._connection.fetch(_MANDATES, self._viewpoint.organisation_id, self._viewpoint.today)
        return [row["brin"] for row in rows]
