"""Asking, as the operator, which clients get in and what runs out."""

from __future__ import annotations

from datetime import UTC, datetime

import strawberry

from app.domain.access import Scope
from app.services.registrations import PAGE_AT_MOST
from graphql_schema.context import Info
from graphql_schema.pagination import check_first, cut, page_info
from graphql_schema.permissions import needs
from graphql_schema.vetting.types import VettedClient, VettedClientConnection, VettedClientEdge

_PLACE = "clients"


@strawberry.type
class VettingQueries:
    """Clients, as the operator sees them."""

    @strawberry.field(
        metadata=needs(Scope.HUB_OPERATE),
        description="Every client, and what runs out when. Pages of 1 to 200.",
    )
    async def clients(
        self, info: Info, first: int = 50, after: str | None = None
    ) -> VettedClientConnection | None:
        """Return a page of clients."""
        context = info.context
        size = check_first(first, PAGE_AT_MOST)
        last = None if after is None else context.cursors.open(_PLACE, after)
        start = None if last is None else (datetime.fromisoformat(str(last[0])), str(last[1]))
        vetting = context.services.vetting
        rows, more = cut(await vetting.clients(context.principal, start, size + 1), size)
        now = datetime.now(UTC)
        nodes = [VettedClient.from_domain(row, vetting.rule, now) for row in rows]
        cursors = [context.cursors.seal(_PLACE, row.created_at.isoformat(), row.client_id) for row in rows]
        return VettedClientConnection(
            edges=[VettedClientEdge(cursor=c, node=n) for c, n in zip(cursors, nodes, strict=True)],
            nodes=nodes,
            page_info=page_info(cursors, more=more, after=after),
        )
