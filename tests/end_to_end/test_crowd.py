"""Thousands of connections at once, and the end of the hub while they are there or have just gone."""

import asyncio
import signal
import time

import pytest

from tests.benchmarks.stage import Stage
from tests.benchmarks.subscribers import subscribers

CROWD = 3_000


@pytest.mark.slow
@pytest.mark.timeout(300)
class TestCrowd:
    @pytest.mark.parametrize("stays", [True, False], ids=["that is there", "that has just been cut off"])
    async def test_does_not_hold_up_the_end(self, tmp_path, stays):
        stage = await asyncio.to_thread(Stage.set_up, tmp_path)
        try:
            async with subscribers(stage.hub, stage.unconcerned, CROWD):
                told = time.monotonic()
                if stays:
                    stage.hub.signal(signal.SIGTERM)
                    assert await asyncio.to_thread(stage.hub.wait) == 0
            if not stays:
                stage.hub.signal(signal.SIGTERM)
                assert await asyncio.to_thread(stage.hub.wait) == 0
            print(f"ended after {time.monotonic() - told:.1f} s")  # noqa: T201
        finally:
            stage.close()
