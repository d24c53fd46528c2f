"""Asking, as the operator, how the delivery goes."""

from __future__ import annotations

import strawberry

from app.domain.access import Scope
from app.services.registrations import PAGE_AT_MOST
from graphql_schema.context import Info
from graphql_schema.oversight.types import DeliveryState, Receiver, ReceiverConnection, ReceiverEdge
from graphql_schema.pagination import check_first, cut, page_info
from graphql_schema.permissions import needs

_PLACE = "receivers"


@strawberry.type
class OversightQueries:
    """The delivery, as the operator sees it."""

    @strawberry.field(
        metadata=needs(Scope.HUB_OPERATE),
        description="Every organisation with a feed, and how far it is. Pages of 1 to 200.",
    )
    async def receivers(
        self, info: Info, first: int = 50, after: str | None = None
    ) -> ReceiverConnection | None:
        """Return a page of receivers."""
        context = info.context
        size = check_first(first, PAGE_AT_MOST)
        last = 0 if after is None else int(context.cursors.open(_PLACE, after)[0])
        found = await context.services.oversight.receivers(context.principal, last, size + 1)
        rows, more = cut(found, size)
        nodes = [Receiver.from_domain(row) for row in rows]
        cursors = [context.cursors.seal(_PLACE, row.organisation.number) for row in rows]
        return ReceiverConnection(
            edges=[ReceiverEdge(cursor=c, node=n) for c, n in zip(cursors, nodes, strict=True)],
            nodes=nodes,
            page_info=page_info(cursors, more=more, after=after),
        )

    @strawberry.field(
        metadata=needs(Scope.HUB_OPERATE), description="Where changes wait, at the hub as a whole."
    )
    async def delivery_state(self, info: Info) -> DeliveryState | None:
        """Return the state of the delivery."""
        context = info.context
        return DeliveryState.from_domain(await context.services.oversight.delivery_state(context.principal))
