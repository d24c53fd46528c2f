"""The application: GraphQL over HTTP goes straight to its endpoint, everything else through Starlette."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_PATH = "/graphql"


class HubApplication(Starlette):
    """Starlette, with `graphql` before its router and its middleware once the hub is open."""

    graphql: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, websocket, or the lifespan."""
        if self.graphql is not None and scope["type"] == "http" and scope["path"] == _PATH:
            await self.graphql(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)
