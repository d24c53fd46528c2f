"""A subscription to a feed: from a number through the table, then live, without a seam."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Self

from app.domain.errors import CursorExpiredError, UnavailableError
from app.feed.audience import is_fresh, now

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from app.domain.access import Principal
    from app.domain.feed import StatusChange
    from app.feed.audience import Listener
    from app.feed.outlet import Outlet
    from app.feed.reader import FeedReader
    from app.feed.tail import Tail

_PAGE = 200
_RETRY_SECONDS = 1.0


class FeedSubscription:
    """Opens subscriptions. Each holds its place by number and trusts nothing else."""

    def __init__(self, reader: FeedReader, tail: Tail) -> None:
        self.reader = reader
        self.tail = tail

    def changes(self, principal: Principal, after: int | None) -> Changes:
        """Return every change after a number, for ever; None: what comes from now on.

        The first of them raises CursorExpiredError, CursorAheadError or BadUserInputError where there is no
        going on from that number, any later one CursorExpiredError when the subscriber has fallen behind what
        is kept.
        """
        return Changes(self, principal, after)

    def began(self, changes: Changes) -> None:
        """Take notice of a subscription that begins to deliver."""

    def ended(self, changes: Changes) -> None:
        """Take notice of the end of one that began."""


class Changes:
    """What one subscription delivers: to who asks for the next change, and by an outlet if it has one."""

    def __init__(self, subscription: FeedSubscription, principal: Principal, after: int | None) -> None:
        self.principal = principal
        self._subscription = subscription
        self._after = after
        self._outlet: Outlet[StatusChange] | None = None
        self._listener: Listener | None = None
        self._stream = self._run()

    def leave_by(self, outlet: Outlet[StatusChange]) -> None:
        """Let changes leave by an outlet while the next one is waited for; to be said before the first."""
        self._outlet = outlet

    @property
    def last_number(self) -> int:
        """The last number that was delivered; at first, the one after which this began."""
        return 0 if self._listener is None else self._listener.wanted - 1

    def __aiter__(self) -> Self:
        """Return itself."""
        return self

    async def __anext__(self) -> StatusChange:
        """Wait for the next change that does not leave by the outlet."""
        return await anext(self._stream)

    async def aclose(self) -> None:
        """End the subscription."""
        await self._stream.aclose()

    async def _run(self) -> AsyncGenerator[StatusChange, None]:
        reader, tail = self._subscription.reader, self._subscription.tail
        with tail.listener(self.principal.organisation_id, self._outlet) as listener:
            listener.trust()
            position = await reader.position(self.principal)
            if self._after is not None:
                position.check(self._after)
            listener.wanted = (position.last_number if self._after is None else self._after) + 1
            self._listener = listener
            self._subscription.began(self)
            try:
                has_all = listener.wanted > position.last_number
                async with aclosing(self._deliver(listener, has_all=has_all)) as changes:
                    async for change in changes:
                        yield change
            finally:
                self._subscription.ended(self)

    async def _deliver(self, listener: Listener, *, has_all: bool) -> AsyncGenerator[StatusChange, None]:
        if has_all:  # of what was there since it listens: what came later, the tail will tell
            while (live := await listener.next()) is not None:
                yield live
        while True:
            page = await self._read(listener)
            # From its arrival on: counted from the question, what a slow database tells would never be fresh.
            read_at = now()
            for change in page:
                if not is_fresh(read_at):
                    # The subscriber took its time, and rights count at delivery.
                    break
                if change.number != listener.wanted:
                    raise CursorExpiredError(change.number)  # no silent hole
                listener.wanted += 1
                yield change
            else:
                if len(page) == _PAGE:
                    continue
                while (live := await listener.next()) is not None:
                    yield live

    async def _read(self, listener: Listener) -> list[StatusChange]:
        """Read a page, for as long as it takes the database to answer: the connection outlives its restart.

        Raises CursorExpiredError where there is no page because what it held is no longer kept.
        """
        reader = self._subscription.reader
        after = listener.wanted - 1
        while True:
            listener.trust()
            try:
                page = await reader.changes(self.principal.organisation_id, after, _PAGE)
                if not page:
                    earliest = (await reader.position(self.principal)).earliest_number
                    if after < earliest - 1:
                        raise CursorExpiredError(earliest)
            except UnavailableError:
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                return page
