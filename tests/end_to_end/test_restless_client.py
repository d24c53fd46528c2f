"""A client that subscribes and unsubscribes without end: it meets its limit, and nobody else notices."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from app.domain.access import Role
from tests.factories.live_hub import LISTEN, LiveClient, LiveHub, a_message, eventually
from tests.factories.world import BRIN, a_personal_number

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from websockets.asyncio.client import ClientConnection

TIMES, CHANGES = 1000, 10


@asynccontextmanager
async def connected(client: LiveClient) -> AsyncIterator[ClientConnection]:
    token = await asyncio.to_thread(lambda: client.token)
    protocol = Subprotocol("graphql-transport-ws")
    async with connect(client.hub.websocket_url, subprotocols=[protocol], max_queue=None) as socket:
        payload = {"authorization": f"Bearer {token}"}
        await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
        assert json.loads(await socket.recv())["type"] == "connection_ack"
        yield socket


async def subscribe(socket: ClientConnection, operation_id: object) -> None:
    message = {"id": str(operation_id), "type": "subscribe", "payload": {"query": LISTEN}}
    await socket.send(json.dumps(message))


async def open_subscriptions(hub: LiveHub) -> float:
    async with httpx.AsyncClient() as http:
        figures = (await http.get(f"{hub.url}/metrics")).text
    return float(figures.split("\nkoppelpunt_subscriptions ")[1].split("\n")[0])


@pytest.mark.slow
class TestRestlessClient:
    async def test_is_told_to_wait_and_nobody_else_notices(self, own_hub: LiveHub, join: Any) -> None:
        own_hub.environment["KOPPELPUNT_RATE_REQUESTS"] = "20"
        await asyncio.to_thread(own_hub.start)
        sis, other, restless = [await join(own_hub, role, *brins) for role, brins in
                                ((Role.SIS, (BRIN,)), (Role.OS, ()), (Role.OS, ()))]  # fmt: skip
        number = a_personal_number()
        for receiver in (other, restless):
            await asyncio.to_thread(receiver.follow, number, "S-1")
        async with connected(other) as quiet, connected(restless) as socket:
            await subscribe(quiet, 1)
            heard: list[int] = []

            async def listen() -> None:
                while True:
                    message = json.loads(await quiet.recv())
                    if message["type"] == "next":
                        heard.append(message["payload"]["data"]["statusChanged"]["number"])

            async def report() -> None:
                for _ in range(CHANGES):
                    await asyncio.to_thread(sis.report, a_message(personalNumber=number))

            listening, reporting = asyncio.create_task(listen()), asyncio.create_task(report())
            for time in range(TIMES):
                await subscribe(socket, time)
                await socket.send(json.dumps({"id": str(time), "type": "complete"}))
            await reporting
            # The connection lives on, and its client is told to wait.
            await subscribe(socket, "last")
            refusal: Any = None
            while refusal is None:
                message = json.loads(await asyncio.wait_for(socket.recv(), 30))
                assert message["type"] in {"next", "ping", "error"}, message
                if message["type"] == "error":
                    refusal = message
            assert refusal["payload"][0]["extensions"]["code"] == "RATE_LIMITED"
            await eventually(lambda: len(heard) == CHANGES)
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            assert heard == list(range(1, CHANGES + 1))
            assert await open_subscriptions(own_hub) == 1, "those of the restless client are gone"
        assert "internal_error" not in own_hub.log
