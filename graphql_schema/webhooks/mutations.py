"""What a receiver does about its webhook."""

from __future__ import annotations

import strawberry

from app.domain.access import Scope
from graphql_schema.context import Info
from graphql_schema.permissions import needs
from graphql_schema.webhooks.types import (
    RegisterWebhookInput,
    RegisterWebhookPayload,
    RemoveWebhookPayload,
    ResetWebhookPayload,
    Webhook,
)


@strawberry.type
class WebhookMutations:
    """One webhook for each receiver."""

    @strawberry.mutation(
        metadata=needs(Scope.FEED_READ),
        description="Be notified at an address from now on. CONFLICT when there is a webhook already.",
    )
    async def register_webhook(self, info: Info, input: RegisterWebhookInput) -> RegisterWebhookPayload:
        """Register an address."""
        context = info.context
        webhook, secret = await context.services.webhooks.register(context.principal, input.url)
        return RegisterWebhookPayload(webhook=Webhook.from_domain(webhook), secret=secret)

    @strawberry.mutation(
        metadata=needs(Scope.FEED_READ),
        description="Try again from now on, also after STOPPED. NOT_FOUND when there is no webhook.",
    )
    async def reset_webhook(self, info: Info) -> ResetWebhookPayload:
        """Reset the webhook."""
        webhook = await info.context.services.webhooks.reset(info.context.principal)
        return ResetWebhookPayload(webhook=Webhook.from_domain(webhook))

    @strawberry.mutation(
        metadata=needs(Scope.FEED_READ), description="Be notified no more, and make the secret worthless."
    )
    async def remove_webhook(self, info: Info) -> RemoveWebhookPayload:
        """Remove the webhook."""
        return RemoveWebhookPayload(
            removed=await info.context.services.webhooks.remove(info.context.principal)
        )
