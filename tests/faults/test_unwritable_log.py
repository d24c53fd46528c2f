"""The log of the hub cannot be written: its disk is full, or who reads it is gone."""

import asyncio
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.faults.breaking import terminate_connections
from tests.faults.trial import Trial

SEED = 20261201
FULL = Path("/dev/full")


async def keep_asking(address):
    async with httpx.AsyncClient(base_url=address) as http:
        while True:
            with suppress(httpx.HTTPError):
                await http.get("/health/live")


@asynccontextmanager
async def lines_that_wait(trial):
    """Let each process have the line of a request to write at every moment."""
    tasks = [asyncio.create_task(keep_asking(trial.addresses[0])) for _ in range(6)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()


@pytest.mark.slow
@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
class TestUnwritableLog:
    async def test_breaks_no_promise(self, tmp_path):
        async with Trial.running(tmp_path, SEED, workers=2, log=FULL) as trial:
            await trial.goes_on()
            async with lines_that_wait(trial):
                for _ in range(3):
                    # Each process has something to say of that.
                    await terminate_connections(trial)
                    await trial.goes_on(30)
            assert await trial.finish() == []
