"""One reader in a process: new entries are read once and handed to the subscriptions of their receiver."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

from app.domain import codes
from app.domain.errors import UnavailableError
from app.feed.doorbell import Bell
from app.persistence.unit_of_work import reading
from app.telemetry import FOUND_BY_TIMEOUT, SUBSCRIPTIONS, log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from app.domain.feed import StatusChange
    from app.feed.doorbell import Doorbell
    from app.persistence.database import Database
    from app.persistence.feeds import Delivery

_ENTRIES_AT_ONCE = 1000
_LOOK_ANYWAY_SECONDS = 2.0
_RETRY_SECONDS = 0.5
_MAILBOX_SIZE = 256
_FRESH_SECONDS = 1.0


class Mailbox:
    """What the tail has for one subscription: bounded, and only as good as it is fresh.

    A subscription that does not find the number that it needs reads the table, so nothing here is ever
    needed: what does not fit is dropped, and what has waited so long that rights may have changed is stale.
    """

    def __init__(self) -> None:
        self._changes: deque[tuple[float, StatusChange]] = deque(maxlen=_MAILBOX_SIZE)
        self._news = asyncio.Event()
        self._in_doubt = False

    def put(self, change: StatusChange) -> None:
        """Hand in a change."""
        self._changes.append((asyncio.get_running_loop().time(), change))
        self._news.set()

    def poke(self) -> None:
        """Say that there may be something in the table that is not handed in."""
        self._in_doubt = True
        self._news.set()

    def trust(self) -> None:
        """Say that the table is about to be read: it has all that is here, and what comes follows on it."""
        self._changes.clear()
        self._in_doubt = False

    @property
    def is_quiet(self) -> bool:
        """Whether there is neither a change nor a reason to look into the table."""
        return not self._changes and not self._in_doubt

    async def next(self, number: int, seconds: float) -> StatusChange | None:
        """Wait for the change with this number; None when the table has to be asked.

        That is so when it did not come in time, when it is stale, when a later one is here without it, and
        when the tail does not know.
        """
        while True:
            while self._changes and self._changes[0][1].number < number:
                self._changes.popleft()
            if self._changes:
                at, change = self._changes[0]
                if change.number > number or not is_fresh(at):
                    return None
                self._changes.popleft()
                return change
            if self._in_doubt:
                return None
            self._news.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self._news.wait()
            except TimeoutError:
                return None


def is_fresh(since: float) -> bool:
    """Tell whether what was read at this moment (of the loop's clock) may still be delivered as it is."""
    return asyncio.get_running_loop().time() - since <= _FRESH_SECONDS


class Tail:
    """Reads new entries for the receivers that are connected to this process, and no others."""

    def __init__(
        self, database: Database, doorbell: Doorbell, clock: Callable[[], datetime], *, vavo: bool
    ) -> None:
        self._database = database
        self._doorbell = doorbell
        self._clock = clock
        self._vavo = vavo
        self._mailboxes: dict[int, set[Mailbox]] = {}
        self._joined: set[Mailbox] = set()

    @contextmanager
    def mailbox(self, organisation_id: int) -> Iterator[Mailbox]:
        """Lend a mailbox for this receiver's changes."""
        mailbox = Mailbox()
        self._mailboxes.setdefault(organisation_id, set()).add(mailbox)
        self._joined.add(mailbox)
        SUBSCRIPTIONS.inc()
        try:
            yield mailbox
        finally:
            SUBSCRIPTIONS.dec()
            self._joined.discard(mailbox)
            mailboxes = self._mailboxes[organisation_id]
            mailboxes.discard(mailbox)
            if not mailboxes:
                del self._mailboxes[organisation_id]

    async def run(self) -> None:
        """Read for as long as the process lives."""
        batch: int | None = None
        rung = True
        while True:
            try:
                batch = await self._read(batch, rung=rung)
            except UnavailableError:
                await asyncio.sleep(_RETRY_SECONDS)
            except Exception:
                log.exception("tail_failed")
                await asyncio.sleep(_RETRY_SECONDS)
            rung = await self._doorbell.wait(Bell.ENTRIES, _LOOK_ANYWAY_SECONDS)

    async def _read(self, batch: int | None, *, rung: bool) -> int:
        self._joined.clear()
        receivers = list(self._mailboxes)
        async with reading(self._database) as unit:
            if batch is None or not receivers:
                newest = await unit.feeds.last_batch()
                deliveries: list[Delivery] = []
                self._joined.update(*self._mailboxes.values())
            else:
                deliveries = await unit.feeds.after_batch(
                    batch, receivers, _ENTRIES_AT_ONCE, codes.today(self._clock()), vavo=self._vavo
                )
                newest = max((delivery.batch for delivery in deliveries), default=batch)
        if deliveries and not rung:
            FOUND_BY_TIMEOUT.labels("tail").inc()
        for delivery in deliveries:
            for mailbox in self._mailboxes.get(delivery.organisation_id, ()):
                mailbox.put(delivery.change)
        if len(deliveries) == _ENTRIES_AT_ONCE:
            # The newest batch may go on beyond what was read: let everybody look into the table.
            for mailboxes in self._mailboxes.values():
                for mailbox in mailboxes:
                    mailbox.poke()
        # Who joined while the statement ran may have read the table before it, and is not in it.
        for mailbox in self._joined:
            mailbox.poke()
        return newest
