"""What a receiver says it has."""

from __future__ import annotations

import strawberry

from app.domain.access import Scope
from graphql_schema.context import Info
from graphql_schema.feed.types import (
    AcknowledgeStatusChangesInput,
    AcknowledgeStatusChangesPayload,
    FeedPosition,
)
from graphql_schema.permissions import needs


@strawberry.type
class FeedMutations:
    """What receivers do with their feed."""

    @strawberry.mutation(
        metadata=needs(Scope.FEED_READ), description="Say that everything up to a number has arrived."
    )
    async def acknowledge_status_changes(
        self, info: Info, input: AcknowledgeStatusChangesInput
    ) -> AcknowledgeStatusChangesPayload:
        """Record an acknowledgement."""
        context = info.context
        position, standing = await context.services.feed.acknowledge(context.principal, input.number)
        return AcknowledgeStatusChangesPayload(feed=FeedPosition.from_domain(position), acknowledged=standing)
