"""Asking for the message log of one's own institution."""

from __future__ import annotations

from datetime import datetime

import strawberry

from app.domain.access import Scope
from app.services.registrations import PAGE_AT_MOST
from graphql_schema.context import Info
from graphql_schema.message_log.types import LoggedMessage, LoggedMessageConnection, LoggedMessageEdge
from graphql_schema.pagination import check_first, cut, page_info
from graphql_schema.permissions import needs
from graphql_schema.scalars import Brin


@strawberry.type
class MessageLogQueries:
    """The message log, as an institution sees it."""

    @strawberry.field(
        metadata=needs(Scope.MESSAGES_READ),
        description="Messages about registrations at one's own institutions, newest first; never a person. "
        "Pages of 1 to 200.",
    )
    async def message_log(
        self, info: Info, brin: Brin | None = None, first: int = 50, after: str | None = None
    ) -> LoggedMessageConnection | None:
        """Return a page of messages."""
        context = info.context
        size = check_first(first, PAGE_AT_MOST)
        place = f"message-log {context.principal.organisation_id}"
        before = None
        if after is not None:
            moment, key = context.cursors.open(place, after)
            before = datetime.fromisoformat(str(moment)), str(key)
        found = await context.services.message_log.page(context.principal, brin, before, size + 1)
        rows, more = cut(found, size)
        nodes = [LoggedMessage.from_domain(row) for row in rows]
        cursors = [context.cursors.seal(place, row.received_at.isoformat(), row.place) for row in rows]
        return LoggedMessageConnection(
            edges=[LoggedMessageEdge(cursor=c, node=n) for c, n in zip(cursors, nodes, strict=True)],
            nodes=nodes,
            page_info=page_info(cursors, more=more, after=after),
        )
