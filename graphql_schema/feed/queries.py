"""The feed, pulled."""

from __future__ import annotations

import strawberry

from app.domain.access import Scope
from graphql_schema.context import Info
from graphql_schema.feed.types import FeedPosition, StatusChange, StatusChangePage
from graphql_schema.permissions import needs


@strawberry.type
class FeedQueries:
    """The caller's feed."""

    @strawberry.field(metadata=needs(Scope.FEED_READ), description="Where one's own feed stands.")
    async def feed(self, info: Info) -> FeedPosition | None:
        """Return the position."""
        context = info.context
        return FeedPosition.from_domain(await context.services.feed.position(context.principal))

    @strawberry.field(
        metadata=needs(Scope.FEED_READ),
        description="The same feed as `statusChanged`, pulled; pages of 1 to 1,000.",
    )
    async def status_changes(self, info: Info, after: int = 0, first: int = 100) -> StatusChangePage | None:
        """Return changes after a number."""
        context = info.context
        page = await context.services.feed.page(context.principal, after, first)
        catalogue = context.services.catalogue
        return StatusChangePage(
            changes=[StatusChange.from_domain(change, catalogue) for change in page.changes],
            has_next_page=page.has_next_page,
            feed=FeedPosition.from_domain(page.feed),
        )
