"""Receivers and delivery, in numbers and times; no content, and no person."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Self

import strawberry

from graphql_schema.pagination import PageInfo
from graphql_schema.viewer.types import Organisation

if TYPE_CHECKING:
    from app.domain import oversight as domain


@strawberry.type(description="How far a receiver is in its feed.")
class Receiver:
    """An organisation with a feed."""

    organisation: Organisation
    last_number: int = strawberry.field(description="0: nothing yet.")
    at: datetime = strawberry.field(
        description="When the last number was given; of a new feed, when it was made."
    )
    acknowledged: int
    acknowledged_at: datetime | None = strawberry.field(description="Null: never.")
    behind: int = strawberry.field(description="How many numbers are not acknowledged.")
    behind_since: datetime | None = strawberry.field(
        description="When the first number that is not acknowledged was given, as far as it is kept."
    )

    @classmethod
    def from_domain(cls, receiver: domain.ReceiverOverview) -> Self:
        """Translate."""
        organisation = receiver.organisation
        return cls(
            organisation=Organisation(oin=organisation.oin, name=organisation.name, role=organisation.role),
            last_number=receiver.last_number,
            at=receiver.at,
            acknowledged=receiver.acknowledged,
            acknowledged_at=receiver.acknowledged_at,
            behind=receiver.behind,
            behind_since=receiver.behind_since,
        )


@strawberry.type
class ReceiverEdge:
    """Relay's edge."""

    cursor: str
    node: Receiver


@strawberry.type
class ReceiverConnection:
    """A page of receivers, the oldest first."""

    edges: list[ReceiverEdge]
    nodes: list[Receiver]
    page_info: PageInfo


@strawberry.type(description="Where changes wait.")
class DeliveryState:
    """The state of the delivery at the hub as a whole."""

    pending_events: int = strawberry.field(description="Changes without their numbers, counted up to 10,000.")
    oldest_pending_at: datetime | None = strawberry.field(description="Null: none is waiting.")
    receivers_behind: int = strawberry.field(description="Receivers that have not acknowledged everything.")
    oldest_unacknowledged_at: datetime | None = strawberry.field(
        description="When the oldest number that its receiver has not acknowledged was given."
    )
    dispatching: bool = strawberry.field(description="Whether a process of the hub is giving numbers.")

    @classmethod
    def from_domain(cls, state: domain.DeliveryState) -> Self:
        """Translate."""
        return cls(
            pending_events=state.pending_events,
            oldest_pending_at=state.oldest_pending_at,
            receivers_behind=state.receivers_behind,
            oldest_unacknowledged_at=state.oldest_unacknowledged_at,
            dispatching=state.dispatching,
        )
