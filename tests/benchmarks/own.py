"""What peers lack: routing to a few of many connections, resuming, and the memory of silent connections."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psutil
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.factories.live_hub import LiveClient, LiveHub, a_message
from tests.factories.world import BRIN, PROGRAMME, a_personal_number

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

_LISTEN = "subscription ($after: Int) { statusChanged(after: $after) { number status } }"
_EVENTS = 200
_AT_ONCE = 50
_STATUSES = ("OFFERED", "RECEIVED")


def furnish(hub: LiveHub) -> None:
    """Add the institution and the programme of our own messages to the catalogue."""
    (hub.folder / "institution.csv").write_text(f"brin,name\n{BRIN},An institution\n", encoding="utf-8")
    (hub.folder / "programme.csv").write_text(f"crebo,name\n{PROGRAMME},A programme\n", encoding="utf-8")
    ended = hub.run("catalogue", "import", "institution.csv", "programme.csv")
    assert ended.returncode == 0, ended.stderr


def measured(hub: LiveHub, connections: int) -> Iterator[str]:
    """Yield a line for each measurement."""
    yield from asyncio.run(_Own(hub, connections).run())


class _Own:
    """One receiver, with two connections, to whom all events go; one with all others, whom none concerns."""

    def __init__(self, hub: LiveHub, connections: int) -> None:
        self._hub = hub
        self._others = connections - 2
        self._sis = hub.add_client("sis", "--brin", BRIN)
        self._concerned = hub.add_client("os")
        self._unconcerned = hub.add_client("os")
        self._message = a_message(personalNumber=a_personal_number())
        assert hub.process is not None
        self._process = psutil.Process(hub.process.pid)
        self._sent = 0

    async def run(self) -> list[str]:
        self._concerned.follow(self._message["personalNumber"], "S-1")
        lines = []
        async with AsyncExitStack() as stack:
            pair = [
                await stack.enter_async_context(_subscribed(self._hub, self._concerned)) for _ in range(2)
            ]
            await self._cost(pair)
            alone = await self._cost(pair)
            before = self._memory
            limit = asyncio.Semaphore(_AT_ONCE)

            async def one() -> None:
                async with limit:
                    await stack.enter_async_context(_subscribed(self._hub, self._unconcerned))

            await asyncio.gather(*(one() for _ in range(self._others)))
            kilobytes = (self._memory - before) / 1024 / max(1, self._others)
            lines.append(f"memory of a silent subscription: {kilobytes:.0f} KiB ({self._others:,} of them)")
            among = await self._cost(pair)
            lines.append(
                f"an event that concerns 2 connections: {alone:.2f} ms CPU alone, {among:.2f} ms among "
                f"{self._others + 2:,}"
            )
        lines += [
            f"resume {back} numbers back: {await self._resume(back):.1f} ms to the last of them"
            for back in (1, 10, 100)
        ]
        return lines

    @property
    def _memory(self) -> int:
        return int(self._process.memory_info().rss)

    @property
    def _cpu(self) -> float:
        used = self._process.cpu_times()
        return float(used.user + used.system)

    async def _cost(self, listening: list[_Subscription]) -> float:
        """Return the milliseconds of CPU of an event: reported, numbered, delivered to those that listen."""
        began = self._cpu
        for _ in range(_EVENTS):
            await asyncio.to_thread(self._report)
            for subscription in listening:
                await subscription.events.get()
        return (self._cpu - began) / _EVENTS * 1000

    def _report(self) -> None:
        changed = {"status": _STATUSES[self._sent % 2], "occurredAt": _now()}
        message = a_message(**{**self._message, **changed, "messageId": a_message()["messageId"]})
        (result,) = self._sis.report(message)
        assert result["outcome"] == "ACCEPTED", result
        self._sent += 1

    async def _resume(self, back: int) -> float:
        began = time.perf_counter()
        async with _subscribed(self._hub, self._concerned, after=self._sent - back) as subscription:
            for _ in range(back):
                await subscription.events.get()
        return (time.perf_counter() - began) * 1000


def _now() -> str:
    return datetime.now(UTC).isoformat()


class _Subscription:
    """A subscription that answers pings and keeps what it hears."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._answers = asyncio.Queue[str]()
        self.events = asyncio.Queue[None]()

    async def begin(self, after: int | None) -> None:
        """Return when the hub has the subscription: it answers what comes after it."""
        await self._connection.send('{"type": "connection_init"}')
        assert await self._answers.get() == "connection_ack"
        payload = {"query": _LISTEN, "variables": {"after": after}}
        await self._connection.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
        await self._connection.send('{"type": "ping"}')
        assert await self._answers.get() == "pong"

    async def listen(self) -> None:
        async for frame in self._connection:
            kind = json.loads(frame)["type"]
            if kind == "ping":
                await self._connection.send('{"type": "pong"}')
            elif kind == "next":
                self.events.put_nowait(None)
            else:
                self._answers.put_nowait(kind)


@asynccontextmanager
async def _subscribed(
    hub: LiveHub, client: LiveClient, after: int | None = None
) -> AsyncIterator[_Subscription]:
    async with connect(
        hub.websocket_url,
        subprotocols=[Subprotocol("graphql-transport-ws")],
        additional_headers=client.headers,
        compression=None,
        ping_interval=None,
        open_timeout=60,
    ) as connection:
        subscription = _Subscription(connection)
        listening = asyncio.create_task(subscription.listen())
        await subscription.begin(after)
        yield subscription
    await listening
