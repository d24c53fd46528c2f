"""What a receiver gets: numbered changes and its place among them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.domain.errors import BadUserInputError, CursorAheadError, CursorExpiredError

if TYPE_CHECKING:
    from datetime import datetime

    from app.domain.codes import Status, StatusSource
    from app.domain.registration import ChangeKind, Registration


@dataclass(frozen=True, slots=True)
class FeedPosition:
    """The last number given, the earliest that is still kept, and the time of the last one.

    `last_number` 0: nothing yet; `at` is then the time at which the feed was made. `acknowledged` is up to
    where the receiver says that it has everything, and since when it says so; 0 and None: it never did.
    """

    last_number: int
    earliest_number: int
    at: datetime
    acknowledged: int = 0
    acknowledged_at: datetime | None = None

    def check(self, after: int) -> None:
        """Raise unless everything after this number can be had: never a silent start elsewhere."""
        if after < 0:
            field = "after"
            raise BadUserInputError(field, "A number cannot be negative.")
        if after > self.last_number:
            raise CursorAheadError
        if after < self.earliest_number - 1:
            raise CursorExpiredError(self.earliest_number)


@dataclass(frozen=True, slots=True)
class StatusChange:
    """A change under its number in one receiver's feed.

    HIDDEN: the right to see it has ended; everything but number and `recorded_at` is None.
    `registration` is as it is now, `status` as it became by this change.
    """

    number: int
    kind: ChangeKind
    recorded_at: datetime
    reference: str | None = None
    application_id: str | None = None
    registration: Registration | None = None
    status: Status | None = None
    previous_status: Status | None = None
    source: StatusSource | None = None
    occurred_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StatusChangePage:
    """Some changes in order, whether more follow, and the feed's position when they were read."""

    changes: tuple[StatusChange, ...]
    has_next_page: bool
    feed: FeedPosition
