"""`GET /demo/session`: tokens for the page of a demo. Only in demo mode, and only for this machine."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.telemetry import log

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request

SESSION_PATH = "/demo/session"
_NO_STORE = {"Cache-Control": "no-store"}


def demo_routes(session: Callable[[], Awaitable[Mapping[str, object]]]) -> list[Route]:
    """Return the route of the demo; `session` makes what it answers.

    Anybody but a browser on this machine gets 404: tokens are worth as much here as elsewhere.
    """

    async def show_session(request: Request) -> Response:
        if not _is_from_here(request):
            return JSONResponse({"status": "not found"}, 404, _NO_STORE)
        try:
            return JSONResponse(dict(await session()), headers=_NO_STORE)
        except Exception as error:  # noqa: BLE001 - whatever it is, the page tries again
            log.warning("demo_session_failed", error=type(error).__name__)
            return JSONResponse({"status": "the demo is not ready"}, 503, _NO_STORE)

    return [Route(SESSION_PATH, show_session, methods=["GET"])]


def _is_from_here(request: Request) -> bool:
    """Tell whether client and Host are of this machine; the latter against DNS rebinding."""
    host = urlsplit(f"//{request.headers.get('host', '')}").hostname
    return request.client is not None and _is_loopback(request.client.host) and _is_loopback(host)


def _is_loopback(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
