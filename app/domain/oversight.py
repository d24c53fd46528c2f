"""What the operator sees of the delivery: numbers, times and organisations; no content, and no person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from app.domain.client import Organisation


@dataclass(frozen=True, slots=True)
class ReceiverOverview:
    """How far a receiver is. `behind_since`: when the first number that it has not acknowledged was given."""

    organisation: Organisation
    last_number: int
    at: datetime
    acknowledged: int
    acknowledged_at: datetime | None
    behind_since: datetime | None

    @property
    def behind(self) -> int:
        """How many numbers the receiver has not acknowledged."""
        return self.last_number - self.acknowledged


@dataclass(frozen=True, slots=True)
class DeliveryState:
    """Where changes wait: for their numbers, and to be acknowledged.

    `pending_events` is counted up to a bound. `dispatching`: some process of the hub gives numbers.
    """

    pending_events: int
    oldest_pending_at: datetime | None
    receivers_behind: int
    oldest_unacknowledged_at: datetime | None
    dispatching: bool
