"""One reader in a process: new entries are read once and handed to the subscriptions of their receiver."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

from app.domain import codes
from app.domain.errors import UnavailableError
from app.feed.audience import Audience, Listener, now
from app.feed.doorbell import Bell
from app.feed.handing_out import HandingOut
from app.persistence.feeds import Place
from app.persistence.unit_of_work import reading
from app.telemetry import FOUND_BY_TIMEOUT, SUBSCRIPTIONS, log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from typing import Never

    from app.domain.feed import StatusChange
    from app.feed.doorbell import Doorbell
    from app.feed.outlet import Outlet
    from app.persistence.database import Database
    from app.persistence.feeds import Delivery

_ENTRIES_AT_ONCE = 1000
_LOOK_ANYWAY_SECONDS = 2.0
_CHECK_SECONDS = 30.0
_RETRY_SECONDS = 0.5


class Tail:
    """Reads new entries for the receivers that are connected to this process, and no others."""

    def __init__(
        self, database: Database, doorbell: Doorbell, clock: Callable[[], datetime], *, vavo: bool
    ) -> None:
        self._database = database
        self._doorbell = doorbell
        self._clock = clock
        self._vavo = vavo
        self._audiences: dict[int, Audience] = {}
        self._joined: set[Audience] = set()
        self._handing_out = HandingOut()
        self._place: Place | None = None
        self._passed = Place.behind(0)
        self._check_at = 0.0
        self._last_numbers: dict[int, int] = {}

    @contextmanager
    def listener(
        self, organisation_id: int, outlet: Outlet[StatusChange] | None = None
    ) -> Iterator[Listener]:
        """Lend a place in the audience of this receiver."""
        audience = self._audiences.get(organisation_id)
        if audience is None:
            audience = self._audiences[organisation_id] = Audience()
            self._joined.add(audience)
        listener = Listener(audience, outlet)
        audience.listeners[listener] = None
        SUBSCRIPTIONS.inc()
        try:
            yield listener
        finally:
            SUBSCRIPTIONS.dec()
            del audience.listeners[listener]
            if not audience.listeners:
                del self._audiences[organisation_id]

    async def run(self) -> None:
        """Read and hand out for as long as the process lives."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._handing_out.run(), name="handing-out")
            group.create_task(self._keep_reading(), name="tail-reading")

    async def _keep_reading(self) -> Never:
        rung = True
        while True:
            more = False
            try:
                more = await self._read(rung=rung)
                await self._check()
            except UnavailableError:
                await asyncio.sleep(_RETRY_SECONDS)
            except Exception:
                # It would never get past what it cannot read: it goes on behind, and sends all to the table.
                log.exception("tail_failed")
                self._place = None
                await asyncio.sleep(_RETRY_SECONDS)
            rung = more or await self._doorbell.wait(Bell.ENTRIES, _LOOK_ANYWAY_SECONDS)

    async def _read(self, *, rung: bool) -> bool:
        """Read what is new and pass it on; tell whether there may be more."""
        self._joined.clear()
        receivers = list(self._audiences)
        async with reading(self._database) as unit:
            if self._place is None or not receivers:
                place = Place.behind(await unit.feeds.last_batch())
                deliveries: list[Delivery] = []
                self._joined.update(self._audiences.values())
            else:
                deliveries, place = await unit.feeds.after(
                    self._place, receivers, _ENTRIES_AT_ONCE, codes.today(self._clock()), vavo=self._vavo
                )
        if not deliveries:
            # All that was there at the last check is other receivers'; the next look need not go through it.
            place = max(place, self._passed)
        elif not rung:
            FOUND_BY_TIMEOUT.labels("tail").inc()
        for delivery in deliveries:
            audience = self._audiences.get(delivery.organisation_id)
            if audience is not None:
                audience.add(delivery.change)
                self._handing_out.add(audience)
        # Who joined while the statement ran may have read the table before it, and is not in it.
        for audience in self._joined:
            audience.poke_all()
        self._place = place
        return len(deliveries) == _ENTRIES_AT_ONCE

    async def _check(self) -> None:
        """Let go of what is stale, and look now and then who still waits for what came long ago."""
        for audience in self._audiences.values():
            audience.forget()
        if now() < self._check_at:
            return
        self._check_at = now() + _CHECK_SECONDS
        for organisation_id, audience in self._audiences.items():
            FOUND_BY_TIMEOUT.labels("subscription").inc(
                audience.poke(up_to=self._last_numbers.get(organisation_id, 0))
            )
        async with reading(self._database) as unit:
            self._last_numbers = await unit.feeds.last_numbers(list(self._audiences))
            self._passed = Place.behind(await unit.feeds.last_batch())
