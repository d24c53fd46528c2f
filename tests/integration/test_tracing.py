"""Traces and metrics over OTLP, against a collector that decodes them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.websockets import WebSocketDisconnect

from app.main import create_app
from app.otlp.collector import resource
from app.otlp.metrics import OtlpMetrics
from app.otlp.traces import OtlpTracing
from app.telemetry import MESSAGES, REQUESTS
from app.tracing import TraceContext
from app.transport.tracing import TracingMiddleware
from tests.factories.collector import Collector, collecting, plain
from tests.factories.world import a_personal_number

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from app.settings import Settings

pytestmark = pytest.mark.slow

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CALLER = f"00-{TRACE}-{PARENT}-00"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hub.test") as client,
    ):
        yield client


class TestTraces:
    async def test_go_on_from_the_caller_to_the_collector(self, settings, collector) -> None:
        own = settings.model_copy(update={"otlp_endpoint": collector.url})
        async with serving(own) as client:
            answered = await client.post("/graphql", json={}, headers={"traceparent": CALLER})
            assert answered.status_code == 401
        (span,) = collector.spans
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
        assert span.name == "POST /graphql"
        assert span.kind == 2  # server
        assert span.start_time_unix_nano < span.end_time_unix_nano
        assert plain(span.attributes) == {
            "http.request.method": "POST",
            "http.route": "/graphql",
            "http.response.status_code": 401,
        }
        assert answered.headers["traceresponse"] == f"00-{TRACE}-{span.span_id.hex()}-01"
        sender = plain(collector.arrived[0][1].resource_spans[0].resource.attributes)
        assert sender["service.name"] == "mbo-koppelpunt"

    async def test_hold_nothing_that_a_caller_may_choose(self, settings, collector) -> None:
        number = a_personal_number()
        own = settings.model_copy(update={"otlp_endpoint": collector.url})
        async with serving(own) as client:
            await client.request(f"M{number}", f"/{number}?q={number}", headers={"x": number})
            body = {"query": f"query N{number} {{ viewer {{ role }} }}", "operationName": f"N{number}"}
            await client.post("/graphql", json=body, headers={"authorization": f"Bearer {number}"})
        assert [span.name for span in collector.spans] == ["_OTHER other", "POST /graphql"]
        assert not any(number.encode() in raw for raw in collector.raw)

    @pytest.mark.parametrize(
        "header",
        [
            "", "x", CALLER[:-1], CALLER.upper(), f"ff{CALLER[2:]}", f"{CALLER}-x",
            f"00-{'0' * 32}-{PARENT}-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE}-{PARENT}-0x",
            "0" * 10_000,
        ],
    )  # fmt: skip
    async def test_begin_anew_after_a_header_that_is_none(self, collector, header: str) -> None:
        tracing = OtlpTracing(collector.url, resource("test"), 1)
        await passed(
            TracingMiddleware(answering, tracing, frozenset()), headers=[(b"traceparent", header.encode())]
        )
        tracing.close()
        (span,) = collector.spans
        assert span.parent_span_id == b""
        assert span.trace_id.hex() != TRACE

    async def test_begin_anew_after_two_headers(self, collector) -> None:
        tracing = OtlpTracing(collector.url, resource("test"), 1)
        twice = [(b"traceparent", CALLER.encode())] * 2
        await passed(TracingMiddleware(answering, tracing, frozenset()), headers=twice)
        tracing.close()
        assert collector.spans[0].trace_id.hex() != TRACE

    async def test_are_kept_by_share_and_not_by_the_wish_of_the_caller(self, collector) -> None:
        tracing = OtlpTracing(collector.url, resource("test"), 0)
        wish = f"00-{TRACE}-{PARENT}-01"
        sent = await passed(
            TracingMiddleware(answering, tracing, frozenset()), headers=[(b"traceparent", wish.encode())]
        )
        tracing.close()
        assert collector.spans == []
        (told,) = [value.decode() for name, value in sent[0]["headers"] if name == b"traceresponse"]
        context = TraceContext.read(told)
        assert context is not None
        assert (context.trace_id, context.sampled) == (TRACE, False)

    async def test_end_with_an_exception_as_failed(self, collector) -> None:
        async def failing(scope, receive, send) -> None:
            raise WebSocketDisconnect

        tracing = OtlpTracing(collector.url, resource("test"), 1)
        with pytest.raises(WebSocketDisconnect):
            await passed(TracingMiddleware(failing, tracing, frozenset()))
        tracing.close()
        assert collector.spans[0].status.code == 2

    async def test_of_a_websocket_end_with_its_close_code(self, collector) -> None:
        async def closing(scope, receive, send) -> None:
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": 4403})

        tracing = OtlpTracing(collector.url, resource("test"), 1)
        await passed(TracingMiddleware(closing, tracing, frozenset({"/"})), type="websocket")
        tracing.close()
        (span,) = collector.spans
        assert span.name == "WEBSOCKET /"
        assert plain(span.attributes)["koppelpunt.websocket.close_code"] == 4403

    async def test_do_not_hold_up_the_hub_when_nobody_collects(self, settings) -> None:
        with collecting() as gone:
            nobody = gone.url
        own = settings.model_copy(update={"otlp_endpoint": nobody})
        async with serving(own) as client:
            assert (await client.get("/health/live")).status_code == 200

    async def test_are_not_loaded_where_they_are_off(self, settings) -> None:
        app = create_app(settings)
        assert "TracingMiddleware" not in repr(app.user_middleware)


async def answering(scope, receive, send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def passed(app: TracingMiddleware, **scope: Any) -> list[dict[str, Any]]:
    """Pass one request through, and return what was sent."""
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {}

    kind = {"type": "http", "method": "GET"} if "type" not in scope else {}
    await app({**kind, "path": "/", "headers": [], **scope}, receive, send)
    return sent


class TestMetrics:
    def test_are_those_of_the_page(self, collector) -> None:
        MESSAGES.labels("ACCEPTED", "").inc(3)
        REQUESTS.labels("/graphql", "200").observe(0.002)
        before = MESSAGES.labels("ACCEPTED", "")._value.get()
        metrics = OtlpMetrics(collector.url, resource("test"))
        metrics.send()
        metrics.close()
        found = collector.metrics
        counted = {
            tuple(plain(point.attributes).values()): point.as_double
            for point in found["koppelpunt_messages_total"].sum.data_points
        }
        assert counted["ACCEPTED", ""] == before
        assert found["koppelpunt_messages_total"].sum.is_monotonic
        (point,) = [
            one
            for one in found["koppelpunt_request_seconds"].histogram.data_points
            if plain(one.attributes) == {"path": "/graphql", "status": "200"}
        ]
        assert sum(point.bucket_counts) == point.count
        assert len(point.bucket_counts) == len(point.explicit_bounds) + 1
        assert point.bucket_counts[1] >= 1  # 0.001 to 0.0025
        assert "koppelpunt_connections" in found
