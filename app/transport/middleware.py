"""Around every answer: headers that keep browsers and caches in hand, and a log without content."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from structlog.contextvars import bind_contextvars, clear_contextvars

from app.domain.redaction import scrub
from app.telemetry import REQUESTS
from app.transport.graphql_endpoint.parts import CLIENT
from graphql_schema.errors import format_exception

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LOGGER = structlog.stdlib.get_logger("koppelpunt.access")
_PAGE_POLICY = (
    "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _PAGE_POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_YEAR = "max-age=31536000; includeSubDomains"
MEASURED_PATHS = frozenset(
    {"/", "/graphql", "/oauth/token", "/oauth/jwks", "/health/live", "/health/ready", "/metrics"}
)
_API_PATHS = ("/graphql", "/oauth/token", "/health", "/metrics")
# https://www.w3.org/TR/trace-context/#traceparent-header
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


class SecurityHeadersMiddleware:
    """Adds the headers that each answer needs; what an answer sets itself stays."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and complete the head of its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if scope["scheme"] == "https":
                    headers.setdefault("Strict-Transport-Security", _YEAR)
                if scope["path"].startswith(_API_PATHS):
                    headers.setdefault("Cache-Control", "no-store")
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
        started = time.perf_counter()
        request_id = uuid4().hex
        clear_contextvars()
        bind_contextvars(request_id=request_id)
        if trace_id := _trace_id(Headers(scope=scope)):
            bind_contextvars(trace_id=trace_id)
        status = 500
        begun = False

        async def send_and_note(message: Message) -> None:
            nonlocal status, begun
            match message["type"]:
                case "http.response.start":
                    begun = True
                    status = message["status"]
                    _measure(scope["path"], status, started)
                    MutableHeaders(scope=message).setdefault("X-Request-Id", request_id)
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
            client = {"client_id": scope[CLIENT]} if CLIENT in scope else {}
            _LOGGER.info(
                "request",
                method=scope.get("method", "WEBSOCKET"),
                path=scrub(scope["path"]),
                status=status,
                duration_ms=round((time.perf_counter() - started) * 1000, 1),
                **client,
            )


def _measure(path: str, status: int, started: float) -> None:
    # Until the answer begins, since a stream of events has no end. Any path makes a label of its own.
    known = path if path in MEASURED_PATHS else "other"
    REQUESTS.labels(known, str(status)).observe(time.perf_counter() - started)


def _trace_id(headers: Headers) -> str | None:
    match = _TRACEPARENT.fullmatch(headers.get("traceparent", ""))
    return match[1] if match else None
