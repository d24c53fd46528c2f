"""The faults: each breaks something at a live hub and leaves it to recover by itself."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

import asyncpg

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.faults.live import LiveHub


async def kill_a_worker(hub: LiveHub) -> None:
    """Kill -9 of a process that serves."""
    hub.random.choice(hub.workers()).kill()


async def kill_the_leader(hub: LiveHub) -> None:
    """Kill -9 of the process with the dispatcher."""
    (await hub.leader()).kill()


async def stop_the_leader(hub: LiveHub) -> None:
    """Let the process with the dispatcher hang for some seconds."""
    leader = await hub.leader()
    leader.send_signal(signal.SIGSTOP)
    await asyncio.sleep(4.5)
    leader.send_signal(signal.SIGCONT)


async def kill_postgresql(hub: LiveHub) -> None:
    """Kill -9 of the postmaster."""
    place = hub.server._started()
    os.kill(int((place.data / "postmaster.pid").read_text().split("\n", 1)[0]), signal.SIGKILL)


async def kill_a_backend(hub: LiveHub) -> None:
    """Kill -9 of a backend, upon which PostgreSQL ends all others and recovers."""
    pid = await hub.ask(
        "select pid from pg_stat_activity where application_name like 'koppelpunt%' order by random() limit 1"
    )
    os.kill(int(str(pid)), signal.SIGKILL)


async def terminate_connections(hub: LiveHub) -> None:
    """End every connection to the database."""
    await hub.ask(
        "select count(pg_terminate_backend(pid)) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()"
    )


async def hold_locks(hub: LiveHub) -> None:
    """Leave a transaction idle that holds feeds and registrations, for longer than numbering waits."""
    connection = await asyncpg.connect(hub.server.url)
    try:
        async with connection.transaction():
            await connection.execute("select 1 from feed for update")
            await connection.execute("select 1 from registration order by application_id for update")
            await asyncio.sleep(4)
    except asyncpg.DeadlockDetectedError:
        pass
    finally:
        connection.terminate()


async def read_for_long(hub: LiveHub) -> None:
    """Leave a read transaction open behind, for as long as the connection lives."""
    connection = await asyncpg.connect(hub.server.url)

    async def read() -> None:
        with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            async with connection.transaction(isolation="repeatable_read"):
                await connection.fetchval("select count(*) from pending_event")
                await asyncio.sleep(10)
        connection.terminate()

    _behind.add(task := asyncio.create_task(read()))
    task.add_done_callback(_behind.discard)


_behind: set[asyncio.Task[None]] = set()

FAULTS: tuple[Callable[[LiveHub], Awaitable[None]], ...] = (
    kill_a_worker,
    kill_the_leader,
    stop_the_leader,
    kill_postgresql,
    kill_a_backend,
    terminate_connections,
    hold_locks,
    read_for_long,
)
