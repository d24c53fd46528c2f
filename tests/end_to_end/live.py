"""A hub as a process of its own."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import psutil

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator

_ROOT = Path(__file__).parents[2]
_START_SECONDS = 120
_STOP_SECONDS = 30


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class HubProcess:
    """`koppelpunt` at work, on a data folder of its own."""

    def __init__(self, command: str, folder: Path) -> None:
        self._command = command
        self._folder = folder
        self._port = _free_port()
        self._process: Process | None = None
        self.address = f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Start it and wait until it is ready."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("KOPPELPUNT_")}
        own = {"KOPPELPUNT_DATA_DIR": str(self._folder), "KOPPELPUNT_PORT": str(self._port)}
        with (self._folder / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "app.cli",
                self._command,
                cwd=_ROOT,
                env={**kept, **own},
                stdout=log,
                stderr=log,
            )
        async with asyncio.timeout(_START_SECONDS), httpx.AsyncClient() as http:
            while not await self._is_ready(http):
                assert self._process.returncode is None, (self._folder / "log").read_text()
                await asyncio.sleep(0.1)

    async def _is_ready(self, http: httpx.AsyncClient) -> bool:
        with suppress(httpx.TransportError):
            return (await http.get(f"{self.address}/health/ready")).status_code == httpx.codes.OK
        return False

    async def kill(self) -> None:
        """End the hub without a chance to tidy up. One that belongs to a demo takes the demo with it."""
        if self._process is not None:
            own = psutil.Process(self._process.pid)
            hubs = [child for child in own.children() if "serve" in child.cmdline()]
            for hub in hubs or [own]:
                hub.kill()
            await self._ended()

    async def stop(self) -> None:
        """Tell it to end."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._ended()

    async def _ended(self) -> None:
        assert self._process is not None
        async with asyncio.timeout(_STOP_SECONDS):
            await self._process.wait()


@asynccontextmanager
async def running(command: str, folder: Path) -> AsyncIterator[HubProcess]:
    """Run a hub while the block lasts."""
    hub = HubProcess(command, folder)
    try:
        await hub.start()
        yield hub
    finally:
        await hub.stop()
