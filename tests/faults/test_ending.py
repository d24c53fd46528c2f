"""The hub is told to end while something hangs that it needs: it ends within twenty seconds all the same."""

import asyncio
import signal
import time
from contextlib import contextmanager

import psutil
import pytest

from tests.faults.breaking import postmaster
from tests.faults.trial import Trial

SEED = 20261202


@contextmanager
def hanging(trial):
    server = psutil.Process(postmaster(trial.hub))
    stopped = [server, *server.children()]
    for one in stopped:
        one.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for one in stopped:
            one.send_signal(signal.SIGCONT)


@pytest.mark.slow
@pytest.mark.timeout(300)
class TestHangingDatabase:
    @pytest.mark.parametrize("workers", [1, 2])
    async def test_does_not_keep_the_hub_from_ending_in_time(self, tmp_path, workers):
        async with Trial.running(tmp_path, SEED, workers=workers) as trial:
            await trial.goes_on()
            with hanging(trial):
                told = time.monotonic()
                assert await asyncio.to_thread(trial.hub.stop) == [0]
                assert time.monotonic() - told < 20
            trial.hub.start()
            await trial.goes_on(60)
            assert await trial.finish() == []


@pytest.mark.slow
@pytest.mark.timeout(300)
class TestHangingWorker:
    async def test_does_not_keep_the_hub_from_ending_in_time(self, tmp_path):
        async with Trial.running(tmp_path, SEED, workers=2) as trial:
            await trial.goes_on()
            worker, _ = trial.hub.workers()
            worker.send_signal(signal.SIGSTOP)
            (supervisor,) = trial.hub._processes.values()
            supervisor.terminate()
            assert await asyncio.to_thread(supervisor.wait, 20) == 0
            trial.hub.stop()
            trial.hub.start()
            await trial.goes_on(60)
            assert await trial.finish() == []
