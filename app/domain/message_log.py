"""What an institution sees of the messages about its registrations: that they came, and never about whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from app.domain.status_message import Outcome, Refusal


@dataclass(frozen=True, slots=True)
class LoggedMessageOverview:
    """One message; `sender` is the name of an organisation, `place` its key among those of one moment."""

    brin: str
    message_id: UUID
    sender: str
    received_at: datetime
    outcome: Outcome
    code: Refusal | None
    place: str
