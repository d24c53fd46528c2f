"""A refresh of the figures whose process is killed half-way, alone and beside another one."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.factories.live_hub import PROGRAM
from tests.factories.world import BRIN, a_message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.slow

# Figures are published only while nobody holds this lock. It is looked at, so that no limit for locks counts.
_HELD = 4711
_HOLD_UP = f"""
create function hold_up() returns trigger language plpgsql as $$ begin
  while exists (select from pg_locks where locktype = 'advisory' and objid = {_HELD}) loop
    perform pg_sleep(0.02);
  end loop;
  return null;
end $$;
create trigger hold_up before insert on statistics_table for each statement execute function hold_up();
"""
_WAITING = """
select count(*) from pg_stat_activity
where datname = current_database() and wait_event is not null and state = 'active' and query ilike $1
"""
_PUBLISHING, _QUEUEING = "%insert into statistics_table%", "%pg_advisory_lock($1)%"


@pytest.fixture
def started(world):
    """Return a function that starts `koppelpunt statistics refresh` in a process of its own."""
    processes: list[asyncio.subprocess.Process] = []

    async def start() -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            PROGRAM,
            "statistics",
            "refresh",
            env={**os.environ, "KOPPELPUNT_DATABASE_URL": world.hub.database.url},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.returncode is None:
            process.kill()


@asynccontextmanager
async def held_up(world) -> AsyncIterator[None]:
    """Let no table be published meanwhile, so that a refresh stops half-way: cells made, no figures yet."""
    async with world.hub.database.connection() as connection:
        await connection.execute(_HOLD_UP)
        async with connection.transaction():
            await connection.execute("set local idle_in_transaction_session_timeout = 0")
            await connection.execute("select pg_advisory_xact_lock($1)", _HELD)
            yield


async def waiting(world, what: str) -> None:
    """Wait until a statement waits."""
    async with asyncio.timeout(60), world.hub.database.connection() as connection:
        while not await connection.fetchval(_WAITING, what):  # noqa: ASYNC110 - it is asked for
            await asyncio.sleep(0.02)


async def shown(world) -> tuple[object, int]:
    """Return moment and registrations as an institution sees them."""
    found = await world.services.statistics.multiple_registrations(world.institution, BRIN, 2026)
    return found.as_of, found.total.registrations.value


async def killed_half_way(world, started) -> None:
    process = await started()
    await waiting(world, _PUBLISHING)
    process.send_signal(signal.SIGKILL)
    assert await process.wait() == -signal.SIGKILL


class TestAKilledRefresh:
    async def test_leaves_the_last_snapshot_and_nothing_half_made(self, world, started) -> None:
        await world.report(*(a_message() for _ in range(6)))
        as_of = await world.services.statistics.refresh()
        await world.report(*(a_message() for _ in range(6)))
        snapshots = await world.count("statistics_snapshot")
        async with held_up(world):
            await killed_half_way(world, started)
            assert await shown(world) == (as_of, 6)
        assert await shown(world) == (as_of, 6)
        later = await world.services.statistics.refresh()  # waits until the dead one's connection is gone
        assert await shown(world) == (later, 12)
        assert await world.count("statistics_snapshot") == snapshots + 1

    async def test_lets_the_one_that_waits_for_it_go_on(self, world, started) -> None:
        await world.report(*(a_message() for _ in range(6)))
        as_of = await world.services.statistics.refresh()
        await world.report(*(a_message() for _ in range(6)))
        async with held_up(world):
            first = await started()
            await waiting(world, _PUBLISHING)
            second = await started()
            await waiting(world, _QUEUEING)
            first.send_signal(signal.SIGKILL)
            assert await first.wait() == -signal.SIGKILL
        _, said = await asyncio.wait_for(second.communicate(), 60)
        assert (second.returncode, said) == (0, b"")
        moment, registrations = await shown(world)
        assert (moment > as_of, registrations) == (True, 12)
