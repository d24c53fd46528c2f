"""The open connections of this process: how many there may be, and the end of all of them at a restart."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Protocol

from app.telemetry import CONNECTIONS

RESTART = 1012
FULL = 1013


@dataclass(frozen=True, slots=True)
class Close:
    """How a connection ends: a websocket code with its reason; code None cuts without a word."""

    code: int | None
    reason: str = ""


class LiveConnection(Protocol):
    """A websocket or a stream of events."""

    def end(self, close: Close) -> None:
        """Ask the connection to end; returns at once."""
        ...


class Connections:
    """Counts connections; one that was admitted is released exactly once."""

    def __init__(self, limit: int, limit_per_client: int) -> None:
        self._limit = limit
        self._limit_per_client = limit_per_client
        self._clients: dict[LiveConnection, str | None] = {}
        self._per_client: Counter[str] = Counter()
        self._empty = asyncio.Event()
        self._empty.set()
        self._closing = False

    def __len__(self) -> int:
        return len(self._clients)

    def admit(self, connection: LiveConnection) -> bool:
        """Take the connection in, unless the server is full or about to stop."""
        if self._closing or len(self._clients) >= self._limit:
            return False
        self._clients[connection] = None
        CONNECTIONS.inc()
        self._empty.clear()
        return True

    def assign(self, connection: LiveConnection, client_id: str) -> bool:
        """Count the connection for its client, unless that has as many as it may."""
        if self._per_client[client_id] >= self._limit_per_client:
            return False
        self._clients[connection] = client_id
        self._per_client[client_id] += 1
        return True

    def release(self, connection: LiveConnection) -> None:
        """Forget a connection that has ended."""
        if connection not in self._clients:
            return
        CONNECTIONS.dec()
        client_id = self._clients.pop(connection)
        if client_id is not None:
            self._per_client[client_id] -= 1
            if not self._per_client[client_id]:
                del self._per_client[client_id]
        if not self._clients:
            self._empty.set()

    async def wait_until_empty(self) -> None:
        """Return once nobody is connected."""
        await self._empty.wait()

    def begin_to_close(self, code: int = RESTART, reason: str = "the server restarts") -> None:
        """Admit nobody any more, and end every connection; each of them says it again, at no cost."""
        if self._closing:
            return
        self._closing = True
        close = Close(code, reason)
        for connection in list(self._clients):
            connection.end(close)

    async def close_all(self, seconds: float = 5) -> None:
        """End every connection, and wait that long for them to be gone."""
        self.begin_to_close()
        try:
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        except TimeoutError:
            return
