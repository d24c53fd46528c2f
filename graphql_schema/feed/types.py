"""Changes under their numbers."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Self

import strawberry

from graphql_schema.enums import ChangeKind, RegistrationStatus, StatusSource
from graphql_schema.registrations.types import Registration

if TYPE_CHECKING:
    from app.domain import feed as domain
    from app.services.catalogue import CatalogueService


@strawberry.type(description="Where a feed stands.")
class FeedPosition:
    """Last and earliest number."""

    last_number: int = strawberry.field(description="0: nothing yet.")
    earliest_number: int = strawberry.field(description="The earliest that is still kept.")
    at: datetime = strawberry.field(
        description="When the last number was given; of a new feed, when it was made."
    )
    acknowledged: int = strawberry.field(
        description="Up to which number the receiver says that it has everything; 0: it never said so."
    )
    acknowledged_at: datetime | None = strawberry.field(description="Since when it says so; null: never.")

    @classmethod
    def from_domain(cls, position: domain.FeedPosition) -> Self:
        """Translate."""
        return cls(
            last_number=position.last_number,
            earliest_number=position.earliest_number,
            at=position.at,
            acknowledged=position.acknowledged,
            acknowledged_at=position.acknowledged_at,
        )


@strawberry.type(description="A change under its number in the receiver's feed.")
class StatusChange:
    """A change."""

    number: int = strawberry.field(description="1, 2, 3, … without holes, per receiving organisation.")
    kind: ChangeKind
    reference: strawberry.ID | None = strawberry.field(
        description="Of the followed student; null when HIDDEN, and for a receiver that follows nobody."
    )
    application_id: strawberry.ID | None = strawberry.field(
        description="aanmeldID; also of an ANNULLED registration. Null when HIDDEN."
    )
    registration: Registration | None = strawberry.field(
        description="Its present state; null when HIDDEN or annulled."
    )
    status: RegistrationStatus | None = strawberry.field(description="As of this change.")
    previous_status: RegistrationStatus | None
    source: StatusSource | None
    occurred_at: datetime | None = strawberry.field(
        description="At the institution; of REMOVAL_ANNOUNCED: when everything about the student will go."
    )
    recorded_at: datetime = strawberry.field(description="At the hub.")

    @classmethod
    def from_domain(cls, change: domain.StatusChange, catalogue: CatalogueService) -> Self:
        """Translate."""
        registration = change.registration
        return cls(
            number=change.number,
            kind=change.kind,
            reference=None if change.reference is None else strawberry.ID(change.reference),
            application_id=None if change.application_id is None else strawberry.ID(change.application_id),
            registration=None if registration is None else Registration.from_domain(registration, catalogue),
            status=change.status,
            previous_status=change.previous_status,
            source=change.source,
            occurred_at=change.occurred_at,
            recorded_at=change.recorded_at,
        )


@strawberry.type
class StatusChangePage:
    """Some changes, in order."""

    changes: list[StatusChange]
    has_next_page: bool
    feed: FeedPosition


@strawberry.input
class AcknowledgeStatusChangesInput:
    """Up to which number the receiver has everything."""

    number: int


@strawberry.type
class AcknowledgeStatusChangesPayload:
    """What stands after an acknowledgement; it never goes back."""

    feed: FeedPosition
    acknowledged: int
