"""Alive, ready, and figures for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.domain.errors import HubError
from app.persistence.migrations import at_head

if TYPE_CHECKING:
    from starlette.requests import Request

    from app.persistence.database import Database


def health_routes(database: Database) -> list[Route]:
    """Return `/health/live`, `/health/ready` and `/metrics`."""

    async def live(_: Request) -> Response:
        return JSONResponse({"status": "live"})

    async def ready(_: Request) -> Response:
        try:
            migrated = await at_head(database)
        except HubError:
            return JSONResponse({"status": "the database does not answer"}, 503)
        if not migrated:
            return JSONResponse({"status": "migrations are missing"}, 503)
        return JSONResponse({"status": "ready"})

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(), headers={"content-type": CONTENT_TYPE_LATEST})

    return [
        Route("/health/live", live),
        Route("/health/ready", ready),
        Route("/metrics", metrics),
    ]
