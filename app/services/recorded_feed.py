"""Feeds, with the processing log: pages before their answer, deliveries each second as ranges of numbers."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from app.domain.errors import UnavailableError
from app.domain.record import Activity, Processing
from app.feed.reader import FeedReader
from app.feed.subscription import FeedSubscription
from app.persistence.unit_of_work import reading
from app.services.processing_log import ProcessingLog
from app.telemetry import log

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from datetime import datetime

    from app.domain.access import Principal
    from app.domain.feed import StatusChange, StatusChangePage
    from app.domain.record import ProcessingRecord
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
    """What one subscription has delivered since it was last put on record."""

    __slots__ = ("first", "last", "processing")

    def __init__(self, processing: Processing) -> None:
        self.processing = processing
        self.first = 0
        self.last = 0

    def add(self, number: int) -> None:
        if not self.first:
            self.first = number
        self.last = number


class DeliveryLog:
    """Collects what open subscriptions deliver, and puts it on record each second."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._log = ProcessingLog(database, clock)
        self._open: set[_Delivery] = set()
        self._ended: list[_Delivery] = []

    def begin(self, principal: Principal) -> _Delivery:
        """Return where a subscription notes its numbers."""
        delivery = _Delivery(self._log.begin(principal, Activity.DELIVER_STATUS_CHANGES))
        self._open.add(delivery)
        return delivery

    def end(self, delivery: _Delivery) -> None:
        """Let a subscription go; what it delivered is still put on record."""
        self._open.discard(delivery)
        if delivery.first:
            self._ended.append(delivery)

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
        taken: list[tuple[_Delivery, ProcessingRecord]] = []
        for delivery in [*ended, *(one for one in self._open if one.first)]:
            taken.append((delivery, self._log.delivered(delivery.processing, delivery.first, delivery.last)))
            delivery.first = 0
        if not taken:
            return
        try:
            async with reading(self._database) as unit:
                await unit.records.add_processing([record for _, record in taken])
        except BaseException:
            for delivery, record in taken:
                if record.numbers is not None:
                    delivery.first = record.numbers[0]
                if delivery not in self._open:
                    self._ended.append(delivery)
            raise


class RecordedSubscription(FeedSubscription):
    """Notes the number of each change that it hands over."""

    def __init__(self, reader: FeedReader, tail: Tail, log_: DeliveryLog) -> None:
        super().__init__(reader, tail)
        self._deliveries = log_

    async def changes(self, principal: Principal, after: int | None) -> AsyncGenerator[StatusChange, None]:
        """Yield what the subscription yields."""
        delivery = self._deliveries.begin(principal)
        try:
            async with aclosing(super().changes(principal, after)) as changes:
                async for change in changes:
                    delivery.add(change.number)
                    yield change
        finally:
            self._deliveries.end(delivery)
