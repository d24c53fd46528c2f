"""Whatever breaks, what was answered is there once, feeds have no holes, and nobody has to lend a hand."""

import asyncio

import pytest

from tests.faults.breaking import FAULTS
from tests.faults.live import Trial

SEED = 20261122


class TestHub:
    @pytest.mark.timeout(240)
    async def test_keeps_its_promises_through_every_fault(self, tmp_path):
        async with Trial.running(tmp_path, SEED) as trial:
            await trial.goes_on()
            faults = list(FAULTS)
            trial.hub.random.shuffle(faults)
            for fault in faults:
                await fault(trial.hub)
                print(f"{fault.__name__}: went on after {await trial.goes_on():.1f} s")  # noqa: T201
            assert await trial.finish() == []
            print(f"{len(trial.sent)} messages, all there")  # noqa: T201

    @pytest.mark.slow
    @pytest.mark.timeout(240)
    async def test_ends_in_good_order_and_goes_on_where_it_was(self, tmp_path):
        async with Trial.running(tmp_path, SEED) as trial:
            await trial.goes_on()
            assert await asyncio.to_thread(trial.hub.stop) == 0
            trial.hub.start()
            await trial.goes_on(60)
            assert await trial.finish() == []
