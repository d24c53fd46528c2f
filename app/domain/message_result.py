"""What a sender is told of a message."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.domain.value import value

if TYPE_CHECKING:
    from app.domain.registration import Registration
    from app.domain.status_message import Finding, MessageId, Outcome, Refusal


@value
class MessageResult:
    """What became of one message.

    `registration` is as the batch left it, None when refused, or when nobody asked for it.
    """

    message_id: MessageId
    outcome: Outcome
    original_outcome: Outcome | None = None
    code: Refusal | None = None
    field: str | None = None
    findings: tuple[Finding, ...] = ()
    registration: Registration | None = None
