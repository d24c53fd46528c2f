"""GraphQL over HTTP and server-sent events, against a live server."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import TYPE_CHECKING, Any, cast

import httpx
import pytest
from structlog.testing import capture_logs

from app.transport.graphql_endpoint import Limits
from tests.scratch_graphql import NUMBER, Live, a_principal, at_work, live, wanting_events

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

JSON = "application/json"
RESPONSE = "application/graphql-response+json"
EVENTS = "text/event-stream"
QUICK = Limits(keep_alive_seconds=0.05, body_bytes=10_000, connections_per_client=2)


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Live]:
    async with live(QUICK, allowed_origins=("https://page.example",)) as running:
        yield running


@pytest.fixture
async def hub(server: Live) -> AsyncIterator[Live]:
    yield server
    await server.reset()


@pytest.fixture
async def client(hub: Live) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": "Bearer good", "content-type": JSON}
    async with httpx.AsyncClient(headers=headers, timeout=10) as made:
        yield made


def body(query: str, **members: object) -> bytes:
    return json.dumps({"query": query, **members}).encode()


def code(response: httpx.Response) -> str:
    assert "data" not in response.json()
    return str(response.json()["errors"][0]["extensions"]["code"])


async def events(response: httpx.Response) -> AsyncIterator[dict[str, str]]:
    event: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line:
            name, _, value = line.partition(":")
            event[name] = value.strip()
        else:
            yield event
            event = {}


class TestPost:
    async def test_answers_a_query(self, hub: Live, client: httpx.AsyncClient) -> None:
        response = await client.post(hub.http, content=body("{hello}"))
        assert response.status_code == 200
        assert response.json() == {
            "data": {"hello": "world"},
            "extensions": {"cost": {"requested": 1, "maximum": 60_000}},
        }
        assert response.headers["content-type"] == "application/json; charset=utf-8"
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "strict-transport-security" not in response.headers

    async def test_keeps_data_beside_errors_of_fields(self, hub: Live, client: httpx.AsyncClient) -> None:
        response = await client.post(hub.http, content=body("{hello refused}"), headers={"accept": RESPONSE})
        assert response.status_code == 200
        assert response.json()["data"] == {"hello": "world", "refused": None}
        assert response.json()["errors"][0]["path"] == ["refused"]

    @pytest.mark.parametrize(
        ("accept", "status", "media_type"),
        [
            (None, 200, JSON),
            ("*/*", 200, JSON),
            ("application/*", 200, JSON),
            (JSON, 200, JSON),
            (RESPONSE, 400, RESPONSE),
            (f"{RESPONSE}; charset=utf-8, {JSON};q=0.9", 400, RESPONSE),
            (f"{RESPONSE};q=0.5, {JSON}", 200, JSON),
            (f"multipart/mixed, {RESPONSE}", 400, RESPONSE),
            ("text/html", 406, JSON),
            (f"{JSON};q=0", 406, JSON),
            (f"{JSON};q*=x", 200, JSON),
        ],
    )
    async def test_gives_the_status_of_its_media_type(
        self, hub: Live, client: httpx.AsyncClient, accept: str | None, status: int, media_type: str
    ) -> None:
        client.headers.pop("accept")
        headers = {"accept": accept} if accept else {}
        response = await client.post(hub.http, content=body("{nothing}"), headers=headers)
        assert response.status_code == status
        assert response.headers["content-type"].startswith(media_type)
        assert code(response) == "BAD_USER_INPUT"

    @pytest.mark.parametrize(
        ("content", "field"),
        [
            (b"5", "body"),
            (b"", "body"),
            (b"[" * 5_000, "body"),
            (b'{"query":"{hello}","query":"{hello}"}', "body"),
            (b'[{"query":"{hello}"}]', "body"),
            (b"{}", "query"),
            (b'{"query":5}', "query"),
            (b'{"query":"{hello}","variables":"x"}', "variables"),
            (b'{"query":"{hello}","operationName":1}', "operationName"),
            (b'{"query":"{hello}","extensions":[]}', "extensions"),
        ],
    )
    @pytest.mark.parametrize("accept", [JSON, RESPONSE])
    async def test_refuses_what_is_malformed(
        self, hub: Live, client: httpx.AsyncClient, content: bytes, field: str, accept: str
    ) -> None:
        response = await client.post(hub.http, content=content, headers={"accept": accept})
        assert response.status_code == 400
        assert response.json()["errors"][0]["extensions"] == {"code": "BAD_USER_INPUT", "field": field}

    @pytest.mark.parametrize(
        "headers",
        [
            {"content-type": "text/plain"},
            {"content-type": "application/x-www-form-urlencoded"},
            {"content-type": "multipart/form-data; boundary=x"},
            {"content-type": "application/json; charset=iso-8859-1"},
            {"content-encoding": "gzip"},
        ],
    )
    async def test_refuses_other_bodies(
        self, hub: Live, client: httpx.AsyncClient, headers: dict[str, str]
    ) -> None:
        response = await client.post(
            hub.http, content=gzip.compress(body("mutation{breakIt}")), headers=headers
        )
        assert response.status_code == 415

    async def test_refuses_a_subscription(self, hub: Live, client: httpx.AsyncClient) -> None:
        response = await client.post(hub.http, content=body("subscription{forever}"))
        assert code(response) == "OPERATION_NOT_ALLOWED"

    async def test_hides_what_nobody_foresaw(self, hub: Live, client: httpx.AsyncClient) -> None:
        response = await client.post(hub.http, content=body("{broken}"))
        assert response.json()["errors"][0]["extensions"]["code"] == "INTERNAL"
        assert NUMBER not in response.text


class TestBodySize:
    async def test_is_limited(self, hub: Live, client: httpx.AsyncClient) -> None:
        response = await client.post(hub.http, content=body("{hello}", extensions={"x": "x" * 10_000}))
        assert response.status_code == 413
        assert code(response) == "LIMIT_EXCEEDED"

    async def test_is_limited_in_chunks(self, hub: Live, client: httpx.AsyncClient) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(200):
                yield b" " * 100

        response = await client.post(hub.http, content=chunks())
        assert response.status_code == 413
        assert code(response) == "LIMIT_EXCEEDED"

    @pytest.mark.parametrize("length", ["10001", "9" * 6_000])
    async def test_is_believed_when_announced(self, hub: Live, length: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", hub.port)
        writer.write(
            f"POST /graphql HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\n"
            f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{{}}".encode()
        )
        status = await reader.readline()
        assert status.split()[1] in {b"413", b"400"}  # uvicorn's parser refuses absurd lengths itself
        writer.close()


class TestCaller:
    @pytest.mark.parametrize("accept", [JSON, RESPONSE, EVENTS, "text/html"])
    async def test_must_be_known(self, hub: Live, client: httpx.AsyncClient, accept: str) -> None:
        headers = {"authorization": "Bearer bad", "accept": accept}
        response = await client.post(hub.http, content=b"x", headers=headers)
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"
        assert code(response) == "UNAUTHENTICATED"

    async def test_hears_when_the_hub_is_unavailable(self, hub: Live, client: httpx.AsyncClient) -> None:
        hub.tokens.unavailable = True
        response = await client.post(hub.http, content=body("{hello}"))
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
        assert code(response) == "UNAVAILABLE"

    @pytest.mark.parametrize(
        ("origin", "status"),
        [
            ("https://page.example", 200),
            ("http://127.0.0.1:{port}", 200),
            ("https://elsewhere.example", 403),
            ("http://127.0.0.1", 403),
            ("null", 403),
            ("", 403),
        ],
    )
    async def test_comes_from_an_allowed_origin(
        self, hub: Live, client: httpx.AsyncClient, origin: str, status: int
    ) -> None:
        headers = {"origin": origin.format(port=hub.port)}
        assert (await client.post(hub.http, content=body("{hello}"), headers=headers)).status_code == status

    @pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
    async def test_uses_post(self, hub: Live, client: httpx.AsyncClient, method: str) -> None:
        response = await client.request(method, hub.http, params={"query": "{hello}"})
        assert response.status_code == 405
        assert response.headers["allow"] == "POST"
        assert code(response) == "OPERATION_NOT_ALLOWED"


class TestAccessLog:
    async def test_shows_no_content(self, hub: Live, client: httpx.AsyncClient) -> None:
        trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
        with capture_logs() as logs:
            response = await client.post(
                f"{hub.http}?number={NUMBER}",
                content=body("{hello}", variables={"x": NUMBER}),
                headers=headers,
            )
            await client.post(hub.http.replace("graphql", NUMBER))
        first, second = (log for log in logs if log["event"] == "request")
        assert NUMBER not in str(logs)
        assert "good" not in str(logs)
        assert {name: first[name] for name in ("method", "path", "status", "client_id")} == {
            "method": "POST",
            "path": "/graphql",
            "status": 200,
            "client_id": "client",
        }
        assert second["status"] == 404
        assert len(response.headers["x-request-id"]) == 32


class TestEventStream:
    @pytest.fixture(autouse=True)
    def wants_events(self, client: httpx.AsyncClient) -> None:
        client.headers["accept"] = EVENTS

    async def listen(
        self, hub: Live, client: httpx.AsyncClient, query: str, **headers: str
    ) -> list[dict[str, str]]:
        async with client.stream("POST", hub.http, content=body(query), headers=headers) as response:
            assert response.status_code == 200
            assert response.headers["content-type"].startswith(EVENTS)
            return [event async for event in events(response)]

    async def test_numbers_its_events(self, hub: Live, client: httpx.AsyncClient) -> None:
        heard = await self.listen(hub, client, "subscription{changes(upTo: 2){text}}")
        assert heard == [
            {"event": "next", "id": "1", "data": '{"data":{"changes":{"text":"change 1"}}}'},
            {"event": "next", "id": "2", "data": '{"data":{"changes":{"text":"change 2"}}}'},
            {"event": "complete", "data": ""},
        ]

    async def test_answers_a_query_with_one_event(self, hub: Live, client: httpx.AsyncClient) -> None:
        heard = await self.listen(hub, client, "{hello}")
        assert [event["event"] for event in heard] == ["next", "complete"]

    @pytest.mark.parametrize(
        ("query", "expected"),
        [("subscription{refused}", ["FORBIDDEN"]), ("subscription{brokenMidway}", [None, "INTERNAL"])],
    )
    async def test_ends_with_errors(
        self, hub: Live, client: httpx.AsyncClient, query: str, expected: list[str | None]
    ) -> None:
        *heard, last = await self.listen(hub, client, query)
        answers: list[dict[str, Any]] = [json.loads(event["data"]) for event in heard]
        assert [a["errors"][0]["extensions"]["code"] if "errors" in a else None for a in answers] == expected
        assert last["event"] == "complete"

    @pytest.mark.parametrize(("header", "expected"), [("17", 17), ("", 0)])
    async def test_is_resumed(self, hub: Live, client: httpx.AsyncClient, header: str, expected: int) -> None:
        heard = await self.listen(hub, client, "subscription{resumed}", **{"last-event-id": header})
        assert json.loads(heard[0]["data"]) == {"data": {"resumed": expected}}

    @pytest.mark.parametrize("header", ["x", "-1", "1.5", "9" * 30, "１"])  # noqa: RUF001 - a full-width digit
    async def test_refuses_a_malformed_number(
        self, hub: Live, client: httpx.AsyncClient, header: str
    ) -> None:
        headers = {"last-event-id": header.encode()}
        response = await client.post(hub.http, content=body("subscription{resumed}"), headers=headers)  # type: ignore[arg-type]
        assert response.status_code == 400
        assert code(response) == "BAD_USER_INPUT"

    async def test_has_what_leaves_by_its_outlet(self, hub: Live, client: httpx.AsyncClient) -> None:
        *heard, last = await self.listen(hub, client, "subscription{pushed{number text}}")
        assert [event["id"] for event in heard] == ["1", "2", "3"]
        answers = [json.loads(event["data"])["data"]["pushed"] for event in heard]
        assert [answer["number"] for answer in answers] == [1, 2, 3]
        assert answers[1]["text"] == "é" * 40_000
        assert last == {"event": "complete", "data": ""}

    async def test_is_cut_for_a_client_that_reads_nothing(self) -> None:
        limits = Limits(keep_alive_seconds=0.1, stall_seconds=0.5, close_seconds=0.1)
        async with live(limits) as hub:
            reader, writer = await asyncio.open_connection("127.0.0.1", hub.port, limit=2**16)
            writer.write(wanting_events("subscription{flood(kilobytes: 60)}"))
            assert b" 200 " in await reader.readuntil(b"\r\n")
            cast("asyncio.Transport", writer.transport).pause_reading()
            async with asyncio.timeout(10):
                await hub.endpoint.connections.wait_until_empty()
            cast("asyncio.Transport", writer.transport).resume_reading()
            rest = await asyncio.wait_for(reader.read(), 10)
            assert not rest.endswith(b"0\r\n\r\n"), "cut, not ended after all that waited"
            writer.close()

    @pytest.mark.parametrize("reads", [True, False])
    async def test_ends_for_a_client_that_has_asked_for_more_meanwhile(self, reads: bool) -> None:
        """uvicorn tells the end of a connection to the last request alone, which waits for its turn."""
        limits = Limits(keep_alive_seconds=0.1, stall_seconds=0.5, close_seconds=0.1)
        async with live(limits) as hub:
            reader, writer = await asyncio.open_connection("127.0.0.1", hub.port, limit=2**16)
            kilobytes = 0 if reads else 60
            flood = wanting_events(f"subscription{{flood(kilobytes: {kilobytes})}}")
            writer.write(flood + wanting_events("{hello}"))
            assert b" 200 " in await reader.readuntil(b"\r\n")
            transport = cast("asyncio.Transport", writer.transport)
            transport.abort() if reads else transport.pause_reading()
            async with asyncio.timeout(5):
                await hub.endpoint.connections.wait_until_empty()
                while at_work("run_asgi"):  # noqa: ASYNC110 - the end of a task rings no bell
                    await asyncio.sleep(0.05)
            writer.close()

    async def test_is_kept_alive(self, hub: Live, client: httpx.AsyncClient) -> None:
        async with client.stream("POST", hub.http, content=body("subscription{forever}")) as response:
            comments = 0
            async for line in response.aiter_lines():
                comments += line == ":"
                if comments == 3:
                    break

    async def test_closes_the_generator_when_the_client_leaves(
        self, hub: Live, client: httpx.AsyncClient
    ) -> None:
        async with client.stream("POST", hub.http, content=body("subscription{forever}")) as response:
            await anext(events(response))
            await hub.contexts[0].started.wait()
        await hub.contexts[0].closed.wait()

    @pytest.mark.parametrize("how", ["expiry", "revocation"])
    async def test_ends_when_the_right_to_listen_does(
        self, hub: Live, client: httpx.AsyncClient, how: str
    ) -> None:
        hub.tokens.principals["Bearer good"] = a_principal(lives=0.3 if how == "expiry" else 900)
        async with client.stream("POST", hub.http, content=body("subscription{forever}")) as response:
            listening = events(response)
            await anext(listening)
            if how == "revocation":
                hub.tokens.revoked.add("client")
            *_, error, last = [event async for event in listening]
        assert json.loads(error["data"])["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        assert last["event"] == "complete"
        await hub.contexts[0].closed.wait()

    async def test_ends_with_the_server(self, client: httpx.AsyncClient) -> None:
        async with (
            live() as hub,
            client.stream("POST", hub.http, content=body("subscription{forever}")) as response,
        ):
            listening = events(response)
            await anext(listening)
            await hub.endpoint.connections.close_all()
            *_, error, last = [event async for event in listening]
            assert json.loads(error["data"])["errors"][0]["extensions"]["code"] == "UNAVAILABLE"
            assert last["event"] == "complete"
            assert (await client.post(hub.http, content=body("subscription{forever}"))).status_code == 503

    async def test_is_limited_in_number(self, hub: Live, client: httpx.AsyncClient) -> None:
        content = body("subscription{forever}")
        async with (
            client.stream("POST", hub.http, content=content),
            client.stream("POST", hub.http, content=content),
        ):
            response = await client.post(hub.http, content=content)
            assert response.status_code == 429
            assert code(response) == "RATE_LIMITED"
