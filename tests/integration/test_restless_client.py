"""A client that subscribes and unsubscribes without end: it meets its limit, and nobody else notices."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from app.telemetry import SUBSCRIPTIONS
from tests.factories.live_hub import LISTEN, eventually
from tests.factories.served_hub import served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from websockets.asyncio.client import ClientConnection

    from tests.factories.served_hub import Door, Registered

pytestmark = pytest.mark.slow

TIMES = 1000


@asynccontextmanager
async def connected(door: Door, client: Registered) -> AsyncIterator[ClientConnection]:
    async with connect(
        door.address.replace("http", "ws") + "/graphql",
        subprotocols=[Subprotocol("graphql-transport-ws")],
        max_queue=None,
        ping_interval=None,
    ) as socket:
        payload = {"authorization": f"Bearer {await door.token(client)}"}
        await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
        assert json.loads(await socket.recv())["type"] == "connection_ack"
        yield socket


async def subscribe(socket: ClientConnection, operation_id: object) -> None:
    message = {"id": str(operation_id), "type": "subscribe", "payload": {"query": LISTEN}}
    await socket.send(json.dumps(message))


async def refusals(socket: ClientConnection) -> set[str]:
    """Return the codes of all errors, up to that of the operation "last"."""
    codes = set()
    while True:
        message: dict[str, Any] = json.loads(await socket.recv())
        if message["type"] == "error":
            codes.add(message["payload"][0]["extensions"]["code"])
            if message["id"] == "last":
                return codes
        assert message["type"] in {"ping", "error"}, message


class TestRestlessClient:
    async def test_is_told_to_wait_and_nobody_else_notices(
        self, template: str, key_files: dict[str, Path]
    ) -> None:
        async with (
            served(template, rate_requests=2, **key_files) as hub,
            hub.door() as door,
        ):  # and twenty at once, of which the other client needs twelve
            other, restless = await hub.client(), await hub.client()
            before = SUBSCRIPTIONS._value.get()
            async with connected(door, other) as quiet, connected(door, restless) as socket:
                await subscribe(quiet, 1)
                told = asyncio.create_task(refusals(socket))
                for time in range(TIMES):
                    await subscribe(socket, time)
                    # What is taken back before it has begun costs nothing, and is not counted.
                    await asyncio.sleep(0.001)
                    await socket.send(json.dumps({"id": str(time), "type": "complete"}))
                    if time % 100 == 0:
                        # The other client is answered meanwhile, over its websocket and over HTTP.
                        await quiet.send(json.dumps({"type": "ping", "payload": {"time": time}}))
                        assert json.loads(await quiet.recv())["payload"] == {"time": time}
                await subscribe(socket, "last")
                assert await asyncio.wait_for(told, 60) == {"RATE_LIMITED"}
                assert (await door.view(f"Bearer {await door.token(other)}")).status_code == 200
                await eventually(lambda: SUBSCRIPTIONS._value.get() == before + 1)
