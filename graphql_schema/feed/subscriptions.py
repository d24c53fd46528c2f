"""The feed, pushed."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Self, cast

import strawberry

from app.domain.access import Scope
from graphql_schema.context import Info
from graphql_schema.feed.types import StatusChange
from graphql_schema.permissions import needs

if TYPE_CHECKING:
    from app.feed.outlet import Outlet
    from app.feed.subscription import Changes
    from app.services.catalogue import CatalogueService


@strawberry.type
class FeedSubscriptions:
    """The caller's feed as it grows."""

    @strawberry.subscription(
        metadata=needs(Scope.FEED_READ),
        description="`after`: replay from there, then live; left out: live only.",
    )
    async def status_changed(
        self, info: Info, after: int | None = None
    ) -> AsyncGenerator[StatusChange, None]:
        """Yield changes after a number, for ever."""
        context = info.context
        start = after if context.last_event_id is None else context.last_event_id
        changes = context.services.subscription.changes(context.principal, start)
        return cast("AsyncGenerator[StatusChange, None]", _Translated(changes, context.services.catalogue))


class _Translated:
    """Changes in the words of the schema."""

    def __init__(self, changes: Changes, catalogue: CatalogueService) -> None:
        self._changes = changes
        self._catalogue = catalogue

    def leave_by(self, outlet: Outlet[StatusChange]) -> None:
        """Let changes leave by an outlet while the next one is waited for; to be said before the first."""
        catalogue = self._catalogue
        self._changes.leave_by(
            outlet.through(None, lambda change: StatusChange.from_domain(change, catalogue))
        )

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StatusChange:
        return StatusChange.from_domain(await anext(self._changes), self._catalogue)

    async def aclose(self) -> None:
        await self._changes.aclose()
