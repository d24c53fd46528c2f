"""Both logs, sent to whoever keeps them: everything, at least once, in order; the hub never waits for it.

Rows are committed in another order than their ids are drawn in. So a log is read up to an id below which
nothing can appear any more: the last that was drawn, once all have ended that were writing at that moment.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, TypeVar

from app.domain.record_export import RecordLog, records_of
from app.persistence.unit_of_work import reading
from app.telemetry import OLDEST_UNEXPORTED, RECORDS_EXPORTED, log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from app.domain.record_export import KeptProcessing, KeptSecurityRecord, SubjectRecord
    from app.persistence.database import Database
    from app.persistence.unit_of_work import UnitOfWork
    from app.services.subjects import SubjectIds

Record = TypeVar("Record")

_PAGE = 200  # rows; each may be about a thousand students
_AT_ONCE = 1000  # records


class RecordSink(Protocol):
    """Takes records; blocks, and tells whether they were taken."""

    def processings(self, records: Sequence[SubjectRecord]) -> bool:
        """Send records of the processing log."""
        ...

    def security(self, records: Sequence[KeptSecurityRecord]) -> bool:
        """Send records of the security log."""
        ...


class Horizon:
    """Up to which id all rows of one log are there, or never will be."""

    def __init__(self, log_: RecordLog) -> None:
        self._log = log_
        self._reached = 0
        self._next = 0
        self._awaited: frozenset[str] = frozenset()

    async def look(self, unit: UnitOfWork) -> int:
        """Return the id; it rises from one look to the next."""
        if self._next > self._reached and not self._awaited & await unit.record_exports.writers(self._log):
            self._reached = self._next
        if self._next <= self._reached:
            self._next = await unit.record_exports.latest_id(self._log)
            self._awaited = await unit.record_exports.writers(self._log)  # after the id was read
            if not self._awaited:
                self._reached = self._next
        return self._reached


class RecordExport:
    """Sends what is new; how far it came stands in the database."""

    def __init__(
        self,
        database: Database,
        sink: RecordSink,
        subjects: SubjectIds,
        clock: Callable[[], datetime],
        register: str,
    ) -> None:
        self._database = database
        self._sink = sink
        self._subjects = subjects
        self._clock = clock
        self._register = register
        self._horizons = {one: Horizon(one) for one in RecordLog}

    async def export(self) -> None:
        """Send all that is there; what is not taken comes the next time."""
        for one in RecordLog:
            await self._export(one)

    async def _export(self, which: RecordLog) -> None:
        async with reading(self._database) as unit:
            horizon = await self._horizons[which].look(unit)
            position = await unit.record_exports.position(which)
        while position < horizon:
            async with reading(self._database) as unit:
                exports = unit.record_exports
                if which is RecordLog.PROCESSING:
                    processings = await exports.processings(position, horizon, _PAGE)
                    ids, oldest = [one.id for one in processings], [one.ended_at for one in processings]
                    send = self._send_processings(processings)
                else:
                    events = await exports.security(position, horizon, _PAGE)
                    ids, oldest = [one.id for one in events], [one.at for one in events]
                    send = self._send(self._sink.security, events)
            if oldest:
                OLDEST_UNEXPORTED.labels(which).set((self._clock() - oldest[0]).total_seconds())
            if not await send:
                log.warning("records_not_taken", log=which.value)
                return
            RECORDS_EXPORTED.labels(which).inc(len(ids))
            position = ids[-1] if ids else horizon
            async with reading(self._database) as unit:
                await unit.record_exports.advance(which, position, self._clock())
        OLDEST_UNEXPORTED.labels(which).set(0)

    async def _send_processings(self, rows: Iterable[KeptProcessing]) -> bool:
        records: list[SubjectRecord] = []
        for row in rows:
            for record in records_of(row, self._subjects.seal, self._register):
                records.append(record)
                if len(records) == _AT_ONCE:
                    if not await self._send(self._sink.processings, records):
                        return False
                    records = []
        return await self._send(self._sink.processings, records)

    async def _send(self, take: Callable[[Sequence[Record]], bool], records: Sequence[Record]) -> bool:
        return not records or await asyncio.to_thread(take, records)
