"""From pending events to numbered entries: one dispatcher at work on a database at a time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from app.domain import codes
from app.feed.doorbell import Bell
from app.persistence.database import UNAVAILABLE
from app.persistence.numbering import NumberingConnection
from app.telemetry import DISPATCHER_LEADS, ENTRIES_NUMBERED, EVENTS_NUMBERED, FOUND_BY_TIMEOUT, log

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from app.feed.doorbell import Doorbell
    from app.persistence.database import Database

_EVENTS_AT_ONCE = 1000
_LOOK_ANYWAY_SECONDS = 1.0
_TRY_TO_LEAD_SECONDS = 0.5
_MARK_SECONDS = 1.0
# Under load more events are numbered at a time: each time takes three round trips, and a bell for all.
_MANY = 8
_PAUSE_SECONDS = 0.01


class _LowMark:
    """Where the scan of what is pending may start.

    Numbered events leave dead rows at the head of the queue; with a long read transaction open they stay,
    and each scan would pass all of them. The mark moves up to an id once every transaction that could still
    commit an event below it has ended, and nothing pending is left there.
    """

    def __init__(self) -> None:
        self.low = 0
        self._candidate: tuple[int, int] | None = None
        self._next_look = 0.0

    async def move(self, numbering: NumberingConnection) -> None:
        """Move the mark if it can move; looks once a second at most."""
        now = asyncio.get_running_loop().time()
        if now < self._next_look:
            return
        self._next_look = now + _MARK_SECONDS
        if self._candidate is None:
            newest = await numbering.pending.newest_event()
            if newest > self.low:
                self._candidate = newest, await numbering.pending.new_transaction()
            return
        newest, horizon = self._candidate
        if await numbering.pending.oldest_writer() < horizon:
            return
        if not await numbering.pending.any_between(self.low, newest):
            self.low, self._candidate = newest, None


class Dispatcher:
    """Numbers what is pending whenever this process leads."""

    def __init__(
        self, database: Database, doorbell: Doorbell, clock: Callable[[], datetime], *, vavo: bool
    ) -> None:
        self._database = database
        self._doorbell = doorbell
        self._clock = clock
        self._vavo = vavo
        self._at_once = _EVENTS_AT_ONCE

    async def run(self) -> None:
        """Stand for leader for as long as the process lives; every failure ends in a new try."""
        while True:
            try:
                async with NumberingConnection.open(self._database) as numbering:
                    while not await numbering.try_to_lead():  # noqa: ASYNC110 - the lock rings no bell
                        await asyncio.sleep(_TRY_TO_LEAD_SECONDS)
                    log.info("dispatcher_leads")
                    DISPATCHER_LEADS.set(1)
                    with self._doorbell.keeping(Bell.EVENTS):
                        await self._lead(numbering)
            except UNAVAILABLE as error:
                log.warning("dispatcher_lost", error=type(error).__name__)
            except Exception:
                log.exception("dispatcher_failed")
            finally:
                DISPATCHER_LEADS.set(0)
            # A batch that is too much for the time limit of a statement must not be tried for ever.
            self._at_once = max(1, self._at_once // 2)
            await asyncio.sleep(0.2)

    async def _lead(self, numbering: NumberingConnection) -> None:
        mark = _LowMark()
        rung = True
        while True:
            now = self._clock()
            async with numbering.transaction() as pending:
                numbered = await pending.number(
                    mark.low, self._at_once, codes.today(now), now, vavo=self._vavo
                )
            more = numbered.events == self._at_once
            self._at_once = min(_EVENTS_AT_ONCE, 2 * self._at_once)
            if numbered.events:
                EVENTS_NUMBERED.inc(numbered.events)
                ENTRIES_NUMBERED.inc(numbered.entries)
                if not rung:
                    FOUND_BY_TIMEOUT.labels("dispatcher").inc()
            if numbered.entries:
                self._doorbell.ring(Bell.ENTRIES)
            await mark.move(numbering)
            if numbered.events >= _MANY and not more:
                await asyncio.sleep(_PAUSE_SECONDS)
            rung = more or await self._doorbell.wait(Bell.EVENTS, _LOOK_ANYWAY_SECONDS)
