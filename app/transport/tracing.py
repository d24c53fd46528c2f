"""Each request and websocket as a span in its caller's trace; put around the others where tracing is on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.request_log import REQUEST
from app.tracing import TraceContext
from app.transport.exchange import WHOLE, as_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from app.tracing import Tracing

_HEADER = b"traceparent"
_ANSWER = (
    b"traceresponse"  # https://www.w3.org/TR/trace-context-2/#trace-context-http-response-headers-format
)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
_SERVER_ERROR = 500
_LONGEST = 55


class TracingMiddleware:
    """Begins a span, lets what lies behind stand in its trace, and tells the caller which one it is.

    A span says method, route, status and client. A path or a method that the hub does not know is not shown:
    a caller may put anything there.
    """

    def __init__(self, app: ASGIApp, tracing: Tracing, routes: frozenset[str]) -> None:
        self._app = app
        self._tracing = tracing
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; the span ends with its answer, or with the connection."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        method = scope.get("method", "WEBSOCKET")
        method = method if method in _METHODS or method == "WEBSOCKET" else "_OTHER"
        route = scope["path"] if scope["path"] in self._routes else "other"
        headers = [(name, value) for name, value in scope["headers"] if name != _HEADER]
        span = self._tracing.serve(f"{method} {route}", _caller(scope))
        own = span.context.header.encode()
        inner = {**scope, "headers": [*headers, (_HEADER, own)]}
        status = _SERVER_ERROR

        async def send_and_tell(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message["headers"], (_ANSWER, own)]}
            elif message["type"] == WHOLE:
                status = message["status"]
                message = {**message, "lines": message["lines"] + as_lines([(_ANSWER, own)])}
            elif message["type"] == "websocket.accept":
                status = 101
            elif message["type"] == "websocket.close":
                status = message.get("code", 1000) if status == 101 else 403  # noqa: PLR2004
            await send(message)

        try:
            await self._app(inner, receive, send_and_tell)
        finally:
            span.end(_attributes(inner, method, route, status), failed=_failed(scope, status))


def _caller(scope: Scope) -> TraceContext | None:
    found = [value for name, value in scope["headers"] if name == _HEADER]
    if len(found) != 1 or len(found[0]) > _LONGEST:
        return None
    return TraceContext.read(found[0].decode("latin-1"))


def _attributes(scope: Scope, method: str, route: str, status: int) -> Mapping[str, str | int]:
    kind = "http.response.status_code" if scope["type"] == "http" else "koppelpunt.websocket.close_code"
    attributes: dict[str, str | int] = {"http.request.method": method, "http.route": route, kind: status}
    request = REQUEST.get()
    if request is not None and request.client_id is not None:
        attributes["koppelpunt.client_id"] = request.client_id
    return attributes


def _failed(scope: Scope, status: int) -> bool:
    return scope["type"] == "http" and status >= _SERVER_ERROR
