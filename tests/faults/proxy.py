"""A proxy between two that talk: it cuts, stalls, and swallows answers to a COMMIT."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

_COMMIT = re.compile(rb"commit;?\x00", re.IGNORECASE)
_MOST = 65_536


class Proxy:
    """Passes everything on until told otherwise. A place is a path (a Unix socket) or a port of loopback."""

    url = ""

    def __init__(self, server: str | int) -> None:
        self._server = server
        self._flows = asyncio.Event()
        self._flows.set()
        self._lost: set[asyncio.Task[None]] = set()
        self._connections: dict[asyncio.Task[None], tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = {}
        self._cut_next = 0
        self.swallow = 0
        self.swallowed = 0

    @classmethod
    @asynccontextmanager
    async def listening(
        cls, server: str | int, place: Path | int, *, host: str = "127.0.0.1"
    ) -> AsyncIterator[Proxy]:
        """Listen at a place for the server at another one."""
        proxy = cls(server)
        listener = (
            await asyncio.start_server(proxy._serve, host, place)
            if isinstance(place, int)
            else await asyncio.start_unix_server(proxy._serve, str(place))
        )
        try:
            yield proxy
        finally:
            listener.close()
            serving = list(proxy._connections)
            for task in serving:
                task.cancel()
            await asyncio.gather(*serving, return_exceptions=True)

    def cut(self) -> None:
        """End every connection at once, without a word."""
        for writers in self._connections.values():
            for writer in writers:
                writer.transport.abort()

    def cut_in_mid_frame(self) -> None:
        """Let each connection end after half of what the server says next."""
        self._cut_next = len(self._connections)

    def stall(self) -> None:
        """Pass nothing on any more: what is sent waits, as in a network that loses everything."""
        self._flows.clear()

    def resume(self) -> None:
        """Pass on again, what has waited first."""
        self._flows.set()

    def lose(self) -> None:
        """Pass nothing on, ever, of the connections that there are; neither side hears of their end."""
        self._lost.update(self._connections)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = (
                await asyncio.open_connection("127.0.0.1", self._server)
                if isinstance(self._server, int)
                else await asyncio.open_unix_connection(self._server)
            )
        except OSError:
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = (writer, there[1])
        try:
            with suppress(asyncio.CancelledError):  # nobody waits for the task of a connection
                await self._pass(task, reader, writer, there)
        finally:
            del self._connections[task]
            self._lost.discard(task)

    async def _read(self, reader: asyncio.StreamReader, task: asyncio.Task[None]) -> bytes:
        """Return what comes next, b"" at the end; of neither the other side hears while all is lost."""
        data = await reader.read(_MOST)
        await self._flows.wait()
        if task in self._lost:
            await asyncio.Event().wait()
        return data

    async def _pass(
        self,
        task: asyncio.Task[None],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        there: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        server_reader, server_writer = there
        deaf = asyncio.Event()

        async def forth() -> None:
            while data := await self._read(reader, task):
                if self.swallow and _COMMIT.search(data):
                    self.swallow -= 1
                    deaf.set()
                server_writer.write(data)
                await server_writer.drain()

        async def back() -> None:
            while data := await self._read(server_reader, task):
                if deaf.is_set():
                    self.swallowed += 1
                    break
                if self._cut_next and len(data) > 1:
                    self._cut_next -= 1
                    writer.write(data[: len(data) // 2])
                    await writer.drain()
                    break
                writer.write(data)
                await writer.drain()

        directions = [asyncio.create_task(forth()), asyncio.create_task(back())]
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for direction in directions:
                direction.cancel()
            for one in directions:
                with suppress(OSError, asyncio.CancelledError):
                    await one
            server_writer.transport.abort()
            # What was written goes out first: a close, not an abort.
            writer.close()
