"""Thousands of subscribers in one process: websockets with no more about them than measuring needs.

https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md over RFC 6455; masks are zero.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tests.factories.live_hub import LiveClient, LiveHub

LISTEN = "subscription ($after: Int) { statusChanged(after: $after) { number status recordedAt } }"
_PER_ADDRESS = 5_000  # connections from one address of the loopback; there are 28,000 ports for each
_AT_ONCE = 50
_SHORT, _LONG = 126, 127  # lengths that say that the length follows in two or eight bytes
_TEXT = 0x81


class Subscriber(asyncio.Protocol):
    """One connection with one subscription: counts what it hears, and answers pings unless it is silent."""

    def __init__(self, token: str, after: int | None, *, silent: bool = False) -> None:
        loop = asyncio.get_running_loop()
        self._token = token
        self._after = after
        self._silent = silent
        self._rest = b""
        self._upgraded = False
        self._heard = asyncio.Event()
        self.subscribed: asyncio.Future[None] = loop.create_future()
        self.failure = ""
        self.count = 0
        self.heard_at = 0.0
        self.last = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the protocol."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(
            b"GET /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
        )

    def connection_lost(self, _error: Exception | None) -> None:
        """Tell who waits for it."""
        self._fail("the connection was closed")

    def _fail(self, why: str) -> None:
        self.failure = why
        self._heard.set()
        if not self.subscribed.done():
            self.subscribed.set_exception(ConnectionError(why))

    def data_received(self, data: bytes) -> None:
        """Take frames apart."""
        self.heard_at = time.time()
        data = self._rest + data
        if not self._upgraded:
            head, found, data = data.partition(b"\r\n\r\n")
            if not found:
                self._rest = head
                return
            assert b" 101 " in head[:16], head
            self._upgraded = True
            self._say({"type": "connection_init", "payload": {"authorization": f"Bearer {self._token}"}})
        while len(data) >= 2:
            size, start = data[1], 2
            if size in {_SHORT, _LONG}:
                start = 4 if size == _SHORT else 10
                size = int.from_bytes(data[2:start], "big")
            if len(data) < start + size:
                break
            self._hear(data[0], data[start : start + size])
            data = data[start + size :]
        self._rest = data

    def _hear(self, opcode: int, text: bytes) -> None:
        if opcode != _TEXT:
            return
        if b'"next"' in text[:40]:
            self.count += 1
            self.last = text
            self._heard.set()
            return
        kind = json.loads(text)["type"]
        if kind == "connection_ack":
            payload = {"query": LISTEN, "variables": {"after": self._after}}
            self._say({"id": "1", "type": "subscribe", "payload": payload})
            self._say({"type": "ping"})  # answered after the subscription has begun to be served
        elif kind == "pong" and not self.subscribed.done():
            self.subscribed.set_result(None)
            if self._silent:
                self.transport.pause_reading()
        elif kind == "ping":
            self._say({"type": "pong"})
        else:
            self._fail(text.decode())

    def _say(self, message: dict[str, Any]) -> None:
        text = json.dumps(message).encode()
        size = bytes([0x80 | len(text)]) if len(text) < _SHORT else b"\xfe" + len(text).to_bytes(2, "big")
        self.transport.write(b"\x81" + size + b"\0\0\0\0" + text)

    async def until(self, count: int, seconds: float = 60) -> None:
        """Wait until it has heard so many changes."""
        async with asyncio.timeout(seconds):
            while self.count < count:
                if self.failure:
                    raise ConnectionError(self.failure)
                self._heard.clear()
                await self._heard.wait()


@asynccontextmanager
async def subscribers(
    hub: LiveHub, client: LiveClient, count: int, *, after: int | None = None, silent: bool = False
) -> AsyncIterator[Sequence[Subscriber]]:
    """Lend so many connections of a client, each with a subscription, from as many addresses as it takes."""
    loop = asyncio.get_running_loop()
    limit = asyncio.Semaphore(_AT_ONCE)
    opened: list[Subscriber] = []
    token = client.token

    async def one(number: int) -> None:
        async with limit:
            _, subscriber = await loop.create_connection(
                lambda: Subscriber(token, after, silent=silent),
                "127.0.0.1",
                hub.port,
                local_addr=(f"127.0.0.{2 + number // _PER_ADDRESS}", 0),
            )
            opened.append(subscriber)
            async with asyncio.timeout(120):
                await subscriber.subscribed

    try:
        await asyncio.gather(*(one(number) for number in range(count)))
        yield opened
    finally:
        for subscriber in opened:
            subscriber.transport.abort()
