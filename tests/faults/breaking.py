"""The faults: each breaks something at a live hub and leaves it to recover by itself."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import asyncpg
import psutil

from tests.faults.small_disk import fill

if TYPE_CHECKING:
    from tests.faults.live import LiveHub
    from tests.faults.proxy import Proxy
    from tests.faults.trial import Trial


async def kill_a_worker(trial: Trial) -> None:
    """Kill -9 of a process that serves."""
    trial.hub.random.choice(trial.hub.workers()).kill()


async def kill_the_leader(trial: Trial) -> None:
    """Kill -9 of the process with the dispatcher."""
    (await trial.hub.leader()).kill()


async def stop_the_leader(trial: Trial) -> None:
    """Let the process with the dispatcher hang for some seconds."""
    leader = await trial.hub.leader()
    leader.send_signal(signal.SIGSTOP)
    await asyncio.sleep(4.5)
    leader.send_signal(signal.SIGCONT)


async def kill_postgresql(trial: Trial) -> None:
    """Kill -9 of the postmaster; its backends serve on until they notice."""
    server = psutil.Process(postmaster(trial.hub))
    backends = server.children(recursive=True)
    server.kill()
    await asyncio.to_thread(psutil.wait_procs, backends, 30)


def postmaster(hub: LiveHub) -> int:
    """Return the process id of PostgreSQL."""
    file = hub.server._started().data / "postmaster.pid"
    return int(file.read_text(encoding="utf-8").split("\n", 1)[0])


async def kill_a_backend(trial: Trial) -> None:
    """Kill -9 of a backend, upon which PostgreSQL ends all others and recovers."""
    pid = await trial.hub.ask(
        "select pid from pg_stat_activity where application_name like 'koppelpunt%' order by random() limit 1"
    )
    os.kill(int(str(pid)), signal.SIGKILL)


async def terminate_connections(trial: Trial) -> None:
    """End every connection to the database."""
    await trial.hub.ask(
        "select count(pg_terminate_backend(pid)) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()"
    )


async def hold_locks(trial: Trial) -> None:
    """Leave a transaction idle that holds feeds and registrations, for longer than numbering waits."""
    connection = await asyncpg.connect(trial.hub.server.url)
    try:
        async with connection.transaction():
            await connection.execute("select 1 from feed for update")
            await connection.execute("select 1 from registration order by application_id for update")
            await asyncio.sleep(4)
    except asyncpg.DeadlockDetectedError:
        pass
    finally:
        connection.terminate()


async def read_for_long(trial: Trial) -> None:
    """Leave a read transaction open behind, for as long as the connection lives."""
    connection = await asyncpg.connect(trial.hub.server.url)

    async def read() -> None:
        with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            async with connection.transaction(isolation="repeatable_read"):
                await connection.fetchval("select count(*) from pending_event")
                await asyncio.sleep(10)
        connection.terminate()

    _behind.add(task := asyncio.create_task(read()))
    task.add_done_callback(_behind.discard)


_behind: set[asyncio.Task[None]] = set()


async def kill_one_worker_and_stop_another(trial: Trial) -> None:
    """Kill -9 of one process that serves while another hangs for some seconds."""
    dead, *others = trial.hub.random.sample(trial.hub.workers(), len(trial.hub.workers()))
    for other in others[:1]:
        other.send_signal(signal.SIGSTOP)
    dead.kill()
    await asyncio.sleep(4.5)
    for other in others[:1]:
        with suppress(psutil.NoSuchProcess):  # it may have hung too long for its supervisor
            other.send_signal(signal.SIGCONT)


async def exhaust_descriptors(trial: Trial) -> None:
    """Let no process that serves open one file or socket more, for some seconds."""
    before = {}
    for worker in trial.hub.workers():
        before[worker] = worker.rlimit(psutil.RLIMIT_NOFILE)
        worker.rlimit(psutil.RLIMIT_NOFILE, (worker.num_fds(), before[worker][1]))
    # Who is connected comes back, and finds no descriptor left.
    await terminate_connections(trial)
    for proxy in trial.clients:
        proxy.cut()
    await asyncio.sleep(3)
    for worker, limits in before.items():
        with suppress(psutil.NoSuchProcess):
            worker.rlimit(psutil.RLIMIT_NOFILE, limits)


async def fill_the_disk(trial: Trial) -> None:
    """Leave no room on the disk of the database until it has met that, and some seconds longer."""
    log = trial.hub.server._started().log
    before = log.read_bytes().count(b"No space left on device")
    filled = await asyncio.to_thread(fill, trial.hub.folder)
    try:
        async with asyncio.timeout(60):
            while log.read_bytes().count(b"No space left on device") == before:
                # What is left of the present segment of the log would last for long.
                with suppress(asyncpg.PostgresError, OSError):
                    await trial.hub.ask("select pg_switch_wal()")
                await asyncio.sleep(0.2)
        await asyncio.sleep(3)
    finally:
        filled.unlink()


# --- the network, where there are proxies


def _any_proxy(trial: Trial) -> Proxy:
    assert trial.database is not None
    return trial.hub.random.choice([trial.database, *trial.clients])


async def cut_connections(trial: Trial) -> None:
    """End the connections to the database, or those of the clients."""
    _any_proxy(trial).cut()


async def cut_in_mid_frame(trial: Trial) -> None:
    """End them after half of what comes next."""
    _any_proxy(trial).cut_in_mid_frame()
    await asyncio.sleep(1)


async def lose_the_network(trial: Trial) -> None:
    """Pass on nothing for some seconds, and then all of it."""
    proxy = _any_proxy(trial)
    proxy.stall()
    await asyncio.sleep(5)
    proxy.resume()


async def leave_half_open(trial: Trial) -> None:
    """Let every connection of clients vanish without a word; new ones are all right."""
    for proxy in trial.clients:
        proxy.lose()


async def lose_the_database(trial: Trial) -> None:
    """Let every connection to the database vanish without a word; new ones are all right."""
    assert trial.database is not None
    trial.database.lose()


# --- the doorbell, where it is a Redis


async def kill_redis(trial: Trial) -> None:
    """Kill -9 of Redis; it is back two seconds later, and knows nothing."""
    assert trial.redis is not None
    trial.redis.kill()
    await asyncio.sleep(2)
    trial.redis.start()


async def flush_redis(trial: Trial) -> None:
    """Let Redis forget everything and cut off its listeners."""
    assert trial.redis is not None
    await asyncio.to_thread(trial.redis.flush)


# --- named points, where there are some


POINTS = (
    "messages are to be judged",
    "messages are judged",
    "messages are written",
    "messages are committed",
    "messages are to be answered",
    "events are to be numbered",
    "events are numbered",
    "numbers are committed",
    "a change is read",
    "a change is written to one of its sockets",
)


async def kill_a_worker_at(trial: Trial, point: str) -> None:
    """Kill -9 of whichever process gets to this point first."""
    await _reached(trial, point)


async def kill_postgresql_at(trial: Trial, point: str) -> None:
    """Kill -9 of all of PostgreSQL as soon as a process gets to this point."""
    await _reached(trial, f"{point}\n{postmaster(trial.hub)}")


async def _reached(trial: Trial, said: str) -> None:
    assert trial.deadly_point is not None
    written = trial.deadly_point.with_suffix(".new")  # never half of it for who looks meanwhile
    written.write_text(said, encoding="utf-8")
    written.replace(trial.deadly_point)
    async with asyncio.timeout(60):
        while trial.deadly_point.exists():  # noqa: ASYNC110 - a file rings no bell
            await asyncio.sleep(0.05)


async def die_at_a_point(trial: Trial) -> None:
    """Kill -9 of a process, or of PostgreSQL, at any of the points."""
    kill = trial.hub.random.choice((kill_a_worker_at, kill_postgresql_at))
    await kill(trial, trial.hub.random.choice(POINTS))


# --- the clock, where it can be set


_AHEAD = "select extract(epoch from recorded_at - now()) from status_event order by id desc limit 1"


async def let_the_clock_jump(trial: Trial) -> None:
    """Let the clock of all that serve be right, or up to two hours ahead; so it goes back, too."""
    assert trial.clock is not None
    wrong = trial.hub.random.choice((0, 600, 3600, 7200))
    written = trial.clock.with_suffix(".new")  # never empty for who looks meanwhile
    written.write_text(str(wrong), encoding="utf-8")
    written.replace(trial.clock)
    async with asyncio.timeout(60):
        while True:
            with suppress(asyncpg.PostgresError, OSError):
                if abs(float(str(await trial.hub.ask(_AHEAD))) - wrong) < 60:
                    return
            await asyncio.sleep(0.1)


Fault = Callable[["Trial"], Awaitable[None]]

PROCESSES: tuple[Fault, ...] = (
    kill_a_worker,
    kill_the_leader,
    stop_the_leader,
    kill_one_worker_and_stop_another,
    exhaust_descriptors,
)
DATABASE: tuple[Fault, ...] = (
    kill_postgresql,
    kill_a_backend,
    terminate_connections,
    hold_locks,
    read_for_long,
)
NETWORK: tuple[Fault, ...] = (
    cut_connections,
    cut_in_mid_frame,
    lose_the_network,
    leave_half_open,
    lose_the_database,
)
BELL: tuple[Fault, ...] = (kill_redis, flush_redis)
AT_POINTS: tuple[Fault, ...] = (die_at_a_point,)
CLOCK: tuple[Fault, ...] = (let_the_clock_jump,)
