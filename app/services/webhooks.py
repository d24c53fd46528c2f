"""A receiver's webhook: registered, seen, reset and removed by its owner only."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from app.domain.access import Principal, Role, Scope, require
from app.domain.errors import BadUserInputError, ConflictError, NotFoundError
from app.domain.webhook import WebhookProblem, shown
from app.feed.webhook_sender import DeliveryFailedError
from app.persistence.unit_of_work import reading, unit_of_work
from app.telemetry import log

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from app.domain.webhook import Webhook
    from app.feed.webhook_secrets import WebhookSecrets
    from app.feed.webhook_sender import WebhookSender
    from app.persistence.database import Database

_FIELD = "input.url"
_REASONS = {
    WebhookProblem.NAME_NOT_FOUND: "The host of the address cannot be found.",
    WebhookProblem.ADDRESS_NOT_ALLOWED: "The host of the address is not on the public internet.",
}


class WebhookTakenError(ConflictError):
    """There is a webhook already; remove it first."""


class NoWebhookError(NotFoundError):
    """There is no webhook."""


class WebhookService:
    """What receivers do about their webhook. It belongs to the organisation, as the feed does."""

    def __init__(
        self,
        database: Database,
        sender: WebhookSender,
        secrets: WebhookSecrets,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._sender = sender
        self._secrets = secrets
        self._clock = clock

    async def webhook(self, principal: Principal) -> Webhook | None:
        """Return the caller's webhook, or None."""
        require(principal, Scope.FEED_READ)
        async with reading(self._database) as unit:
            return await unit.webhooks.of(principal.organisation_id)

    async def register(self, principal: Principal, url: str) -> tuple[Webhook, str]:
        """Register an address and return it with its secret, which is never shown again.

        Notifications begin with the first number after this moment. Raises BadUserInputError for an address
        that may not be used, ConflictError when there is a webhook already.
        """
        require(principal, Scope.FEED_READ)
        try:
            await self._sender.check(url)
        except DeliveryFailedError as failure:
            raise BadUserInputError(_FIELD, _REASONS.get(failure.problem)) from None
        secret, webhook_id = self._secrets.new(), uuid4()
        organisation_id = principal.organisation_id
        sealed = self._secrets.seal(secret, organisation_id, webhook_id)
        async with unit_of_work(self._database) as unit:
            await unit.feeds.ensure(organisation_id, complete=principal.role is Role.CAMBO)
            webhook = await unit.webhooks.add(organisation_id, webhook_id, url, sealed, self._clock())
        if webhook is None:
            raise WebhookTakenError
        log.info("webhook_registered", organisation=organisation_id, client_id=principal.client_id)
        return webhook, shown(secret)

    async def reset(self, principal: Principal) -> Webhook:
        """Try again from now on, whatever went before; raise NotFoundError when there is no webhook."""
        require(principal, Scope.FEED_READ)
        async with reading(self._database) as unit:
            webhook = await unit.webhooks.reset(principal.organisation_id, self._clock())
        if webhook is None:
            raise NoWebhookError
        log.info("webhook_reset", organisation=principal.organisation_id, client_id=principal.client_id)
        return webhook

    async def remove(self, principal: Principal) -> bool:
        """Remove the webhook and forget its secret; False when there is none."""
        require(principal, Scope.FEED_READ)
        async with reading(self._database) as unit:
            removed = await unit.webhooks.remove(principal.organisation_id)
        if removed:
            log.info("webhook_removed", organisation=principal.organisation_id, client_id=principal.client_id)
        return removed
