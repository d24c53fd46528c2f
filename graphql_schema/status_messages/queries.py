"""Looking back at messages."""

from __future__ import annotations

from uuid import UUID

import strawberry

from app.domain.access import Scope
from graphql_schema.context import Info
from graphql_schema.permissions import needs
from graphql_schema.status_messages.types import MessageResult


@strawberry.type
class StatusMessageQueries:
    """What became of messages."""

    @strawberry.field(
        metadata=needs(Scope.STATUSES_REPORT),
        description="What became of 1 to 1,000 of one's own messages, in their order; null where unknown.",
    )
    async def message_results(self, info: Info, message_ids: list[UUID]) -> list[MessageResult | None] | None:
        """Return results in the order of the ids."""
        context = info.context
        results = await context.services.status_messages.results(context.principal, message_ids)
        catalogue = context.services.catalogue
        return [
            None if result is None else MessageResult.from_domain(result, catalogue) for result in results
        ]
