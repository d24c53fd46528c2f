"""Headers around every answer, and the access log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from structlog.testing import capture_logs

from app.transport.middleware import AccessLogMiddleware, SecurityHeadersMiddleware
from tests.scratch_graphql import NUMBER

if TYPE_CHECKING:
    from starlette.requests import Request


async def page(request: Request) -> PlainTextResponse:
    return PlainTextResponse("page", headers={"Cache-Control": "max-age=60"})


async def broken(request: Request) -> PlainTextResponse:
    raise ValueError(NUMBER)


@pytest.fixture
def client() -> httpx.AsyncClient:
    app = Starlette(routes=[Route("/", page), Route("/health/live", page), Route("/broken", broken)])
    transport = httpx.ASGITransport(SecurityHeadersMiddleware(AccessLogMiddleware(app)))
    return httpx.AsyncClient(transport=transport, base_url="https://hub.example")


class TestSecurityHeaders:
    async def test_stand_on_every_answer(self, client: httpx.AsyncClient) -> None:
        headers = (await client.get("/nowhere")).headers
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]

    async def test_demand_https_only_where_it_is_spoken(self, client: httpx.AsyncClient) -> None:
        assert "strict-transport-security" in (await client.get("/")).headers
        assert "strict-transport-security" not in (await client.get("http://hub.example/")).headers

    async def test_leave_what_an_answer_sets_itself(self, client: httpx.AsyncClient) -> None:
        assert (await client.get("/")).headers["cache-control"] == "max-age=60"


class TestAccessLog:
    async def test_masks_what_nobody_caught(self, client: httpx.AsyncClient) -> None:
        with capture_logs() as logs:
            response = await client.get("/broken")
        assert response.status_code == 500
        assert [log["event"] for log in logs] == ["internal_error", "request"]
        assert logs[1]["status"] == 500
        assert NUMBER not in str(logs)

    async def test_shows_neither_query_nor_number(self, client: httpx.AsyncClient) -> None:
        with capture_logs() as logs:
            await client.get(f"/{NUMBER}?token=secret")
        (log,) = logs
        assert log["path"] == "/*********"
        assert "secret" not in str(logs)
