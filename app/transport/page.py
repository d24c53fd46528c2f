"""The page at `/`: built files, or a line that says where things are."""

from __future__ import annotations

from pathlib import Path

from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

DIST = Path(__file__).parents[2] / "frontend_stub" / "dist"
_WITHOUT_PAGE = (
    "The mbo-koppelpunt hub.\n\nPOST /graphql, ws /graphql, POST /oauth/token, "
    "/.well-known/oauth-authorization-server, /health/ready\n"
)


def page_routes(dist: Path = DIST) -> list[BaseRoute]:
    """Return the routes of the page."""

    async def index(_: object) -> Response:
        if (dist / "index.html").is_file():
            return FileResponse(dist / "index.html")
        return PlainTextResponse(_WITHOUT_PAGE)

    routes: list[BaseRoute] = [Route("/", index)]
    if (dist / "assets").is_dir():
        routes.append(Mount("/assets", StaticFiles(directory=dist / "assets")))
    return routes
