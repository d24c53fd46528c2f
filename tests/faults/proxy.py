"""A proxy before PostgreSQL's socket that swallows the answers to a COMMIT."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

_COMMIT = b"COMMIT;\x00"


class SwallowingProxy:
    """Passes everything on; of the next `swallow` commits the server does its work and nobody hears."""

    url = ""

    def __init__(self, server: str) -> None:
        self._server = server
        self.swallow = 0
        self.swallowed = 0

    @classmethod
    @asynccontextmanager
    async def listening(cls, server: str, socket: Path) -> AsyncIterator[SwallowingProxy]:
        """Listen on a socket for the server on another one."""
        proxy = cls(server)
        listener = await asyncio.start_unix_server(proxy._serve, str(socket))
        try:
            yield proxy
        finally:
            listener.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_unix_connection(self._server)
        deaf = asyncio.Event()

        async def forth() -> None:
            with suppress(OSError):
                while data := await reader.read(65_536):
                    if _COMMIT in data and self.swallow:
                        self.swallow -= 1
                        deaf.set()
                    server_writer.write(data)
                    await server_writer.drain()
            server_writer.close()

        async def back() -> None:
            with suppress(OSError):
                while data := await server_reader.read(65_536):
                    if deaf.is_set():
                        self.swallowed += 1
                        break
                    writer.write(data)
                    await writer.drain()
            writer.transport.abort()

        await asyncio.gather(forth(), back())
