"""Overviews of 1 October: written once for a school year, and never changed or removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.persistence.statistics.encoding import decoded, encoded

if TYPE_CHECKING:
    from collections.abc import Sequence

    import asyncpg

    from app.domain.disclosure.publishing import Published, TableName

_KEEP = """
insert into annual_overview_table (school_year, name, as_of, content)
select $1, * from unnest($2::text[], $3::timestamptz[], $4::text[]::jsonb[])
where not exists (select 1 from annual_overview_table where school_year = $1)
"""
_TABLES = """
select name, '' as of, as_of, content from annual_overview_table where school_year = $1
"""


class AnnualOverviews:
    """Overviews in one transaction."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    async def keep(self, school_year: int, tables: Sequence[Published]) -> None:
        """Keep the tables of a year's overview unless it has one; for the one refresh that is at work."""
        await self._connection.execute(
            _KEEP,
            school_year,
            [table.name.value for table in tables],
            [table.as_of for table in tables],
            [encoded(table) for table in tables],
        )

    async def tables(self, school_year: int) -> dict[tuple[TableName, str], Published]:
        """Return the tables of an overview by name and '' (of the country); none where none was kept."""
        rows = await self._connection.fetch(_TABLES, school_year)
        return {(table.name, table.of): table for table in map(decoded, rows)}
