"""Whatever breaks, what was answered is there once, feeds have no holes, and nobody has to lend a hand."""

import asyncio

import pytest

from tests.faults.breaking import BELL, CLOCK, DATABASE, NETWORK, PROCESSES
from tests.faults.trial import Trial

SEED = 20261125


@pytest.mark.slow
@pytest.mark.timeout(400)
class TestHub:
    @pytest.mark.parametrize(
        ("faults", "surroundings"),
        [
            pytest.param(PROCESSES, {"workers": 3}, id="processes"),
            pytest.param(DATABASE, {}, id="database"),
            pytest.param(NETWORK, {"proxied": True}, id="network"),
            pytest.param(BELL, {"redis": True}, id="doorbell"),
            pytest.param(5 * CLOCK, {"jumping": True}, id="clock"),
        ],
    )
    async def test_keeps_its_promises_through_every_fault_of(self, tmp_path, faults, surroundings):
        async with Trial.running(tmp_path, SEED, **surroundings) as trial:
            await trial.goes_on()
            order = list(faults)
            trial.hub.random.shuffle(order)
            for fault in order:
                await fault(trial)
                print(f"{fault.__name__}: went on after {await trial.goes_on(90):.1f} s")  # noqa: T201
            assert await trial.finish() == []
            print(f"{len(trial.sent)} messages, all there")  # noqa: T201

    async def test_ends_in_good_order_and_goes_on_where_it_was(self, tmp_path):
        async with Trial.running(tmp_path, SEED) as trial:
            await trial.goes_on()
            assert await asyncio.to_thread(trial.hub.stop) == [0]
            trial.hub.start()
            await trial.goes_on(60)
            assert await trial.finish() == []
