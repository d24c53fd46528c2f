"""Institutions, programmes and schools, through SQLModel: a cold path."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import select

from app.domain.catalogue import Institution, Programme
from app.persistence.tables import InstitutionRow, ProgrammeRow, SchoolRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlmodel.ext.asyncio.session import AsyncSession

    from app.domain.catalogue import School

_ROWS_AT_ONCE = 5000
_Row = TypeVar("_Row")


class CatalogueRows:
    """The catalogue in one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def put_institutions(self, institutions: Sequence[Institution]) -> None:
        """Add or renew institutions; a region that is not given stays."""
        for some in _bites(institutions):
            statement = insert(InstitutionRow).values(
                [{"brin": one.brin, "name": one.name, "region": one.region} for one in some]
            )
            added = statement.excluded
            statement = statement.on_conflict_do_update(
                index_elements=["brin"],
                set_={"name": added.name, "region": func.coalesce(added.region, InstitutionRow.region)},
            )
            await self._session.exec(statement)

    async def put_programmes(self, programmes: Sequence[Programme]) -> None:
        """Add or renew programmes; a level that is not given stays."""
        for some in _bites(programmes):
            statement = insert(ProgrammeRow).values(
                [{"code": one.code, "name": one.name, "level": one.level} for one in some]
            )
            added = statement.excluded
            statement = statement.on_conflict_do_update(
                index_elements=["code"],
                set_={"name": added.name, "level": func.coalesce(added.level, ProgrammeRow.level)},
            )
            await self._session.exec(statement)

    async def put_schools(self, schools: Sequence[School]) -> None:
        """Add or renew branches of schools."""
        for some in _bites(schools):
            statement = insert(SchoolRow).values([{"code": one.code, "region": one.region} for one in some])
            statement = statement.on_conflict_do_update(
                index_elements=["code"], set_={"region": statement.excluded.region}
            )
            await self._session.exec(statement)

    async def institutions(self) -> list[Institution]:
        """Return all institutions."""
        rows = await self._session.exec(select(InstitutionRow))
        return [Institution(row.brin, row.name, row.region) for row in rows]

    async def programmes(self) -> list[Programme]:
        """Return all programmes."""
        rows = await self._session.exec(select(ProgrammeRow))
        return [Programme(row.code, row.name, row.level) for row in rows]


def _bites(rows: Sequence[_Row]) -> list[Sequence[_Row]]:
    return [rows[start : start + _ROWS_AT_ONCE] for start in range(0, len(rows), _ROWS_AT_ONCE)]
