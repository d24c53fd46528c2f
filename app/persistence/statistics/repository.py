"""The figures in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.domain.cube import Cell, Dimension
from app.domain.disclosure.publishing import Before, Published, TableName
from app.domain.disclosure.year import YearOfCells
from app.persistence.statistics import carried, snapshots
from app.persistence.statistics.annual_overviews import AnnualOverviews
from app.persistence.statistics.encoding import decoded, encoded
from app.persistence.statistics.history import Histories

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime

    import asyncpg

_LONG = 1800.0
_DIMENSIONS = {dimension.value: dimension for dimension in Dimension}


class Statistics:
    """Snapshots of the cube, and what removed students leave in it."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    @property
    def overviews(self) -> AnnualOverviews:
        """What is kept of 1 October."""
        return AnnualOverviews(self._connection)

    @property
    def histories(self) -> Histories:
        """What became of registrations in earlier school years."""
        return Histories(self._connection)

    async def carry(self, student_ids: Collection[int]) -> None:
        """Keep these students in every later snapshot, though their rows go.

        To be called in the transaction that removes them, while registrations, events and follows are still
        there and after no message can change them any more (lock the registrations first). Twice would count
        them twice.
        """
        ids = list(student_ids)
        for statement in (carried.CARRY_CELLS, carried.CARRY_MIXES, carried.CARRY_HISTORY):
            await self._connection.execute(statement, ids)

    async def latest(self) -> tuple[int, datetime] | None:
        """Return key and time of the newest snapshot."""
        row = await self._connection.fetchrow(snapshots.LATEST)
        return None if row is None else (row["id"], row["as_of"])

    async def make(self, as_of: datetime) -> int:
        """Freeze the figures of this moment and return the snapshot's key."""
        snapshot_id = int(await self._connection.fetchval(snapshots.BEGIN, as_of))
        await self._connection.execute(snapshots.FREEZE, snapshot_id, timeout=_LONG)
        return snapshot_id

    async def prune(self, kept: int, before: datetime) -> None:
        """Remove tables of before, and all true cells but those of the snapshot that is kept."""
        await self._connection.execute(snapshots.PRUNE_CELLS, kept, timeout=_LONG)
        for statement in (snapshots.PRUNE_TABLES, snapshots.PRUNE):
            await self._connection.execute(statement, before, timeout=_LONG)

    async def silent(self, since: datetime) -> dict[str, list[str]]:
        """Return the institutions that no message was about since a moment, by region."""
        found: dict[str, list[str]] = {}
        for row in await self._connection.fetch(snapshots.SILENT, since):
            found.setdefault(row["region"], []).append(row["brin"])
        return found

    async def years(self, snapshot_id: int) -> list[int]:
        """Return the school years that a snapshot has cells of."""
        return [row["school_year"] for row in await self._connection.fetch(snapshots.YEARS, snapshot_id)]

    async def year(self, snapshot_id: int, school_year: int) -> YearOfCells:
        """Return the true cells of a school year."""
        cells: dict[tuple[Dimension, str], dict[str, Cell]] = {}
        async for row in self._connection.cursor(snapshots.CELLS, snapshot_id, school_year, prefetch=2000):
            dimension, *rest = row
            cell = Cell(*rest)
            cells.setdefault((_DIMENSIONS[dimension], cell.brin), {})[cell.category] = cell
        brins = sorted({brin for _, brin in cells if brin})
        return YearOfCells(cells, tuple(brins))

    async def publish(self, snapshot_id: int, school_year: int, tables: Iterable[Published]) -> None:
        """Keep the tables of a school year."""
        some = list(tables)
        await self._connection.execute(
            snapshots.PUBLISH,
            snapshot_id,
            school_year,
            [table.name.value for table in some],
            [table.of for table in some],
            [table.as_of for table in some],
            [encoded(table) for table in some],
            timeout=_LONG,
        )

    async def before(self, snapshot_id: int, school_year: int) -> Before:
        """Return the blocks that a snapshot has in force."""
        rows = await self._connection.fetch(snapshots.BLOCKS, snapshot_id, school_year)
        tables = [decoded(row) for row in rows]
        return Before({(table.name, table.of): table.block for table in tables if table.block is not None})

    async def tables(
        self, snapshot_id: int, school_year: int, wanted: Collection[tuple[TableName, str]]
    ) -> dict[tuple[TableName, str], Published]:
        """Return tables by name and by what they are of."""
        rows = await self._connection.fetch(
            snapshots.TABLES,
            snapshot_id,
            school_year,
            [name.value for name, _ in wanted],
            [of for _, of in wanted],
        )
        return {(table.name, table.of): table for table in map(decoded, rows)}
