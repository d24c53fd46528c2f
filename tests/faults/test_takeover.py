"""Another process numbers within 5 seconds, whatever becomes of the one that did."""

import asyncio
import signal
from contextlib import suppress

import psutil
import pytest

from tests.faults.breaking import terminate_connections
from tests.faults.trial import Trial

SEED = 20261126
TRIES = 3  # on a machine with other work one try says little


async def kill(trial):
    """Kill -9 of the leader; its supervisor starts another process."""
    (await trial.hub.leader()).kill()


async def stop(trial):
    """Let the leader hang."""
    leader = await trial.hub.leader()
    leader.send_signal(signal.SIGSTOP)
    return leader


async def disconnect(trial):
    """Cut the leader's connection, and everybody else's."""
    await terminate_connections(trial)


async def stop_it_and_kill_another(trial):
    """Let the leader hang and kill one of the others: that it is dead must not go unseen meanwhile."""
    leader = await stop(trial)
    trial.hub.random.choice([one for one in trial.hub.workers() if one != leader]).kill()
    return leader


async def seconds_until_numbers_go_on(trial, fault):
    await trial.goes_on(90)
    hung = await fault(trial)
    try:
        return await trial.numbers_go_on()
    finally:
        if hung is not None:
            with suppress(psutil.NoSuchProcess):
                hung.send_signal(signal.SIGCONT)


@pytest.mark.slow
@pytest.mark.timeout(400)
class TestTakeover:
    @pytest.mark.parametrize(("hubs", "workers"), [(1, 3), (2, 2)])
    async def test_takes_less_than_5_seconds(self, tmp_path, hubs, workers):
        async with Trial.running(tmp_path, SEED, hubs=hubs, workers=workers) as trial:
            for fault in (kill, stop, disconnect, stop_it_and_kill_another):
                taken: list[float] = []
                while not taken or (min(taken) >= 5 and len(taken) < TRIES):
                    taken.append(await seconds_until_numbers_go_on(trial, fault))
                print(f"{fault.__name__}: numbers go on after {taken} s")  # noqa: T201
                assert min(taken) < 5, fault.__name__
            assert await trial.finish() == []

    async def test_replaces_a_dead_worker_while_another_hangs(self, tmp_path):
        async with Trial.running(tmp_path, SEED, workers=2) as trial:
            hanging, dead = trial.hub.workers()
            hanging.send_signal(signal.SIGSTOP)
            dead.kill()
            async with asyncio.timeout(30):
                while not set(trial.hub.workers()) - {hanging, dead}:  # noqa: ASYNC110 - processes ring no bell
                    await asyncio.sleep(0.05)
            assert hanging.status() == psutil.STATUS_STOPPED
            await trial.goes_on()
            assert await trial.finish() == []

    async def test_of_a_killed_supervisor_leaves_no_worker_behind(self, tmp_path):
        async with Trial.running(tmp_path, SEED, workers=2) as trial:
            await trial.goes_on()
            (supervisor,), workers = trial.hub.processes, trial.hub.workers()
            supervisor.kill()
            _, alive = await asyncio.to_thread(psutil.wait_procs, workers, 30)
            assert alive == []
            trial.hub.stop()
            trial.hub.start()
            await trial.goes_on()
            assert await trial.finish() == []
