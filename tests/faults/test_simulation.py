"""`koppelpunt simulate` proves that nothing was missed while everything below it is restarted."""

import asyncio
import os
import signal
from contextlib import suppress

import asyncpg
import pytest

from tests.faults.breaking import postmaster
from tests.faults.live import PROGRAM, LiveHub

SEED = 20261129


async def simulating(hub, registrations):
    kept = {name: value for name, value in os.environ.items() if "KOPPELPUNT" not in name}
    addresses = [word for address in hub.addresses for word in ("--url", address)]
    return await asyncio.create_subprocess_exec(
        PROGRAM, "simulate", "--registrations", str(registrations), "--rate", "60",
        "--seed", str(SEED + registrations), *addresses,
        cwd=hub.folder,
        env={**kept, "KOPPELPUNT_DATA_DIR": str(hub.folder)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip


async def restarted(hub, index):
    """Restart a hub, and PostgreSQL as an operator does; the hubs start that again."""
    assert await asyncio.to_thread(hub.stop, index) == [0]
    hub.start(index)
    await hub.ready()
    os.kill(postmaster(hub), signal.SIGINT)


async def entries(hub):
    """Count what has been numbered, once the database answers."""
    async with asyncio.timeout(60):
        while True:
            with suppress(asyncpg.PostgresError, OSError):
                return await hub.ask("select count(*) from feed_entry")
            await asyncio.sleep(0.05)


async def begun(hub, reading, before):
    """Wait until messages arrive."""
    async with asyncio.timeout(90):
        while before == await entries(hub):
            assert not reading.done(), reading.result()
            await asyncio.sleep(0.05)


@pytest.mark.slow
@pytest.mark.timeout(500)
class TestSimulation:
    async def test_misses_nothing_while_two_hubs_and_postgresql_are_restarted(self, tmp_path):
        hub = LiveHub(tmp_path, SEED, hubs=2, workers=1)
        await asyncio.to_thread(hub.server.start)
        try:
            hub.start()
            await hub.ready()
            for registrations in (400, 1600):  # the second time where restarts take long
                before = await entries(hub)
                simulation = await simulating(hub, registrations)
                reading = asyncio.create_task(simulation.communicate())
                await begun(hub, reading, before)
                restarts = 0
                while not reading.done() and restarts < 2:
                    await restarted(hub, restarts % 2)
                    restarts += not reading.done()
                printed = (await reading)[0].decode()
                assert simulation.returncode == 0, printed
                assert "missed    0\n" in printed
                if restarts == 2:
                    return
            pytest.fail("it was over before everything had been restarted")
        finally:
            await asyncio.to_thread(hub.stop)
            await asyncio.to_thread(hub.server.stop)
