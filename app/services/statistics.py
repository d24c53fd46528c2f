"""Statistics on multiple registrations: frozen once a day, disclosed by rule."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from app.domain import codes
from app.domain.access import Principal, require_statistics_of
from app.domain.cube import Dimension
from app.domain.errors import BadUserInputError
from app.domain.statistics import EMPTY, MultipleRegistrationStatistics, disclose
from app.persistence.statistics import refreshing
from app.persistence.unit_of_work import reading
from app.telemetry import log

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from app.persistence.database import Database

_KEPT = timedelta(days=31)


class StatisticsService:
    """Figures from the newest snapshot; the same question gets the same answer until the next one."""

    def __init__(self, database: Database, clock: Callable[[], datetime], *, threshold: int) -> None:
        self._database = database
        self._clock = clock
        self._threshold = threshold

    async def refresh(self) -> datetime:
        """Freeze the figures of now; return their time."""
        async with refreshing(self._database) as figures:
            now = self._clock()
            await figures.make(now)
            await figures.prune(now - _KEPT)
        return now

    async def refresh_daily(self) -> bool:
        """Freeze the figures unless somebody has done so today; tell whether this did."""
        async with refreshing(self._database) as figures:
            now = self._clock()
            latest = await figures.latest()
            if latest is not None and codes.today(latest[1]) == codes.today(now):
                return False
            await figures.make(now)
            await figures.prune(now - _KEPT)
        log.info("statistics_refreshed")
        return True

    async def multiple_registrations(
        self, principal: Principal, brin: str | None, school_year: int
    ) -> MultipleRegistrationStatistics | None:
        """Return the figures of an institution (None: national), or None before the first snapshot."""
        if brin is not None and not codes.is_brin(brin):
            field = "brin"
            raise BadUserInputError(field, "This is no BRIN.")
        if not codes.is_school_year(school_year, self._clock()):
            field = "schoolYear"
            raise BadUserInputError(field, "A school year lies between 2016 and next year + 1.")
        require_statistics_of(principal, brin)
        async with reading(self._database) as unit:
            latest = await unit.statistics.latest()
            if latest is None:
                return None
            snapshot_id, as_of = latest
            (total,) = await unit.statistics.cells(snapshot_id, school_year, Dimension.TOTAL, brin or "") or (
                EMPTY,
            )
            cells = await unit.statistics.cells(snapshot_id, school_year, Dimension.PROGRAMME, brin or "")
        return MultipleRegistrationStatistics(
            as_of,
            brin,
            school_year,
            disclose(total, self._threshold),
            tuple(disclose(cell, self._threshold) for cell in cells),
        )
