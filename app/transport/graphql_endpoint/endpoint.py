"""The endpoint as an application takes it: an ASGI callable for HTTP, a route for websockets."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from app.transport.exchange import WHOLE, as_lines
from app.transport.graphql_endpoint.http import Reply, Request, answer
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
from app.transport.surroundings import HEADERS, OF_THE_API, OVER_TLS, Headers, Passage

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send
    from starlette.websockets import WebSocket

    from app.transport.graphql_endpoint.connections import Connections
    from app.transport.graphql_endpoint.negotiation import Answer
    from app.transport.graphql_endpoint.sse import EventStream
    from graphql_schema.execution.operations import Operations


class GraphQLEndpoint:
    """Serves one schema: `http` is to be called for /graphql, with every method, and `websocket` routed to.

    What surrounds an answer (headers, id, measurement, the line in the log) is added by `http` itself.
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

    async def http(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an HTTP request: an answer in JSON, or a stream of events."""
        request = Request.of(scope, receive)
        passage = Passage(scope["method"], scope["path"], request.headers.get(b"traceparent"))
        secure = scope["scheme"] == "https"
        status = 500
        try:
            reply = await answer(self._edge, request)
            if isinstance(reply, Reply):
                status = reply.status
                passage.measure(status)
                lines = _lines(reply.media_type, reply.headers, secure) + passage.request_id_line
                await send({"type": WHOLE, "status": status, "lines": lines, "body": reply.content})
            else:
                status = 200
                await _stream(reply, passage, scope, receive, send)
        finally:
            passage.end(status)

    async def websocket(self, websocket: WebSocket) -> None:
        """Serve a websocket until it ends."""
        await WebSocketConnection(self._edge, websocket).serve()


async def _stream(stream: EventStream, passage: Passage, scope: Scope, receive: Receive, send: Send) -> None:
    added = [*HEADERS, *(OVER_TLS if scope["scheme"] == "https" else ()), passage.request_id]

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            passage.measure(message["status"])
            message["headers"] = [*message["headers"], *added]
        await send(message)

    await stream(scope, receive, send_with_headers)


@lru_cache(256)
def _lines(media_type: Answer, headers: Headers, secure: bool) -> bytes:  # noqa: FBT001 - kept by position
    """Return what the heads of answers of one kind have in common."""
    content_type = (b"content-type", f"{media_type}; charset=utf-8".encode())
    all_headers = (content_type, *HEADERS, *(OVER_TLS if secure else ()), *OF_THE_API, *headers)
    return as_lines(all_headers)
