"""Every address of the hub."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import BaseRoute, WebSocketRoute

from app.transport.health import health_routes
from app.transport.page import page_routes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.persistence.database import Database
    from app.transport.graphql_endpoint import GraphQLEndpoint


def all_routes(
    endpoint: GraphQLEndpoint, tokens: Sequence[BaseRoute], database: Database, demo: Sequence[BaseRoute]
) -> list[BaseRoute]:
    """Return the routes, from the narrowest to the page; GraphQL over HTTP is answered before them."""
    return [
        WebSocketRoute("/graphql", endpoint.websocket),
        *tokens,
        *health_routes(database),
        *demo,
        *page_routes(),
    ]
