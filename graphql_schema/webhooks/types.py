"""A receiver's webhook."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Self

import strawberry

from graphql_schema.enums import WebhookProblem, WebhookState

if TYPE_CHECKING:
    from app.domain import webhook as domain


@strawberry.type(
    description=(
        "Where a receiver without a connection is told that its feed has grown. A notification is a "
        "CloudEvent (NL GOV profile) without content, signed after Standard Webhooks; `sequence` n says that "
        "`statusChanges` has everything up to n. One notification may stand for several numbers."
    )
)
class Webhook:
    """A webhook as its owner sees it."""

    url: str
    state: WebhookState
    last_delivered_number: int = strawberry.field(
        description="Of the last notification that was taken; at first the feed's last number then."
    )
    last_attempt_at: datetime | None
    next_attempt_at: datetime | None = strawberry.field(description="While RETRYING.")
    failures: int = strawberry.field(description="In a row; 0 after a success and after a reset.")
    last_error: WebhookProblem | None = strawberry.field(description="Of the latest attempt, if it failed.")

    @classmethod
    def from_domain(cls, webhook: domain.Webhook) -> Self:
        """Translate."""
        return cls(
            url=webhook.url,
            state=webhook.state,
            last_delivered_number=webhook.last_delivered_number,
            last_attempt_at=webhook.last_attempt_at,
            next_attempt_at=webhook.next_attempt_at,
            failures=webhook.failures,
            last_error=webhook.last_problem,
        )


@strawberry.input
class RegisterWebhookInput:
    """Where to notify."""

    url: str = strawberry.field(
        description="https, on the public internet, without user and fragment; at most 2,000 characters."
    )


@strawberry.type
class RegisterWebhookPayload:
    """A new webhook."""

    webhook: Webhook
    secret: str = strawberry.field(
        description="`whsec_…`, to verify signatures with. Shown this once; the hub cannot show it again."
    )


@strawberry.type
class ResetWebhookPayload:
    """A webhook that is tried again."""

    webhook: Webhook


@strawberry.type
class RemoveWebhookPayload:
    """What became of a removal."""

    removed: bool = strawberry.field(description="False: there was none.")
