"""A receiver's feed, asked for: position, pages, and what it says it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.domain import codes
from app.domain.access import Principal, Scope, require
from app.domain.errors import BadUserInputError, CursorAheadError
from app.domain.feed import FeedPosition, StatusChangePage
from app.persistence.unit_of_work import reading

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from app.domain.feed import StatusChange
    from app.persistence.database import Database

PAGE_AT_MOST = 1000


class FeedReader:
    """Reads and acknowledges feeds. The feed belongs to the organisation; its clients share it."""

    def __init__(self, database: Database, clock: Callable[[], datetime], *, vavo: bool) -> None:
        self._database = database
        self._clock = clock
        self._vavo = vavo

    async def position(self, principal: Principal) -> FeedPosition:
        """Return where the caller's feed stands."""
        require(principal, Scope.FEED_READ)
        async with reading(self._database) as unit:
            position = await unit.feeds.position(principal.organisation_id)
        return position or FeedPosition(0, 1, self._clock())

    async def page(self, principal: Principal, after: int, size: int) -> StatusChangePage:
        """Return up to `size` (1 to 1,000) changes after a number.

        Raises CursorExpiredError, CursorAheadError, BadUserInputError.
        """
        if not 1 <= size <= PAGE_AT_MOST:
            field = "first"
            raise BadUserInputError(field, "A page has 1 to 1,000 changes.")
        position = await self.position(principal)
        position.check(after)
        changes = await self.changes(principal.organisation_id, after, size + 1)
        behind = changes[0].number != after + 1 if changes else after < position.last_number
        if behind or (changes and changes[-1].number > position.last_number):
            # Entries came, or went, after the look at the position.
            position = await self.position(principal)
            position.check(after)
        return StatusChangePage(tuple(changes[:size]), len(changes) > size, position)

    async def changes(self, organisation_id: int, after: int, size: int) -> list[StatusChange]:
        """Return changes after a number with the rights of this moment, without asking who wants them."""
        today = codes.today(self._clock())
        async with reading(self._database) as unit:
            return await unit.feeds.page(organisation_id, after, size, today, vavo=self._vavo)

    async def acknowledge(self, principal: Principal, number: int) -> tuple[FeedPosition, int]:
        """Record that the caller has everything up to a number; return position and what stands.

        A number below an earlier one changes nothing.
        """
        position = await self.position(principal)
        if number < 0:
            field = "input.number"
            raise BadUserInputError(field, "A number cannot be negative.")
        if number > position.last_number:
            raise CursorAheadError
        async with reading(self._database) as unit:
            standing = await unit.feeds.acknowledge(principal.organisation_id, number, self._clock())
            position = await unit.feeds.position(principal.organisation_id) or position
        return position, standing
