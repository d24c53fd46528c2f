"""Asking for one's own webhook."""

from __future__ import annotations

import strawberry

from app.domain.access import Scope
from graphql_schema.context import Info
from graphql_schema.permissions import needs
from graphql_schema.webhooks.types import Webhook


@strawberry.type
class WebhookQueries:
    """The caller's webhook."""

    @strawberry.field(
        metadata=needs(Scope.FEED_READ), description="One's own webhook; null when there is none."
    )
    async def webhook(self, info: Info) -> Webhook | None:
        """Return the webhook or null."""
        found = await info.context.services.webhooks.webhook(info.context.principal)
        return None if found is None else Webhook.from_domain(found)
