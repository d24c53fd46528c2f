"""A subscription to a feed: from a number through the table, then live, without a seam."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from app.domain.errors import CursorExpiredError, UnavailableError
from app.feed.tail import is_fresh
from app.telemetry import FOUND_BY_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from app.domain.access import Principal
    from app.domain.feed import StatusChange
    from app.feed.reader import FeedReader
    from app.feed.tail import Mailbox, Tail

_PAGE = 200
_RETRY_SECONDS = 1.0
_LOOK_ANYWAY_SECONDS = 30.0


class FeedSubscription:
    """Opens subscriptions. Each holds its place by number and trusts nothing else."""

    def __init__(self, reader: FeedReader, tail: Tail) -> None:
        self._reader = reader
        self._tail = tail

    async def changes(self, principal: Principal, after: int | None) -> AsyncGenerator[StatusChange, None]:
        """Yield every change after a number, for ever; None: what comes from now on.

        Raises CursorExpiredError, CursorAheadError, BadUserInputError before the first change, and
        CursorExpiredError when the subscriber has fallen behind what is kept.
        """
        with self._tail.mailbox(principal.organisation_id) as mailbox:
            position = await self._reader.position(principal)
            if after is not None:
                position.check(after)
            last = position.last_number if after is None else after
            timed_out = False
            while True:
                read_at = asyncio.get_running_loop().time()
                page = await self._read(principal, last, mailbox)
                if page and timed_out:
                    FOUND_BY_TIMEOUT.labels("subscription").inc()
                for change in page:
                    if not is_fresh(read_at):
                        # The subscriber took its time, and rights count at delivery.
                        break
                    last = _following(last, change)
                    yield change
                else:
                    if len(page) == _PAGE:
                        continue
                    while (live := await mailbox.next(last + 1, _LOOK_ANYWAY_SECONDS)) is not None:
                        last = live.number
                        yield live
                    timed_out = mailbox.is_quiet

    async def _read(self, principal: Principal, after: int, mailbox: Mailbox) -> list[StatusChange]:
        """Read a page, for as long as it takes the database to answer: the connection outlives its restart.

        Raises CursorExpiredError where there is no page because what it held is no longer kept.
        """
        while True:
            mailbox.trust()
            try:
                page = await self._reader.changes(principal.organisation_id, after, _PAGE)
                if not page:
                    earliest = (await self._reader.position(principal)).earliest_number
                    if after < earliest - 1:
                        raise CursorExpiredError(earliest)
            except UnavailableError:
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                return page


def _following(last: int, change: StatusChange) -> int:
    """Return the number of the change; raise CursorExpiredError where it is not the next: no silent hole."""
    if change.number != last + 1:
        raise CursorExpiredError(change.number)
    return change.number
