"""What has to be done now and then, in small bites; several processes at it at once are no harm."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

from app.domain.errors import UnavailableError
from app.persistence.unit_of_work import reading
from app.telemetry import log

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from app.persistence.database import Database
    from app.services.clients import ClientService
    from app.services.statistics import StatisticsService

_PAUSE_SECONDS = 300.0
_RETRY_SECONDS = 10.0
_QUOTAS_KEPT = timedelta(days=400)  # what a client ever did in a day, over a school year


class Housekeeping:
    """Freezes statistics daily, lets old feed entries expire, forgets used assertions."""

    def __init__(
        self,
        database: Database,
        statistics: StatisticsService,
        clients: ClientService,
        clock: Callable[[], datetime],
        *,
        feed_days: int,
    ) -> None:
        self._database = database
        self._statistics = statistics
        self._clients = clients
        self._clock = clock
        self._feed_days = timedelta(days=feed_days)

    async def run(self) -> None:
        """Keep house for as long as the process lives."""
        while True:
            pause = _PAUSE_SECONDS
            try:
                await self.once()
            except UnavailableError:
                pause = _RETRY_SECONDS
            except Exception:
                log.exception("housekeeping_failed")
            await asyncio.sleep(pause)

    async def once(self) -> None:
        """Do everything that is due."""
        if await self._statistics.refresh_daily():
            log.info("statistics_refreshed")
        await self._clients.purge_assertions()
        async with reading(self._database) as unit:
            await unit.rates.purge(self._clock() - _QUOTAS_KEPT)
        await self.expire()

    async def expire(self) -> int:
        """Remove entries that are older than what is kept; return how many. Numbers are never given again."""
        before = self._clock() - self._feed_days
        removed = 0
        while True:
            # One statement that commits itself: between two round trips numbering would have to wait.
            async with reading(self._database) as unit:
                bite = await unit.feeds.expire(before)
            removed += bite
            if not bite:
                return removed
