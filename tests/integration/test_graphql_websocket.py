"""graphql-transport-ws against a live server."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from app.domain.errors import RateLimitedError
from app.transport.graphql_endpoint import Limits
from tests.scratch_graphql import NUMBER, Live, a_principal, at_work, live

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PROTOCOL = Subprotocol("graphql-transport-ws")
INIT = {"type": "connection_init", "payload": {"authorization": "Bearer good"}}
QUICK = Limits(
    init_seconds=0.3,
    ping_seconds=0.1,
    subscriptions_per_connection=2,
    connections_per_client=3,
)


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Live]:
    async with live(QUICK, allowed_origins=("https://page.example",)) as running:
        yield running


@pytest.fixture
async def hub(server: Live) -> AsyncIterator[Live]:
    yield server
    await server.reset()


class NothingLeft:
    """The rates of clients that have used up what is theirs."""

    def spend(self, *_: object) -> None:
        raise RateLimitedError(1.0)


def subscribe(
    operation_id: object, query: object = "subscription{changes(upTo: 2){number}}"
) -> dict[str, object]:
    return {"type": "subscribe", "id": operation_id, "payload": {"query": query}}


async def say(socket: ClientConnection, *messages: object) -> None:
    for message in messages:
        await socket.send(message if isinstance(message, str | bytes) else json.dumps(message))


async def hear(socket: ClientConnection) -> dict[str, Any]:
    """Return the next message that is no ping."""
    while True:
        frame = await socket.recv()
        assert isinstance(frame, str)
        message: dict[str, Any] = json.loads(frame)
        if message["type"] != "ping":
            return message


async def ending(socket: ClientConnection) -> tuple[int, str]:
    """Return code and reason of the close frame, whatever is said before."""
    with suppress(ConnectionClosed):
        async with asyncio.timeout(5):
            while True:
                await socket.recv()
    assert socket.close_code is not None
    return socket.close_code, socket.close_reason or ""


@asynccontextmanager
async def connected(hub: Live, **options: Any) -> AsyncIterator[ClientConnection]:
    async with connect(hub.ws, subprotocols=[PROTOCOL], **options) as socket:
        await say(socket, INIT)
        assert (await hear(socket))["type"] == "connection_ack"
        yield socket


class TestAbuse:
    @pytest.mark.parametrize(
        ("messages", "code"),
        [
            pytest.param(["x"], 4400, id="no JSON"),
            pytest.param(["[]"], 4400, id="a list"),
            pytest.param(["1"], 4400, id="a number"),
            pytest.param(["null"], 4400, id="null"),
            pytest.param(["{}"], 4400, id="no type"),
            pytest.param([{"type": 5}], 4400, id="type of another type"),
            pytest.param([b'{"type":"connection_init"}'], 4400, id="a binary frame"),
            pytest.param([{"type": "nonsense"}], 4400, id="unknown type before init"),
            pytest.param([{"type": "complete", "id": "1"}], 4400, id="complete before init"),
            pytest.param([{"type": "connection_init", "payload": "x"}], 4400, id="payload is a text"),
            pytest.param(['{"type":"ping","type":"ping"}'], 4400, id="a key twice"),
            pytest.param(['{"type":"ping","payload":' + "[" * 5_000], 4400, id="deep"),
            pytest.param([INIT, {"type": "nonsense"}], 4400, id="unknown type"),
            pytest.param([INIT, subscribe(["1"])], 4400, id="id is a list"),
            pytest.param([INIT, subscribe("")], 4400, id="id is empty"),
            pytest.param([INIT, subscribe("x" * 200)], 4400, id="id is long"),
            pytest.param([INIT, {"type": "subscribe", "id": "1"}], 4400, id="no payload"),
            pytest.param(
                [INIT, {"type": "subscribe", "id": "1", "payload": "x"}], 4400, id="payload of another type"
            ),
            pytest.param([INIT, subscribe("1", None)], 4400, id="no query"),
            pytest.param([INIT, {"type": "complete", "id": 1}], 4400, id="complete without an id"),
            pytest.param([{"type": "ping", "payload": {"x": "x" * 70_000}}], 1009, id="too big"),
            pytest.param([subscribe("1")], 4401, id="subscribe before init"),
            pytest.param([{"type": "connection_init"}], 4403, id="no token"),
            pytest.param([{"type": "connection_init", "payload": None}], 4403, id="payload is null"),
            pytest.param(
                [{"type": "connection_init", "payload": {"authorization": "Bearer bad"}}],
                4403,
                id="bad token",
            ),
            pytest.param(
                [{"type": "connection_init", "payload": {"authorization": 5}}], 4403, id="token is a number"
            ),
            pytest.param([], 4408, id="no init"),
            pytest.param([{"type": "ping"}], 4408, id="ping and no init"),
            pytest.param(
                [INIT, subscribe("1", "subscription{forever}"), subscribe("1", "subscription{forever}")],
                4409,
                id="id twice",
            ),
            pytest.param([INIT, INIT], 4429, id="init twice"),
        ],
    )
    async def test_closes_with_its_code(self, hub: Live, messages: list[object], code: int) -> None:
        async with connect(hub.ws, subprotocols=[PROTOCOL]) as socket:
            await say(socket, *messages)
            assert (await ending(socket))[0] == code
        await hub.endpoint.connections.wait_until_empty()

    async def test_does_not_wait_for_a_token_for_ever(self, hub: Live) -> None:
        hub.tokens.hangs = True
        async with connect(hub.ws, subprotocols=[PROTOCOL]) as socket:
            await say(socket, INIT)
            assert (await ending(socket))[0] == 4408

    async def test_sends_away_for_a_while_when_the_hub_is_unavailable(self, hub: Live) -> None:
        hub.tokens.unavailable = True
        async with connect(hub.ws, subprotocols=[PROTOCOL]) as socket:
            await say(socket, INIT)
            assert (await ending(socket))[0] == 1013

    async def test_sends_away_for_a_while_at_a_fault_of_the_hub(self, hub: Live) -> None:
        """At 1011, which would say so, graphql-ws gives up and nobody hears any more."""
        hub.tokens.broken = True
        async with connect(hub.ws, subprotocols=[PROTOCOL]) as socket:
            await say(socket, INIT)
            assert (await ending(socket))[0] == 1013

    @pytest.mark.parametrize("offered", [None, [Subprotocol("graphql-ws")]])
    async def test_refuses_other_subprotocols(self, hub: Live, offered: list[Subprotocol] | None) -> None:
        async with connect(hub.ws, subprotocols=offered) as socket:
            assert socket.subprotocol is None
            assert (await ending(socket))[0] == 4406

    @pytest.mark.parametrize("origin", ["https://elsewhere.example", "null"])
    async def test_refuses_foreign_origins(self, hub: Live, origin: str) -> None:
        with pytest.raises(InvalidStatus) as refusal:
            await connect(hub.ws, subprotocols=[PROTOCOL], additional_headers={"Origin": origin})
        assert refusal.value.response.status_code == 403

    async def test_survives_a_client_that_vanishes(self, hub: Live) -> None:
        async with connected(hub) as socket:
            await say(socket, subscribe("1", "subscription{forever}"))
            await hear(socket)
            await hub.contexts[0].started.wait()
            socket.transport.abort()
        await hub.contexts[0].closed.wait()


class TestConnection:
    async def test_acknowledges_with_the_position_of_the_feed(self, hub: Live) -> None:
        headers = {"Origin": "https://page.example"}
        async with connect(hub.ws, subprotocols=[PROTOCOL], additional_headers=headers) as socket:
            await say(socket, INIT)
            assert await hear(socket) == {"type": "connection_ack", "payload": {"feed": {"lastNumber": 7}}}

    async def test_takes_the_token_of_the_handshake(self, hub: Live) -> None:
        headers = {"Authorization": "Bearer good"}
        async with connect(hub.ws, subprotocols=[PROTOCOL], additional_headers=headers) as socket:
            await say(socket, {"type": "connection_init"})
            assert (await hear(socket))["type"] == "connection_ack"

    async def test_does_not_compress(self, hub: Live) -> None:
        async with connected(hub) as socket:
            assert socket.response is not None
            assert "Sec-WebSocket-Extensions" not in socket.response.headers

    async def test_answers_pings(self, hub: Live) -> None:
        async with connected(hub) as socket:
            await say(socket, {"type": "ping"}, {"type": "ping", "payload": {"x": 1}})
            assert await hear(socket) == {"type": "pong"}
            assert await hear(socket) == {"type": "pong", "payload": {"x": 1}}

    async def test_pings_with_the_position_of_the_feed(self, hub: Live) -> None:
        async with connected(hub) as socket:
            assert json.loads(await socket.recv()) == {"type": "ping", "payload": {"feed": {"lastNumber": 7}}}
            await say(socket, {"type": "pong"})

    async def test_ends_with_the_token(self, hub: Live) -> None:
        hub.tokens.principals["Bearer good"] = a_principal(lives=0.2)
        async with connected(hub) as socket:
            assert await ending(socket) == (4403, "token expired")

    async def test_ends_when_the_client_is_revoked(self, hub: Live) -> None:
        async with connected(hub) as socket:
            hub.tokens.revoked.add("client")
            assert await ending(socket) == (4403, "Forbidden")

    async def test_ends_with_the_server(self) -> None:
        async with live() as hub, connected(hub) as socket:
            await say(socket, subscribe("1", "subscription{forever}"))
            await hear(socket)
            await hub.endpoint.connections.close_all()
            assert (await ending(socket))[0] == 1012
            assert hub.contexts[0].closed.is_set()

    async def test_is_one_of_few_per_client(self, hub: Live) -> None:
        async with (
            connected(hub),
            connected(hub),
            connected(hub),
            connect(hub.ws, subprotocols=[PROTOCOL]) as socket,
        ):
            await say(socket, INIT)
            assert (await ending(socket))[0] == 1013
        await hub.endpoint.connections.wait_until_empty()
        async with connected(hub):
            assert len(hub.endpoint.connections) == 1

    async def test_is_refused_when_the_server_is_full(self) -> None:
        async with (
            live(Limits(connections=1)) as hub,
            connected(hub),
            connect(hub.ws, subprotocols=[PROTOCOL]) as socket,
        ):
            assert (await ending(socket))[0] == 1013

    async def test_ends_for_a_peer_that_says_nothing(self) -> None:
        async with live(Limits(ping_seconds=0.05, silence_seconds=0.2)) as hub, connected(hub) as socket:
            assert (await ending(socket))[0] == 1001

    async def test_lives_on_by_answers_of_a_client_that_may_send_nothing_more(self) -> None:
        limits = Limits(ping_seconds=0.05, silence_seconds=0.3)
        async with live(limits, rates=NothingLeft()) as hub, connected(hub) as socket:
            for _ in range(10):
                assert json.loads(await socket.recv())["type"] == "ping"
                await say(socket, {"type": "pong"})
            await say(socket, {"type": "pong"}, {"type": "pong"}, {"type": "pong"})
            assert (await ending(socket))[0] == 1013

    async def test_ends_for_more_completes_than_subscriptions_of_such_a_client(self) -> None:
        async with live(rates=NothingLeft()) as hub, connected(hub) as socket:
            for _ in range(10):
                await say(socket, subscribe("1"))
                assert (await hear(socket))["payload"][0]["extensions"]["code"] == "RATE_LIMITED"
                await say(socket, {"type": "complete", "id": "1"})
            await say(socket, {"type": "complete", "id": "1"}, {"type": "complete", "id": "1"})
            assert (await ending(socket))[0] == 1013

    async def test_is_cut_for_a_peer_that_reads_nothing(self) -> None:
        limits = Limits(ping_seconds=0.1, stall_seconds=0.5)
        async with live(limits) as hub, connected(hub, max_queue=1, close_timeout=0) as socket:
            await say(socket, subscribe("1", "subscription{flood(kilobytes: 60)}"))
            async with asyncio.timeout(10):
                await hub.endpoint.connections.wait_until_empty()

    async def test_keeps_little_for_a_peer_that_reads_nothing_and_asks_on(self) -> None:
        limits = Limits(subscriptions_per_connection=3)
        async with live(limits) as hub, connected(hub, max_queue=1, close_timeout=0) as socket:
            await say(socket, subscribe("1", "subscription{flood(kilobytes: 60)}"))
            await asyncio.sleep(1)  # until every buffer is full
            for time in range(200):
                await say(socket, subscribe(f"wrong {time}", "subscription{nonsense}"))
                await asyncio.sleep(0.002)  # it has failed by then
            assert at_work("_watched") <= 1 + 3  # who reads, and the subscriptions


class TestSubscription:
    async def test_yields_and_completes(self, hub: Live) -> None:
        async with connected(hub) as socket:
            await say(socket, subscribe("é"))
            assert [await hear(socket) for _ in range(3)] == [
                {"id": "é", "type": "next", "payload": {"data": {"changes": {"number": 1}}}},
                {"id": "é", "type": "next", "payload": {"data": {"changes": {"number": 2}}}},
                {"type": "complete", "id": "é"},
            ]

    async def test_hears_what_leaves_by_its_outlet(self, hub: Live) -> None:
        async with connected(hub) as socket:
            await say(socket, subscribe("é", "subscription{pushed{number text}}"))
            events = [await hear(socket) for _ in range(4)]
        assert [event["id"] for event in events] == ["é"] * 4
        assert [event["payload"]["data"]["pushed"]["number"] for event in events[:3]] == [1, 2, 3]
        assert events[1]["payload"]["data"]["pushed"]["text"] == "é" * 40_000
        assert events[3] == {"type": "complete", "id": "é"}

    async def test_frees_its_id_when_it_ends(self, hub: Live) -> None:
        async with connected(hub) as socket:
            for _ in range(3):
                await say(socket, subscribe("1"))
                assert [(await hear(socket))["type"] for _ in range(3)] == ["next", "next", "complete"]

    async def test_ends_silently_when_the_client_completes(self, hub: Live) -> None:
        async with connected(hub) as socket:
            await say(socket, subscribe("1", "subscription{forever}"))
            await hear(socket)
            await say(socket, {"type": "complete", "id": "1"}, {"type": "complete", "id": "other"})
            await hub.contexts[0].closed.wait()
            await say(socket, {"type": "ping"})
            assert await hear(socket) == {"type": "pong"}

    @pytest.mark.parametrize(
        ("query", "code"),
        [
            ("{hello}", "OPERATION_NOT_ALLOWED"),
            ("mutation{breakIt}", "OPERATION_NOT_ALLOWED"),
            ("subscription{nonsense}", "BAD_USER_INPUT"),
            ("subscription{", "BAD_USER_INPUT"),
            (f'subscription{{changes(upTo: "{NUMBER}"){{number}}}}', "BAD_USER_INPUT"),
            ("subscription{refused}", "FORBIDDEN"),
            ("subscription{brokenAtFirst}", "INTERNAL"),
        ],
    )
    async def test_is_refused_and_the_connection_stays(self, hub: Live, query: str, code: str) -> None:
        async with connected(hub) as socket:
            await say(socket, subscribe("1", query))
            message = await hear(socket)
            assert message["type"] == "error"
            assert message["payload"][0]["extensions"]["code"] == code
            assert NUMBER not in str(message)
            await say(socket, subscribe("1"))
            assert (await hear(socket))["type"] == "next"

    async def test_ends_with_an_error_in_mid_stream(self, hub: Live) -> None:
        async with connected(hub) as socket:
            await say(socket, subscribe("1", "subscription{brokenMidway}"))
            assert [(await hear(socket))["type"] for _ in range(2)] == ["next", "error"]

    async def test_is_one_of_few_per_connection(self, hub: Live) -> None:
        async with connected(hub) as socket:
            for operation_id in "123":
                await say(socket, subscribe(operation_id, "subscription{forever}"))
            messages = [await hear(socket) for _ in range(3)]
            (error,) = [message for message in messages if message["type"] == "error"]
            assert error["id"] == "3"
            assert error["payload"][0]["extensions"]["code"] == "LIMIT_EXCEEDED"
