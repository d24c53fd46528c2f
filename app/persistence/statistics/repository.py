"""The figures in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.domain.cube import Cell
from app.persistence.statistics import carried, snapshots

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    import asyncpg

    from app.domain.cube import Dimension

_LONG = 1800.0


class Statistics:
    """Snapshots of the cube, and what removed students leave in it."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    async def carry(self, student_ids: Collection[int]) -> None:
        """Keep these students in every later snapshot, though their rows go.

        To be called in the transaction that removes them, while registrations, events and follows are still
        there and after no message can change them any more (lock the registrations first). Twice would count
        them twice.
        """
        ids = list(student_ids)
        for statement in (carried.CARRY_CELLS, carried.CARRY_STRATA):
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

    async def prune(self, before: datetime) -> None:
        """Remove snapshots of before."""
        for statement in (snapshots.PRUNE_CELLS, snapshots.PRUNE):
            await self._connection.execute(statement, before, timeout=_LONG)

    async def cells(self, snapshot_id: int, school_year: int, dimension: Dimension, brin: str) -> list[Cell]:
        """Return the cells of one institution ('': national) in a table, in the order of their categories."""
        rows = await self._connection.fetch(snapshots.CELLS, snapshot_id, school_year, dimension, brin)
        return [Cell(*row) for row in rows]
