"""The application: GraphQL over HTTP goes straight to its endpoint, everything else through Starlette."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette

from app.transport.exchange import WHOLE, in_parts
from app.transport.surroundings import PATH

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


class HubApplication(Starlette):
    """Starlette, with `graphql` before its router and its middleware once the hub is open."""

    graphql: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, websocket, or the lifespan."""
        if self.graphql is not None and scope["type"] == "http" and scope["path"] == PATH:
            whole = WHOLE in scope.get("extensions", ())
            await self.graphql(scope, receive, send if whole else in_parts(send))
        else:
            await super().__call__(scope, receive, send)
