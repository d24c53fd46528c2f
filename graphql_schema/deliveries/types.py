"""Deliveries in counts and days; no person stands in them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Self

import strawberry

from graphql_schema.enums import DeliveryFinding, RefusalCode, SenderState
from graphql_schema.pagination import PageInfo
from graphql_schema.registrations.types import Institution
from graphql_schema.scalars import Brin
from graphql_schema.viewer.types import Organisation

if TYPE_CHECKING:
    from app.domain import delivery as domain
    from app.services.catalogue import CatalogueService


@strawberry.type(description="How many messages were refused with one code, in 30 days.")
class RefusalCount:
    """Refusals of one kind."""

    code: RefusalCode
    messages: int


@strawberry.type(
    description="What the hub has of one SIS vendor at one institution. Gaps are in school days: weekdays on "
    "which a fifth of all senders sent something. Messages are those of 30 days."
)
class SenderDelivery:
    """A sender."""

    organisation: Organisation
    state: SenderState
    last_message_at: datetime | None
    usual_gap_days: int | None = strawberry.field(description="The median; null: no rhythm yet.")
    long_gap_days: int | None = strawberry.field(description="What 95 % of its gaps do not exceed.")
    days_without: int
    silent_after_days: int
    messages: int = strawberry.field(description="Accepted or outdated.")
    refused: int
    refusals: list[RefusalCount]
    unusual_steps: int
    late: int = strawberry.field(description="Came over a day after the student was told.")
    delay_median_minutes: int | None = strawberry.field(
        description="Half came within so many minutes, up to a power of two; null: none, or above 23 days."
    )
    delay_long_minutes: int | None = strawberry.field(description="The same of 95 %.")
    registrations: int = strawberry.field(description="That it has reported about, from this school year on.")
    stuck: int = strawberry.field(
        description="Of these: RECEIVED and unheard of for two weeks, while three quarters of their peers, "
        "of the same level and week, have moved on."
    )
    findings: list[DeliveryFinding]

    @classmethod
    def from_domain(cls, sender: domain.SenderDelivery) -> Self:
        """Translate."""
        organisation, rhythm, counts = sender.organisation, sender.rhythm, sender.counts
        return cls(
            organisation=Organisation(oin=organisation.oin, name=organisation.name, role=organisation.role),
            state=rhythm.state,
            last_message_at=sender.last_message_at,
            usual_gap_days=rhythm.usual_gap,
            long_gap_days=rhythm.long_gap,
            days_without=rhythm.days_without,
            silent_after_days=rhythm.silent_after,
            messages=counts.messages,
            refused=counts.refused,
            refusals=[RefusalCount(code=code, messages=messages) for code, messages in sender.refusals],
            unusual_steps=counts.unusual,
            late=counts.late,
            delay_median_minutes=sender.delay_median,
            delay_long_minutes=sender.delay_long,
            registrations=sender.registrations,
            stuck=sender.stuck,
            findings=list(sender.findings),
        )


@strawberry.type(
    description="How an institution is reported about. Registrations are those from this school year on, "
    "counted once a day; messages are counted every quarter of an hour."
)
class DeliveryQuality:
    """The delivery of one institution."""

    institution: Institution
    as_of: datetime
    registrations: int
    from_cambo: int = strawberry.field(description="Of these: that CAMBO has reported about.")
    unconfirmed: int = strawberry.field(
        description="Of those: live, known for a week, and no SIS has said a word of them."
    )
    compared: int = strawberry.field(description="Whose peers are many and old enough to compare with.")
    stuck: int = strawberry.field(description="Of these: RECEIVED long after their peers.")
    stuck_share_elsewhere: float | None = strawberry.field(
        description="At all other institutions together; null: too few."
    )
    findings: list[DeliveryFinding]
    senders: list[SenderDelivery] = strawberry.field(description="SIS vendors with a mandate today.")

    @classmethod
    def from_domain(cls, quality: domain.DeliveryQuality, catalogue: CatalogueService) -> Self:
        """Translate."""
        own = quality.completeness
        institution = catalogue.institution(own.brin)
        return cls(
            institution=Institution(brin=Brin(institution.brin), name=institution.name),
            as_of=quality.as_of,
            registrations=own.registrations,
            from_cambo=own.from_cambo,
            unconfirmed=own.unconfirmed,
            compared=own.compared,
            stuck=own.stuck,
            stuck_share_elsewhere=own.elsewhere,
            findings=list(own.findings),
            senders=[SenderDelivery.from_domain(one) for one in quality.senders],
        )


@strawberry.type
class DeliveryQualityEdge:
    """Relay's edge."""

    cursor: str
    node: DeliveryQuality


@strawberry.type
class DeliveryQualityConnection:
    """A page of institutions, in the order of their BRINs."""

    edges: list[DeliveryQualityEdge]
    nodes: list[DeliveryQuality]
    page_info: PageInfo
