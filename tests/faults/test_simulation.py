"""`koppelpunt simulate` proves that nothing was missed while everything below it is restarted."""

import asyncio
import os
import signal

import pytest

from tests.faults.breaking import postmaster
from tests.faults.live import PROGRAM, LiveHub

SEED = 20261129


async def simulating(hub):
    kept = {name: value for name, value in os.environ.items() if "KOPPELPUNT" not in name}
    addresses = [word for address in hub.addresses for word in ("--url", address)]
    return await asyncio.create_subprocess_exec(
        PROGRAM, "simulate", "--registrations", "500", "--rate", "60", "--seed", str(SEED), *addresses,
        cwd=hub.folder,
        env={**kept, "KOPPELPUNT_DATA_DIR": str(hub.folder)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(400)
class TestSimulation:
    async def test_misses_nothing_while_two_hubs_and_postgresql_are_restarted(self, tmp_path):
        hub = LiveHub(tmp_path, SEED, hubs=2, workers=1)
        await asyncio.to_thread(hub.server.start)
        try:
            hub.start()
            await hub.ready()
            simulation = await simulating(hub)
            reading = asyncio.create_task(simulation.communicate())
            await self.begun(hub, reading)
            for index in (0, 1):
                assert await asyncio.to_thread(hub.stop, index) == [0]
                hub.start(index)
                await hub.ready()
                # As an operator restarts it; the hubs start it again.
                os.kill(postmaster(hub), signal.SIGINT)
            assert not reading.done(), "it was over before the last restart"
            printed = (await reading)[0].decode()
            assert simulation.returncode == 0, printed
            assert "missed    0\n" in printed
        finally:
            await asyncio.to_thread(hub.stop)
            await asyncio.to_thread(hub.server.stop)

    async def begun(self, hub, reading):
        """Wait until messages arrive."""
        async with asyncio.timeout(60):
            while not await hub.ask("select exists (select 1 from feed_entry)"):
                assert not reading.done(), reading.result()
                await asyncio.sleep(0.05)
