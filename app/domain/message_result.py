"""What a sender is told of a message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uuid import UUID

    from app.domain.registration import Registration
    from app.domain.status_message import Finding, Outcome, Refusal


@dataclass(frozen=True, slots=True)
class MessageResult:
    """What became of one message; `registration` is as the batch left it, None when refused."""

    message_id: UUID
    outcome: Outcome
    original_outcome: Outcome | None = None
    code: Refusal | None = None
    field: str | None = None
    findings: tuple[Finding, ...] = ()
    registration: Registration | None = None
