"""Feeds, with the processing log: pages before their answer, deliveries each second as ranges of numbers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from app.domain.errors import UnavailableError
from app.domain.record import Activity
from app.feed.reader import FeedReader
from app.feed.subscription import FeedSubscription
from app.persistence.unit_of_work import reading
from app.services.processing_log import ProcessingLog
from app.telemetry import log

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from app.domain.access import Principal
    from app.domain.feed import StatusChangePage
    from app.domain.record import Processing
    from app.feed.subscription import Changes
    from app.feed.tail import Tail
    from app.persistence.database import Database

_EVERY_SECONDS = 1.0


class RecordedFeedReader(FeedReader):
    """Puts each page on record before it is answered."""

    def __init__(self, database: Database, clock: Callable[[], datetime], *, vavo: bool) -> None:
        super().__init__(database, clock, vavo=vavo)
        self._log = ProcessingLog(database, clock)

    async def page(self, principal: Principal, after: int, size: int) -> StatusChangePage:
        """Return what the reader returns."""
        processing = self._log.begin(principal, Activity.READ_STATUS_CHANGES)
        page = await super().page(principal, after, size)
        shown = (change.registration for change in page.changes)
        await self._log.read(processing, [one.student_id for one in shown if one is not None])
        return page


class _Delivery:
    """What one subscription has delivered, and up to which number that is on record."""

    __slots__ = ("changes", "processing", "recorded")

    def __init__(self, changes: Changes, processing: Processing) -> None:
        self.changes = changes
        self.processing = processing
        self.recorded = changes.last_number


class DeliveryLog:
    """Looks each second what open subscriptions have delivered, and puts it on record."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._log = ProcessingLog(database, clock)
        self._open: dict[Changes, _Delivery] = {}
        self._ended: list[_Delivery] = []

    def begin(self, changes: Changes) -> None:
        """Take notice of a subscription."""
        processing = self._log.begin(changes.principal, Activity.DELIVER_STATUS_CHANGES)
        self._open[changes] = _Delivery(changes, processing)

    def end(self, changes: Changes) -> None:
        """Let a subscription go; what it delivered is still put on record."""
        self._ended.append(self._open.pop(changes))

    async def run(self) -> None:
        """Put deliveries on record for as long as the process lives."""
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            await self.finish()

    async def finish(self) -> None:
        """Write what there is, as well as it goes; what does not go stays, and is logged if unforeseen."""
        try:
            await self.flush()
        except UnavailableError:
            return  # kept, and written as soon as the database answers
        except Exception:
            log.exception("delivery_log_failed")

    async def flush(self) -> None:
        """Write a row for each subscription that has delivered something since the last time."""
        ended, self._ended = self._ended, []
        due = [
            (delivery, delivery.changes.last_number)
            for delivery in (*ended, *self._open.values())
            if delivery.changes.last_number > delivery.recorded
        ]
        if not due:
            return
        records = self._log.delivered((one.processing, one.recorded + 1, last) for one, last in due)
        try:
            async with reading(self._database) as unit:
                await unit.records.add_processing(records)
        except BaseException:
            self._ended += ended
            raise
        for delivery, last in due:
            delivery.recorded = last


class RecordedSubscription(FeedSubscription):
    """Puts the numbers of what it delivers on record."""

    def __init__(self, reader: FeedReader, tail: Tail, log_: DeliveryLog) -> None:
        super().__init__(reader, tail)
        self._deliveries = log_

    def began(self, changes: Changes) -> None:
        """Begin to look after it."""
        self._deliveries.begin(changes)

    def ended(self, changes: Changes) -> None:
        """Let it go."""
        self._deliveries.end(changes)
