"""A subscription to a feed: from a number through the table, then live, without a seam."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from app.domain.errors import CursorExpiredError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from app.domain.access import Principal
    from app.domain.feed import StatusChange
    from app.feed.reader import FeedReader
    from app.feed.tail import Tail

_PAGE = 200
_RETRY_SECONDS = 1.0


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
            while True:
                mailbox.look()
                change = mailbox.take(last + 1)
                if change is not None:
                    last = change.number
                    yield change
                    continue
                page = await self._page(principal.organisation_id, last)
                if page and page[0].number != last + 1:
                    raise CursorExpiredError(page[0].number)
                for change in page:
                    last = change.number
                    yield change
                if not page:
                    await mailbox.wait()

    async def _page(self, organisation_id: int, after: int) -> list[StatusChange]:
        while True:
            try:
                return await self._reader.changes(organisation_id, after, _PAGE)
            except UnavailableError:
                # The connection outlives the database: what is missed meanwhile stands in the table.
                await asyncio.sleep(_RETRY_SECONDS)
