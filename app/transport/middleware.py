"""Around every answer but those of GraphQL over HTTP, which see to it themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

from app.transport.surroundings import API_PATHS, HEADERS, OF_THE_API, OVER_TLS, Passage
from graphql_schema.errors import format_exception

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class SecurityHeadersMiddleware:
    """Adds the headers that each answer needs; what an answer sets itself stays."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and complete the head of its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        needed = HEADERS
        if scope["scheme"] == "https":
            needed += OVER_TLS
        if scope["path"].startswith(API_PATHS):
            needed += OF_THE_API

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _complete(message, needed)
            await send(message)

        await self._app(scope, receive, send_with_headers)


class AccessLogMiddleware:
    """Logs one event `request` per request or websocket, and gives each an id that its other events bear too.

    Logged are method, path, status, duration and client; never a query string, a header or a body.
    An exception that got this far is masked here.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and log how it ended; status 500 when it ended in an exception."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        traceparent = next((value for name, value in scope["headers"] if name == b"traceparent"), None)
        passage = Passage(scope.get("method", "WEBSOCKET"), scope["path"], traceparent)
        status = 500
        begun = False

        async def send_and_note(message: Message) -> None:
            nonlocal status, begun
            match message["type"]:
                case "http.response.start":
                    begun = True
                    status = message["status"]
                    passage.measure(status)
                    _complete(message, (passage.request_id,))
                case "websocket.accept":
                    status = 101
                case "websocket.close":
                    status = message.get("code", 1000) if status == 101 else 403  # noqa: PLR2004
                case _:
                    pass
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except Exception as error:  # noqa: BLE001 - else the server would log it with all that it says
            status = 500
            failure = format_exception(error)
            if scope["type"] == "http" and not begun:
                await JSONResponse({"errors": [failure]}, 500)(scope, receive, send_and_note)
        finally:
            passage.end(status)


def _complete(message: Message, needed: tuple[tuple[bytes, bytes], ...]) -> None:
    """Add to the head of an answer what it lacks of these headers."""
    given = list(message.get("headers", ()))
    names = {name.lower() for name, _ in given}
    message["headers"] = given + [header for header in needed if header[0] not in names]
