"""The feed, pushed."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

import strawberry

from app.domain.access import Scope
from graphql_schema.context import Info
from graphql_schema.execution.sharing import Shared
from graphql_schema.feed.types import StatusChange
from graphql_schema.permissions import needs

# The tail hands one change to all subscriptions of its receiver; it is translated for the first of them.
_translated: Shared[None, StatusChange] = Shared()


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
        catalogue = context.services.catalogue
        async with aclosing(context.services.subscription.changes(context.principal, start)) as changes:
            async for change in changes:
                yield _translated.get(change, None, partial(StatusChange.from_domain, change, catalogue))
