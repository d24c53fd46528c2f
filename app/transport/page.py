"""The page at `/` and GraphiQL: built files, or a line that says where things are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

if TYPE_CHECKING:
    import os

    from starlette.types import Scope

DIST = Path(__file__).parents[2] / "frontend_stub" / "dist"
_WITHOUT_PAGE = (
    "The mbo-koppelpunt hub.\n\nPOST /graphql, ws /graphql, POST /oauth/token, "
    "/.well-known/oauth-authorization-server, /health/ready\n"
)
_ASKED_EACH_TIME = {"Cache-Control": "no-cache"}
_KEPT = {"Cache-Control": "public, max-age=31536000, immutable"}
# The page's own policy, and leave for style elements: GraphiQL's parts make them while it runs.
_GRAPHIQL_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self' ws: wss:; "
    "img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


def page_routes(dist: Path = DIST) -> list[BaseRoute]:
    """Return the routes of the page."""

    async def index(_: object) -> Response:
        if (dist / "index.html").is_file():
            return FileResponse(dist / "index.html", headers=_ASKED_EACH_TIME)
        return PlainTextResponse(_WITHOUT_PAGE)

    routes: list[BaseRoute] = [Route("/", index)]
    if (dist / "assets").is_dir():
        routes.append(Mount("/assets", _Assets(directory=dist / "assets")))
    return routes


def graphiql_routes(dist: Path = DIST) -> list[BaseRoute]:
    """Return the route of GraphiQL, for hubs in demo mode; it needs the assets of `page_routes`."""

    async def graphiql(_: object) -> Response:
        headers = {**_ASKED_EACH_TIME, "Content-Security-Policy": _GRAPHIQL_POLICY}
        if (dist / "graphiql.html").is_file():
            return FileResponse(dist / "graphiql.html", headers=headers)
        return PlainTextResponse("GraphiQL was not built; `make setup` builds it.\n", 404)

    return [Route("/graphiql", graphiql)]


class _Assets(StaticFiles):
    """Files whose names change with their content, so that browsers never ask twice."""

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers.update(_KEPT)
        return response
