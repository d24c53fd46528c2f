"""Clients, and what runs out when; no keys, and no person."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Self

import strawberry

from graphql_schema.enums import ClientLack
from graphql_schema.pagination import PageInfo
from graphql_schema.viewer.types import Organisation

if TYPE_CHECKING:
    from app.domain import client as domain
    from app.domain.vetting import VettingRule


@strawberry.type(description="A certificate that a client's tokens are bound to.")
class ClientCertificate:
    """A certificate."""

    thumbprint: str = strawberry.field(description="SHA-256 of its DER form, in hexadecimal digits.")
    expires_at: datetime


@strawberry.type(description="An OAuth client, and what it was vetted by.")
class VettedClient:
    """A client."""

    client_id: strawberry.ID
    name: str
    organisation: Organisation
    created_at: datetime
    revoked_at: datetime | None
    certificates: list[ClientCertificate]
    second_factor_stated_on: date | None = strawberry.field(
        description="When its organisation stated that its own users log in with a second factor."
    )
    penetration_tested_on: date | None
    penetration_test_until: date | None = strawberry.field(description="The last day on which that is good.")
    fit_until: date | None = strawberry.field(
        description="The last day on which nothing has run out; null if something was never recorded."
    )
    lacks: list[ClientLack] = strawberry.field(description="What is missing or has run out now.")
    admitted: bool = strawberry.field(
        description="Whether it gets in: not revoked, and lacking nothing where this hub demands it."
    )

    @classmethod
    def from_domain(cls, client: domain.ClientOverview, rule: VettingRule, now: datetime) -> Self:
        """Translate."""
        vetting, lacks = client.vetting, rule.lacks(client.vetting, now)
        return cls(
            client_id=strawberry.ID(client.client_id),
            name=client.name,
            organisation=Organisation(oin=client.oin, name=client.organisation, role=client.role),
            created_at=client.created_at,
            revoked_at=client.revoked_at,
            certificates=[
                ClientCertificate(thumbprint=one.thumbprint.hex(), expires_at=one.expires_at)
                for one in vetting.certificates
            ],
            second_factor_stated_on=vetting.second_factor_stated_on,
            penetration_tested_on=vetting.penetration_tested_on,
            penetration_test_until=rule.penetration_test_until(vetting),
            fit_until=rule.fit_until(vetting),
            lacks=list(lacks),
            admitted=client.revoked_at is None and not (rule.demanded and lacks),
        )


@strawberry.type
class VettedClientEdge:
    """Relay's edge."""

    cursor: str
    node: VettedClient


@strawberry.type
class VettedClientConnection:
    """A page of clients, the oldest first."""

    edges: list[VettedClientEdge]
    nodes: list[VettedClient]
    page_info: PageInfo
