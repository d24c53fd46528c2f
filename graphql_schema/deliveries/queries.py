"""Asking who delivers."""

from __future__ import annotations

import strawberry

from app.domain.access import Scope
from app.services.registrations import PAGE_AT_MOST
from graphql_schema.context import Info
from graphql_schema.deliveries.types import (
    DeliveryQuality,
    DeliveryQualityConnection,
    DeliveryQualityEdge,
)
from graphql_schema.pagination import check_first, cut, page_info
from graphql_schema.permissions import needs
from graphql_schema.scalars import Brin

_PLACE = "delivery-qualities"


@strawberry.type
class DeliveryQueries:
    """How institutions are reported about."""

    @strawberry.field(
        metadata=needs(Scope.DELIVERY_READ),
        description="Of one's own institution; the operator may ask for each. Null before the first figures.",
    )
    async def delivery_quality(self, info: Info, brin: Brin) -> DeliveryQuality | None:
        """Return the delivery of an institution."""
        context = info.context
        found = await context.services.deliveries.quality(context.principal, brin)
        return None if found is None else DeliveryQuality.from_domain(found, context.services.catalogue)

    @strawberry.field(
        metadata=needs(Scope.HUB_OPERATE),
        description="All institutions, or with `remarkable` those with a finding. Pages of 1 to 200.",
    )
    async def delivery_qualities(
        self, info: Info, remarkable: bool = False, first: int = 50, after: str | None = None
    ) -> DeliveryQualityConnection | None:
        """Return a page of institutions."""
        context = info.context
        size = check_first(first, PAGE_AT_MOST)
        last = "" if after is None else str(context.cursors.open(_PLACE, after)[0])
        found = await context.services.deliveries.page(
            context.principal, last, size + 1, remarkable=remarkable
        )
        rows, more = cut(found, size)
        nodes = [DeliveryQuality.from_domain(row, context.services.catalogue) for row in rows]
        cursors = [context.cursors.seal(_PLACE, row.completeness.brin) for row in rows]
        return DeliveryQualityConnection(
            edges=[DeliveryQualityEdge(cursor=c, node=n) for c, n in zip(cursors, nodes, strict=True)],
            nodes=nodes,
            page_info=page_info(cursors, more=more, after=after),
        )
