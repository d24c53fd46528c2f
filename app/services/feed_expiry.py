"""Entries of feeds are kept for as long as the window of the settings says."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from app.persistence.unit_of_work import reading

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from app.persistence.database import Database


class FeedExpiry:
    """Removes what is older than the window, in small bites. Numbers are never given again."""

    def __init__(self, database: Database, clock: Callable[[], datetime], *, feed_days: int) -> None:
        self._database = database
        self._clock = clock
        self._feed_days = timedelta(days=feed_days)

    async def expire(self) -> int:
        """Remove the entries that are older than what is kept; return how many."""
        before = self._clock() - self._feed_days
        removed = 0
        while True:
            # One statement that commits itself: between two round trips numbering would have to wait.
            async with reading(self._database) as unit:
                bite = await unit.feeds.expire(before)
            removed += bite
            if not bite:
                return removed
