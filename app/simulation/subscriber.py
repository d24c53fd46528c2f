"""A subscriber of its own making: graphql-transport-ws, with reconnects that go on from the last number.

https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

from app.simulation.client import HubError, is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable

    from websockets.asyncio.client import ClientConnection

    from app.simulation.client import HubClient

_PROTOCOL = Subprotocol("graphql-transport-ws")
_TRANSIENT = frozenset({"UNAVAILABLE", "RATE_LIMITED", "UNAUTHENTICATED", "INTERNAL"})
_FORBIDDEN = 4403  # also: the life of the token has ended
_SILENCE_SECONDS = 60.0  # the hub pings every 15
_LONGEST_PAUSE = 5.0
_MOST_REFUSALS = 5
_MOST_BYTES = 1 << 20


class _LostError(Exception):
    """The connection is gone, and may be made again."""


class Subscriber:
    """Hears the feed of one client from a number on, over as many connections as it takes."""

    def __init__(self, client: HubClient, selection: str) -> None:
        self._client = client
        self._document = f"subscription($after: Int) {{ statusChanged(after: $after) {{ {selection} }} }}"
        self._socket: ClientConnection | None = None
        self._refusals = 0
        self.reconnects = 0
        self.listening = asyncio.Event()

    async def run(self, after: Callable[[], int], hear: Callable[[dict[str, object]], None]) -> None:
        """Call `hear` with each change for ever; `after` tells from where, at each connection anew.

        Raises HubError for what another attempt cannot mend, such as CURSOR_EXPIRED.
        """
        pause = 0.05
        while True:
            try:
                await self._connected(after(), hear)
            except (OSError, TimeoutError, ConnectionClosed, InvalidHandshake, _LostError):
                pause = self._pause_after(pause)
            except HubError as error:
                if error.code not in _TRANSIENT:
                    raise
                pause = self._pause_after(pause)
            finally:
                self._socket = None
                self.listening.clear()
            self.reconnects += 1
            await asyncio.sleep(pause)

    def _pause_after(self, pause: float) -> float:
        self._client.look_elsewhere()
        return 0.05 if self.listening.is_set() else min(pause * 2, _LONGEST_PAUSE)

    async def cut(self, *, politely: bool) -> None:
        """Lose the connection, with a close frame or without; `run` makes a new one."""
        if self._socket is None:
            return
        if politely:
            await self._socket.close()
        else:
            self._socket.transport.abort()

    async def _connected(self, after: int, hear: Callable[[dict[str, object]], None]) -> None:
        parts = urlsplit(self._client.url)
        scheme = "wss" if parts.scheme == "https" else "ws"
        async with connect(
            f"{scheme}://{parts.netloc}{parts.path}/graphql",
            subprotocols=[_PROTOCOL],
            compression=None,
            max_size=_MOST_BYTES,
            ping_interval=None,
            ssl=self._client.tls if scheme == "wss" else None,
            proxy=None if is_loopback(parts.hostname) else True,
        ) as socket:
            self._socket = socket
            try:
                await self._talk(socket, after, hear)
            except ConnectionClosed as closed:
                if closed.rcvd is not None and closed.rcvd.code == _FORBIDDEN:
                    self._forbidden(closed.rcvd.reason)
                raise

    async def _talk(
        self, socket: ClientConnection, after: int, hear: Callable[[dict[str, object]], None]
    ) -> None:
        authorization = f"Bearer {await self._client.token()}"
        await _send(socket, {"type": "connection_init", "payload": {"authorization": authorization}})
        while True:
            async with asyncio.timeout(_SILENCE_SECONDS):
                raw = await socket.recv()
            message = json.loads(raw)
            match message["type"]:
                case "next":
                    payload = message["payload"]
                    if payload.get("errors"):
                        self._failed(payload["errors"])
                    hear(payload["data"]["statusChanged"])
                case "ping":
                    await _send(socket, {"type": "pong"})
                case "connection_ack":
                    self._refusals = 0
                    payload = {"query": self._document, "variables": {"after": after}}
                    await _send(socket, {"type": "subscribe", "id": "feed", "payload": payload})
                    self.listening.set()
                case "error":
                    self._failed(message["payload"])
                case "complete":
                    raise _LostError
                case _:
                    pass

    def _forbidden(self, reason: str) -> None:
        self._client.discard_token()
        self._refusals += 1
        if self._refusals > _MOST_REFUSALS:
            raise HubError(f"{self._client.name}: the hub closes the connection: {reason}", "FORBIDDEN")

    def _failed(self, errors: list[dict[str, object]]) -> None:
        extensions = errors[0].get("extensions")
        code = str(extensions.get("code")) if isinstance(extensions, dict) else ""
        if code in _TRANSIENT:
            raise _LostError
        raise HubError(f"{self._client.name}: {code} {errors[0].get('message')}", code)


async def _send(socket: ClientConnection, message: dict[str, object]) -> None:
    await socket.send(json.dumps(message))
