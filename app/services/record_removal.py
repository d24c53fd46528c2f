"""Both logs are kept as long as the settings say; where they are exported, until their keeper has them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from app.domain.record import SecurityEvent, SecurityRecord
from app.persistence.unit_of_work import unit_of_work
from app.telemetry import RECORDS_REMOVED, log

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from app.domain.record_export import RecordLog
    from app.persistence.database import Database

_BITE = 2000  # rows


class RecordRemovalService:
    """Removes what is older, in small bites; each leaves a line on the security log in its own transaction.

    With `exported` nothing leaves that has not been taken by the keeper of the exports.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], datetime],
        days: Mapping[RecordLog, int],
        *,
        exported: bool,
    ) -> None:
        self._database = database
        self._clock = clock
        self._kept = {one: timedelta(days=kept) for one, kept in days.items()}
        self._exported = exported

    async def remove(self) -> dict[RecordLog, int]:
        """Remove the rows that are older than what is kept; return how many of each log."""
        removed = {one: await self._remove(one, kept) for one, kept in self._kept.items()}
        for one, count in removed.items():
            if count:
                log.info("records_removed", log=one.value, removed=count)
        return removed

    async def _remove(self, which: RecordLog, kept: timedelta) -> int:
        now = self._clock()
        before, after, total = now - kept, 0, 0
        while True:
            async with unit_of_work(self._database) as unit:
                limit = await unit.record_exports.position(which) if self._exported else None
                count, after = await unit.record_removal.remove(which, after, limit, before, _BITE)
                if not count:
                    return total
                gone = SecurityRecord(
                    now, SecurityEvent.RECORDS_REMOVED, subject=which.value, detail=f"to {after}", count=count
                )
                await unit.records.add_security([gone])
            RECORDS_REMOVED.labels(which).inc(count)
            total += count
