"""The endpoint as Starlette's routes take it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.transport.graphql_endpoint.http import answer
from app.transport.graphql_endpoint.parts import (
    Authenticator,
    ContextFactory,
    DocumentSource,
    Edge,
    GreetingFactory,
    Limits,
    Spender,
)
from app.transport.graphql_endpoint.websocket import WebSocketConnection

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.websockets import WebSocket

    from app.transport.graphql_endpoint.connections import Connections
    from graphql_schema.execution.operations import Operations


class GraphQLEndpoint:
    """Serves one schema: `Route("/graphql", endpoint.http, methods=…)`, `WebSocketRoute("/graphql", …)`.

    The route of `http` must let every method through, since the answer to a wrong one is a GraphQL error too.
    """

    def __init__(  # noqa: PLR0913 - what the endpoint is made of
        self,
        operations: Operations,
        authenticator: Authenticator,
        make_context: ContextFactory,
        *,
        greeting: GreetingFactory | None = None,
        limits: Limits | None = None,
        allowed_origins: tuple[str, ...] = (),
        rates: Spender | None = None,
        documents: DocumentSource | None = None,
    ) -> None:
        self._edge = Edge(
            operations,
            authenticator,
            make_context,
            greeting=greeting,
            limits=limits or Limits(),
            allowed_origins=allowed_origins,
            rates=rates,
            documents=documents,
        )

    @property
    def connections(self) -> Connections:
        """The open websockets and streams; `close_all` ends them at a restart."""
        return self._edge.connections

    async def http(self, request: Request) -> Response:
        """Answer an HTTP request: an answer in JSON, or a stream of events."""
        return await answer(self._edge, request)

    async def websocket(self, websocket: WebSocket) -> None:
        """Serve a websocket until it ends."""
        await WebSocketConnection(self._edge, websocket).serve()
